"""A contrastive set: few units whose change makes the network say another, given class.

From points of the class that gradient steps find, units are put back to their value in x while
the class stays; and from x, the units that promise most are moved until it is reached.  A lower
bound comes from one linear bound over the whole domain: some rival of the class stays ahead
until the units that take most from its lead have taken all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from precond.errors import QueryError
from precond.mine.sufficient_features.changes import shrink
from precond.mine.sufficient_features.corners import POINTS
from precond.mine.sufficient_features.linear import margin_lines
from precond.mine.sufficient_features.question import Array, FeatureQuestion
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.replay import replay
from precond.proof.rows import Forms
from precond.property import Property
from precond.region.pattern import DecisionPattern

STEPS = 60
RESTARTS = 4
SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class ContrastiveSet:
    """``point`` (n,) is given class ``label``, confirmed in exact arithmetic, and differs from x
    in ``units``; no such point differs in fewer than ``least`` units.  None and () where no point
    was found."""

    label: int
    units: tuple[int, ...]
    point: Array | None
    least: int


def contrastive_set(
    question: FeatureQuestion, label: int, deadline: Deadline, seed: int = 0
) -> ContrastiveSet:
    """Few units of ``question`` whose change makes the network say ``label``."""
    wanted = replace(question, property=Property.of_class(label, question.network))
    if bool((wanted.margins(question.x[None]) > 0).all()):
        raise QueryError("contrast class", expected="another than the input's", got=str(label))
    least = _least_changes(wanted, deadline)
    points = _reached(wanted, deadline, seed)
    if not len(points):
        return ContrastiveSet(label, (), point=None, least=least)
    points = shrink(wanted, points, reaches=True)
    for point in points[np.argsort(wanted.changed(points).sum(1), kind="stable")]:
        if _confirmed(wanted, point):
            units = np.flatnonzero(wanted.changed(point[None])[0])
            return ContrastiveSet(label, tuple(units.tolist()), point, least=least)
    return ContrastiveSet(label, (), point=None, least=least)


def _reached(wanted: FeatureQuestion, deadline: Deadline, seed: int) -> Array:
    """Points (k, n) of the class: those that signed steps find, and those with few units moved."""
    rng = np.random.default_rng(seed)
    reach, x = wanted.reach, wanted.x
    points = np.concatenate([x[None], reach.sample(RESTARTS, rng)])
    rate, found = 0.25, []
    for _ in range(STEPS):
        margins = wanted.margins(points)
        inside = (margins > 0).all(1)
        found += list(points[inside])
        points, margins = points[~inside], margins[~inside]
        if not len(points) or deadline.passed:
            break
        slope = wanted.slopes(points, margins.argmin(1))[1]
        moved = points + rate * reach.width * np.sign(slope)
        points, rate = np.clip(moved, reach.lower, reach.upper), rate * 0.95
    if not found:
        return np.zeros((0, x.size))
    return np.concatenate([np.stack(found), *(_leading(wanted, end) for end in found[:3])])


def _leading(wanted: FeatureQuestion, end: Array) -> Array:
    """The point with the fewest units moved, those first that promise most on the way to
    ``end`` (n,), as (0 or 1, n)."""
    x, units = wanted.x, wanted.units
    share = (np.arange(POINTS) + 0.5) / POINTS
    way = x + share[:, None] * (end - x)
    slope = wanted.slopes(way, wanted.margins(way).argmin(1))[1].mean(0)
    far = np.where(slope > 0, wanted.reach.upper, np.where(slope < 0, wanted.reach.lower, x))
    rank = np.argsort(np.argsort(-units.sums(slope * (far - x)), kind="stable"))
    sizes = np.unique(np.geomspace(1, units.count, 64).astype(int))
    moved = np.where(units.features(rank[None] < sizes[:, None]), far, x)
    fine = (wanted.margins(moved) > 0).all(1)
    return moved[fine][:1]


def _least_changes(wanted: FeatureQuestion, deadline: Deadline) -> int:
    """So many units must change, by the rival that can be caught up with last."""
    rows = wanted.rows
    inputs = None if rows.inputs is None else -rows.inputs
    behind = Forms(-rows.form, inputs, -rows.constant, strict=rows.strict)
    every = np.ones((1, wanted.units.count), dtype=np.bool_)
    most = 1
    for line in margin_lines(wanted, every, steps=20, deadline=deadline, rows=behind):
        for room, cost in zip(line.room, line.cost, strict=True):
            if not (np.isfinite(room) and room > 0):
                continue
            taken = np.cumsum(np.sort(cost)[::-1])
            needed = int((taken < room * (1 - SLACK)).sum()) + 1
            most = max(most, min(needed, wanted.units.count))
    return most


def _confirmed(wanted: FeatureQuestion, point: Array) -> bool:
    """Whether the class holds at ``point`` (n,) in exact arithmetic."""
    other = Property((tuple(i for (i,) in wanted.property.negation()),), "another class")
    return replay(
        Claim(wanted.network, wanted.reach, DecisionPattern(), property=other), point
    ).counts
