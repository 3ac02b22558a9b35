"""Linear bounds of every rival's margin over many candidate boxes in one propagation.

Over a box of free units a backward pass gives for each row ``margin ≥ form · x + constant``.
Restricted to a smaller set of free units the same line is still a bound: so one pass says of
*every* subset of its free units what its margin is at least, and which subsets are proved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from precond.mine.sufficient_features.budgeted import largest_set
from precond.mine.sufficient_features.question import FeatureQuestion
from precond.mine.sufficient_features.units import Flags
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.deadline import Deadline
from precond.proof.rows import Forms

Array = NDArray[np.float64]
CHUNK = 1 << 22  # numbers in the linear forms of one propagation


@dataclass(frozen=True, eq=False)
class MarginLines:
    """For one box: ``room`` (R,) and ``cost`` (R, m) of its lines, valid for the subsets of its
    ``free`` units (m,); ``least``: the smallest bound over the whole box."""

    free: Flags
    room: Array
    cost: Array
    least: float

    @property
    def subset(self) -> Flags:
        """A largest set of free units that these lines prove."""
        return self.free if self.least > 0 else largest_set(self.room, self.cost, self.free)


def margin_lines(
    question: FeatureQuestion,
    free: Flags,
    *,
    steps: int,
    deadline: Deadline,
    rows: Forms | None = None,
) -> list[MarginLines]:
    """The lines of every box of ``free`` (G, m) units, of the question's rows or of others; those
    past the deadline are left out."""
    widest = max(question.network.width(name) for name in question.network.shapes)
    size = max(1, CHUNK // (len(question.rows.owner) * widest))
    found: list[MarginLines] = []
    for start in range(0, len(free), size):
        if deadline.passed:
            break
        found += _lines(question, free[start : start + size], steps, deadline=deadline, rows=rows)
    return found


def _lines(
    question: FeatureQuestion, free: Flags, steps: int, deadline: Deadline, rows: Forms | None
) -> list[MarginLines]:
    lower, upper = question.ends(free)
    with torch.no_grad():
        refined = refine(
            question.ops,
            question.tensor(lower),
            question.tensor(upper),
            passes=LayerPasses(deadline=deadline),
        )
    rows = question.rows if rows is None else rows
    bound, _ = improved_bounds(refined.region, rows, steps=steps, deadline=deadline, goal=np.inf)
    form = bound.form.cpu().numpy()
    value = np.nan_to_num(bound.value.cpu().numpy(), nan=-np.inf)
    x, reach = question.x, question.reach
    down, up = np.maximum(form, 0), np.maximum(-form, 0)
    spent = (down * (x - lower)[:, None] + up * (upper - x)[:, None]).sum(2)
    cost = question.units.sums(down * (x - reach.lower) + up * (reach.upper - x))
    return [
        MarginLines(
            free[g], value[g] + spent[g], cost[g], least=float(value[g].min(initial=np.inf))
        )
        for g in range(len(free))
    ]
