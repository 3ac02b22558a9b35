"""Bounds of one property over one pattern, with what a search over patterns wants to know besides.

``PatternPass.before``: what is known of each pre-activation when all literals of earlier layers
hold, but none of its own layer.  A literal that this decides follows from those before it.
``PatternPass.costs``: how much of the bound goes, at first order, when a literal is dropped: its
coefficient in the bound times the height of the triangle that then stands for the neuron, as a
share of the bound; of several conjuncts the largest share.

A search changes few layers at a time: bounds of nodes that no changed layer feeds are taken over
(``known``, ``settled``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.region import Refined
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.gate import excludes
from precond.proof.limits import LayerBounds
from precond.proof.rows import stack_rows

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PatternPass:
    """``value``: the least bound over the conjuncts, −inf where the region is empty, which proves
    nothing; ``proves``: whether all are proved.  ``bounds`` per nonlinear node (1, m).
    ``before`` and ``costs`` (per decision layer, (m,)) where they are asked for."""

    value: float
    bounds: LayerBounds
    before: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    costs: Mapping[str, Array] = field(default_factory=dict)

    @property
    def proves(self) -> bool:
        return bool(excludes(self.value))


def pattern_pass(
    problem: Problem,
    *,
    known: LayerBounds | None = None,
    settled: frozenset[str] = frozenset(),
    each_literal: bool = False,
    device: str = "cpu",
    deadline: Deadline = FOREVER,
) -> PatternPass:
    """One propagation without optimised multipliers.  ``each_literal``: with what is known before
    each layer's literals, and what each literal costs."""
    passes = LayerPasses(deadline=deadline, settled=settled, limits_last=each_literal)
    with torch.no_grad():
        refined = region_of(problem, device, known=known or {}, passes=passes)
        rows = stack_rows(problem, device)
        bound = row_bounds(refined.region, rows, keep=each_literal)
        value = float(rows.best(bound.value).amin())
        if bool(refined.empty.any()):
            value = -np.inf
        if not each_literal:
            return PatternPass(value=value, bounds=refined.bounds)
        closing = torch.stack(
            [rows.best_row(bound.value, bound.value.new_full((1,), k, dtype=torch.int64))[0]
             for k in range(rows.conjuncts)]
        )  # fmt: skip
        share = bound.value[0, closing].clamp(min=1e-12).reciprocal()
        costs = {
            name: _heights(refined, name) * (form[0, closing].abs() * share[:, None]).amax(0)
            for name, form in bound.coefficients.items()
        }
    return PatternPass(
        value=value,
        bounds=refined.bounds,
        before={
            name: (low[0].cpu().numpy(), high[0].cpu().numpy())
            for name, (low, high) in refined.unlimited.items()
        },
        costs={name: np.asarray(cost.cpu().numpy()) for name, cost in costs.items()},
    )


def _heights(refined: Refined, name: str) -> torch.Tensor:
    """Of the triangle over what is known before the layer's literals, 0 where that decides."""
    low, high = (bound[0] for bound in refined.unlimited[name])
    height = high * -low / (high - low).clamp(min=1e-300)
    return torch.where((low < 0) & (high > 0), height, torch.zeros_like(height))
