"""Violators of feature claims: inputs of the domain without the property, and the units that
each one changes.

A violator that changes the units C refutes every set of kept units that meets none of C: a
sufficient set must hit C.  So a violator that changes few units says much, and ``shrink`` puts
units back to their value in x while the property still fails.

Each violator is confirmed when it is taken: by bounds at the point itself with rounding
counted, and by its exact replay where these leave it open.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from precond.mine.sufficient_features.corners import Corners
from precond.mine.sufficient_features.question import Array, FeatureQuestion
from precond.mine.sufficient_features.units import Flags
from precond.mine.violators import ViolatorPool
from precond.network.evaluate import outputs
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.deadline import Deadline
from precond.proof.descent import Direction, Pace, descend
from precond.proof.gate import excludes
from precond.proof.replay import replay
from precond.proof.rows import Forms

REPLAYS = 8  # of points that bounds leave open, at most, each time
SINGLES = 24  # units put back one by one, after those that went together
STEPS, RATE, DECAY = 12, 0.25, 0.8


class Changes(ViolatorPool):
    """The pool of one question: the conditions are its units, each to stay as in x."""

    def __init__(self, question: FeatureQuestion) -> None:
        super().__init__(question.whole, question.units.count)
        self.question = question

    def _missed(self, points: Array) -> Flags:
        return self.question.changed(points)

    def add(self, points: Array) -> int:
        """``ViolatorPool.add``, of those that are confirmed."""
        points = np.asarray(points).reshape(-1, self.claim.box.size)
        points = points[self.claim.box.contains(points)] if len(points) else points
        if len(points):
            y = outputs(self.claim.network, points)
            points = points[~self.claim.property.holds(y, points)]
        if len(points):
            points = points[confirmed(self.question, points)]
        return super().add(points)

    def freed(self, free: Flags) -> Array:
        """The violators (k, n) that change ``free`` (m,) units only."""
        return self.within(~free)


def confirmed(question: FeatureQuestion, points: Array) -> Flags:
    """Which ``points`` (k, n) of the domain certainly lack the property, (k,)."""
    rows = question.rows
    inputs = None if rows.inputs is None else -rows.inputs
    negated = Forms(-rows.form, inputs, -rows.constant, strict=rows.strict)
    x = question.tensor(points)
    with torch.no_grad():
        region = refine(question.ops, x, x).region
        bound = row_bounds(region, negated).value
        sure = np.asarray(rows.any(excludes(bound)).any(1).cpu().numpy())
    for place in np.flatnonzero(~sure)[:REPLAYS]:
        sure[place] = replay(question.whole, points[place]).counts
    return np.asarray(sure, dtype=np.bool_)


class Attempted(NamedTuple):
    """Where an attack ended: the lowest point of each box, ``points`` (G, n), and its margin."""

    points: Array
    margin: Array


def descend_all(
    question: FeatureQuestion, free: Flags, starts: Array, deadline: Deadline
) -> Attempted:
    """Signed steps from ``starts`` (G, n) down the lowest margin, each in the box of its own
    ``free`` (G, m) units."""
    lower, upper = (question.tensor(end) for end in question.ends(free))
    x = torch.minimum(torch.maximum(question.tensor(starts), lower), upper)
    best, least = x.clone(), torch.full_like(x[:, 0], torch.inf)
    output = question.network.output

    def look(x: torch.Tensor, values: dict[str, torch.Tensor]) -> torch.Tensor | None:
        nonlocal best, least
        margin = question.rows.margins(values[output].flatten(1), x).amin(1)
        with torch.no_grad():
            better = margin < least
            best = torch.where(better[:, None], x.detach(), best)
            least = torch.where(better, margin.detach(), least)
        return None if deadline.passed else margin.sum()

    pace = Pace(RATE, DECAY, Direction.SIGNS)
    descend(question.ops, x, (lower, upper), pace=pace, look=look, wanted=[output], steps=STEPS)
    return Attempted(best.cpu().numpy(), least.cpu().numpy())


def with_each(
    question: FeatureQuestion, corners: Corners, free: Flags, added: Flags
) -> tuple[Flags, Attempted]:
    """For each unit of ``added`` (m,): the units ``free`` and itself, (G, m), and the lowest of
    the ``corners`` with this unit at its worst end."""
    index = np.flatnonzero(added)
    sets = np.repeat(free[None], len(index), 0)
    sets[np.arange(len(index)), index] = True
    best = np.tile(question.x, (len(index), 1))
    least = np.full(len(index), np.inf)
    for point, far in zip(corners.points, corners.far, strict=True):
        moved = np.where(question.units.features(sets), point, question.x)
        own = question.units.owner == index[:, None]
        moved = np.where(own, far, moved)
        margin = question.margins(moved).min(1, initial=np.inf)
        better = margin < least
        best = np.where(better[:, None], moved, best)
        least = np.where(better, margin, least)
    return sets, Attempted(best, least)


def shrink(
    question: FeatureQuestion,
    points: Array,
    rng: np.random.Generator | None = None,
    *,
    reaches: bool = False,
) -> Array:
    """Points that change fewer units than ``points`` (k, n), from which they come, and violate
    too (``reaches``: have the property too).

    What each changed unit does to the worst margin orders them (``rng`` shuffles it a little);
    the largest part that does least is put back together, then single units.
    """
    if not len(points):
        return points
    units, x = question.units, question.x
    row = question.margins(points).argmin(1)
    middle = x + 0.5 * (points - x)
    slope = (question.slopes(points, row)[1] + question.slopes(middle, row)[1]) / 2
    gain = units.sums(slope * (points - x)) * (1 if reaches else -1)
    if rng is not None:
        gain = gain * rng.uniform(0.5, 1.5, gain.shape)
    changed = question.changed(points)
    gain = np.where(changed, gain, -np.inf)  # those that did not move come first, at no cost
    order = np.argsort(gain, axis=1, kind="stable")
    rank = np.argsort(order, axis=1)

    def keep(back: Flags) -> tuple[Array, Flags]:
        moved = np.where(units.features(back), x, points)
        margins = question.margins(moved)
        fine = (margins > 0).all(1) if reaches else (margins < 0).any(1)
        return moved, np.asarray(fine)

    low, high = (~changed).sum(1), np.full(len(points), units.count)
    while bool((high - low > 1).any()):  # ``low`` units put back are fine, ``high`` are not
        tried = (low + high) // 2
        fine = keep(rank < tried[:, None])[1]
        low, high = np.where(fine, tried, low), np.where(fine, high, tried)
    back = rank < low[:, None]
    lines = np.arange(len(points))
    for step in range(SINGLES):
        place = np.minimum(low + step, units.count - 1)
        more = back.copy()
        more[lines, order[lines, place]] = True
        back = np.where(keep(more)[1][:, None], more, back)
    return keep(back)[0]
