"""A few ascent steps on the bounds of many boxes at once.

For every conjunct of every box: slopes α, β of the pattern's literals, multipliers of the
input constraints, and the weights that mix the conjunct's inequalities into one row (any
weights ≥ 0 with sum 1 are sound: where all inequalities hold, so does their mean).  Each
step evaluates first and moves after, so the last move is never wasted; a pair of box and
conjunct is closed by the multipliers of the step that closed it.  ``improve`` in
``precond.proof.bounds`` does the same for rows that are not mixed, and starts anew from
given multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from precond.proof.bounds.adam import Adam
from precond.proof.bounds.backward import Multipliers, Region
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.rows import Rows

Closed = Callable[[Tensor, Tensor, Tensor, Multipliers], None]


@dataclass(frozen=True, eq=False)
class Ascended:
    """Best bounds (G, conjuncts) and the linear forms (G, conjuncts, n) that gave them."""

    value: Tensor
    form: Tensor


def ascend(
    region: Region,
    rows: Rows,
    weights: Tensor,
    *,
    steps: int,
    deadline: Deadline,
    open_: Tensor,
    closed: Closed | None = None,
    rate: float = 0.25,
) -> Ascended:
    """Bounds after ``steps`` moves from default slopes and ``weights`` (G, conjuncts, R).

    Stops early when every pair that is ``open_`` (G, conjuncts) is closed.  ``closed`` gets the
    pairs that a step closed, as (boxes (k,), conjuncts (k,)), with their weights (k, R) and
    multipliers (k, 1, m).
    """
    choice = _Choice(region, weights, steps > 0)
    best: Ascended | None = None
    pending = open_
    for step in range(steps + 1):
        moving = step < steps and not deadline.passed
        with torch.set_grad_enabled(moving):
            mix, multipliers = choice.mix(), choice.multipliers()
            bound = row_bounds(region, rows, multipliers, keep=choice.wants_units, mix=mix)
            total = bound.value.sum()
        value, line = bound.value.detach(), bound.form.detach()
        choice.set_units(bound.coefficients)
        if best is None:
            best = Ascended(value, line)
        else:
            better = value > best.value
            best = Ascended(
                torch.where(better, value, best.value),
                torch.where(better.unsqueeze(-1), line, best.form),
            )
        now = pending & excludes(value, rows.all_strict)
        if closed is not None and bool(now.any()):
            box, conjunct = now.nonzero(as_tuple=True)
            closed(box, conjunct, mix.detach()[box, conjunct], choice.taken(box, conjunct))
        pending = pending & ~now
        if not moving or not bool(pending.any()):
            break
        slopes = torch.autograd.grad(total, choice.parameters, allow_unused=True)
        choice.move(slopes, rate * 0.98**step)
    assert best is not None
    return best


class _Choice:
    """Weights and multipliers of every pair, as Adam moves them.

    β are measured in units of the coefficients that meet their layer, which the first pass
    tells.
    """

    def __init__(self, region: Region, weights: Tensor, moving: bool) -> None:
        self.region = region
        count, conjuncts, _ = weights.shape
        self.allowed = (weights > 0).to(weights.dtype)
        self.weights = weights.clone().requires_grad_(moving)
        self.alpha: dict[str, Tensor] = {}
        self.low: dict[str, Tensor] = {}
        self.high: dict[str, Tensor] = {}
        self.half: Tensor | None = None
        self.unit: dict[str, Tensor] = {}
        self.wants_units = moving and bool(region.constraints)
        if moving:
            for name, lines in region.lines.items():
                if not isinstance(lines, ActivationLines):
                    continue
                shape = (count, conjuncts, lines.low.shape[-1])
                if bool(lines.free.any()):
                    self.alpha[name] = lines.low.expand(shape).clone().requires_grad_()
                if name in region.constraints:
                    for store, bound in zip(
                        (self.low, self.high), region.constraints[name], strict=True
                    ):
                        if bool(torch.isfinite(bound).any()):
                            store[name] = weights.new_zeros(shape).requires_grad_()
            if region.half is not None:
                shape = (count, conjuncts, len(region.half[1]))
                self.half = weights.new_zeros(shape).requires_grad_()
        self.positive = [*self.low.values(), *self.high.values()]
        if self.half is not None:
            self.positive.append(self.half)
        self.parameters = [self.weights, *self.alpha.values(), *self.positive]
        self.adam = Adam(self.parameters)

    def set_units(self, coefficients: dict[str, Tensor]) -> None:
        """From the first pass; β are zero until then."""
        if self.wants_units:
            self.wants_units = False
            for name in {*self.low, *self.high}:
                if name in coefficients:
                    size = coefficients[name].detach().abs().mean(-1, keepdim=True)
                    self.unit[name] = size.clamp(min=1e-12)

    def mix(self) -> Tensor:
        kept = self.weights.clamp(min=0) * self.allowed + 1e-9 * self.allowed
        return kept / kept.sum(-1, keepdim=True)

    def multipliers(self) -> Multipliers:
        def scaled(store: dict[str, Tensor]) -> dict[str, Tensor]:
            return {n: v * self.unit[n] if n in self.unit else v for n, v in store.items()}

        return Multipliers(self.alpha, scaled(self.low), scaled(self.high), self.half)

    def taken(self, box: Tensor, conjunct: Tensor) -> Multipliers:
        """The multipliers of chosen pairs, (k, 1, m)."""
        return self.multipliers().changed(lambda v: v.detach()[box, conjunct].unsqueeze(1))

    @torch.no_grad()
    def move(self, slopes: tuple[Tensor | None, ...], rate: float) -> None:
        """One step upwards, back into what is allowed."""
        self.adam.step(slopes, rate)
        for name, value in self.alpha.items():
            lines = self.region.lines[name]
            assert isinstance(lines, ActivationLines)
            value.clamp_(lines.slope, 1.0)
        for value in self.positive:
            value.clamp_(min=0.0)
