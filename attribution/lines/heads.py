"""Bends of straight values: their breakpoints in closed form, before anything else is known."""

from __future__ import annotations

import torch
from torch import Tensor

from attribution.lines.maps import PoolWindows, lowered
from attribution.lines.plan import Bend
from attribution.lines.segments import Breakpoints, leading_intervals
from precond.basics.shapes import Float, Int


def head_breakpoints(
    head: Bend,
    start: Float[Tensor, "lines units"],
    move: Float[Tensor, "lines units"],
    windows: PoolWindows | None,
) -> tuple[Int[Tensor, " bends"], Float[Tensor, " bends"]]:
    """(line, t) in the open lines ``start + t·move`` (lines, n) where the head's value bends."""
    if windows is None:
        first, rate = start.double(), move.double()
        t = -first / torch.where(rate == 0, 1.0, rate)
        found = [((rate != 0), t)]
    else:
        columns = windows.members.clamp(min=0)
        first = lowered(start.double()[:, columns], windows.members)
        rate = move.double()[:, columns].masked_fill(windows.members < 0, 0.0)
        found = leading_intervals(first, rate, windows.members).breakpoints(
            pool=True, slope=head.slope
        )
    lines, times = [], []
    for where, t in found:
        where = where & (t > 0) & (t < 1)
        lines.append(torch.nonzero(where)[:, 0])
        times.append(t[where])
    return torch.cat(lines), torch.cat(times)


def breakpoints_by_line(
    heads: list[tuple[Int[Tensor, " _"], Float[Tensor, " _"]]], lines: int, device: torch.device
) -> Breakpoints:
    """All lines' ends and the heads' breakpoints, by line and position."""
    every = torch.arange(lines, device=device)
    line = torch.cat([every, every, *(one[0] for one in heads)])
    ends = torch.zeros(2 * lines, dtype=torch.float64, device=device)
    ends[lines:] = 1.0
    t = torch.cat([ends, *(one[1] for one in heads)])
    order = torch.argsort(t, stable=True)
    order = order[torch.argsort(line[order], stable=True)]
    return Breakpoints(line[order], t[order])
