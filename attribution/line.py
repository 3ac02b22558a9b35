"""The straight line from baseline to input, and quadrature along it.

Points are given either at the slice itself or, where the input acts through one affine
layer only, at that layer's output, which moves on a line as well; mean gradients are then
pulled back through the layer once per row.

The tangent rule.  On a cell [t₀, t₁] of width h with scores q₀, q₁ and slopes s₀, s₁ the
tangents meet at τ = (q₁ − q₀ − s₁ h)/(s₀ − s₁).  The gradient at t₀ gets weight τ and that at
t₁ weight h − τ.  With one kink in the cell this is the exact integral, for smooth q it is
the trapezoid rule to second order; τ is kept in [0, h].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attribution.distributions import Baseline, Parts, Rule, baseline_like
from attribution.gradients import Kernel
from attribution.memory import fast_layout
from attribution.slices import Site, run


def tangent_weights(t: Tensor, scores: Tensor, slopes: Tensor) -> Tensor:
    """Weights (…, n) of gradients at positions ``t`` (n,), from scores and slopes (…, n)."""
    width = t[1:] - t[:-1]
    rise = scores[..., 1:] - scores[..., :-1]
    bend = slopes[..., :-1] - slopes[..., 1:]
    # Where the bend is lost in rounding, the middle.
    unit = torch.finfo(torch.float32).eps * scores.abs().amax(-1, keepdim=True)
    straight = bend.abs() * width <= unit
    meeting = (rise - slopes[..., 1:] * width) / torch.where(straight, 1.0, bend)
    meeting = torch.where(straight, width / 2, meeting.clamp(min=0).minimum(width))
    weights = torch.zeros_like(scores)
    weights[..., :-1] += meeting
    weights[..., 1:] += width - meeting
    return weights


@dataclass(frozen=True, eq=False)
class Line:
    """Lines of a block of rows.

    ``start`` and ``move`` (rows, *shape) describe the line where points are given; ``span``
    is x − x' at the slice; ``change`` (Q, rows) is q(x) − q(x').
    """

    kernel: Kernel
    rows: Tensor
    start: Parts
    move: Parts
    span: Parts
    change: Tensor
    leaf: Tensor | None
    value: Tensor | None

    @classmethod
    def between(cls, outer: Kernel, head: Site | None, baseline: Baseline, rows: Tensor) -> Line:
        """The lines of ``rows`` for a kernel at the slice; ``head``: the factored layer."""
        total = outer.inputs.rows
        end = outer.values(rows)
        begin = baseline_like(baseline, end, rows, total)
        both = {name: torch.stack([begin[name], end[name]], 1) for name in end}
        span = {name: end[name] - begin[name] for name in end}
        if head is None:
            scores = outer.scores(both, rows).double()
            change = scores[..., 1] - scores[..., 0]
            return cls(outer, rows, begin, span, span, change, None, None)
        scores = outer.scores(both, rows).double()
        ((name, points),) = both.items()
        inputs = outer.inputs.take(rows, 2).with_floats({name: points.flatten(0, 1)})
        # Graph from the input to the head only; what follows is dropped with the output.
        with torch.enable_grad():
            passed = run(outer.model, inputs, leaves=(), read=[head])
        value = passed.values[head]
        ends = _pairs(value.detach())
        inner = Kernel(outer.model, outer.inputs, (head,), (head,), outer.quantities)
        key = str(head)
        return cls(
            inner,
            rows,
            {key: fast_layout(ends[:, 0])},
            {key: fast_layout(ends[:, 1] - ends[:, 0])},
            span,
            scores[..., 1] - scores[..., 0],
            passed.leaves[name],
            value,
        )

    def points(self, t: Tensor) -> Parts:
        """Points (rows, len(t), *shape)."""
        result = {}
        for name, start in self.start.items():
            shaped = t.to(start.dtype).reshape(1, -1, *[1] * (start.dim() - 1))
            result[name] = torch.addcmul(start.unsqueeze(1), self.move[name].unsqueeze(1), shaped)
        return result

    def mean_gradient(self, rule: Rule, position: Tensor, weight: Tensor, size: int) -> Parts:
        """Mean gradient over the line where points are given, (Q, rows, *shape) float64.

        At most ``size`` points are evaluated at once (two at least for the tangent rule,
        whose chunks share a node).
        """
        tangent = rule is Rule.TANGENT
        count = len(position)
        per_call = max(2 if tangent else 1, min(size // len(self.rows), count))
        step = per_call - 1 if tangent else per_call
        result: Parts = {}
        for first in range(0, count - 1 if tangent else count, step):
            part = slice(first, first + per_call)
            t = position[part]
            found = self.kernel.at(self.points(t), self.rows)
            if tangent:
                slopes = torch.stack(
                    [_along(g, self.move[name]) for name, g in found.gradients.items()]
                ).sum(0)
                share = tangent_weights(t, found.scores.double(), slopes.double())
            else:
                share = weight[part].expand(found.scores.shape)
            for name, gradient in found.gradients.items():
                # One small product per row; sums over chunks are in float64.
                flat = _flat(gradient, 3)
                added = (share.to(flat.dtype).unsqueeze(2) @ flat).squeeze(2).double()
                added = _shaped(added, gradient.shape[3:])
                result[name] = result[name] + added if name in result else added
        return result

    def attributions(self, mean: Parts) -> Parts:
        """(x − x') times the mean gradient at the slice, (Q, rows, *shape) float64."""
        if self.leaf is None or self.value is None:
            return {name: self.span[name].double() * mean[name] for name in self.span}
        (gradient,) = mean.values()
        ((name, span),) = self.span.items()
        pulled = []
        for one in gradient:
            # The layer is affine: any point of its graph will do, half the rows are the ends.
            both = torch.zeros_like(_pairs(self.value))
            both[:, 0] = one.to(self.value.dtype)
            (back,) = torch.autograd.grad(
                self.value, self.leaf, both.flatten(0, 1), retain_graph=True
            )
            pulled.append(_pairs(back)[:, 0])
        return {name: span.double() * torch.stack(pulled).double()}


def _pairs(value: Tensor) -> Tensor:
    """(2 · rows, *shape) as (rows, 2, *shape)."""
    return value.reshape(-1, 2, *value.shape[1:])


def _flat(value: Tensor, leading: int) -> Tensor:
    """Axes after the leading ones as one; of images, channels innermost (see fast_layout)."""
    if value.dim() == leading + 3:
        value = value.movedim(leading, -1)
    return value.reshape(*value.shape[:leading], -1)


def _shaped(flat: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of ``_flat``."""
    if len(shape) == 3:
        channels, height, width = shape
        return flat.reshape(*flat.shape[:-1], height, width, channels).movedim(-1, -3)
    return flat.reshape(*flat.shape[:-1], *shape)


def _along(gradient: Tensor, move: Tensor) -> Tensor:
    """Directional derivatives (Q, rows, points) of gradients (Q, rows, points, *shape)."""
    return (_flat(gradient, 3) @ _flat(move, 1).unsqueeze(-1)).squeeze(-1)
