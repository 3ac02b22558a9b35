"""Activation breakpoints along straight lines.

On x(t) = x' + t (x − x') every value of a piecewise-linear network is piecewise linear in t.
Between two neighbouring breakpoints found so far a pre-activation is linear, so that its
zero crossing is one division, and the largest of several is an upper envelope of lines.

Breakpoints of all lines lie in one flat list, sorted by line and position; a *segment* k
joins rows k and k+1 (those that join two lines have no length and are never split).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float, Int, Shaped


@dataclass(frozen=True, eq=False)
class Breakpoints:
    """``line`` (R,) numbers and ``t`` (R,) float64 positions."""

    line: Int[Tensor, " rows"]
    t: Float[Tensor, " rows"]

    def part(self, first: int, last: int) -> Breakpoints:
        """From ``first`` to ``last``, both among them."""
        rows = slice(first, last + 1)
        return Breakpoints(self.line[rows], self.t[rows])

    def halved(self, segment: int) -> Breakpoints | None:
        """With one more, in the middle of ``segment``; None if it has none."""
        low, high = self.t[segment], self.t[segment + 1]
        middle = (low + high) / 2
        if not self.inside[segment] or not low < middle < high:
            return None
        cut = segment + 1
        line = torch.cat([self.line[:cut], self.line[cut - 1 : cut], self.line[cut:]])
        return Breakpoints(line, torch.cat([self.t[:cut], middle[None], self.t[cut:]]))

    @property
    def inside(self) -> Bool[Tensor, " segments"]:
        """(R − 1,): whether segment k lies on one line."""
        return self.line[1:] == self.line[:-1]

    @property
    def lengths(self) -> Float[Tensor, " segments"]:
        """(R − 1,) float64, 0 between two lines."""
        return (self.t[1:] - self.t[:-1]) * self.inside


@dataclass(frozen=True, eq=False)
class Refinement:
    """Old rows' places among the new: row k is ``origin[k]``, or the point at ``fraction``
    between ``origin[k]`` and its successor where ``fresh`` (numbers of rows) says so."""

    points: Breakpoints
    origin: Int[Tensor, " rows"]
    fresh: Int[Tensor, " fresh"]
    fraction: Float[Tensor, " fresh"]

    def between(self, old: Float[Tensor, "old ..."]) -> Float[Tensor, "fresh ..."]:
        """Values (fresh rows, …) by interpolation."""
        low = self.origin[self.fresh]
        weight = self.fraction.to(old.dtype).reshape(-1, *[1] * (old.dim() - 1))
        return torch.lerp(old.index_select(0, low), old.index_select(0, low + 1), weight)

    def values(self, old: Float[Tensor, "old ..."]) -> Float[Tensor, "rows ..."]:
        """Values (R, …) at the old rows carried to the new."""
        return self.merged(old, self.between(old))

    def merged(
        self, old: Shaped[Tensor, "old ..."], between: Shaped[Tensor, "fresh ..."]
    ) -> Shaped[Tensor, "rows ..."]:
        """Old rows, and ``between`` for the fresh ones."""
        result = old.index_select(0, self.origin)
        result[self.fresh] = between
        return result

    def parts(
        self, segment: Int[Tensor, " some"], column: Int[Tensor, " some"]
    ) -> tuple[Int[Tensor, " parts"], Int[Tensor, " parts"]]:
        """(segment, column) of all new segments in old ones, for equally long vectors."""
        kept = self.kept()
        first, count = kept[segment], kept[segment + 1] - kept[segment]
        begin = torch.cumsum(count, 0) - count
        which = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
        number = torch.arange(len(which), device=count.device) - begin[which]
        return first[which] + number, column[which]

    def kept(self) -> Int[Tensor, " old"]:
        """New numbers of the old rows."""
        old = torch.ones_like(self.origin, dtype=torch.bool)
        old[self.fresh] = False
        return torch.nonzero(old)[:, 0]


def split(
    points: Breakpoints, segment: Int[Tensor, " fresh"], fraction: Float[Tensor, " fresh"]
) -> Refinement:
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
        Breakpoints(points.line[origin], t),
        origin=origin,
        fresh=torch.nonzero(fresh)[:, 0],
        fraction=fraction,
    )


def differing(
    sides: Bool[Tensor, "rows units"], inside: Bool[Tensor, " segments"]
) -> tuple[Int[Tensor, " some"], Int[Tensor, " some"]]:
    """(segment, column) where the bits (R, n) of a segment's ends differ."""
    if sides.shape[1] % 8 or not sides.is_contiguous():
        changed = (sides[1:] != sides[:-1]) & inside[:, None]
        found, column = torch.nonzero(changed, as_tuple=True)
        return found, column
    # Eight at a time: few differ.
    words = sides.view(torch.int64)
    changes = (words[1:] ^ words[:-1]) * inside[:, None]
    segment, word = torch.nonzero(changes, as_tuple=True)
    which, byte = torch.nonzero(
        changes[segment, word].contiguous().view(torch.uint8).reshape(-1, 8), as_tuple=True
    )
    return segment[which], 8 * word[which] + byte


