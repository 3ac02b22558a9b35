"""The search: as many units free at once as bounds allow, then as a proof allows, then one by one.

1. *By bounds.*  The lines of the box of the units freed so far say which larger set might do
   (``budgeted``).  That set and some larger ones are bounded in one propagation; each pass proves
   a subset of its own box, so every round ends with a proved set.
2. *By proof.*  Worst corners say which set is about the largest without a violator (``corners``).
   It is attacked, and put to the prover; a violator corrects what is thought to be the largest.
3. *One by one.*  See ``minimal``.

Source of the question: Wu, Wu, Barrett 2023 (VeriX) free one feature at a time, a proof each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.attacking import attacked
from precond.mine.sufficient_features.budgeted import largest_set
from precond.mine.sufficient_features.corners import Corners, through, worst_corners
from precond.mine.sufficient_features.question import Array
from precond.mine.sufficient_features.units import Flags

ROUNDS = 6
STRETCH = (0.1, 0.25, 0.5, 1.0, 1.4)  # of the rooms, in the rounds that look far
NARROW = (0.97, 1.0, 1.05, 1.15)  # in the others
FAR = 2  # rounds that look far
PROPOSALS = 40  # of step 2
MOST_CUTS = 30
TOGETHER = 3  # cuts of one proposal
CLOSE = 0.005  # of the units, between what proved and what did not
HALVINGS = 12


def freed_by_bounds(inquiry: Inquiry) -> Flags:
    """The largest set of units that one pass of bounds proves at a time."""
    question = inquiry.question
    best = question.still.copy()
    lines = inquiry.lines(best[None], 0)
    if not lines:
        return best
    room, cost = lines[0].room, lines[0].cost
    every = np.ones(question.units.count, dtype=np.bool_)
    for step in range(ROUNDS):
        stretch = STRETCH if step < FAR else NARROW
        sets = [largest_set(s * room, cost, every) | best for s in stretch]
        fresh = np.unique(np.array(sets), axis=0)
        lines = inquiry.lines(fresh)
        if not lines:
            break
        subsets = [line.subset | question.still for line in lines]
        place = int(np.argmax([subset.sum() for subset in subsets]))
        if subsets[place].sum() <= best.sum() and step >= FAR:
            break
        room, cost = lines[place].room, lines[place].cost
        if subsets[place].sum() > best.sum():
            best = subsets[place]
    return best


@dataclass(eq=False)
class Cuts:
    """What is thought to be true of every set without a violator: ``Σ cost ≤ room`` for the last
    worst corners, and for violators that earlier sets turned out to have."""

    last: Corners
    rooms: list[Array]
    costs: list[Array]

    def largest(self, share: float = 1.0) -> Flags:
        """The largest set of units within all of them, with rooms made narrower by ``share``."""
        room = np.concatenate([self.last.room, *self.rooms])
        cost = np.concatenate([self.last.cost, *self.costs])
        return largest_set(share * room, cost, np.ones(cost.shape[1], dtype=np.bool_))

    def of_size(self, size: int) -> Flags:
        """About ``size`` units, at most, that are worst for none of them."""
        low, high = 0.0, 1.0
        chosen = self.largest(0.0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            free = self.largest(middle)
            if free.sum() <= size:
                chosen, low = free, middle
            else:
                high = middle
        return chosen

    def add(self, corners: Corners) -> None:
        self.rooms = [*self.rooms, corners.room][-MOST_CUTS:]
        self.costs = [*self.costs, corners.cost][-MOST_CUTS:]


def freed_by_proof(inquiry: Inquiry, proved: Flags) -> Flags:
    """The largest set that is proved of those which no violator met so far excludes.

    A set is proposed by the cuts, attacked, and put to the prover; each violator is a cut more.
    Where the prover decides nothing, smaller sets are proposed.
    """
    question = inquiry.question
    cuts = Cuts(worst_corners(question, proved), [], [])
    best, limit = proved, question.units.count + 1  # as many units did not prove
    for _ in range(PROPOSALS):
        if inquiry.deadline.passed or limit - best.sum() <= max(1, CLOSE * limit):
            break
        free = (
            cuts.of_size((int(best.sum()) + limit) // 2) if limit <= len(best) else cuts.largest()
        )
        free = free | question.still
        if free.sum() <= best.sum():
            break
        cuts.last = worst_corners(question, free)
        violators = attacked(inquiry, free, cuts.last, most=TOGETHER)
        if not len(violators):
            verdict = inquiry.ask(free)
            if verdict.is_proved:
                best = free
                continue
            if verdict.witness is None:
                limit = int(free.sum())
                continue
            violators = verdict.witness[None]
        inquiry.pool.add(violators)
        cuts.add(through(question, free, violators, row=question.margins(violators).argmin(1)))
    return best
