"""Lines below and above a max-pool.

An input that is never below the others is the maximum.  Where none is, below the maximum lies
every mean of the inputs.
Weight goes to those whose middle is near the highest one; a mean of inputs that are alike varies
less than each of them.  Above, let x be the input with the largest upper bound u, l its lower
bound, and m the largest upper bound of the others.  Then the maximum is at most ``max(x, m)``,
which is convex in x, and so at most its chord over [l, u]: ``m + (u − m) / (u − l) (x − l)``
for l < m < u.  It is nowhere above the constant u.

The chord is sound: ``max(x, m) − λ x`` is convex for every slope λ, so at most the larger of its
values at l and u, and the shift of the line is at least both.

Source: Singh et al. 2019 (DeepPoly), for the line below of one input and the constant above.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float, Int
from precond.proof.bounds.rounding import TINY, UNIT

GRAINS = 64  # of a mean's weights, which sum to 1 exactly
NEAR = 0.3  # of the largest half width of a window: middles nearer than that have a weight


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolLines:
    """Lines of one max-pool layer with m windows of k inputs, each (G, 1, m).

    ``exact``: one input dominates its window.  Σ ``below`` (G, 1, m, k) · inputs lies below the
    maximum, and ``slope`` · input ``peak`` (a flat index) + ``shift`` above.  ``size``: the
    window's largest |bound|.  ``members`` (m · k,): flat indices of the windows' inputs.
    """

    exact: Bool[Tensor, "_ 1 windows"]
    below: Float[Tensor, "_ 1 windows places"]
    peak: Int[Tensor, "_ 1 windows"]
    slope: Float[Tensor, "_ 1 windows"]
    shift: Float[Tensor, "_ 1 windows"]
    size: Float[Tensor, "_ 1 windows"]
    members: Int[Tensor, " members"]

    def take(self, rows: Tensor | slice) -> PoolLines:
        if self.exact.shape[0] == 1:
            return self
        own = {item.name: getattr(self, item.name)[rows] for item in fields(self)[:-1]}
        return PoolLines(**own, members=self.members)


@dataclass(frozen=True, eq=False, kw_only=True)
class Contest:
    """Who can win each window of a max-pool: ``lows``, ``highs`` (G, m, k) of its members (−∞ in
    padding), ``source`` (m, k) their flat indices; ``peak`` (G, m, 1) the member with the largest
    upper bound, [``low``, ``high``] (G, m) its bounds, and ``second`` the largest upper bound of
    the others.  ``exact`` (G, m): the peak is the maximum.  Any other member that is so everywhere
    has the same upper bound."""

    lows: Float[Tensor, "subdomains windows places"]
    highs: Float[Tensor, "subdomains windows places"]
    source: Int[Tensor, "windows places"]
    peak: Int[Tensor, "subdomains windows 1"]
    low: Float[Tensor, "subdomains windows"]
    high: Float[Tensor, "subdomains windows"]
    second: Float[Tensor, "subdomains windows"]

    @property
    def exact(self) -> Tensor:
        return (self.low >= self.second) & torch.isfinite(self.low)


def contest(windows: Tensor, lower: Tensor, upper: Tensor) -> Contest:
    """Of bounds (G, …) of what the pool reads; ``windows`` (m, k), −1 is padding."""
    inside, source = windows >= 0, windows.clamp(min=0)
    lows = lower.flatten(1)[:, source].masked_fill(~inside, -torch.inf)
    highs = upper.flatten(1)[:, source].masked_fill(~inside, -torch.inf)
    high, peak = highs.max(-1, keepdim=True)
    return Contest(
        lows=lows,
        highs=highs,
        source=source,
        peak=peak,
        low=lows.gather(-1, peak).squeeze(-1),
        high=high.squeeze(-1),
        second=highs.scatter(-1, peak, -torch.inf).amax(-1),
    )


def contenders(windows: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Which entries (G, n) of what a max-pool reads may be a window's maximum, and which of them
    in a window whose maximum is open."""
    found = contest(windows, lower, upper)
    may = (found.highs >= found.lows.amax(-1, keepdim=True)) & (windows >= 0)
    flat = found.source.flatten().expand(len(lower), -1)

    def spread(flags: Tensor) -> Tensor:
        counts = torch.zeros_like(lower.flatten(1)).scatter_add_(
            1, flat, flags.flatten(1).to(lower.dtype)
        )
        return counts > 0

    return spread(may), spread(may & ~found.exact.unsqueeze(-1))


def pool_lines(windows: Tensor, lower: Tensor, upper: Tensor) -> PoolLines:
    """Lines of a max-pool over its input's bounds (G, …); ``windows`` (m, k), −1 is padding."""
    found = contest(windows, lower, upper)
    exact, low, high, second = found.exact, found.low, found.high, found.second
    sizes = torch.maximum(lower.abs(), upper.abs()).flatten(1)[:, found.source]
    size = sizes.masked_fill(windows < 0, 0.0).amax(-1)
    chord = (low < second) & (second < high) & torch.isfinite(high - low)
    slope = torch.where(chord, (high - second) / torch.where(chord, high - low, 1.0), 0.0)
    # The computed slope is taken as it is; the shift is raised until both ends are covered.
    ends = torch.maximum(second - slope * low, high - slope * high) + 6 * UNIT * size + TINY
    only = torch.zeros_like(found.lows).scatter(-1, found.peak, 1.0)
    peak = found.source.expand(found.lows.shape).gather(-1, found.peak).squeeze(-1)
    parts = {
        "exact": exact,
        "below": torch.where(exact.unsqueeze(-1), only, _mean(found)),
        "peak": peak,
        "slope": torch.where(exact, 1.0, slope),
        "shift": torch.where(exact, 0.0, torch.where(chord, ends, high)),
        "size": size,
    }
    return PoolLines(
        **{name: part.unsqueeze(1) for name, part in parts.items()},
        members=found.source.flatten(),
    )


def _mean(found: Contest) -> Tensor:
    """Weights (G, m, k) of a mean of each window's inputs, in whole ``GRAINS``; what rounding
    leaves goes to the highest middle."""
    inside = found.highs > -torch.inf
    middle = torch.where(inside, (found.lows + found.highs) / 2, -torch.inf)
    top, at = middle.max(-1, keepdim=True)
    reach = torch.where(inside, (found.highs - found.lows) / 2, 0.0).amax(-1, keepdim=True)
    weight = (NEAR * reach - (top - middle)).clamp(min=0)
    grains = (GRAINS * weight / weight.sum(-1, keepdim=True)).floor().clamp(0, GRAINS)
    grains = torch.where(torch.isfinite(grains), grains, 0.0)
    rest = GRAINS - grains.sum(-1, keepdim=True)
    return grains.scatter_add(-1, at, rest) / GRAINS
