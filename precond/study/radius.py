"""The radius of balls in which claims can be proved, where none is asked for (``--domain auto``).

A ball that is too large has no proofs, and one that is too small says little.  The radius is
the largest of ``LADDER``, shares of each value's range, at which the full signatures of
two thirds of a sample of inputs prove their property in their balls.  A smaller ball never proves
less, so the ladder is searched by bisection after its first rung.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precond.data.datasets import Dataset
from precond.mine.input_preconditions.by_units import wide
from precond.network.graph import Network
from precond.proof.bounds.pattern_pass import pattern_pass
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove, quick_stages
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.signature import Signatures
from precond.region.value_ranges import ValueRanges
from precond.study.analysis import Domain
from precond.study.goals import Goal, Target

LADDER = tuple(
    Radius(share, of_range=True)
    for share in (0.1, 0.05, 0.03, 0.02, 0.01, 0.007, 0.005, 0.003, 0.002, 0.001)
)
SAMPLE = 9
FEW = 5  # the same, where one proof takes long
EACH = 2.0  # seconds for one proof


@dataclass(eq=False, kw_only=True)
class RadiusSearch:
    """``signatures`` and ``goal`` as in ``Study``."""

    network: Network
    data: Dataset
    signatures: Signatures
    goal: Goal
    deadline: Deadline
    device: str = "cpu"

    def run(self) -> tuple[Domain, str]:
        """The domain, and a note that says how its radius was chosen."""
        self.ranges = ValueRanges.of(self.data)
        self.radii = [self.ranges.plain(radius) for radius in LADDER]
        self.sample = self._sample()
        first, last = 0, len(self.radii)  # the first that proves is in between; `last`: none does
        middle = 0
        while self.sample and first < last and not self.deadline.passed:
            if self._most_prove(self.radii[middle]):
                last = middle
            elif not self.deadline.passed:  # else the last answers were cut short
                first = middle + 1
            middle = (first + last) // 2
        late = first < last and bool(self.sample)
        if last == len(self.radii) and self.sample:
            last = (first + last - 1) // 2 if late else last - 1
            chosen, proves = self.radii[last], False
        else:
            chosen, proves = self.radii[last if self.sample else 0], True
        return Domain.balls(chosen, self.ranges), self._note(chosen, proves, late)

    def _note(self, chosen: Radius, proves: bool, late: bool) -> str:
        if not self.sample:
            return f"no input has anything to prove: balls have the largest radius, {chosen.words}"
        if late:
            known = (
                "at which two thirds of the inputs prove"
                if proves
                else "between what is too large and least"
            )
            return f"radius {chosen.words}, {known}: time ran out before larger ones were tried"
        if not proves:
            return (
                f"in no ball down to radius {chosen.words} do the full signatures of two thirds of "
                "the inputs prove by quick methods: balls of that radius are tried all the same"
            )
        return (
            f"radius {chosen.words}: the largest of a ladder at which the full signatures of two "
            f"thirds of {len(self.sample)} training inputs prove"
        )

    def _sample(self) -> list[tuple[Target, int]]:
        """Training inputs, from each label in turn."""
        rng = np.random.default_rng(0)
        train = self.data.train[self.ranges.box.contains(self.data.flat[self.data.train])]
        if self.data.labels is not None and self.goal.kind.by_class:
            train = train[self.data.labels[train] == self.goal.labels[train]]
        rows = {
            target: rng.permutation(train[self.goal.labels[train] == target.label])[:SAMPLE]
            for target in self.goal.targets
            if target.property is not None
        }
        turns = [(t, int(row[k])) for k in range(SAMPLE) for t, row in rows.items() if k < len(row)]
        return turns[: FEW if wide(self.network) else SAMPLE]

    def _most_prove(self, radius: Radius) -> bool:
        proved = 0
        for done, (target, row) in enumerate(self.sample):
            proved += self._proves(target, row, radius)
            rest = len(self.sample) - done - 1
            if 3 * proved >= 2 * len(self.sample) or 3 * (proved + rest) < 2 * len(self.sample):
                break
        return 3 * proved >= 2 * len(self.sample)

    def _proves(self, target: Target, row: int, radius: Radius) -> bool:
        assert target.property is not None
        x = self.data.flat[row]
        signature = DecisionPattern.of_row(self.signatures, row, self.network.decision_layers)
        ball = self.ranges.ball(x, radius)
        claim = Claim(self.network, ball, signature, property=target.property)
        if not claim.problem.conjuncts:
            return True
        if wide(self.network):
            found = pattern_pass(claim.problem, device=self.device, deadline=self.deadline)
            return found.proves
        verdict = prove(
            claim,
            budget=self.deadline.earlier(EACH).left,
            points=x[None],
            stages=quick_stages(self.device),
            device=self.device,
        )
        return verdict.is_proved
