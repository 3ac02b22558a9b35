"""A lower bound on every sufficient set: no set with as many free units is without a violator.

``game`` says which mix of ways stops all sets of a size, and from which size on there may be one;
``cuts`` states that as a claim, and the smallest size that proves, by bounds alone or by the
prover, is the bound.  A set met on the way that nothing stops may be larger than the one known:
then it is put to the prover.

A hitting set of violators cannot do this cheaply: where many features take a little each, the
violators that exclude all sets of a size are too many to be listed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.attacking import attacked
from precond.mine.sufficient_features.corners import through, worst_corners
from precond.mine.sufficient_features.cuts import ProvedCut, Way, cut_claim
from precond.mine.sufficient_features.game import Game
from precond.mine.sufficient_features.units import Flags
from precond.proof.prover.plans import bounds_stages

TURNS = 40  # of the game, for one size
LATER = 8  # turns after a proof was refuted
LEARNED = 3  # rows whose ways are taken at a set
NEAR = (0.0, 0.08, 0.25, 0.5, 0.75)  # of the way from what the game says to what bounds prove
HALVINGS = 8  # of a size
REFUTED = 3  # proofs of one size
CLOSE = 0.02  # of the kept units: less is not worth a proof


@dataclass(frozen=True, eq=False)
class Counting:
    """At most ``most`` units can be free, by ``cut``; ``free`` (m,): the largest proved set."""

    most: int
    cut: ProvedCut | None
    free: Flags


def counting_bound(inquiry: Inquiry, free: Flags) -> Counting:
    """The best bound found; ``free`` (m,) is a proved set."""
    search = _SizeSearch(inquiry, free)
    hopeful = search.by_game()
    if hopeful is not None:
        proved = search.by_bounds(hopeful)
        search.by_proof(hopeful, proved)
    return Counting(max(search.most, search.known), search.cut, search.free)


class _SizeSearch:
    """``free``: the largest proved set; ``most`` units can be free, by ``cut``."""

    def __init__(self, inquiry: Inquiry, free: Flags) -> None:
        self.inquiry = inquiry
        self.free = free
        self.count = self.most = len(free)
        self.cut: ProvedCut | None = None
        self.game = Game(inquiry.question)
        for start in (np.ones(self.count, dtype=np.bool_), free):
            self.game.learn(worst_corners(inquiry.question, start), LEARNED)

    @property
    def known(self) -> int:
        return int(self.free.sum())

    @property
    def done(self) -> bool:
        return self.inquiry.deadline.passed or self.most <= self.known

    def by_game(self) -> int | None:
        """About the smallest size at which some mix stops all sets; None where none does."""
        low, high = self.known, self.count + 1
        for _ in range(HALVINGS):
            size = self.count if high > self.count else (low + high + 1) // 2
            if self.inquiry.deadline.passed or not low < size < high:
                break
            if self.mix(size, TURNS) is not None:
                high = size
            elif size == self.count:
                return None
            else:
                low = size
            low = max(low, self.known)
            if high - low <= max(1, CLOSE * (self.count - self.known)):
                break
        return high if high <= self.count else None

    def mix(self, size: int, turns: int) -> tuple[Way, ...] | None:
        """A mix of ways that stops all sets of ``size`` units, as far as is seen."""
        for _ in range(turns):
            ways, least = self.game.mixed(size)
            points, value = self.game.worst(ways, size)
            if least > 0 and value > 0:
                return ways
            if self.inquiry.deadline.passed:
                break
            count = len(self.game.ways)
            self.game.meet(points[:2])
            sets = [point > 0.5 for point in points[:2]]
            open_ = [free for free in sets if not self._stopped(free)]
            if size <= self.known or any(free.sum() >= size for free in open_):
                break
            if len(self.game.ways) == count and self.game.mixed(size)[1] <= 0:
                break
        return None

    def _stopped(self, free: Flags) -> bool:
        """Learn what stops ``free`` (m,) units, and whether something does; where nothing does and
        they are more than are known, put them to the prover."""
        inquiry, question = self.inquiry, self.inquiry.question
        free = free | question.still
        corners = worst_corners(question, free)
        if corners.least > 0 and free.sum() > self.known:
            points = attacked(inquiry, free, corners, most=LEARNED)
            if not len(points):
                if inquiry.ask(free).is_proved:
                    self.free = free
                return False
            row = question.margins(points).argmin(1)
            corners = through(question, free, points, row=row)
        self.game.learn(corners, LEARNED)
        return corners.least <= 0

    def by_bounds(self, hopeful: int) -> int | None:
        """The smallest size that bounds alone prove, from ``hopeful`` on; None: none."""
        if not self._proved(self.count, quick=True):
            return None
        low, high = hopeful - 1, self.count
        for _ in range(HALVINGS):
            size = (low + high) // 2
            if self.inquiry.deadline.passed or not low < size < high:
                break
            if self._proved(size, quick=True):
                high = size
            else:
                low = size
        return high

    def by_proof(self, hopeful: int, proved: int | None) -> None:
        """Put sizes below those that bounds prove to the prover."""
        end = self.count if proved is None else proved - 1
        for share in NEAR:
            size = round(hopeful + share * (end - hopeful))
            for _ in range(REFUTED):
                if self.done or size >= self.most:
                    return
                if self._proved(size, quick=False):
                    return
                if not self.refuted:
                    break

    def _proved(self, size: int, *, quick: bool) -> bool:
        """Whether all sets of ``size`` units are stopped, by bounds (``quick``) or the prover."""
        self.refuted = False
        inquiry, question = self.inquiry, self.inquiry.question
        ways = self.mix(size, LATER)
        if ways is None:
            return False
        claim = cut_claim(question, ways, size)
        if claim is None:
            return False
        stages = bounds_stages(question.device) if quick else None
        verdict = inquiry.put(claim, inquiry.deadline.earlier(inquiry.each), stages=stages)
        if verdict.is_proved:
            self.most = size - 1
            self.cut = ProvedCut(size, claim, verdict=verdict)
        elif verdict.witness is not None:
            self.refuted = True
            self.game.meet(verdict.witness[None])
            self._stopped(verdict.witness > 0.5)
        return verdict.is_proved
