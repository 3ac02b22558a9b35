"""Bends at breakpoints: where they bend between them, their values, and which side is active.

A window is looked at only where its leader or its sign differs at the ends of a segment: the
largest of several lines is convex, so that the same leader at both ends leads between them,
and a maximum that is not positive at the ends is not positive between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from attribution.lines.maps import PoolWindows, lowered
from attribution.lines.segments import (
    Breakpoints,
    Refinement,
    differing,
    leading_intervals,
    zero_crossings,
)
from precond.basics.shapes import Bool, Float, Int

Splitter = Callable[[Int[Tensor, " fresh"], Float[Tensor, " fresh"]], Refinement | None]
"""(segment, fraction) → the refinement of all breakpoints; None where there is none."""


@dataclass(frozen=True, eq=False)
class Sides:
    """What is active on every segment: ``on`` (S, m) where there is a ReLU, ``leaders``
    (S, m), flat positions, where there is a max-pool."""

    on: Bool[Tensor, "segments units"] | None
    leaders: Int[Tensor, "segments units"] | None

    def changes(self, slope: float | None) -> Bool[Tensor, " rows"]:
        """(S + 1,): whether the sides before and after a row differ (ends: yes)."""
        some = self.on if self.on is not None else self.leaders
        assert some is not None
        result = torch.ones(len(some) + 1, dtype=torch.bool, device=some.device)
        if len(some) < 2:
            return result
        found = torch.zeros(len(some) - 1, dtype=torch.bool, device=some.device)
        if self.on is not None:
            row, _ = differing(self.on, torch.ones_like(found))
            found[row] = True
        if self.leaders is not None:
            moved = self.leaders[1:] != self.leaders[:-1]
            if slope == 0.0 and self.on is not None:
                moved &= self.on[1:]
            found |= moved.any(1)
        result[1:-1] = found
        return result


def relu(
    z: Float[Tensor, "rows units"], slope: float, points: Breakpoints, split: Splitter | None
) -> tuple[Float[Tensor, "more units"], Sides]:
    """A (leaky) ReLU of ``z`` (R, n), which may be overwritten; ``split`` None where its own
    breakpoints are among ``points`` already."""
    positive = z > 0
    segment, column = differing(positive, points.inside)
    if split is not None:
        fraction = zero_crossings(z[segment, column], z[segment + 1, column])
        real = (fraction > 0) & (fraction < 1)
        refined = split(segment[real], fraction[real])
        if refined is not None:
            between = refined.between(z)
            z = refined.merged(z, between)
            positive = refined.merged(positive, between > 0)
            segment, column = refined.parts(segment, column)
    on = positive[:-1].clone()
    # The side of a segment is that of its middle.
    on[segment, column] = z[segment, column] + z[segment + 1, column] > 0
    value = F.relu_(z) if slope == 0.0 else F.leaky_relu(z, slope)
    return value, Sides(on, leaders=None)


def pool(
    z: Float[Tensor, "rows units"],
    windows: PoolWindows,
    slope: float | None,
    points: Breakpoints,
    split: Splitter | None,
) -> tuple[Float[Tensor, "more windows"], Sides]:
    """Max-pool of ``z`` (R, n), then a (leaky) ReLU unless ``slope`` is None."""
    top, leader = windows.maximum(z)
    origin = torch.arange(len(z), device=z.device)
    weight = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    segment, window = _unclear(top, leader, slope, inside=points.inside)
    if split is not None:
        refined = split(*_crossings(z, windows, slope, segment=segment, window=window))
        if refined is not None:
            fresh_top, fresh_leader = windows.maximum(refined.between(z))
            top = refined.merged(top, fresh_top)
            leader = refined.merged(leader, fresh_leader)
            origin = refined.origin
            weight = torch.zeros(len(origin), dtype=torch.float64, device=z.device)
            weight[refined.fresh] = refined.fraction
            segment, window = refined.parts(segment, window)
    leaders = leader[:-1].clone()
    on = None if slope is None else top[:-1] > 0
    members = windows.members[window]
    ends = [
        _candidates(z, row=origin[row], weight=weight[row], members=members)
        for row in (segment, segment + 1)
    ]
    middle, best = ((ends[0] + ends[1]) / 2).max(-1)
    leaders[segment, window] = members.gather(1, best[:, None])[:, 0]
    if on is not None:
        on[segment, window] = middle > 0
    value = top if slope is None else F.leaky_relu(top, slope)
    return value, Sides(on, leaders)


def _unclear(
    top: Float[Tensor, "rows windows"],
    leader: Int[Tensor, "rows windows"],
    slope: float | None,
    inside: Bool[Tensor, " segments"],
) -> tuple[Int[Tensor, " some"], Int[Tensor, " some"]]:
    """(segment, window) whose ends have different leaders or signs."""
    changed = leader[1:] != leader[:-1]
    if slope is not None:
        positive = top > 0
        if slope == 0.0:
            changed &= positive[1:] | positive[:-1]
        changed |= positive[1:] != positive[:-1]
    changed &= inside[:, None]
    segment, window = torch.nonzero(changed, as_tuple=True)
    return segment, window


def _candidates(
    z: Float[Tensor, "rows units"],
    row: Int[Tensor, " some"],
    weight: Float[Tensor, " some"],
    members: Int[Tensor, "some members"],
) -> Float[Tensor, "some members"]:
    """(P, k) float64 values of ``members`` (P, k) at ``weight`` between rows ``row`` and the
    next."""
    columns = members.clamp(min=0)
    first = z[row[:, None], columns].double()
    after = z[(row + 1).clamp(max=len(z) - 1)[:, None], columns].double()
    return lowered(torch.lerp(first, after, weight[:, None]), members)


def _crossings(
    z: Float[Tensor, "rows units"],
    windows: PoolWindows,
    slope: float | None,
    segment: Int[Tensor, " some"],
    window: Int[Tensor, " some"],
) -> tuple[Int[Tensor, " bends"], Float[Tensor, " bends"]]:
    """(segment, fraction) of every bend in the given windows."""
    members = windows.members[window]
    none = torch.zeros(len(segment), dtype=torch.float64, device=z.device)
    first = _candidates(z, row=segment, weight=none, members=members)
    last = _candidates(z, row=segment + 1, weight=none, members=members)
    found = leading_intervals(first, last - first, members)
    segments, fractions = [], []
    # A crossing within rounding of an end is the end itself.
    tiny = 64 * torch.finfo(z.dtype).eps
    for mask, fraction in found.breakpoints(pool=True, slope=slope):
        mask = mask & (fraction > tiny) & (fraction < 1 - tiny)
        segments.append(segment[torch.nonzero(mask)[:, 0]])
        fractions.append(fraction[mask])
    return torch.cat(segments), torch.cat(fractions)
