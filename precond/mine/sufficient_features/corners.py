"""Where margins fall most: the worst corner of a box for each rival, and what each unit adds.

From x the corner against the gradient's signs is taken, the gradient averaged along the way to
it, the corner taken again.  The averaged gradient times the way is the integrated gradient of
the margin from x to that corner: it says what each unit takes from the margin, and sums up to
what the margin loses.  Nothing here is a proof; it says where to look for one, and where for
violators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.mine.sufficient_features.question import FeatureQuestion
from precond.mine.sufficient_features.units import Flags

Array = NDArray[np.float64]
POINTS = 6  # on the way from x to a corner


@dataclass(frozen=True, eq=False, kw_only=True)
class Corners:
    """For each of R margins, ``row`` (R,) says which of the question's: the lowest corner met,
    ``points`` (R, n), and its ``margin`` (R,); ``slope`` (R, n): the mean gradient on the way
    there; ``far`` (R, n): the corner against it when every unit is free; ``room`` (R,) and
    ``cost`` (R, m), by which the margin over the box of other free units is about
    ``room − Σ cost``."""

    row: NDArray[np.int64]
    points: Array
    margin: Array
    slope: Array
    far: Array
    room: Array
    cost: Array

    @property
    def least(self) -> float:
        return float(self.margin.min(initial=np.inf))


def worst_corners(question: FeatureQuestion, free: Flags, *, steps: int = 5) -> Corners:
    """The worst corners of the box of ``free`` (m,) units."""
    count = len(question.rows.owner)
    row = np.arange(count)
    lower, upper = question.ends(free)
    x = question.x
    best = np.tile(x, (count, 1))
    least = np.full(count, np.inf)
    way = best
    slope = np.zeros_like(best)
    for step in range(steps):
        slope = _average(question, way, row)
        corner = np.where(slope > 0, lower, np.where(slope < 0, upper, x))
        margin = question.margins(corner)[row, row]
        better = margin < least
        best = np.where(better[:, None], corner, best)
        least = np.where(better, margin, least)
        if step and not better.any():
            break
        way = corner
    return through(question, free, best, row=row)


def through(
    question: FeatureQuestion, free: Flags, points: Array, row: NDArray[np.int64]
) -> Corners:
    """What each unit adds on the way to ``points`` (R, n) of the box of ``free`` (m,) units, to
    the margins of ``row`` (R,)."""
    units, x = question.units, question.x
    least = question.margins(points)[np.arange(len(row)), row]
    slope = _average(question, points, row)
    far = against(question, slope)
    way_to = np.where(units.features(free), points, far) - x
    cost = np.maximum(units.sums(-slope * way_to), 0)
    return Corners(
        row=row,
        points=points,
        margin=least,
        slope=slope,
        far=far,
        room=least + cost[:, free].sum(1),
        cost=cost,
    )


def against(question: FeatureQuestion, slope: Array) -> Array:
    """The corner (…, n) of the whole domain against ``slope`` (…, n)."""
    reach, x = question.reach, question.x
    return np.where(slope > 0, reach.lower, np.where(slope < 0, reach.upper, x))


def _average(question: FeatureQuestion, ends: Array, row: NDArray[np.int64]) -> Array:
    """The mean gradient (R, n) of row r's margin on the way from x to ``ends`` (R, n)."""
    share = (np.arange(POINTS) + 0.5) / POINTS
    if bool((ends == question.x).all()):
        share = share[:1]
    points = question.x + share[:, None, None] * (ends - question.x)
    _, slope = question.slopes(points.reshape(-1, question.x.size), np.tile(row, len(share)))
    return np.asarray(slope.reshape(len(share), *ends.shape).mean(0))
