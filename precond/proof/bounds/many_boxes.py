"""Many boxes of one network at once, each with conjuncts of its own: one propagation of bounds.

What ``BoundsEngine`` computes for one box, layer bounds and then one backward pass for every
row, computed for a batch of them; nothing is searched.  The rows of a box are its own, so all
boxes of a batch need conjuncts of the same sizes (``same_form``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.basics.shapes import Bool, Float
from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import operators
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.rows import Forms

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ManyBoxes:
    """G boxes: ``lower``/``upper`` (G, n), their rows ``forms`` (G, R, …), and how many rows each
    conjunct has."""

    first: Problem
    lower: Float[Tensor, "boxes inputs"]
    upper: Float[Tensor, "boxes inputs"]
    forms: Forms
    sizes: tuple[int, ...]

    def of_conjuncts(self, flags: Bool[Tensor, "*boxes rows"]) -> list[Bool[Tensor, "*boxes rows"]]:
        """The flags of each conjunct's rows."""
        return list(torch.split(flags, list(self.sizes), dim=-1))


@dataclass(frozen=True, eq=False)
class BoxBounds:
    """Per box: ``closed`` (G,), whether no conjunct has a solution in it; ``bound`` (G,), the
    least over its conjuncts of how far they are from one; ``corners`` (G, n), where the linear
    bound of the nearest conjunct is lowest."""

    closed: NDArray[np.bool_]
    bound: Array
    corners: Array


def same_form(conjuncts: Sequence[Conjunct]) -> tuple[int, ...]:
    """Problems that agree in this can be in one batch."""
    return tuple(len(conjunct) for conjunct in conjuncts)


def many_boxes(problems: Sequence[Problem], device: str) -> ManyBoxes:
    """Problems about one network, of the same form, without a pattern and half-spaces."""
    first = problems[0]
    sizes = same_form(first.conjuncts)
    shape = len(problems), sum(sizes)
    outputs = np.zeros((*shape, first.network.output_size))
    inputs = np.zeros((*shape, first.network.input_size))
    constant, strict = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    for g, problem in enumerate(problems):
        for r, inequality in enumerate(i for conjunct in problem.conjuncts for i in conjunct):
            for index, value in inequality.outputs:
                outputs[g, r, index] = -value
            for index, value in inequality.inputs:
                inputs[g, r, index] = -value
            constant[g, r], strict[g, r] = inequality.bound, inequality.strict
    forms = Forms(
        _tensor(outputs, device),
        _tensor(inputs, device) if inputs.any() else None,
        _tensor(constant, device),
        strict=torch.tensor(strict, device=device),
    )
    lower = np.array([problem.box.lower for problem in problems])
    upper = np.array([problem.box.upper for problem in problems])
    sides = _tensor(lower, device), _tensor(upper, device)
    return ManyBoxes(first, *sides, forms=forms, sizes=sizes)


def box_bounds(boxes: ManyBoxes, device: str, deadline: Deadline) -> BoxBounds:
    """Bounds of every row in every box.  A box that bounds call empty is left open: it is not."""
    ops = operators(boxes.first.network, device, torch.float64)
    with torch.no_grad():
        refined = refine(
            ops,
            boxes.lower,
            boxes.upper,
            passes=LayerPasses(deadline=deadline),
            execution=boxes.first.execution,
        )
        bound = row_bounds(refined.region, boxes.forms)
    enough = boxes.of_conjuncts(excludes(bound.value, boxes.forms.strict))
    closed = torch.stack([rows.any(1) for rows in enough], dim=1).all(1) & ~refined.empty
    values = torch.split(bound.value.nan_to_num(nan=-torch.inf), list(boxes.sizes), dim=1)
    best, row = zip(*(value.max(1) for value in values), strict=True)
    starts = np.cumsum((0, *boxes.sizes[:-1]))
    least, nearest = torch.stack(best, dim=1).min(1)
    rows_of = torch.stack([r + int(s) for r, s in zip(row, starts, strict=True)], dim=1)
    each = torch.arange(len(nearest), device=nearest.device)
    form = bound.form[each, rows_of[each, nearest]]
    corners = torch.where(form > 0, boxes.lower, boxes.upper)
    return BoxBounds(closed.cpu().numpy(), least.cpu().numpy(), corners=corners.cpu().numpy())


def violations(boxes: ManyBoxes, points: Array, device: str) -> NDArray[np.bool_]:
    """Which of the points (G, N, n), N in each box, violate the property in float64, (G, N)."""
    network = boxes.first.network
    ops = operators(network, device, torch.float64)
    x = _tensor(points, device)
    with torch.no_grad():
        images = x.reshape(-1, *network.input_shape)
        y = forward(ops, {INPUT: images}, [network.output])[network.output]
        margins = boxes.forms.margins(y.reshape(*x.shape[:2], -1), x)
    lacking = boxes.of_conjuncts(boxes.forms.violated(margins))
    found = torch.stack([rows.all(-1) for rows in lacking], dim=-1).any(-1)
    return np.asarray(found.cpu().numpy())


def _tensor(values: Array, device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device)
