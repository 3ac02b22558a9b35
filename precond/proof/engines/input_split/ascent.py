"""A few ascent steps on the bounds of many boxes at once.

For every conjunct of every box: slopes α, β of the pattern's literals, multipliers of the
input constraints, and the weights that mix the conjunct's inequalities into one row (any
weights ≥ 0 with sum 1 are sound: where all inequalities hold, so does their mean).  Each
step evaluates first and moves after, so the last move is never wasted; a pair of box and
conjunct is closed by the multipliers of the step that closed it.  ``improve`` in
``precond.proof.bounds`` moves the same multipliers for rows that are not mixed, and starts
anew from given ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float
from precond.proof.bounds.backward import NO_MULTIPLIERS, Multipliers, Region
from precond.proof.bounds.free_multipliers import FreeMultipliers, sizes
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.rows import Rows

OnClosed = Callable[[Tensor, Tensor, Tensor, Multipliers], None]
RATE, DECAY = 0.25, 0.98  # of Adam's steps


@dataclass(frozen=True, eq=False)
class Ascended:
    """Best bounds (G, conjuncts) and the linear forms (G, conjuncts, n) that gave them."""

    value: Tensor
    form: Tensor


def ascend(
    region: Region,
    rows: Rows,
    weights: Float[Tensor, "subdomains conjuncts rows"],
    *,
    steps: int,
    deadline: Deadline,
    open_: Bool[Tensor, "subdomains conjuncts"],
    on_closed: OnClosed | None = None,
) -> Ascended:
    """Bounds after ``steps`` moves from default slopes and ``weights`` (G, conjuncts, R).

    Stops early when every pair that is ``open_`` (G, conjuncts) is closed.  ``on_closed`` gets
    the pairs that a step closed, as (boxes (k,), conjuncts (k,)), with their weights (k, R) and
    multipliers (k, 1, m).
    """
    mixture = _Mixture(weights, moving=steps > 0)
    free = _free(region, mixture) if steps > 0 else None
    units_missing = free is not None and bool(region.constraints)
    best: Ascended | None = None
    pending = open_
    for step in range(steps + 1):
        moving = step < steps and not deadline.passed
        with torch.set_grad_enabled(moving):
            mix = mixture.mix()
            multipliers = NO_MULTIPLIERS if free is None else free.multipliers()
            bound = row_bounds(region, rows, multipliers, keep=units_missing, mix=mix)
            total = bound.value.sum()
        value, line = bound.value.detach(), bound.form.detach()
        if free is not None and units_missing:  # β are zero until then
            free.units = sizes(bound.coefficients, {*free.low, *free.high})
            multipliers, units_missing = free.multipliers(), False
        if best is None:
            best = Ascended(value, line)
        else:
            better = value > best.value
            best = Ascended(
                torch.where(better, value, best.value),
                torch.where(better.unsqueeze(-1), line, best.form),
            )
        now = pending & excludes(value, rows.all_strict)
        if on_closed is not None and bool(now.any()):
            box, conjunct = now.nonzero(as_tuple=True)
            own = _own(multipliers, box, conjunct)
            on_closed(box, conjunct, mix.detach()[box, conjunct], own)
        pending = pending & ~now
        if not moving or free is None or not bool(pending.any()):
            break
        slopes = torch.autograd.grad(total, free.parameters, allow_unused=True)
        free.move(slopes, RATE * DECAY**step)
    assert best is not None
    return best


class _Mixture:
    """Weights that mix the inequalities of every pair's conjunct; zero weights stay zero."""

    def __init__(self, weights: Tensor, *, moving: bool) -> None:
        self.possible = (weights > 0).to(weights.dtype)
        self.weights = weights.clone().requires_grad_(moving)

    def mix(self) -> Tensor:
        positive = self.weights.clamp(min=0) * self.possible + 1e-9 * self.possible
        return positive / positive.sum(-1, keepdim=True)


def _free(region: Region, mixture: _Mixture) -> FreeMultipliers:
    count, conjuncts, _ = mixture.weights.shape
    layers = [n for n, lines in region.lines.items() if isinstance(lines, ActivationLines)]
    return FreeMultipliers(region, (count, conjuncts), layers, others=[mixture.weights])


def _own(multipliers: Multipliers, box: Tensor, conjunct: Tensor) -> Multipliers:
    """Those of chosen pairs, (k, 1, m)."""
    return multipliers.changed(lambda value: value.detach()[box, conjunct].unsqueeze(1))
