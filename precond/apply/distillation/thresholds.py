"""How sure an exit must be: thresholds for a loss that calibration rows vouch for.

A *ladder* leads from few early answers to many: an exit's confidence is about −log of its doubt,
and on a rung it answers where its doubt is at most λ times the share of the network's time that it
saves; λ grows from rung to rung.  Two sets of rows are used, neither of which the votes were
learned on.  *Tuning rows* say which of the exits to use: those that are cheapest at the last rung
that such rows would allow.  *Calibration rows* then test the rungs in their order until one fails
(``risk``); the last that passes is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from precond.apply.distillation.risk import credit_helps, kept, p_value
from precond.apply.distillation.settings import Promise
from precond.errors import QueryError

RUNGS = 160
MOST_EXITS = 3
NEVER = float("inf")
SUREST = 40.0  # confidence of the first rung
LEAST = 1 / 256  # a smaller lead is a tie
CURVE = 100  # points of a curve
Ladder = list[tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Answers:
    """One exit on some inputs, (n,) each: its confidence, whether its label is
    right, and inputs answered before by proof (they are not its business)."""

    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]
    answered: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ExitRows:
    """Every exit's answers on the same inputs, and whether the network's own are ``right`` (n,)."""

    exits: tuple[Answers, ...]
    right: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.right)

    def rows(self, which: NDArray[np.int64]) -> ExitRows:
        """Some of the inputs, perhaps more than once."""
        exits = tuple(
            Answers(one.confidence[which], one.right[which], one.answered[which])
            for one in self.exits
        )
        return ExitRows(exits, self.right[which])


@dataclass(frozen=True)
class Prices:
    """What the work on one input costs, as parts of what the plain network costs: the part before
    each exit and then the rest (``stages``), and each exit itself, if it is used."""

    stages: tuple[float, ...]
    exits: tuple[float, ...]

    def saved(self, exit: int) -> float:
        """By an answer at this exit."""
        return sum(self.stages[exit + 1 :])


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What thresholds do on some inputs: answered early, lost, won, and the mean cost of one."""

    thresholds: tuple[float, ...]
    early: int
    lost: int
    won: int
    inputs: int
    cost: float

    @property
    def coverage(self) -> float:
        """Share answered early."""
        return self.early / self.inputs

    @property
    def loss(self) -> float:
        """Percentage points of accuracy lost."""
        return 100 * (self.lost - self.won) / self.inputs


@dataclass(frozen=True, kw_only=True)
class ExitThresholds(Counted):
    """The thresholds taken, one per exit (infinite: the exit is not worth having), counted on
    calibration rows.  ``p_value``: of a loss above the limit of the ``promise``; ``credit``:
    whether won rows count in it."""

    promise: Promise
    p_value: float
    credit: bool


@dataclass(frozen=True)
class ExitCurve:
    """One exit alone on the calibration rows: (share answered early, percentage points lost) as
    its threshold falls, and where the ``chosen`` one stands (None: the exit is not used)."""

    name: str
    points: tuple[tuple[float, float], ...]
    chosen: tuple[float, float] | None


def exit_curve(
    name: str, answers: Answers, right: NDArray[np.bool_], threshold: float
) -> ExitCurve:
    """The curve of an exit beside the network's own answers, which are ``right`` (n,) or not."""
    order = np.argsort(-answers.confidence, kind="stable")
    order = order[~answers.answered[order]]
    lost = np.cumsum(right[order].astype(int) - answers.right[order].astype(int))
    confidence, count = answers.confidence[order], len(right)
    last = np.append(np.diff(confidence) != 0, True)  # equal confidence is answered together
    ends = np.flatnonzero(last[: len(order)])
    drawn = ends[np.unique(np.linspace(0, max(len(ends) - 1, 0), CURVE).round().astype(int))]

    def at(place: int) -> tuple[float, float]:
        return (place + 1) / count, 100 * float(lost[place]) / count

    points = ((0.0, 0.0), *(at(int(place)) for place in drawn)) if len(ends) else ((0.0, 0.0),)
    taken = int((confidence >= threshold).sum())
    return ExitCurve(name, points, at(taken - 1) if taken else None)


def counted(rows: ExitRows, thresholds: Sequence[float], prices: Prices) -> Counted:
    """What ``thresholds`` do on ``rows``."""
    left = np.ones(len(rows), dtype=np.bool_)
    lost = won = early = 0
    cost = 0.0
    for k, (answers, threshold) in enumerate(zip(rows.exits, thresholds, strict=True)):
        left = left & ~answers.answered
        cost += (prices.stages[k] + prices.exits[k] * (threshold != NEVER)) * int(left.sum())
        taken = left & (answers.confidence >= threshold)
        lost += int((taken & rows.right & ~answers.right).sum())
        won += int((taken & ~rows.right & answers.right).sum())
        early += int(taken.sum())
        left &= ~taken
    cost = (cost + prices.stages[-1] * int(left.sum())) / max(len(rows), 1)
    return Counted(
        thresholds=tuple(thresholds), early=early, lost=lost, won=won, inputs=len(rows), cost=cost
    )


