"""Intervals instead of values: how far each kept feature may move as well.

A set that suffices says "these features as they are".  One after another, each end of a kept
feature is moved towards the end of the domain as far as the claim still proves, and then back to
a number with few digits, so that what a sentence says is just what was proved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.question import Array
from precond.mine.sufficient_features.units import Flags
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.verdict import Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

TIME = 0.4  # of what is left
MOST = 64  # kept features, beyond which intervals say little
SHARES = (1.0, 0.75, 0.5, 0.35, 0.2, 0.1, 0.05)  # of the way to the domain's end


@dataclass(frozen=True, eq=False)
class Widened:
    """Every input of ``box`` has the property: ``verdict``."""

    box: Box
    verdict: Verdict


def widened(inquiry: Inquiry, free: Flags, *, exact: bool) -> Widened | None:
    """The box of ``free`` (m,) units with kept features widened; None where nothing proved."""
    question = inquiry.question
    kept = np.flatnonzero(~question.units.features(free) & (question.reach.width > 0))
    if not 0 < len(kept) <= MOST:
        return None
    lower, upper = question.ends(free)
    reach = question.reach
    with inquiry.within(TIME):
        for i in kept.tolist():
            lower = _moved(inquiry, lower, upper, ends=lower, i=i, goal=float(reach.lower[i]))
            upper = _moved(inquiry, lower, upper, ends=upper, i=i, goal=float(reach.upper[i]))
    claim = _claim(inquiry, lower, upper)
    limit = Deadline.after(max(TIME * inquiry.deadline.left, inquiry.each))
    verdict = inquiry.put(claim, limit, exact=exact)
    return Widened(claim.box, verdict) if verdict.is_proved else None


def _moved(inquiry: Inquiry, lower: Array, upper: Array, ends: Array, i: int, goal: float) -> Array:
    """``ends`` (n,), ``lower`` or ``upper``, with end ``i`` as near to ``goal`` as proves."""
    x = float(inquiry.question.x[i])
    for share in SHARES:
        if inquiry.deadline.passed or goal == x:
            break
        end = goal if share == 1.0 else short_number(x, x + share * (goal - x))
        tried = ends.copy()
        tried[i] = end
        low, high = (tried, upper) if ends is lower else (lower, tried)
        if _refuted(inquiry, low, high):
            continue
        limit = inquiry.deadline.earlier(inquiry.each / 4)
        if inquiry.put(_claim(inquiry, low, high), limit).is_proved:
            return tried
    return ends


def _refuted(inquiry: Inquiry, lower: Array, upper: Array) -> bool:
    """Whether a violator met before lies in the box."""
    points = inquiry.pool.points
    return bool(((points >= lower) & (points <= upper)).all(1).any())


def _claim(inquiry: Inquiry, lower: Array, upper: Array) -> Claim:
    question = inquiry.question
    return Claim(question.network, Box(lower, upper), DecisionPattern(), property=question.property)


def short_number(near: float, far: float) -> float:
    """The number with fewest digits from ``near`` to ``far``, of these the furthest."""
    low, high = min(near, far), max(near, far)
    for digits in range(1, 18):
        unit = 10.0 ** (np.floor(np.log10(max(abs(low), abs(high), 1e-300))) - digits + 1)
        steps = np.floor(far / unit) if far == high else np.ceil(far / unit)
        number = float(f"{steps * unit:.{digits}g}")
        if low <= number <= high and abs(number - near) >= 0.7 * (high - low):
            return number
    return far
