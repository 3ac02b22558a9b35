"""Heads on lines: their breakpoints, their values, and their units' shares in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attribution.plan import Head
from attribution.segments import Breakpoints, Intervals, leading_intervals


@dataclass(frozen=True, eq=False)
class HeadLines:
    """One head over a block of lines; ``start`` and ``move`` (lines, *shape) of its source."""

    head: Head
    start: Tensor
    move: Tensor
    windows: Tensor
    shape: tuple[int, ...]
    intervals: Intervals

    @classmethod
    def of(
        cls, head: Head, start: Tensor, move: Tensor, windows: Tensor | None, shape: tuple[int, ...]
    ) -> HeadLines:
        if windows is None:
            windows = torch.arange(start[0].numel(), device=start.device)[:, None]
        found = leading_intervals(start.flatten(1), move.flatten(1), windows)
        return cls(head, start, move, windows, shape, found)

    def breakpoints(self) -> tuple[Tensor, Tensor]:
        """(line, t) in the open line where the head's value bends."""
        found = self.intervals
        lines, times = [], []

        def add(where: Tensor, t: Tensor) -> None:
            where = where & (t > 0) & (t < 1)
            lines.append(torch.nonzero(where)[:, 0])
            times.append(t[where])

        leads = found.low < found.high
        slope = self.head.slope
        if self.head.pool is not None:
            if slope is None:
                add(leads, found.low)
            else:
                first = self.start.flatten(1).double()[:, self.windows.clamp(min=0)]
                rate = self.move.flatten(1).double()[:, self.windows.clamp(min=0)]
                above = first + rate * found.low > 0
                add(leads & (above | (slope != 0.0)), found.low)
        if slope is not None:
            add(leads & (found.on_low > found.low) & (found.on_low < found.high), found.on_low)
            add(leads & (found.on_high < found.high) & (found.on_high > found.low), found.on_high)
        return torch.cat(lines), torch.cat(times)

    def values(self, points: Breakpoints) -> Tensor:
        """Values (R, *shape) at breakpoints."""
        dtype = self.start.dtype
        t = points.t.to(dtype).reshape(-1, *[1] * (self.start.dim() - 1))
        value = torch.addcmul(self.start[points.line], self.move[points.line], t).flatten(1)
        if self.head.pool is not None:
            value = window_maximum(value, self.windows)
        if self.head.slope is not None:
            value = torch.nn.functional.leaky_relu(value, self.head.slope)
        return value.reshape(-1, *self.shape)

    def shares(self, gradient: Tensor, points: Breakpoints, bounds: Tensor, total: Tensor) -> None:
        """Add ∫ ∂q/∂(source) dt to ``total`` (lines, *source shape) float64.

        ``gradient`` (S, *shape) at the head's value on the segments between the breakpoints
        numbered ``bounds`` (S + 1,).
        """
        running = _Running.of(gradient, points, bounds, len(self.start))
        slope = self.head.slope
        found = self.intervals
        if slope is None:
            self._add(running, found.low, found.high, 1.0, total)
            return
        self._add(running, found.on_low, found.on_high, 1.0 - slope, total)
        if slope != 0.0:
            self._add(running, found.low, found.high, slope, total)

    def _add(
        self, running: _Running, low: Tensor, high: Tensor, weight: float, total: Tensor
    ) -> None:
        low = low.maximum(running.first[:, None, None])
        high = high.minimum(running.last[:, None, None])
        line, window, candidate = torch.nonzero(low < high, as_tuple=True)
        low, high = low[line, window, candidate], high[line, window, candidate]
        share = running.at(line, window, high, True) - running.at(line, window, low, False)
        column = self.windows[window, candidate]
        flat = total.flatten(1)
        flat.index_put_((line, column), weight * share, accumulate=True)


def window_maximum(flat: Tensor, windows: Tensor) -> Tensor:
    """(R, m) maxima over windows of (R, n) values."""
    result = flat[:, windows[:, 0].clamp(min=0)].masked_fill(windows[:, 0] < 0, -torch.inf)
    for column in windows.T[1:]:
        candidate = flat[:, column.clamp(min=0)]
        if bool((column < 0).any()):
            candidate = candidate.masked_fill(column < 0, -torch.inf)
        result = torch.maximum(result, candidate)
    return result


def ordered(heads: list[HeadLines], lines: int, device: torch.device) -> Breakpoints:
    """All lines' ends and the heads' breakpoints, by line and position."""
    every = torch.arange(lines, device=device)
    found = [head.breakpoints() for head in heads]
    line = torch.cat([every, every, *(one[0] for one in found)])
    ends = torch.zeros(2 * lines, dtype=torch.float64, device=device)
    ends[lines:] = 1.0
    t = torch.cat([ends, *(one[1] for one in found)])
    order = torch.argsort(t, stable=True)
    order = order[torch.argsort(line[order], stable=True)]
    return Breakpoints(line[order], t[order])


@dataclass(frozen=True, eq=False)
class _Running:
    """The running integral of a gradient along each line of a chunk."""

    total: Tensor
    gradient: Tensor
    t: Tensor
    key: Tensor
    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, gradient: Tensor, points: Breakpoints, bounds: Tensor, lines: int) -> _Running:
        t, line = points.t[bounds], points.line[bounds]
        width = (t[1:] - t[:-1]) * (line[1:] == line[:-1])
        flat = gradient.flatten(1).double()
        total = torch.zeros(len(bounds), flat.shape[1], dtype=torch.float64, device=t.device)
        torch.cumsum(flat * width[:, None], 0, out=total[1:])
        first = torch.full((lines,), 2.0, dtype=torch.float64, device=t.device)
        last = torch.full((lines,), -1.0, dtype=torch.float64, device=t.device)
        first = first.scatter_reduce(0, line, t, "amin")
        last = last.scatter_reduce(0, line, t, "amax")
        return cls(total, flat, t, 2.0 * line + t, first, last)

    def at(self, line: Tensor, unit: Tensor, t: Tensor, end: bool) -> Tensor:
        """Integral up to ``t`` on ``line`` (from the right at an interval's ``end``)."""
        key = 2.0 * line + t
        # An end at a breakpoint belongs to the segment before it, a beginning to the one after.
        place = torch.searchsorted(self.key, key, right=not end) - 1
        place = place.clamp(0, len(self.gradient) - 1)
        return self.total[place, unit] + self.gradient[place, unit] * (t - self.t[place])
