"""``FastPath``: a network that answers early where rules at an early layer allow it.

Stages of the network alternate with exits.  An exit gives labels and says which of them to
take; the other inputs go on, gathered together once per exit (compaction), and the rest of
the network answers what is left.  One input alone takes the exits by a plain ``if``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from precond.apply.distillation.proved_rules import Checkpoint, ProvedRules, RuleBoxes
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.votes import VoteExit
from precond.errors import DataError, OutputError, QueryError
from precond.network.evaluate import check_inputs
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment

FORMAT = 3


@dataclass(frozen=True, eq=False)
class Answered:
    """Labels (N,) and the number of the exit that gave each (the number of exits: the end)."""

    labels: NDArray[np.int64]
    exits: NDArray[np.int64]


class Exit(Protocol):
    """A module with the value it reads, which is also where the network goes on from."""

    @property
    def cut(self) -> str: ...

    @property
    def name(self) -> str: ...


class FastPath(nn.Module):
    """Call it with inputs (N, …) to get predicted classes (N,).

    ``exits`` are put in the order of the values they read.  ``proved``: the rules of the
    checkpoints among them.
    """

    def __init__(
        self,
        network: Network,
        exits: Sequence[Exit],
        proved: ProvedRules | None = None,
    ) -> None:
        super().__init__()
        self.network, self.proved = network, proved
        place = {INPUT: -1, **{node.name: k for k, node in enumerate(network.nodes)}}
        ordered = sorted(exits, key=lambda e: place[e.cut])
        cuts = [INPUT, *(e.cut for e in ordered)]
        self.exits = nn.ModuleList(cast(Sequence[nn.Module], ordered))
        self.stages = nn.ModuleList(NetworkSegment(network, a, [b]) for a, b in pairwise(cuts))
        self.rest = NetworkSegment(network, cuts[-1], [network.output])
        self.boxes = RuleBoxes(proved.boxes) if proved is not None and proved.entries else None
        self._run: list[tuple[Callable[..., Any] | None, Callable[..., Any], bool]] = []
        self.use()

    def use(self, prepare: Callable[[nn.Module], Callable[..., Any]] = lambda m: m) -> FastPath:
        """Run every stage and exit as ``prepare`` makes it (``torch.compile``, say)."""
        pairs = zip(self.stages, self.exits, strict=True)
        self._run = [
            (
                prepare(stage) if len(cast(NetworkSegment, stage).operations) else None,
                prepare(exit),
                isinstance(exit, Checkpoint),
            )
            for stage, exit in pairs
        ]
        self._rest = prepare(self.rest)
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        value, holding = self._begin(inputs)
        if len(inputs) == 1:
            return self._one(value, holding)[0]
        return self._many(value, holding)[0]

    def answer(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Labels and the exits that gave them, (N,) each."""
        value, holding = self._begin(inputs)
        if len(inputs) == 1:
            label, number = self._one(value, holding)
            return label, torch.full_like(label, number)
        return self._many(value, holding)

    def _begin(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The inputs in the network's shape, and which proved rules their boxes allow."""
        shape = self.network.input_shape
        if inputs.dim() < 2 or inputs.numel() != len(inputs) * self.network.input_size:
            raise DataError(
                f"inputs for the fast path of {self.network.origin}",
                expected=f"rows of {self.network.input_size} values",
                got=f"an array of shape {tuple(inputs.shape)}",
                fix="Give one row per input",
            )
        value = inputs.reshape(len(inputs), *shape)
        return value, None if self.boxes is None else self.boxes(value)

    def _one(self, value: Tensor, holding: Tensor | None) -> tuple[Tensor, int]:
        number = 0
        for stage, exit, proves in self._run:
            if stage is not None:
                (value,) = stage(value)
            if proves:
                label, sure, holding = exit(value, holding)
            else:
                label, sure = exit(value)
            if sure.item():
                return label, number
            number += 1
        (logits,) = self._rest(value)
        return self.network.classes.scores(logits.flatten(1)).argmax(1), number

    def _many(self, value: Tensor, holding: Tensor | None) -> tuple[Tensor, Tensor]:
        count = len(value)
        labels = torch.zeros(count, dtype=torch.int64, device=value.device)
        exits = torch.full_like(labels, len(self._run))
        rows: Tensor | None = None  # of the inputs still under way; None: all of them
        for number, (stage, exit, proves) in enumerate(self._run):
            if stage is not None:
                (value,) = stage(value)
            if proves:
                label, sure, holding = exit(value, holding)
            else:
                label, sure = exit(value)
            taken = sure.nonzero().flatten()
            if not len(taken):
                continue
            at = taken if rows is None else rows[taken]
            labels[at] = label[taken]
            exits[at] = number
            on = (~sure).nonzero().flatten()
            rows = on if rows is None else rows[on]
            if not len(on):
                return labels, exits
            value = value[on]
            holding = None if holding is None else holding[on]
        (logits,) = self._rest(value)
        last = self.network.classes.scores(logits.flatten(1)).argmax(1)
        if rows is None:
            return last, exits
        labels[rows] = last
        return labels, exits

    def predict(self, inputs: NDArray[np.floating], batch: int = 1024) -> Answered:
        """``answer`` in batches over an array (N, …)."""
        array = check_inputs(self.network, inputs)
        device = next(chain(self.parameters(), self.buffers())).device
        labels, exits = [], []
        with torch.inference_mode():
            for start in range(0, len(array), batch):
                part = np.ascontiguousarray(array[start : start + batch], dtype=np.float32)
                label, number = self.answer(torch.as_tensor(part).to(device))
                labels.append(label.cpu())
                exits.append(number.cpu())
        return Answered(torch.cat(labels).numpy(), torch.cat(exits).numpy())

    def names(self) -> list[str]:
        """What each exit is, then the end, in words."""
        return [*(cast(Exit, exit).name for exit in self.exits), "the whole network"]


def checkpoints(network: Network, proved: ProvedRules) -> list[Checkpoint]:
    """One checkpoint for each layer with literals of proved rules."""
    order = network.decision_layers
    return [
        Checkpoint(proved, layer, cut=network.pre_activation(layer), order=order)
        for layer in order
        if layer in proved.layers
    ]


def save_fast_path(path: FastPath, file: Path) -> None:
    """Write the vote exits of a fast path (not the network) as tensors and plain values."""
    exits = [exit for exit in path.exits if isinstance(exit, VoteExit)]
    content = {
        "format": FORMAT,
        "network": path.network.logits.hash,
        "exits": [
            {
                "layer": exit.reading.layer,
                "step": exit.reading.step,
                "rules": len(exit.vote.limit),
                "levels": exit.levels,
                "state": {**exit.vote.state_dict(), "threshold": exit.threshold},
            }
            for exit in exits
        ],
    }
    try:
        torch.save(content, file)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{file} cannot be written: {error}") from error


def load_fast_path(file: Path, network: Network, proved: ProvedRules | None = None) -> FastPath:
    """The fast path written to ``file``, for the network it was made from.

    ``proved``: the proved rules it had, read again from their ``preconditions.json``.
    """
    try:
        content = torch.load(file, weights_only=True)
        form, made_for, stored = content["format"], str(content["network"]), list(content["exits"])
    except (OSError, RuntimeError, UnpicklingError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"fast path {file}", expected="a file of 'precond distill'", got=type(error).__name__
        ) from error
    if form != FORMAT:
        raise DataError(
            f"fast path {file}",
            expected=f"format {FORMAT}",
            got=f"format {form}",
            fix="Make it again with 'precond distill'",
        )
    network = network.logits
    if made_for != network.hash:
        raise QueryError(
            f"fast path {file}",
            expected=f"the network with hash {made_for[:12]}…",
            got=f"{network.origin} with hash {network.hash[:12]}…",
            fix="Give the model it was made from",
        )
    exits: list[Exit] = []
    for entry in stored:
        exit = VoteExit(
            network,
            reading=Reading(entry["layer"], entry["step"]),
            rules=entry["rules"],
            levels=entry["levels"],
        )
        state = dict(entry["state"])
        exit.threshold = state.pop("threshold")
        exit.vote.load_state_dict(state)
        exit.requires_grad_(False).eval()
        exits.append(exit)
    if proved is not None and proved.entries:
        exits += checkpoints(network, proved)
    return FastPath(network, exits, proved)
