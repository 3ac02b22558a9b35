"""Patterns proved over the whole network, group of inputs after group, from strict to wide.

Nothing is forgotten by a proof of the whole network (a ``Tail`` cut at the input), but it is
dear, so few patterns are asked.  For the inputs left: the one nearest to the others is the
middle, and a chain of ever stricter patterns around it is laid by linear programs
(``descent``).  The strictest proves at once; then the widest that still proves is sought by
bisection, a counterexample adding the literal that excludes it at the least loss.  What was
found is made wider by taking in the inputs nearest to it (``grow``).  The inputs that it does
not hold for are the next group.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.mine.whole_space.by_relaxation import Descent
from precond.mine.whole_space.candidates import Flags
from precond.mine.whole_space.choices import Choices, patience
from precond.mine.whole_space.task import PatternTask
from precond.mine.whole_space.widen import Growth
from precond.proof.deadline import Deadline
from precond.proof.verdict import Status, Verdict
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

CLIMBING = 0.12  # of the time left, for the climb along one chain
GROWING = 0.25  # of the time left, to make one pattern wider
SHORT = 0.4  # of the seconds for a proof, for one on the way: growth follows
WITNESSES = 12  # counterexamples answered at one place of the chain
MISSES = 12  # middles in a row around which nothing is found
NEAR = 0.25  # of the inputs left: those a middle is near to
SEEN = 1_000  # inputs left among which a middle is chosen


@dataclass(frozen=True, eq=False, kw_only=True)
class Rung:
    """A pattern with its proof; ``inside`` (N,): which of the class's inputs have it;
    ``proofs`` asked for it; ``witnesses`` (k, n): inputs that refuted wider ones."""

    pattern: DecisionPattern
    verdict: Verdict
    inside: Flags
    proofs: int
    seconds: float
    witnesses: NDArray[np.float64]


def ladder(
    task: PatternTask, signatures: Signatures, *, deadline: Deadline, own: int | None = None
) -> list[Rung]:
    """At most ``patterns`` patterns, each adding ``least`` inputs or more of the class's, the
    first ``own`` of ``signatures`` (default: all); the others only count where literals are
    weighed."""
    search = task.search
    choices = Choices(
        task.tail, task.property, signatures, device=search.device, ledger=task.ledger
    )
    rungs: list[Rung] = []
    left = np.ones(len(signatures), dtype=np.bool_)
    real = np.arange(len(signatures)) < (len(signatures) if own is None else own)
    tried = ~real
    misses = 0
    while len(rungs) < search.patterns and misses < MISSES and not deadline.passed:
        middles = np.flatnonzero(left & ~tried)
        if (left & real).sum() < search.least or not len(middles):
            break
        middles = middles[:: -(-len(middles) // SEEN)]
        middle = int(middles[_nearness(choices.on[middles]).argmin()])
        tried[middle] = True
        began = time.monotonic()
        climb = _Climb(choices, Descent(choices, middle, left), search.each, deadline=deadline)
        if (tried & real).sum() == 1:  # what it meets refutes around other middles too
            climb.descent.hunt(deadline)
        best = climb.run()
        if best is None:
            misses += 1
            task.note(f"nothing around input {middle}")
            continue
        kept, verdict = best
        kept, verdict = Growth(
            choices,
            climb.descent,
            each=search.each,
            deadline=deadline,
            share=GROWING,
        ).run(kept, verdict)
        inside = climb.descent.inside(kept)
        if (inside & left & real).sum() < search.least:
            misses += 1
            continue
        misses = 0
        pattern = choices.pattern(kept, climb.descent.phases)
        seconds = time.monotonic() - began
        proofs, choices.proofs = choices.proofs, 0
        witnesses = climb.descent.violators.points
        rungs.append(
            Rung(
                pattern=pattern,
                verdict=verdict,
                inside=inside,
                proofs=proofs,
                seconds=seconds,
                witnesses=witnesses,
            )
        )
        left &= ~inside
        task.note(f"{len(pattern)} literals proved, {(left & real).sum()} inputs of the class left")
    return rungs


def _nearness(on: Flags) -> NDArray[np.float32]:
    """Mean distance of each row to the nearest of the others, (N,)."""
    part = on.astype(np.float32)
    norm = part.sum(1)
    distance = norm[:, None] + norm[None] - 2 * part @ part.T
    count = max(2, int(NEAR * len(on)))
    return np.asarray(np.sort(distance, axis=1)[:, :count].mean(1))


class _Climb:
    """The widest choice near a chain that proves."""

    def __init__(self, choices: Choices, descent: Descent, each: float, deadline: Deadline) -> None:
        self.choices = choices
        self.descent = descent
        self.each = each
        self.deadline = deadline
        self.took = each  # seconds of the last proof

    def run(self) -> tuple[Flags, Verdict] | None:
        chain = self.descent.chain(self.deadline)
        if not chain:
            return None
        best = self._at(self.descent.widen(chain[-1], self.deadline), 0)
        if best is None:
            best = self._at(chain[-1], 0)
        if best is None:
            return None
        self.deadline = self.deadline.earlier(CLIMBING * self.deadline.left)
        low, high = len(chain) - 1, 0  # proved at ``low``; not proved before ``high``
        turn = low * 2 // 3
        while high < low and not self.deadline.passed:
            found = self._at(chain[turn], self.descent.count(best[0]))
            if found is None:
                high = turn + 1
            else:
                best, low = found, turn
            turn = (low + high) // 2
        return best

    def _at(self, place: Flags, more: int) -> tuple[Flags, Verdict] | None:
        """The choice that proves at a place of the chain, or a little stricter, if it holds for
        more than ``more`` of the inputs left."""
        for _ in range(WITNESSES):
            self.descent.learn()
            kept = self.descent.cover(place)
            if kept is None or self.descent.count(kept) <= more or self.deadline.passed:
                return None
            limit = self.deadline.earlier(patience(self.took, SHORT * self.each))
            verdict = self.choices.prove(kept, self.descent.phases, limit)
            if verdict is not None and verdict.is_proved:
                self.took = verdict.seconds
            if verdict is None or verdict.status is not Status.REFUTED:
                return None if verdict is None or not verdict.is_proved else (kept, verdict)
            place = kept
        return None
