"""Forward over breakpoints and backward over segments, chunk by chunk.

``Course.integrate`` returns ∫ ∂q/∂(target) dt for every line; see ``exact.py`` for why so few
rows are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from attribution.lines.heads import breakpoints_by_line, head_breakpoints
from attribution.lines.maps import Map, PoolWindows, flatten, shaped
from attribution.lines.plan import Bend, Plan
from attribution.quantities import Quantity
from precond.basics.shapes import Bool, Float, Int
from precond.errors import QueryError
from precond.network.graph import INPUT
from precond.network.layers import Node
from precond.network.operators import operators

OVERFULL = 1.5
"""A chunk with so many times the breakpoints that fit is given up for a smaller one."""


@dataclass(frozen=True, eq=False)
class Form:
    """q = weights · y + sign · max over rivals, with one row per line."""

    weights: Float[Tensor, "lines outputs"]
    rivals: Bool[Tensor, "lines outputs"] | None
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

    def take(self, lines: slice | Int[Tensor, " some"]) -> Form:
        rivals = None if self.rivals is None else self.rivals[lines]
        return Form(self.weights[lines], rivals, self.sign)


@dataclass(frozen=True, eq=False)
class Integral:
    """``mean`` (lines, *target shape) float64, ``change`` (lines,), segments in all."""

    mean: Float[Tensor, "lines ..."]
    change: Float[Tensor, " lines"]
    segments: int


@dataclass(frozen=True, eq=False)
class Course:
    """A plan on one device, in one number type, within so many bytes."""

    plan: Plan
    device: torch.device
    dtype: torch.dtype
    memory: int
    maps: Mapping[str, Map]
    windows: Mapping[str, PoolWindows]

    @classmethod
    def of(cls, plan: Plan, device: torch.device, dtype: torch.dtype, memory: int) -> Course:
        return cls(plan, device, dtype, memory, *_built(plan, str(device), dtype))

    def integrate(
        self,
        start: Float[Tensor, "lines ..."],
        end: Float[Tensor, "lines ..."],
        form: Form,
        follow: Callable[[LineBatch], int],
    ) -> Integral:
        """Lines from ``start`` to ``end`` (lines, *input shape); ``follow`` adds up a block of
        them and says on how many segments."""
        plan, network = self.plan, self.plan.network
        wide = sum(network.width(name) for name in plan.straight)
        block = max(1, self.memory // (24 * 8 * wide))
        shape = network.shapes[plan.target]
        mean = torch.zeros(len(start), *shape, dtype=torch.float64, device=self.device)
        change = torch.zeros(len(start), dtype=torch.float64, device=self.device)
        segments = 0
        for first in range(0, len(start), block):
            part = slice(first, first + block)
            lines = LineBatch(
                self, start=start[part], move=end[part] - start[part], form=form.take(part)
            )
            segments += follow(lines)
            mean[part] = shaped(lines.result(), shape)
            change[part] = lines.values[1] - lines.values[0]
        return Integral(mean, change, segments)


@lru_cache(maxsize=16)
def _built(
    plan: Plan, device: str, dtype: torch.dtype
) -> tuple[Mapping[str, Map], Mapping[str, PoolWindows]]:
    network = plan.network
    ops = operators(network, device, dtype)
    affine = [*plan.straight_nodes, *(s for s in plan.steps if isinstance(s, Node))]
    maps = {node.name: Map.of(node, ops) for node in affine}
    windows = {
        step.pool: PoolWindows.of(network, step.source, step.pool, ops=ops)
        for step in plan.steps
        if isinstance(step, Bend) and step.pool is not None
    }
    return maps, windows


class LineBatch:
    """One block of lines: straight values, and sums over chunks of breakpoints."""

    def __init__(
        self,
        course: Course,
        start: Float[Tensor, "lines ..."],
        move: Float[Tensor, "lines ..."],
        form: Form,
    ) -> None:
        self.course, self.form, self.plan = course, form, course.plan
        self.count, device = len(start), start.device
        self.start, self.move = {INPUT: flatten(start)}, {INPUT: flatten(move)}
        for node in self.plan.straight_nodes:
            one = course.maps[node.name]
            self.start[node.name] = one.apply([self.start[s] for s in node.inputs])
            self.move[node.name] = one.apply([self.move[s] for s in node.inputs], bias=False)
        self.straight_sums = {
            name: torch.zeros(value.shape, dtype=torch.float64, device=device)
            for name, value in self.start.items()
        }
        target = self.plan.target
        self.direct = target not in self.plan.straight
        self.target_sum = torch.zeros(
            self.count, self.plan.network.width(target), dtype=torch.float64, device=device
        )
        self.values = torch.zeros(2, self.count, dtype=torch.float64, device=device)

    def run(self) -> int:
        """All chunks; the number of segments."""
        from attribution.lines.backward import Backward
        from attribution.lines.forward import Forward

        found = [
            head_breakpoints(
                head,
                self.start[head.source],
                self.move[head.source],
                windows=None if head.pool is None else self.course.windows[head.pool],
            )
            for head in self.plan.heads
        ]
        every = breakpoints_by_line(found, self.count, self.start[INPUT].device)
        widths = sum(self.plan.network.width(step.name) for step in self.plan.steps)
        widths += max(self.plan.network.width(name) for name in self.plan.straight)
        fits = max(4, self.course.memory // (widths * self.start[INPUT].element_size()))
        limit: float = OVERFULL * fits
        growth, first, segments, size = 4.0, 0, 0, max(1, fits // 4)
        while first < len(every.t) - 1:
            stop = min(len(every.t) - 1, first + size)
            forward = Forward(self, every.part(first, stop))
            if not forward.run(limit):
                growth *= 2
                if stop - first > 1:
                    size = (stop - first) // 2
                elif (finer := every.halved(first)) is not None:
                    every, size = finer, 1
                else:
                    limit = math.inf
                continue
            Backward(self, forward).run()
            # How many breakpoints one of the first becomes changes along a line.
            growth = max(1.0, math.sqrt(growth * len(forward.points.t) / (stop + 1 - first)))
            segments += int((forward.points.lengths > 0).sum())
            first, size, limit = stop, max(1, int(fits / growth)), OVERFULL * fits
        return segments

    def result(self) -> Float[Tensor, "lines units"]:
        """Sums (lines, n) at the target: those of straight values carried back to it."""
        if self.direct:
            return self.target_sum
        sums = dict(self.straight_sums)
        for node in reversed(self.plan.straight_nodes):
            if node.name == self.plan.target:
                break
            form = sums[node.name].to(self.course.dtype)
            back = self.course.maps[node.name].transpose(form)
            for source, part in zip(node.inputs, back, strict=True):
                sums[source] = sums[source] + part.double()
        return sums[self.plan.target]
