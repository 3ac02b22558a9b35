"""The straight line from baseline to input, and quadrature along it.

Points are given either at the slice itself or, where the input acts through one affine
layer only, at that layer's output, which moves on a line as well; mean gradients are then
pulled back through the layer once per row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attribution.distributions import Baseline, Parts, baseline_like
from attribution.gradients import Kernel
from attribution.memory import fast_layout
from attribution.slices import Site, run


@dataclass(frozen=True, eq=False, kw_only=True)
class LineBlock:
    """LineBatch of a block of rows.

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
    def between(
        cls, outer: Kernel, head: Site | None, baseline: Baseline, rows: Tensor
    ) -> LineBlock:
        """The lines of ``rows`` for a kernel at the slice; ``head``: the factored layer."""
        total = outer.inputs.rows
        end = outer.values(rows)
        begin = baseline_like(baseline, end, rows, total)
        both = {name: torch.stack([begin[name], end[name]], 1) for name in end}
        span = {name: end[name] - begin[name] for name in end}
        if head is None:
            scores = outer.scores(both, rows).double()
            change = scores[..., 1] - scores[..., 0]
            return cls(
                kernel=outer,
                rows=rows,
                start=begin,
                move=span,
                span=span,
                change=change,
                leaf=None,
                value=None,
            )
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
            kernel=inner,
            rows=rows,
            start={key: fast_layout(ends[:, 0])},
            move={key: fast_layout(ends[:, 1] - ends[:, 0])},
            span=span,
            change=scores[..., 1] - scores[..., 0],
            leaf=passed.leaves[name],
            value=value,
        )

    def points(self, t: Tensor) -> Parts:
        """Points (rows, len(t), *shape)."""
        result = {}
        for name, start in self.start.items():
            shaped = t.to(start.dtype).reshape(1, -1, *[1] * (start.dim() - 1))
            result[name] = torch.addcmul(start.unsqueeze(1), self.move[name].unsqueeze(1), shaped)
        return result

    def mean_gradient(self, position: Tensor, weight: Tensor, size: int) -> Parts:
        """Mean gradient over the line where points are given, (Q, rows, *shape) float64.

        At most ``size`` points are evaluated at once.
        """
        count = len(position)
        step = max(1, min(size // len(self.rows), count))
        result: Parts = {}
        for first in range(0, count, step):
            part = slice(first, first + step)
            share = weight[part]

            def mean(gradient: Tensor, share: Tensor = share) -> Tensor:
                # One small product per row; sums over chunks are in float64.
                flat = _flat(gradient, 2)
                own = share.to(flat.dtype).expand(len(flat), 1, -1)
                return _shaped((own @ flat).squeeze(1).double(), gradient.shape[2:])

            found = self.kernel.at(self.points(position[part]), self.rows, mean)
            for name, added in found.gradients.items():
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
