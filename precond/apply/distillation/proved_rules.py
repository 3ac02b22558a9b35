"""Early answers that are proved: rules that imply the class over the box of their claim.

A rule may have literals at several layers; it is complete at the last of them.  At every
layer with literals a checkpoint takes the decisions there, keeps which rules hold so far
(N, R), and answers the inputs for which a complete rule holds.  Which rules can hold at all
is decided first, by the boxes: a claim says nothing of an input outside its box.

The claim is about the network over the reals.  Decisions are computed by the network's own
float arithmetic, as its prediction is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from precond.apply.packed import PackedRules
from precond.network.graph import Network
from precond.network.parts import is_cut
from precond.proof.precondition import Precondition
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box


@dataclass(frozen=True, eq=False)
class ProvedRules:
    """The usable proved preconditions of one network, and why others are not.

    ``entries`` each prove one class; ``boxes`` are those of their claims; ``left_out`` counts
    the rest of the file by reason.
    """

    entries: tuple[Precondition, ...]
    boxes: tuple[Box, ...]
    left_out: dict[str, int]

    @classmethod
    def select(cls, network: Network, entries: Sequence[Precondition], domain: Box) -> ProvedRules:
        """The proved entries whose property is that a class wins, and whose layers cut the
        network."""
        kept, left_out = [], dict[str, int]()
        for entry in entries:
            reason = _unusable(network, entry)
            if reason is None:
                kept.append(entry)
            else:
                left_out[reason] = left_out.get(reason, 0) + 1
        return cls(tuple(kept), tuple(e.domain or domain for e in kept), left_out)

    @property
    def layers(self) -> frozenset[str]:
        return frozenset(layer for entry in self.entries for layer in entry.pattern.layers)


def _unusable(network: Network, entry: Precondition) -> str | None:
    if entry.verdict.status is not Status.PROVED:
        return f"{entry.verdict.status.value}, not proved"
    classes = network.classes.count
    if not (entry.label.isdecimal() and int(entry.label) < classes) or entry.property is None:
        return "not about a class"
    if set(entry.property.clauses) != set(Property.of_class(int(entry.label), network).clauses):
        return "a property other than that the class wins"
    entry.pattern.check(network)
    if not len(entry.pattern):
        return "without a literal"
    if not all(is_cut(network, network.pre_activation(layer)) for layer in entry.pattern.layers):
        return "at a layer that other values pass by"
    return None


class RuleBoxes(nn.Module):
    """Which claims' boxes hold each input, (N, R) bool."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        super().__init__()
        key = {(b.lower.tobytes(), b.upper.tobytes()): b for b in boxes}
        place = {name: k for k, name in enumerate(key)}
        of_rule = [place[b.lower.tobytes(), b.upper.tobytes()] for b in boxes]
        self.register_buffer("of_rule", torch.tensor(of_rule))
        self.register_buffer("lower", torch.tensor(np.stack([b.lower for b in key.values()])))
        self.register_buffer("upper", torch.tensor(np.stack([b.upper for b in key.values()])))

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.flatten(1).double()
        pairs = zip(cast(Tensor, self.lower), cast(Tensor, self.upper), strict=True)
        inside = torch.stack([((x >= low) & (x <= high)).all(1) for low, high in pairs], 1)
        return inside.index_select(1, cast(Tensor, self.of_rule))


class Checkpoint(nn.Module):
    """The literals of all rules at one layer, and the rules complete there."""

    def __init__(self, proved: ProvedRules, layer: str, cut: str, order: Sequence[str]) -> None:
        super().__init__()
        self.layer, self.cut, self.name = layer, cut, f"proved rules at {layer}"
        patterns = [entry.pattern for entry in proved.entries]
        last = [max(pattern.layers, key=order.index) for pattern in patterns]
        complete = [r for r, name in enumerate(last) if name == layer]
        # A rule without literals here holds as far as this layer is concerned.
        self.rules = PackedRules([pattern.only([layer]) for pattern in patterns])
        self.completes = bool(complete)
        labels = [int(proved.entries[r].label) for r in complete]
        self.register_buffer("complete", torch.tensor(complete, dtype=torch.int64))
        self.register_buffer("labels", torch.tensor(labels, dtype=torch.int64))

    def forward(self, value: Tensor, holding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From the layer's pre-activations and the rules that hold so far (N, R): label (N,),
        whether proved (N,), and the rules that still hold."""
        holding = holding & self.rules({self.layer: value})
        if not self.completes:
            nothing = holding.new_zeros(len(value))
            return nothing.long(), nothing, holding
        sure, which = holding.index_select(1, cast(Tensor, self.complete)).max(1)
        return cast(Tensor, self.labels)[which], sure, holding