def zero_crossings(
    first: Float[Tensor, " some"], second: Float[Tensor, " some"]
) -> Float[Tensor, " some"]:
    """Fraction of the way from ``first`` to ``second`` where zero is crossed."""
    first, second = first.double(), second.double()
    return first / (first - second)


@dataclass(frozen=True, eq=False, kw_only=True)
class Intervals:
    """Where each candidate of a window of straight lines leads, (lines, m, k) float64.

    Candidate c leads its window on [low, high] (empty if low ≥ high), and is positive there
    on [on_low, on_high].
    """

    first: Float[Tensor, "*windows members"]
    rate: Float[Tensor, "*windows members"]
    low: Float[Tensor, "*windows members"]
    high: Float[Tensor, "*windows members"]
    on_low: Float[Tensor, "*windows members"]
    on_high: Float[Tensor, "*windows members"]

    def breakpoints(
        self, pool: bool, slope: float | None
    ) -> list[tuple[Bool[Tensor, "*windows members"], Float[Tensor, "*windows members"]]]:
        """Masks and positions where the value bends after max-pool (if any) and then a ReLU
        of ``slope`` for negative values (None: without)."""
        leads = self.low < self.high
        result = []
        if pool and slope is None:
            result.append((leads, self.low))
        elif pool:
            above = self.first + self.rate * self.low > 0
            result.append((leads & (above | (slope != 0.0)), self.low))
        if slope is not None:
            low, high = self.on_low, self.on_high
            result.append((leads & (low > self.low) & (low < self.high), low))
            result.append((leads & (high < self.high) & (high > self.low), high))
        return result


def leading_intervals(
    first: Float[Tensor, "*windows members"],
    rate: Float[Tensor, "*windows members"],
    members: Int[Tensor, "... members"],
) -> Intervals:
    """Closed form for candidates ``first + t·rate`` (lines, m, k) float64, t from 0 to 1: an
    upper envelope of lines is convex, so that each candidate leads on one interval.

    ``members`` (…, k) is negative where there is no candidate.
    """
    low, high = torch.empty_like(first), torch.empty_like(first)
    number = torch.arange(first.shape[-1], device=first.device)
    zero, one = first.new_zeros(()), first.new_ones(())
    for i in range(first.shape[-1]):
        ahead, faster = first[..., i, None] - first, rate[..., i, None] - rate
        meeting = -ahead / faster
        low[..., i] = torch.where(faster > 0, meeting, zero).amax(-1)
        # Parallel lines: the higher leads; of equal ones, the first.
        behind = (faster == 0) & ((ahead < 0) | ((ahead == 0) & (number < i)))
        meeting = torch.where(faster < 0, meeting, one)
        high[..., i] = torch.where(behind, -one, meeting).amin(-1)
    if bool((members < 0).any()):
        high = high.masked_fill(members < 0, -1.0)
    crossing = -first / rate
    on_low = torch.where(rate > 0, low.maximum(crossing), low)
    on_high = torch.where(rate < 0, high.minimum(crossing), high)
    on_high = torch.where((rate == 0) & (first <= 0), -one, on_high)
    return Intervals(first=first, rate=rate, low=low, high=high, on_low=on_low, on_high=on_high)
