"""Boxes and linear bounds over a polytope ``rows x ≤ limits``, cheaply and with rounding counted.

``shrunk`` draws boxes in to the half-spaces: with every other input at its best,
``r_i x_i ≤ limit − Σ_{j≠i} min r_j x_j``.  ``lifted`` lowers a linear bound that fails over a
box onto the half-spaces.  The linear program it stands for has few columns, and a few
coordinate steps on its dual come near enough for boxes that are bisected further.
"""

from __future__ import annotations

import torch
from torch import Tensor

from precond.proof.bounds.rounding import TINY
from precond.proof.gate import crossed

LEAST = 1e-290  # an entry below it draws no side in: what it divides by may have underflowed
SLACK = 1e-13  # of all terms added: far more than sums of up to a few dozen of them round by


def shrunk(
    lower: Tensor, upper: Tensor, rows: Tensor, limits: Tensor, *, sweeps: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (G, n) around what ``rows x ≤ limits``, (k, n) and (k,), leaves of boxes, and which
    are empty (G,)."""
    empty = torch.zeros(len(lower), dtype=torch.bool, device=lower.device)
    if not len(limits):
        return lower, upper, empty
    positive, negative = rows.clamp(min=0), rows.clamp(max=0)
    size = rows.abs().clamp(min=LEAST)
    for _ in range(sweeps):
        largest = torch.maximum(lower.abs(), upper.abs())
        slack = SLACK * (limits.abs() + largest @ size.T) + 1e-290
        room = limits + slack - lower @ positive.T - upper @ negative.T
        empty |= crossed(-room, torch.zeros_like(room)).any(1)
        reach = (room.clamp(min=0).unsqueeze(-1) / size).nan_to_num(nan=torch.inf)
        up = torch.where(rows > LEAST, reach, torch.inf).amin(1)
        down = torch.where(rows < -LEAST, reach, torch.inf).amin(1)
        up, down = (step * (1 + SLACK) + SLACK * largest for step in (up, down))
        lower, upper = torch.maximum(lower, upper - down), torch.minimum(upper, lower + up)
        upper = torch.maximum(lower, upper)
    return lower, upper, empty


def rounding(form: Tensor, constant: Tensor, lower: Tensor, upper: Tensor, value: Tensor) -> Tensor:
    """At least what a rigorous ``value`` (G, R) of a form over boxes leaves for rounding."""
    low, high = lower[:, None, :], upper[:, None, :]
    least = (form.clamp(min=0) * low + form.clamp(max=0) * high).sum(-1) + constant
    mass = (form.abs() * torch.maximum(low.abs(), high.abs())).sum(-1) + constant.abs()
    return (least - value).clamp(min=0) * (1 + 1e-9) + SLACK * mass


def lifted(
    form: Tensor,
    constant: Tensor,
    lower: Tensor,
    upper: Tensor,
    rows: Tensor,
    limits: Tensor,
    *,
    rounds: int = 3,
) -> tuple[Tensor, Tensor]:
    """Lower bounds (G, R) of ``form · x + constant``, (G, R, n) and (G, R), over boxes (G, n) cut
    by ``rows x ≤ limits``, and the forms (G, R, n) that have them over the boxes alone.

    ``form + β r`` with ``−β limit`` bounds from below for any β ≥ 0.  As a function of one β
    that is concave and bends where an entry changes sign, so the best β of each row is one of
    n numbers.  The best row of all is taken, ``rounds`` times.
    """
    low, high = lower[:, None, :], upper[:, None, :]
    largest = torch.maximum(low.abs(), high.abs())
    value = (form.clamp(min=0) * low + form.clamp(max=0) * high).sum(-1) + constant
    mass = (form.abs() * largest).sum(-1) + constant.abs()
    if not len(limits):
        return value - SLACK * mass - TINY, form
    reach = (largest * rows.abs()).sum(-1) + limits.abs()  # (G, k)
    for _ in range(rounds):
        ahead = form[:, :, None, :]
        bend = (-ahead / torch.where(rows == 0, torch.nan, rows)).nan_to_num(nan=0.0, posinf=0.0)
        bend = bend.clamp(min=0)  # (G, R, k, n)
        line = ahead.unsqueeze(-2) + bend[..., None] * rows[:, None, :]
        below, above = (side[:, :, None, None] for side in (low, high))
        ends = line.clamp(min=0) * below + line.clamp(max=0) * above
        gain = ends.sum(-1) + constant[:, :, None, None] - bend * limits[:, None]
        best, which = gain.flatten(2).max(-1)
        better = best > value
        if not bool(better.any()):
            break
        row = which // form.shape[-1]
        beta = bend.flatten(2).gather(2, which.unsqueeze(-1)).squeeze(-1) * better
        form = form + beta.unsqueeze(-1) * rows[row]
        constant = constant - beta * limits[row]
        mass = mass + beta * reach.gather(1, row)
        value = torch.where(better, best, value)
    return value - SLACK * mass - TINY, form
