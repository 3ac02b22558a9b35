"""The smallest set by hitting sets: every sufficient set meets what each violator changes.

A smallest set of units that meets all violators known so far is no larger than the smallest
sufficient set.  If it suffices itself, it *is* one; if not, the violator that says so is a
condition more.  The integer program's own bound counts where it stops early.

Source: Reiter 1987; Ignatiev, Previti, Liffiton, Marques-Silva 2015 (implicit hitting sets).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.attacking import attacked
from precond.mine.sufficient_features.changes import shrink
from precond.mine.sufficient_features.corners import worst_corners
from precond.mine.sufficient_features.question import Array
from precond.mine.sufficient_features.units import Flags

ROUNDS = 200
FEW = 64  # units up to which the loop is followed for long
SOME = 8  # violators made small where there are more units
MOST = 8  # violators of one proposal
ORDERS = 6  # in which a violator is made small
SOLVER = 5.0  # seconds for one integer program, at most
ROUNDING = 1e-6  # of the solver's bound of a whole number


@dataclass(frozen=True, eq=False)
class HittingSet:
    """``kept`` (m,) meets every violator, None where none was found in time; no smaller set than
    ``bound`` does."""

    kept: Flags | None
    bound: int


def fewest_hitting(missed: Flags, seconds: float) -> HittingSet:
    """Of the violators' changed units ``missed`` (W, m)."""
    if not len(missed):
        return HittingSet(np.zeros(missed.shape[1], dtype=np.bool_), 0)
    rows = np.unique(missed, axis=0)
    solved = milp(
        np.ones(missed.shape[1]),
        constraints=LinearConstraint(csr_array(rows.astype(np.float64)), 1.0, np.inf),
        integrality=np.ones(missed.shape[1]),
        bounds=Bounds(0, 1),
        options={"time_limit": max(0.05, min(SOLVER, seconds))},
    )
    bound = solved.mip_dual_bound
    lower = 0 if bound is None or not np.isfinite(bound) else math.ceil(bound - ROUNDING)
    kept = None if solved.x is None else np.asarray(solved.x > 0.5)
    if kept is not None and not (rows & kept).any(1).all():
        kept = None
    return HittingSet(kept, max(lower, int(rows.any())))


@dataclass(frozen=True, eq=False)
class Hitting:
    """No sufficient set keeps fewer than ``bound`` units; ``free`` (m,): a proved set of so many
    kept ones, where the loop met it."""

    bound: int
    free: Flags | None = None


def hitting_bound(inquiry: Inquiry, kept: int) -> Hitting:
    """The bound of the violators met, and of more that are asked for; ``kept`` units suffice."""
    rng = np.random.default_rng(inquiry.seed)
    few = inquiry.question.units.count <= FEW
    _make_small(inquiry, inquiry.pool.points[: FEW if few else SOME], rng)
    best = 0
    for _ in range(ROUNDS if few else 1):
        found = fewest_hitting(inquiry.pool.missed, inquiry.deadline.left)
        best = max(best, found.bound)
        if best >= kept or found.kept is None or inquiry.deadline.passed:
            break
        free = ~found.kept
        corners = worst_corners(inquiry.question, free)
        points = attacked(inquiry, free, corners, most=MOST)
        if not len(points):
            verdict = inquiry.ask(free)
            if verdict.is_proved:
                return Hitting(best, free) if found.kept.sum() < kept else Hitting(best)
            if verdict.witness is None:
                break
            points = verdict.witness[None]
        if not _make_small(inquiry, points, rng):
            break
    return Hitting(best)


def _make_small(inquiry: Inquiry, points: Array, rng: np.random.Generator) -> int:
    """Add violators that change few units, made from ``points`` (k, n); how many are new."""
    if not len(points):
        return 0
    added = inquiry.pool.add(shrink(inquiry.question, points))
    for _ in range(ORDERS):
        if inquiry.deadline.passed:
            break
        added += inquiry.pool.add(shrink(inquiry.question, points, rng))
    return added
