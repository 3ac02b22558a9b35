"""Activation breakpoints along straight lines.

On x(t) = x' + t (x − x') every value of a piecewise-linear network is piecewise linear in t.
Between two neighbouring breakpoints found so far a pre-activation is linear, so that its
zero crossing is one division, and so is the crossing of two candidates of a maximum.

Breakpoints of all lines lie in one flat list, sorted by line and position; a *segment* k
joins rows k and k+1 (those that join two lines have no length and are never split).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Breakpoints:
    """``line`` (R,) numbers and ``t`` (R,) float64 positions."""

    line: Tensor
    t: Tensor

    @property
    def inside(self) -> Tensor:
        """(R − 1,): whether segment k lies on one line."""
        return self.line[1:] == self.line[:-1]

    @property
    def lengths(self) -> Tensor:
        """(R − 1,) float64, 0 between two lines."""
        return (self.t[1:] - self.t[:-1]) * self.inside


@dataclass(frozen=True, eq=False)
class Refinement:
    """Old rows' places among the new: row k is ``origin[k]``, or the point at ``fraction[k]``
    between ``origin[k]`` and its successor where ``fresh[k]``."""

    points: Breakpoints
    origin: Tensor
    fresh: Tensor
    fraction: Tensor

    def values(self, old: Tensor) -> Tensor:
        """Values (R, …) at the old rows carried to the new, by interpolation."""
        result = old.index_select(0, self.origin)
        low = self.origin[self.fresh]
        weight = self.fraction.to(old.dtype).reshape(-1, *[1] * (old.dim() - 1))
        first = old.index_select(0, low)
        result[self.fresh] = torch.lerp(first, old.index_select(0, low + 1), weight)
        return result


def split(points: Breakpoints, segment: Tensor, fraction: Tensor) -> Refinement:
    """New breakpoints at ``fraction`` ∈ (0, 1) of ``segment``, for equally long vectors."""
    count = len(points.t)
    old = torch.arange(count, device=segment.device)
    # Two stable sorts order by segment first and by position within it second.
    inner = torch.argsort(fraction, stable=True)
    segment, fraction = segment[inner], fraction[inner].double()
    origin, order = torch.sort(torch.cat([old, segment]), stable=True)
    fresh = order >= count
    fraction = fraction[order[fresh] - count]
    low = origin[fresh]
    t = points.t[origin]
    t[fresh] = torch.lerp(points.t[low], points.t[low + 1], fraction)
    return Refinement(
        Breakpoints(points.line[origin], t), origin, torch.nonzero(fresh)[:, 0], fraction
    )


def zero_crossings(points: Breakpoints, z: Tensor) -> tuple[Tensor, Tensor]:
    """(segment, fraction) of every sign change of the columns of ``z`` (R, n)."""
    positive = z > 0
    changed = positive[1:] != positive[:-1]
    changed &= points.inside[:, None]
    segment, column = torch.nonzero(changed, as_tuple=True)
    first, second = z[segment, column].double(), z[segment + 1, column].double()
    fraction = first / (first - second)
    real = (fraction > 0) & (fraction < 1)
    return segment[real], fraction[real]


def maximum_crossings(
    points: Breakpoints, values: Tensor, windows: Tensor
) -> tuple[Tensor, Tensor]:
    """(segment, fraction) where the leader of a window changes; call until none is left.

    ``values`` (R, n), ``windows`` (m, k) column numbers, −1 for none.  If another candidate
    leads at the end of a segment than at its start, their crossing is given; a third
    candidate above it is found in the next call.
    """
    gathered = gather_windows(values, windows)
    start, end = gathered[:-1], gathered[1:]
    slope = end - start
    top = start.amax(-1, keepdim=True)
    # The leader just after the start: of those level with the top, the steepest.
    leader = slope.masked_fill(start < top, -torch.inf).argmax(-1, keepdim=True)
    last = end.argmax(-1, keepdim=True)
    gain = (end.gather(-1, last) - end.gather(-1, leader)).squeeze(-1)
    lead = (start.gather(-1, leader) - start.gather(-1, last)).squeeze(-1)
    changed = (gain > 0) & (lead > 0) & points.inside[:, None]
    segment, window = torch.nonzero(changed, as_tuple=True)
    first, second = lead[segment, window].double(), gain[segment, window].double()
    fraction = first / (first + second)
    # A crossing within rounding of an end is the end itself.
    tiny = 64 * torch.finfo(values.dtype).eps
    real = (fraction > tiny) & (fraction < 1 - tiny)
    return segment[real], fraction[real]


def gather_windows(values: Tensor, windows: Tensor) -> Tensor:
    """(R, m, k) candidates of every window; a finite number below all others for none."""
    gathered = values[:, windows.clamp(min=0)]
    if bool((windows < 0).any()):
        gathered = gathered.masked_fill(windows < 0, -torch.finfo(values.dtype).max / 8)
    return gathered


@dataclass(frozen=True, eq=False)
class Intervals:
    """Where each candidate of a window of straight lines leads, (lines, m, k) float64.

    Candidate c leads its window on [low, high] (empty if low ≥ high), and is positive there
    on [on_low, on_high].
    """

    low: Tensor
    high: Tensor
    on_low: Tensor
    on_high: Tensor


def leading_intervals(start: Tensor, slope: Tensor, windows: Tensor) -> Intervals:
    """Closed form for values ``start + t·slope`` (lines, n): an upper envelope of lines is
    convex, so that each candidate leads on one interval."""
    first = gather_windows(start.double(), windows)
    rate = slope.double()[:, windows.clamp(min=0)]
    if bool((windows < 0).any()):
        rate = rate.masked_fill(windows < 0, 0.0)
    low, high = torch.zeros_like(first), torch.ones_like(first)
    size = windows.shape[1]
    for i in range(size):
        for j in range(size):
            if i == j:
                continue
            ahead, faster = first[..., i] - first[..., j], rate[..., i] - rate[..., j]
            meeting = -ahead / torch.where(faster == 0, 1.0, faster)
            low[..., i] = torch.where(faster > 0, low[..., i].maximum(meeting), low[..., i])
            high[..., i] = torch.where(faster < 0, high[..., i].minimum(meeting), high[..., i])
            # Parallel lines: the higher leads; of equal ones, the first.
            behind = (faster == 0) & ((ahead < 0) | ((ahead == 0) & (j < i)))
            high[..., i] = torch.where(behind, -1.0, high[..., i])
    if bool((windows < 0).any()):
        high = high.masked_fill(windows < 0, -1.0)
    crossing = -first / torch.where(rate == 0, 1.0, rate)
    on_low = torch.where(rate > 0, low.maximum(crossing), low)
    on_high = torch.where(rate < 0, high.minimum(crossing), high)
    on_high = torch.where((rate == 0) & (first <= 0), -1.0, on_high)
    return Intervals(low, high, on_low, on_high)
