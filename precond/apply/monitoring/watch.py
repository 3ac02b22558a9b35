"""``Monitor``: watches a network at run time through its preconditions.

For each input the network answers as ever, and the rules say whether its decisions are ones
they know: *in pattern* when a rule holds (all literals, and the input in the box the rule
is claimed over).  Rules of the same layers form a *group*; the group's vote is the label
with the larger training support among its rules that hold.  The verdict on a prediction:

- CORRECT: some group votes for the predicted class, none for another;
- WRONG: some group votes for another class, none for the predicted one;
- UNCERTAIN: no rule holds (out of pattern), or the groups disagree.

Rules about correctness vote for or against whatever is predicted.  The *strength* of a
prediction is the share of the rules for it that hold, each counted by its training support:
inputs like the training data satisfy many rules of their class at once, others few.

Source: Gopinath, Converse, Pasareanu, Taly 2019, section 5 (rules as run-time guards).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from precond.apply.packed import PackedRules
from precond.errors import QueryError
from precond.network.evaluate import check_inputs
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment
from precond.proof.precondition import Precondition
from precond.proof.verdict import Status
from precond.region.box import Box

NO_VOTE = -1
BATCH_BYTES = 64 << 20


class Opinion(IntEnum):
    """What the rules say of a prediction."""

    WRONG = 0
    UNCERTAIN = 1
    CORRECT = 2


@dataclass(frozen=True, eq=False)
class Watched:
    """What a monitor saw of N inputs; tensors on the monitor's device.

    ``outputs`` (N, K); ``predicted`` (N,); ``holds`` (N, R) bool, in the order of
    ``Monitor.entries``; ``votes`` (N, G) the label each group votes for, ``NO_VOTE`` where
    none of its rules holds (K: correct, K + 1: misclassified); ``opinion`` (N,) of
    ``Opinion``; ``strength`` (N,) from 0 to 1 (0 where no rule is for the
    prediction); ``outside`` (N,) rules whose literals all hold but whose box the input is
    outside of.
    """

    outputs: Tensor
    predicted: Tensor
    holds: Tensor
    votes: Tensor
    opinion: Tensor
    strength: Tensor
    outside: Tensor

    @property
    def in_pattern(self) -> Tensor:
        """Whether any rule holds, (N,)."""
        return self.holds.any(1)


class Monitor(nn.Module):
    """A network and its rules; call it with inputs (N, …) to get a ``Watched``.

    ``entries`` are preconditions of this network (``Stored.claim`` checks that they are) and
    ``domain`` the box of those that have none of their own.  ``dtype``: of the forward pass;
    float64, as rules are mined.  A refuted entry still is a rule that data supports; vacuous
    entries and those without a literal are left out (``left_out``).  ``proved`` (R,) marks
    the proved ones.  QueryError where no rule is left or a literal names no neuron.
    """

    proved: Tensor

    def __init__(
        self,
        network: Network,
        entries: Sequence[Precondition],
        domain: Box,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        usable = [e for e in entries if e.verdict.status is not Status.VACUOUS and len(e.pattern)]
        self.left_out = len(entries) - len(usable)
        if not usable:
            raise QueryError(
                "rules to monitor with",
                expected="one or more with a literal",
                got=f"{len(entries)} entries, none of use" if entries else "an empty rule set",
                fix="Run 'precond analyze' with a longer --budget or more data",
            )
        for entry in usable:
            entry.pattern.check(network)
        self.network, self.entries, self.dtype = network, tuple(usable), dtype
        self.rules = PackedRules([entry.pattern for entry in usable])
        self.sources = [network.pre_activation(layer) for layer in self.rules.layers]
        self.stage = NetworkSegment(network, INPUT, [*self.sources, network.output], dtype)
        order = {layer: k for k, layer in enumerate(network.decision_layers)}
        names = {e.pattern.layers: max(order[n] for n in e.pattern.layers) for e in usable}
        self.groups = tuple(sorted(names, key=lambda g: (names[g], len(g), g)))
        targets = [target(entry.label, network.classes.count) for entry in usable]
        votes = torch.zeros(len(self.groups), len(usable), network.classes.count + 2)
        for r, (entry, label) in enumerate(zip(usable, targets, strict=True)):
            votes[self.groups.index(entry.pattern.layers), r, label] = max(1, entry.support.train)
        proved = [entry.verdict.status is Status.PROVED for entry in usable]
        self.register_buffer("proved", torch.tensor(proved))
        self.register_buffer("vote_weights", votes)
        self.register_buffer("labels", torch.tensor(targets))
        boxes = [entry.domain or domain for entry in usable]
        distinct = list({(b.lower.tobytes(), b.upper.tobytes()): b for b in boxes}.values())
        key = {(b.lower.tobytes(), b.upper.tobytes()): k for k, b in enumerate(distinct)}
        of_rule = [key[b.lower.tobytes(), b.upper.tobytes()] for b in boxes]
        self.register_buffer("box_of_rule", torch.tensor(of_rule))
        self.register_buffer("lower", torch.tensor(np.stack([b.lower for b in distinct])))
        self.register_buffer("upper", torch.tensor(np.stack([b.upper for b in distinct])))

    def forward(self, inputs: Tensor) -> Watched:
        with torch.no_grad():
            shaped = inputs.reshape(len(inputs), *self.network.input_shape)
            *found, outputs = self.stage(shaped.to(self.dtype))
            bits = self.rules.bits(dict(zip(self.rules.layers, found, strict=True)))
            scores = self.network.classes.scores(outputs.flatten(1))
            return self.judge(bits, scores, shaped.flatten(1))

    def judge(self, bits: Tensor, outputs: Tensor, inputs: Tensor) -> Watched:
        """From decisions (N, C), one score a class (N, K) and inputs (N, n); ``forward`` without
        the network."""
        predicted = outputs.argmax(1)
        literal = self.rules.holds(bits)
        holds = literal & self._in_boxes(literal, inputs)
        votes = self._votes(holds)
        own = predicted[:, None]
        classes = outputs.shape[1]
        agree = ((votes == own) | (votes == classes)).any(1)
        against = ((votes != NO_VOTE) & (votes != own) & (votes != classes)).any(1)
        opinion = torch.full_like(predicted, int(Opinion.UNCERTAIN))
        opinion[agree & ~against] = int(Opinion.CORRECT)
        opinion[against & ~agree] = int(Opinion.WRONG)
        return Watched(
            outputs,
            predicted,
            holds,
            votes,
            opinion,
            self._strength(holds, predicted, classes),
            (literal & ~holds).sum(1),
        )

    def _in_boxes(self, literal: Tensor, inputs: Tensor) -> Tensor:
        """Whether each input lies in each rule's box, (N, R); looked up only where a rule's
        literals hold."""
        of_rule = cast(Tensor, self.box_of_rule)
        lower, upper = cast(Tensor, self.lower), cast(Tensor, self.upper)
        inside = torch.zeros(len(inputs), len(lower), dtype=torch.bool, device=inputs.device)
        for k in range(len(lower)):
            mine = literal if len(lower) == 1 else literal[:, of_rule == k]
            rows = mine.any(1).nonzero().flatten()
            x = inputs[rows].double()
            inside[rows, k] = ((x >= lower[k]) & (x <= upper[k])).all(1)
        return inside.expand_as(literal) if len(lower) == 1 else inside[:, of_rule]

    def _votes(self, holds: Tensor) -> Tensor:
        known = holds.float()
        weights = cast(Tensor, self.vote_weights)
        votes = []
        for weight in weights:
            score, label = (known @ weight).max(1)
            votes.append(torch.where(score > 0, label, NO_VOTE))
        return torch.stack(votes, 1)

    def _strength(self, holds: Tensor, predicted: Tensor, classes: int) -> Tensor:
        weights = cast(Tensor, self.vote_weights).sum(0)  # (R, K + 2)
        mine = weights[:, :classes] + weights[:, classes, None]
        reached = (holds.float() @ mine).gather(1, predicted[:, None]).flatten()
        return reached / mine.sum(0).clamp(min=1)[predicted]

    def proved_holds(self, watched: Watched) -> NDArray[np.bool_]:
        """``watched.holds`` of the proved rules alone, (N, R)."""
        return np.asarray((watched.holds & self.proved.cpu()).numpy())

    def label_of_rule(self) -> NDArray[np.int64]:
        """What each rule votes for, (R,): a class, K (correct) or K + 1 (misclassified)."""
        return np.asarray(cast(Tensor, self.labels).cpu().numpy())

    def watch(self, inputs: NDArray[np.floating]) -> Watched:
        """``forward`` in batches over inputs (N, …); results on the CPU."""
        array = check_inputs(self.network, inputs)
        widest = sum(self.network.width(node.name) for node in self.network.nodes)
        batch = max(1, min(8192, BATCH_BYTES // (8 * widest)))
        device = cast(Tensor, self.labels).device
        found = []
        for start in range(0, len(array), batch):
            part = np.ascontiguousarray(array[start : start + batch])
            found.append(self(torch.as_tensor(part).to(device)))
        return Watched(
            *(
                torch.cat([getattr(part, name) for part in found]).cpu()
                for name in Watched.__dataclass_fields__
            )
        )


def target(label: str, classes: int) -> int:
    """What a rule votes for: a class, ``classes`` (the prediction is right) or one more (it
    is wrong)."""
    if label in ("correct", "holds"):
        return classes
    if label == "misclassified":
        return classes + 1
    if label.isdecimal() and int(label) < classes:
        return int(label)
    raise QueryError(
        "label of a rule",
        expected=f"a class in 0..{classes - 1}, correct, misclassified or holds",
        got=repr(label),
    )
