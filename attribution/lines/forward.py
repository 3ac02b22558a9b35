"""Breakpoints of one chunk, layer by layer, and on which side every unit is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attribution.lines.bends import Sides, pool, relu
from attribution.lines.maps import PoolWindows
from attribution.lines.plan import Bend
from attribution.lines.segments import Breakpoints, Refinement, split

if TYPE_CHECKING:
    from attribution.lines.pieces import LineBatch
    from precond.network.layers import Node


class Forward:
    """Evaluation at breakpoints, which become more from bend to bend.

    ``sides[name]`` says what is active on the segments of the *time* ``made[name]``: time k
    is after k refinements.  ``rows(k)`` gives the final numbers of the breakpoints of time
    k.  The name of the quantity's own maximum is empty.
    """

    def __init__(self, lines: LineBatch, points: Breakpoints) -> None:
        self.lines = lines
        self.points = points
        self.known: dict[str, Tensor] = {}
        self.sides: dict[str, Sides] = {}
        self.made: dict[str, int] = {}
        self.kept: list[Tensor] = []
        self.numbers: list[Tensor] = []
        self.slopes: Tensor | None = None

    def run(self, limit: float) -> bool:
        """Whether it went through without more than ``limit`` breakpoints."""
        lines, plan = self.lines, self.lines.plan
        last_use: dict[str, int] = {}
        for i, step in enumerate(plan.steps):
            for source in _sources(step):
                last_use[source] = i
        for i, step in enumerate(plan.steps):
            sources = _sources(step)
            for source in sources:
                if source not in self.known:
                    self._straight(source)
            values = [self.known[source] for source in sources]
            for source in set(sources):
                if last_use[source] == i and source != plan.output:
                    del self.known[source]
            if isinstance(step, Bend):
                self._bend(step, values[0])
                if len(self.points.t) > limit:
                    return False
            else:
                self.known[step.name] = lines.course.maps[step.name].apply(values)
                self.made[step.name] = len(self.kept)
        if plan.output not in self.known:
            self._straight(plan.output)
        self._quantity()
        number = torch.arange(len(self.points.t), device=self.points.t.device)
        self.numbers = [number]
        for kept in reversed(self.kept):
            number = number[kept]
            self.numbers.append(number)
        self.numbers.reverse()
        return True

    def rows(self, time: int) -> Tensor:
        """Final numbers of the breakpoints there were at ``time``."""
        return self.numbers[time]

    def _straight(self, name: str) -> None:
        start, move = self.lines.start[name], self.lines.move[name]
        line, t = self.points.line, self.points.t.to(start.dtype)[:, None]
        if self.lines.count == 1:
            self.known[name] = torch.addcmul(start, move, t)
        else:
            self.known[name] = torch.addcmul(start[line], move[line], t)
        self.made[name] = len(self.kept)

    def _split(self, segment: Tensor, fraction: Tensor) -> Refinement | None:
        """Insert breakpoints; everything alive follows."""
        if not len(segment):
            return None
        refined = split(self.points, segment, fraction)
        self.points = refined.points
        for name in self.known:
            self.known[name] = refined.values(self.known[name])
        self.kept.append(refined.kept())
        return refined

    def _bend(self, step: Bend, z: Tensor) -> None:
        alive = step.source in self.known
        # A straight value bends only where breakpoints are already.
        splitter = None if step.source in self.lines.plan.straight else self._split
        if step.pool is None:
            assert step.slope is not None
            value, sides = relu(z.clone() if alive else z, step.slope, self.points, splitter)
        else:
            windows = self.lines.course.windows[step.pool]
            value, sides = pool(z, windows, step.slope, self.points, splitter)
        self.known[step.name] = value
        self.sides[step.name] = sides
        self.made[step.name] = len(self.kept)

    def _quantity(self) -> None:
        """Slopes (segments, K) of q at the output, and q at the lines' ends."""
        form, output = self.lines.form, self.lines.plan.output
        rivals, leaders = form.rivals, None
        if rivals is not None:
            y = self.known[output]
            windows = PoolWindows.single(y.shape[1], y.device)
            bottom = y.min() - 1
            kept = torch.where(rivals[self.points.line], y, bottom)
            _, sides = pool(kept, windows, None, self.points, self._split)
            self.sides[""], self.made[""] = sides, len(self.kept)
            leaders = sides.leaders
        y, line = self.known[output].double(), self.points.line
        scores = (form.weights[line] * y).sum(1)
        self.slopes = form.weights[line[:-1]]
        if rivals is not None and leaders is not None:
            top = torch.where(rivals[line], y, -torch.inf).amax(1)
            scores = scores + form.sign * top
            self.slopes = self.slopes.scatter_add(
                1, leaders, torch.full_like(leaders, form.sign, dtype=torch.float64)
            )
        for end in (0, 1):
            at = self.points.t == end
            self.lines.values[end, line[at]] = scores[at]


def _sources(step: Node | Bend) -> tuple[str, ...]:
    if isinstance(step, Bend):
        return (step.source,)
    return step.inputs
