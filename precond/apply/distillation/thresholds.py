"""How sure an exit must be: thresholds chosen on validation inputs for a loss allowed.

Of n validation inputs let the exits' answers lose b that the network has right and win c
that it has wrong.  The loss is (b − c)/n, its standard error √(b + c)/n, and thresholds are
allowed where their sum is at most the loss allowed.  Of the allowed ones those with the least
mean cost are taken, cost being the seconds of all stages an input goes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError

GRID = {1: 400, 2: 48, 3: 16}  # thresholds tried for each of so many exits
NEVER = float("inf")
CURVE = 100  # points of a curve
ERRORS = 2.0  # standard errors that are added to a loss


@dataclass(frozen=True, eq=False)
class Answers:
    """One exit on the validation inputs, (n,) each: its confidence, whether its label is
    right, and inputs answered before by proof (they are not its business)."""

    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]
    answered: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ExitThresholds:
    """Thresholds, one per exit (infinite: the exit is not worth having), and what they do on
    the validation inputs: share answered early, lost, won, mean cost."""

    thresholds: tuple[float, ...]
    coverage: float
    lost: int
    won: int
    inputs: int
    cost: float

    @property
    def loss(self) -> float:
        """Percentage points of accuracy lost."""
        return 100 * (self.lost - self.won) / self.inputs


@dataclass(frozen=True)
class ExitCurve:
    """One exit alone on the validation inputs: (share answered early, percentage points lost) as
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


def choose(
    exits: Sequence[Answers],
    right: NDArray[np.bool_],
    stages: Sequence[float],
    prices: Sequence[float],
    max_loss: float,
) -> ExitThresholds:
    """The cheapest thresholds within ``max_loss`` percentage points.

    ``right`` (n,): whether the network's own answer is right.  ``stages``: the cost
    for one input of the part before each exit, then of the rest; ``prices``: of each exit itself,
    which one that is left out does not have.  All thresholds infinite is always allowed.
    """
    if len(exits) not in GRID:
        raise QueryError("exits", expected="1 to 3", got=str(len(exits)))
    count = len(right)
    grids = []
    for answers in exits:
        usable = answers.confidence[~answers.answered]
        levels = np.unique(usable)
        picks = np.linspace(0, max(len(levels) - 1, 0), GRID[len(exits)]).round().astype(int)
        grids.append([NEVER, *levels[np.unique(picks)].tolist()] if len(levels) else [NEVER])
    best: ExitThresholds | None = None
    for thresholds in product(*grids):
        left = np.ones(count, dtype=np.bool_)
        lost = won = early = 0
        cost = 0.0
        for k, (answers, threshold) in enumerate(zip(exits, thresholds, strict=True)):
            left = left & ~answers.answered
            cost += (stages[k] + prices[k] * (threshold != NEVER)) * int(left.sum())
            taken = left & (answers.confidence >= threshold)
            lost += int((taken & right & ~answers.right).sum())
            won += int((taken & ~right & answers.right).sum())
            early += int(taken.sum())
            left &= ~taken
        cost = (cost + stages[-1] * int(left.sum())) / count
        allowed = lost - won + ERRORS * np.sqrt(lost + won) <= max_loss / 100 * count + 1e-9
        if allowed and (best is None or cost < best.cost):
            best = ExitThresholds(
                thresholds=thresholds,
                coverage=early / count,
                lost=lost,
                won=won,
                inputs=count,
                cost=cost,
            )
    assert best is not None  # the first combination answers nothing early
    return best
