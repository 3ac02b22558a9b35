"""Gradients of one chunk on as few segments as each layer needs, summed over the line.

The gradient at a value bends at breakpoints of *later* bends.  What is below it is constant
between breakpoints of *earlier* bends, and linear: there the gradient's integral over a
segment is as good as the gradient itself.  So a gradient is kept either as values between
the breakpoints of later bends or as integrals between those of earlier ones, whichever are
fewer; from integrals there is no way back, nor need of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attribution.lines.plan import Bend

if TYPE_CHECKING:
    from attribution.lines.forward import Forward
    from attribution.lines.pieces import LineBatch


@dataclass(frozen=True, eq=False)
class Gradient:
    """``value`` (S, n) between the breakpoints numbered ``bounds`` (S + 1,): the gradient, or
    its integral (``summed``)."""

    value: Tensor
    bounds: Tensor
    summed: bool


class Backward:
    def __init__(self, lines: LineBatch, forward: Forward) -> None:
        self.lines, self.forward = lines, forward
        self.lengths = forward.points.lengths
        self.gradients: dict[str, Gradient] = {}

    def run(self) -> None:
        lines, plan, forward = self.lines, self.lines.plan, self.forward
        assert forward.slopes is not None
        ends = torch.ones(len(forward.points.t), dtype=torch.bool, device=self.lengths.device)
        inside = forward.points.inside
        ends[1:-1] = ~(inside[1:] & inside[:-1])
        if "" in forward.sides:
            ends[forward.rows(forward.made[""])] |= forward.sides[""].changes(None)
        bounds = torch.nonzero(ends)[:, 0]
        first = forward.slopes[bounds[:-1]].to(lines.course.dtype)
        self._give(plan.output, Gradient(first, bounds, False))
        for step in reversed(plan.steps):
            if step.name not in self.gradients:
                continue
            gradient = self.gradients.pop(step.name)
            if lines.direct and step.name == plan.target:
                self._add(lines.target_sum, gradient)
                continue
            rows = forward.rows(forward.made[step.name])
            if not gradient.summed and len(rows) < len(gradient.bounds):
                gradient = self._summed(gradient, rows)
            if isinstance(step, Bend):
                gradient = self._active(step, gradient)
                self._give(step.source, gradient)
                continue
            back = lines.course.maps[step.name].transpose(gradient.value)
            for source, part in zip(step.inputs, back, strict=True):
                self._give(source, Gradient(part, gradient.bounds, gradient.summed))
        if lines.direct and plan.target in self.gradients:
            self._add(lines.target_sum, self.gradients[plan.target])

    def _active(self, step: Bend, gradient: Gradient) -> Gradient:
        """Through a bend: by the sides of each segment."""
        forward = self.forward
        sides = forward.sides[step.name]
        rows = forward.rows(forward.made[step.name])
        bounds, value = gradient.bounds, gradient.value
        if gradient.summed:
            on, leaders = sides.on, sides.leaders
        else:
            used = torch.zeros(len(self.lengths) + 1, dtype=torch.bool, device=rows.device)
            used[rows[sides.changes(step.slope)]] = True
            used[bounds] = True
            finer = torch.nonzero(used)[:, 0]
            value = value.index_select(0, _segment_of(bounds, finer[:-1]))
            segment = _segment_of(rows, finer[:-1])
            on = None if sides.on is None else sides.on.index_select(0, segment)
            leaders = None if sides.leaders is None else sides.leaders.index_select(0, segment)
            bounds = finer
        if on is not None:
            value = torch.where(on, value, step.slope * value) if step.slope else value * on
        if leaders is not None:
            width = self.lines.plan.network.width(step.source)
            value = value.new_zeros(len(value), width).scatter_add_(1, leaders, value)
        return Gradient(value, bounds, gradient.summed)

    def _give(self, name: str, gradient: Gradient) -> None:
        """Add to the gradient at ``name``; straight values are summed over the line at once."""
        if name in self.lines.plan.straight:
            self._add(self.lines.straight_sums[name], gradient)
            return
        other = self.gradients.get(name)
        if gradient.summed or (other is not None and other.summed):
            rows = self.forward.rows(self.forward.made[name])
            gradient = self._summed(gradient, rows)
            other = None if other is None else self._summed(other, rows)
        if other is not None:
            bounds = gradient.bounds
            if not gradient.summed:
                bounds = torch.unique(torch.cat([bounds, other.bounds]))
            both = [
                one.value if one.summed else one.value[_segment_of(one.bounds, bounds[:-1])]
                for one in (gradient, other)
            ]
            gradient = Gradient(both[0] + both[1], bounds, gradient.summed)
        self.gradients[name] = gradient

    def _summed(self, gradient: Gradient, rows: Tensor) -> Gradient:
        """Integrals between the breakpoints ``rows``, among which are all needed below."""
        bounds, value = gradient.bounds, gradient.value
        if gradient.summed:
            if len(bounds) == len(rows):
                return gradient
            place = _segment_of(rows, bounds[:-1])
        else:
            t, line = self.forward.points.t, self.forward.points.line
            finer = torch.unique(torch.cat([bounds, rows]))
            width = (t[finer[1:]] - t[finer[:-1]]) * (line[finer[1:]] == line[finer[:-1]])
            place = _segment_of(rows, finer[:-1])
            value = value.index_select(0, _segment_of(bounds, finer[:-1]))
            value *= width.to(value.dtype)[:, None]
        total = value.new_zeros(len(rows) - 1, value.shape[1]).index_add_(0, place, value)
        return Gradient(total, rows, True)

    def _add(self, total: Tensor, gradient: Gradient) -> None:
        """Add Σ length · gradient of each line to ``total`` (lines, n) float64."""
        line = self.forward.points.line[gradient.bounds[:-1]]
        value = gradient.value
        if not gradient.summed:
            t, lines = self.forward.points.t[gradient.bounds], self.forward.points.line
            width = (t[1:] - t[:-1]) * (lines[gradient.bounds[1:]] == line)
            value = value * width[:, None].to(value.dtype)
        if len(total) == 1:
            total += value.sum(0, dtype=torch.float64)
        else:
            total.index_add_(0, line, value.double())


def _segment_of(bounds: Tensor, rows: Tensor) -> Tensor:
    """Numbers of the segments between ``bounds`` in which those right of ``rows`` lie."""
    found = torch.searchsorted(bounds, rows, right=True) - 1
    return found.clamp(0, len(bounds) - 2)
