"""The secant rule: integrated gradients of piecewise-linear networks, cell by cell.

Between two neighbouring points of the line a ReLU is replaced by its secant,
Δh/Δz = the share of the cell on which it is active, and a maximum by its first leader up to
where the last overtakes it.  If one unit changes on a path within a cell this is the exact
integral; what is left is of second order in the cell, where a plain rule is off by up to half
a cell at every change.  Secants also add up: Σ_i IG_i = q(x) − q(x') to rounding for any
number of cells, so that completeness says nothing about the error here.

Along one cell this is the rescale rule of DeepLIFT (Shrikumar, Greenside, Kundaje 2017);
with more cells it tends to integrated gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from attribution.lines.maps import PoolWindows
from attribution.lines.pieces import LineBatch
from attribution.lines.plan import Bend
from precond.basics.shapes import Float, Int
from precond.network.graph import INPUT


@dataclass(frozen=True, eq=False)
class Secant:
    """Slopes of one bend on every cell, (cells, m): ``share`` after the maximum; the maximum
    goes to ``first`` up to 1, but in the cells and windows ``where`` only up to ``until``,
    then to ``last``."""

    share: Float[Tensor, "cells units"] | None
    first: Int[Tensor, "cells units"] | None = None
    where: tuple[Int[Tensor, " some"], Int[Tensor, " some"]] | None = None
    last: Int[Tensor, " some"] | None = None
    until: Float[Tensor, " some"] | None = None

    def back(
        self, gradient: Float[Tensor, "cells units"], width: int
    ) -> Float[Tensor, "cells before"]:
        """The gradient (cells, width) before the bend."""
        if self.share is not None:
            gradient = gradient * self.share
        if self.first is None:
            return gradient
        assert self.where is not None and self.last is not None and self.until is not None
        cell = self.where[0]
        moved = gradient[self.where]
        below = gradient.new_zeros(len(gradient), width).scatter_add_(1, self.first, gradient)
        later = moved * (1 - self.until)
        below.index_put_((cell, self.first[self.where]), -later, accumulate=True)
        below.index_put_((cell, self.last), later, accumulate=True)
        return below


def share_of(
    z: Float[Tensor, "lines points units"], h: Float[Tensor, "lines points units"], slope: float
) -> Float[Tensor, "lines cells units"]:
    """Secants (lines, cells, n) of h = (leaky) ReLU(z) at points (lines, points, n).

    With ends a and b the ReLU is active on max(a, b)⁺ / (max(a, b)⁺ + max(−a, −b)⁺).
    """
    positive = h if slope == 0.0 else F.relu(z)
    negative = positive - z
    share = torch.maximum(positive[:, 1:], positive[:, :-1])
    whole = torch.maximum(negative[:, 1:], negative[:, :-1]).add_(share)
    share /= whole.add_(torch.finfo(z.dtype).tiny)
    return share if slope == 0.0 else share.mul_(1 - slope).add_(slope)


def leaders_of(
    z: Float[Tensor, "rows units"], leader: Int[Tensor, "rows windows"], lines: int
) -> Secant:
    """Secants of maxima of ``z`` (lines · points, n) with ``leader`` (lines · points, m)."""
    value = z.reshape(lines, -1, z.shape[1])
    every = leader.reshape(lines, -1, leader.shape[1])
    first, last = every[:, :-1], every[:, 1:]
    line, cell, window = torch.nonzero(first != last, as_tuple=True)
    before, after = first[line, cell, window], last[line, cell, window]
    lead = (value[line, cell, before] - value[line, cell, after]).clamp(min=0)
    gain = (value[line, cell + 1, after] - value[line, cell + 1, before]).clamp(min=0)
    until = torch.where(lead + gain > 0, lead / (lead + gain), torch.ones_like(lead))
    return Secant(
        share=None,
        first=first.flatten(0, 1),
        where=(line * first.shape[1] + cell, window),
        last=after,
        until=until,
    )


def run_secants(lines: LineBatch, cells: int) -> int:
    """Add the sums of ``lines`` over ``cells`` equal cells; the number of points."""
    widths = sum(lines.plan.network.width(step.name) for step in lines.plan.steps)
    widths += max(lines.plan.network.width(name) for name in lines.plan.straight)
    fits = lines.course.memory // (4 * widths * lines.start[INPUT].element_size())
    per_pass = max(1, min(cells, fits // lines.count))
    for low in range(0, cells, per_pass):
        high = min(low + per_pass, cells)
        t = torch.arange(low, high + 1, dtype=torch.float64, device=lines.values.device)
        _Pass(lines, t / cells).run(low == 0, high == cells)
    return lines.count * (cells + 1)


class _Pass:
    """All lines of a block between the same points ``t``."""

    def __init__(self, lines: LineBatch, t: Float[Tensor, " points"]) -> None:
        self.lines, self.t = lines, t
        self.known: dict[str, Tensor] = {}
        self.secants: dict[str, Secant] = {}

    def run(self, begins: bool, ends: bool) -> None:
        plan = self.lines.plan
        for step in plan.steps:
            if isinstance(step, Bend):
                self._bend(step)
            else:
                values = [self._value(source) for source in step.inputs]
                self.known[step.name] = self.lines.course.maps[step.name].apply(values)
        slopes = self._quantity(begins, ends)
        self.known.clear()
        self._back(slopes)

    def _value(self, name: str) -> Float[Tensor, "rows units"]:
        """(lines · points, n)."""
        if name in self.known:
            return self.known[name]
        start, move = self.lines.start[name], self.lines.move[name]
        t = self.t.to(start.dtype)[:, None]
        return torch.addcmul(start[:, None], move[:, None], t).flatten(0, 1)

    def _bend(self, step: Bend) -> None:
        z, count = self._value(step.source), self.lines.count
        secant = Secant(share=None)
        if step.pool is not None:
            windows: PoolWindows = self.lines.course.windows[step.pool]
            top, leader = windows.maximum(z)
            secant, z = leaders_of(z, leader, count), top
        value = z
        if step.slope is not None:
            value = F.relu(z) if step.slope == 0.0 else F.leaky_relu(z, step.slope)
            shape = (count, -1, z.shape[1])
            share = share_of(z.reshape(shape), value.reshape(shape), step.slope).flatten(0, 1)
            secant = Secant(share, secant.first, secant.where, last=secant.last, until=secant.until)
        self.known[step.name], self.secants[step.name] = value, secant

    def _quantity(self, begins: bool, ends: bool) -> Float[Tensor, "cells outputs"]:
        """Slopes (lines · cells, K) of q at the output; q at the lines' ends is noted."""
        lines, form = self.lines, self.lines.form
        y = self._value(lines.plan.output)
        count, points, cells = lines.count, len(self.t), len(self.t) - 1
        every = y.double().reshape(count, points, -1)
        scores = (form.weights[:, None] * every).sum(-1)
        slopes = form.weights.repeat_interleave(cells, 0)
        if form.rivals is not None:
            masked = torch.where(form.rivals[:, None], every, every.min() - 1).flatten(0, 1)
            top, leader = masked.max(1, keepdim=True)
            scores = scores + form.sign * top.reshape(count, points)
            ones = torch.full((len(slopes), 1), float(form.sign), dtype=slopes.dtype)
            secant = leaders_of(masked, leader, count)
            slopes = slopes + secant.back(ones.to(slopes.device), y.shape[1])
        if begins:
            lines.values[0] = scores[:, 0]
        if ends:
            lines.values[1] = scores[:, -1]
        return slopes.to(y.dtype)

    def _back(self, slopes: Float[Tensor, "cells outputs"]) -> None:
        lines, plan = self.lines, self.lines.plan
        gradients = {plan.output: slopes}
        for step in reversed(plan.steps):
            if step.name not in gradients or (lines.direct and step.name == plan.target):
                continue
            gradient = gradients.pop(step.name)
            if isinstance(step, Bend):
                width = plan.network.width(step.source)
                back = [self.secants.pop(step.name).back(gradient, width)]
                sources: tuple[str, ...] = (step.source,)
            else:
                back = lines.course.maps[step.name].transpose(gradient)
                sources = step.inputs
            for source, part in zip(sources, back, strict=True):
                gradients[source] = gradients[source] + part if source in gradients else part
        length = float(self.t[1] - self.t[0])
        for name, gradient in gradients.items():
            total = lines.target_sum if name not in plan.straight else lines.straight_sums[name]
            if lines.direct and name != plan.target:
                continue
            every = gradient.reshape(lines.count, -1, gradient.shape[1])
            total += length * every.sum(1).double()
