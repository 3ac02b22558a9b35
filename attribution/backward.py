"""Gradients of one chunk on as few segments as each layer needs, summed over the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attribution.plan import slope_of
from precond.network.layers import MaxPool2d

if TYPE_CHECKING:
    from attribution.forward import Forward
    from attribution.pieces import Lines


class Backward:
    """``levels[l]``: the breakpoints (numbers) that bound the segments at level l; each
    nonlinear layer passed adds its own."""

    def __init__(self, lines: Lines, forward: Forward) -> None:
        self.lines, self.forward = lines, forward
        inside = forward.points.inside
        self.used = torch.ones_like(forward.points.t, dtype=torch.bool)
        self.used[1:-1] = ~(inside[1:] & inside[:-1])
        self.levels = [torch.nonzero(self.used)[:, 0]]
        if "" in forward.decided:
            self._refine("")
        self.gradients: dict[str, tuple[Tensor, int]] = {}

    def run(self) -> None:
        lines, plan, forward = self.lines, self.lines.plan, self.forward
        assert forward.slopes is not None
        shape = plan.network.shapes[plan.output]
        starts = self.levels[-1][:-1]
        first = forward.slopes[starts].to(lines.course.dtype)
        self._give(plan.output, first.reshape(-1, *shape), len(self.levels) - 1)
        for node in reversed(plan.bent_nodes):
            if node.name not in self.gradients:
                continue
            gradient, level = self.gradients.pop(node.name)
            if lines.direct and node.name == plan.target:
                lines.target_sum += self._integral(gradient, level)
                continue
            operator = lines.ops.affine.get(node.name)
            if operator is not None:
                for source, part in zip(node.inputs, operator.transpose(gradient), strict=True):
                    self._give(source, part, level)
                continue
            level_here = self._refine(node.name)
            gradient = self._at_level(gradient, level, level_here)
            segment = forward.row_of[node.name][self.levels[level_here][:-1]]
            decided = forward.decided[node.name][segment]
            flat = gradient.flatten(1)
            if isinstance(node.layer, MaxPool2d):
                source_shape = plan.network.shapes[node.inputs[0]]
                below = flat.new_zeros(len(flat), plan.network.width(node.inputs[0]))
                flat = below.scatter_add_(1, decided, flat).reshape(-1, *source_shape)
            else:
                slope = slope_of(node)
                flat = flat * decided if slope == 0 else torch.where(decided, flat, slope * flat)
            self._give(
                node.inputs[0], flat.reshape(-1, *plan.network.shapes[node.inputs[0]]), level_here
            )
        if lines.direct:
            if plan.target in self.gradients:
                lines.target_sum += self._integral(*self.gradients[plan.target])
            return
        for name, head in lines.heads.items():
            if name in self.gradients:
                gradient, level = self.gradients[name]
                head.shares(
                    gradient,
                    forward.points,
                    self.levels[level],
                    lines.straight_sums[head.head.source],
                )

    def _give(self, name: str, gradient: Tensor, level: int) -> None:
        """Add to the gradient at ``name``; straight values are summed over the line at once."""
        if name in self.lines.plan.straight:
            self.lines.straight_sums[name] += self._integral(gradient, level)
            return
        if name in self.gradients:
            other, other_level = self.gradients[name]
            finer = max(level, other_level)
            gradient = self._at_level(gradient, level, finer) + self._at_level(
                other, other_level, finer
            )
            level = finer
        self.gradients[name] = (gradient, level)

    def _refine(self, name: str) -> int:
        row = self.forward.row_of[name]
        begins = self.forward.changed[name][row]
        begins[1:] &= row[1:] != row[:-1]
        self.used = self.used | begins
        self.levels.append(torch.nonzero(self.used)[:, 0])
        return len(self.levels) - 1

    def _at_level(self, gradient: Tensor, level: int, finer: int) -> Tensor:
        if level == finer:
            return gradient
        starts = self.levels[finer][:-1]
        place = torch.searchsorted(self.levels[level], starts, right=True) - 1
        return gradient[place]

    def _integral(self, gradient: Tensor, level: int) -> Tensor:
        """Σ length · gradient over each line, (lines, *shape) float64."""
        bounds = self.levels[level]
        t, line = self.forward.points.t[bounds], self.forward.points.line[bounds]
        width = (t[1:] - t[:-1]) * (line[1:] == line[:-1])
        result = torch.zeros(
            self.lines.count, *gradient.shape[1:], dtype=torch.float64, device=t.device
        )
        weighted = gradient.double() * width.reshape(-1, *[1] * (gradient.dim() - 1))
        return result.index_add_(0, line[:-1], weighted)