def rungs(used: Sequence[int], prices: Prices) -> Ladder:
    """Thresholds for all exits, of which those in ``used`` answer, ever more from rung to rung."""
    most = max(prices.saved(exit) for exit in used)
    ladder: Ladder = []
    for sure in np.linspace(SUREST, 0.0, RUNGS):
        thresholds = [NEVER] * len(prices.exits)
        for exit in used:
            share = prices.saved(exit) / most if most > 0 else 1.0
            thresholds[exit] = max(LEAST, float(sure) - math.log(share)) if share > 0 else NEVER
        ladder.append(tuple(thresholds))
    return ladder


def choose(
    tuning: ExitRows, calibration: ExitRows, prices: Prices, promise: Promise
) -> ExitThresholds:
    """The boldest thresholds that calibration rows vouch for; infinite where none saves time."""
    ladder = _best_ladder(tuning, prices, promise, rows=len(calibration))
    best = _climbed(ladder, tuning, calibration, prices=prices, promise=promise)
    nothing = _nothing(calibration, prices, promise)
    return best if best.cost < nothing.cost else nothing


def choose_anyway(
    tuning: ExitRows, calibration: ExitRows, prices: Prices, promise: Promise
) -> ExitThresholds:
    """The same where time does not count.

    Another ladder than ``choose`` has is climbed only where tuning rows gave that none: to try a
    second one because calibration rows failed the first would mislead with a chance of up to 2 δ.
    """
    exits = len(prices.exits)
    free = Prices((*(0.0 for _ in range(exits)), 1.0), tuple(0.0 for _ in range(exits)))
    known = partial(_best_ladder, tuning, promise=promise, rows=len(calibration))
    ladder = known(prices) or known(free)
    return _climbed(ladder, tuning, calibration, prices=prices, promise=promise)


def _best_ladder(tuning: ExitRows, prices: Prices, promise: Promise, rows: int) -> Ladder:
    """The rungs of the exits that are cheapest as tuning rows say, where ``rows`` calibration rows
    are to vouch for them; empty where none saves time."""
    count = len(prices.exits)
    if not 1 <= count <= MOST_EXITS:
        raise QueryError("exits", expected="1 to 3", got=str(count))
    expected = counted(tuning, (NEVER,) * count, prices).cost
    ladder: Ladder = []
    for size in range(1, count + 1):
        for used in combinations(range(count), size):
            each = rungs(used, prices)
            cost = _expected(tuning, each, prices, promise=promise, rows=rows)
            if cost < expected:
                expected, ladder = cost, each
    return ladder


def _climbed(
    ladder: Ladder, tuning: ExitRows, calibration: ExitRows, *, prices: Prices, promise: Promise
) -> ExitThresholds:
    """The last rung before the first that calibration rows do not vouch for."""
    best = _nothing(calibration, prices, promise)
    for thresholds in ladder:
        likely = _scaled(counted(tuning, thresholds, prices), len(calibration))
        credit = credit_helps(promise, *likely, len(calibration))
        tested = _taken(counted(calibration, thresholds, prices), promise, credit=credit)
        if tested.p_value > promise.delta:
            break
        best = tested
    return best


def _nothing(calibration: ExitRows, prices: Prices, promise: Promise) -> ExitThresholds:
    """No exit answers."""
    never = (NEVER,) * len(prices.exits)
    return _taken(counted(calibration, never, prices), promise, credit=False)


def _taken(found: Counted, promise: Promise, *, credit: bool) -> ExitThresholds:
    chance = p_value(promise, found.lost, found.won, rows=found.inputs, credit=credit)
    return ExitThresholds(**vars(found), promise=promise, p_value=chance, credit=credit)


def _scaled(found: Counted, rows: int) -> tuple[int, int]:
    """Lost and won rows to expect of so many."""
    return round(found.lost * rows / found.inputs), round(found.won * rows / found.inputs)


def _expected(
    tuning: ExitRows,
    ladder: Ladder,
    prices: Prices,
    *,
    promise: Promise,
    rows: int,
) -> float:
    """The cost at the last rung that tuning rows would allow."""
    cost = NEVER
    for thresholds in ladder:
        found = counted(tuning, thresholds, prices)
        lost, won = _scaled(found, rows)
        if not any(kept(promise, lost, won, rows=rows, credit=credit) for credit in (False, True)):
            break
        cost = found.cost
    return cost
