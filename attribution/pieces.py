"""Forward over breakpoints and backward over segments, chunk by chunk.

``Course.integrate`` returns ∫ ∂q/∂(target) dt for every line; see ``exact.py`` for why so few
rows are needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attribution.heads import HeadLines, ordered
from attribution.plan import Plan
from attribution.quantities import Quantity
from attribution.segments import Breakpoints
from precond.errors import QueryError
from precond.network.graph import INPUT
from precond.network.operators import Operators, operators


@dataclass(frozen=True, eq=False)
class Form:
    """q = weights · y + sign · max over rivals, with one row per line."""

    weights: Tensor
    rivals: Tensor | None
    sign: int

    @classmethod
    def of(cls, quantity: Quantity, width: int, lines: int, device: torch.device) -> Form:
        if quantity.weights is None:
            raise QueryError(
                f"quantity {quantity.name}",
                expected="class_score, comparative, margin, max_class or unit, which are "
                "piecewise linear",
                got="a callable",
                fix="Use a quadrature rule",
            )
        rows = torch.arange(lines, device=device)
        rivals = None if quantity.rivals is None else quantity.rivals(width, rows)
        return cls(quantity.weights(width, rows).double(), rivals, quantity.sign)

    def take(self, lines: slice) -> Form:
        rivals = None if self.rivals is None else self.rivals[lines]
        return Form(self.weights[lines], rivals, self.sign)


@dataclass(frozen=True, eq=False)
class Integral:
    """``mean`` (lines, *target shape) float64, ``change`` (lines,), segments in all."""

    mean: Tensor
    change: Tensor
    segments: int


@dataclass(frozen=True, eq=False)
class Course:
    """A plan on one device, in one number type, within so many bytes."""

    plan: Plan
    device: torch.device
    dtype: torch.dtype
    memory: int

    @property
    def ops(self) -> Operators:
        return operators(self.plan.network, str(self.device), self.dtype)

    def integrate(self, start: Tensor, end: Tensor, form: Form) -> Integral:
        """Lines from ``start`` to ``end`` (lines, *input shape)."""
        plan, network = self.plan, self.plan.network
        wide = sum(network.width(name) for name in (INPUT, *plan.straight))
        block = max(1, self.memory // (24 * 8 * wide))
        shape = network.shapes[plan.target]
        mean = torch.zeros(len(start), *shape, dtype=torch.float64, device=self.device)
        change = torch.zeros(len(start), dtype=torch.float64, device=self.device)
        segments = 0
        for first in range(0, len(start), block):
            part = slice(first, first + block)
            lines = Lines(self, start[part], end[part] - start[part], form.take(part))
            segments += lines.run()
            mean[part], change[part] = lines.result(), lines.values[1] - lines.values[0]
        return Integral(mean, change, segments)


class Lines:
    """One block of lines: straight values, heads, and sums over chunks of breakpoints."""

    def __init__(self, course: Course, start: Tensor, move: Tensor, form: Form) -> None:
        self.course, self.form = course, form
        self.plan, self.ops = course.plan, course.ops
        network = self.plan.network
        self.start, self.move = {INPUT: start}, {INPUT: move}
        for node in self.plan.straight_nodes:
            operator = self.ops.affine[node.name]
            self.start[node.name] = operator.apply([self.start[s] for s in node.inputs])
            self.move[node.name] = operator.apply([self.move[s] for s in node.inputs], bias=False)
        self.heads = {
            head.name: HeadLines.of(
                head,
                self.start[head.source],
                self.move[head.source],
                None if head.pool is None else self.ops.windows[head.pool],
                network.shapes[head.name],
            )
            for head in self.plan.heads
        }
        self.count = len(start)
        self.straight_sums = {
            name: torch.zeros(value.shape, dtype=torch.float64, device=value.device)
            for name, value in self.start.items()
        }
        target = self.plan.target
        self.direct = target not in self.plan.straight
        self.target_sum = torch.zeros(
            self.count, *network.shapes[target], dtype=torch.float64, device=start.device
        )
        self.values = torch.zeros(2, self.count, dtype=torch.float64, device=start.device)

    def run(self) -> int:
        """All chunks; the number of segments."""
        from attribution.backward import Backward
        from attribution.forward import Forward

        every = ordered(list(self.heads.values()), self.count, self.start[INPUT].device)
        widths = sum(self.plan.network.width(n.name) for n in self.plan.nodes)
        fits = max(4, self.course.memory // (widths * self.start[INPUT].element_size() * 4))
        growth, first, segments, last = 4.0, 0, 0, len(every.t) - 1
        while first < last:
            stop = min(last, first + max(1, int(fits / growth)))
            rows = slice(first, stop + 1)
            forward = Forward(self, Breakpoints(every.line[rows], every.t[rows]))
            forward.run()
            Backward(self, forward).run()
            growth = max(1.0, len(forward.points.t) / (stop + 1 - first))
            segments += int((forward.points.lengths > 0).sum())
            first = stop
        return segments

    def result(self) -> Tensor:
        """Sums at the target: those of straight values carried back to it."""
        if self.direct:
            return self.target_sum
        sums = dict(self.straight_sums)
        for node in reversed(self.plan.straight_nodes):
            if node.name == self.plan.target:
                break
            back = self.ops.affine[node.name].transpose(sums[node.name].to(self.course.dtype))
            for source, part in zip(node.inputs, back, strict=True):
                sums[source] = sums[source] + part.double()
        return sums[self.plan.target]
