"""The best multipliers of input constraints ``M x ≤ b`` for given linear forms over a box.

For a form f and one constraint m·x ≤ b the bound ``min (f + μ m)·x − μ b`` is concave in μ and
bends where f_i + μ m_i changes sign; its slope there is m·x − b at the corner that is lowest.  So
the best μ ≥ 0 is the bend at which that slope falls to zero: a fractional knapsack, by sorting.
Several constraints take turns.  Any multipliers give a valid bound, so nothing here needs to be
exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.backward import Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.objective import Objective

SWEEPS = 2


def best_half(
    region: Region, form: Float[Tensor, "subdomains rows inputs"]
) -> Float[Tensor, "subdomains rows halfspaces"]:
    """Multipliers of ``region.half`` that bound ``form`` well at the input box."""
    assert region.half is not None
    matrix, bound = region.half
    lower, upper = region.lower.unsqueeze(1), region.upper.unsqueeze(1)
    weights = form.new_zeros(*form.shape[:2], len(bound))
    total = form
    for _ in range(SWEEPS if len(bound) > 1 else 1):
        for k, (row, limit) in enumerate(zip(matrix, bound, strict=True)):
            rest = total - weights[..., k, None] * row
            weights[..., k] = _best(rest, (lower, upper), row, limit=limit)
            total = rest + weights[..., k, None] * row
    return weights


def half_bounds(region: Region, objective: Objective) -> Bound:
    """``lower_bound`` of every row, with multipliers of the input constraints where there are any;
    never worse than without."""
    bound = lower_bound(region, objective)
    if region.half is None:
        return bound
    cut = lower_bound(region, objective, Multipliers(half=best_half(region, bound.form)))
    return bound.raised(cut, cut.value > bound.value)


def _best(form: Tensor, box: tuple[Tensor, Tensor], row: Tensor, limit: Tensor) -> Tensor:
    """The best multiplier (G, R) of ``row``·x ≤ ``limit``."""
    lower, upper = box
    start = torch.where(form > 0, lower, torch.where(form < 0, upper, _least(row, lower, upper)))
    slope = (start * row).sum(-1) - limit  # at μ = 0
    bend = torch.where(row == 0, -torch.ones_like(form), -form / row)
    falls = torch.where(bend > 0, row.abs() * (upper - lower), torch.zeros_like(form))
    bend, order = torch.where(bend > 0, bend, torch.zeros_like(bend)).sort(dim=-1)
    after = slope.unsqueeze(-1) - falls.gather(-1, order).cumsum(-1)
    place = (after > 0).sum(-1, keepdim=True).clamp(max=form.shape[-1] - 1)
    best = bend.gather(-1, place).squeeze(-1)
    return torch.where((slope > 0) & torch.isfinite(best), best, torch.zeros_like(best))


def _least(row: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The corner where ``row``·x is least."""
    return torch.where(row > 0, lower, upper)
