"""Pieces of a box, bounded inside a polytope: one step of a bisection, for few inputs.

Every piece is shrunk to the half-spaces before it is bounded, and a linear bound that fails
over the piece is lowered onto them (``polytope``).  So pieces that the region only touches cost
little, and nothing is cut merely to find out where the region ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from precond.network.operators import Operators
from precond.proof.bounds.polytope import lifted, rounding, shrunk
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.bounds.subdomains import Batch
from precond.proof.gate import excludes
from precond.proof.limits import Limits
from precond.proof.rows import Rows

NARROWEST = 1e-9  # of the region's box: a piece that is not cut further
MOST_WORK = 1 << 22  # numbers in the largest array of a step


@dataclass(frozen=True, eq=False)
class Pieces(Batch):
    """Parts (G, n) of a box that cover it, a box around what the region leaves of each, the
    ``share`` (G,) of the whole that each is, and layer bounds that hold there."""

    lower: Tensor
    upper: Tensor
    inner_lower: Tensor
    inner_upper: Tensor
    share: Tensor
    known: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def whole(cls, lower: Tensor, upper: Tensor) -> Pieces:
        """Parts of which nothing is known."""
        return cls(
            lower, upper, lower, inner_upper=upper, share=torch.ones_like(lower[:, 0]), known={}
        )


@dataclass(frozen=True, eq=False)
class Stepped:
    """What a step made of pieces: ``closed`` (G,); of the rest, ``rest`` as they are now,
    linear ``form`` (K, n) that says where to cut each, and ``points`` (k, n) to try."""

    closed: Tensor
    rest: Pieces
    form: Tensor
    points: Tensor


def step(
    ops: Operators,
    pieces: Pieces,
    rows: Rows,
    limits: Limits,
) -> Stepped:
    """Bound every conjunct in every piece."""
    half = limits.half
    assert half is not None
    low, high, empty = shrunk(pieces.inner_lower, pieces.inner_upper, *half)
    index = (~empty).nonzero().squeeze(1)
    closed = empty.clone()
    pieces, low, high = pieces.rows(index), low[index], high[index]
    if not len(index):
        return Stepped(closed, pieces, low, points=low)
    refined = refine(ops, low, high, limits=Limits(limits.layers), known=pieces.known)
    bound = row_bounds(refined.region, rows)
    done = refined.empty | _decided(bound.value, rows)
    left = (~done).nonzero().squeeze(1)
    form, value = bound.form[left], bound.value[left]
    low_left, high_left = low[left], high[left]
    if len(left):
        error = rounding(form, bound.constant[left], low_left, upper=high_left, value=value)
        better, bent = lifted(form, bound.constant[left] - error, low_left, high_left, *half)
        better = torch.maximum(better, value)
        now = _decided(better, rows)
        done[left[now]] = True
        kept = (~now).nonzero().squeeze(1)
        left, form, bent, better = left[kept], form[kept], bent[kept], better[kept]
    closed[index[done]] = True
    low, high = low[left], high[left]
    if not len(left):
        return Stepped(closed, pieces.rows(left), form[:, 0], points=low)
    best = rows.best(better)
    worst = torch.where(best > 0, torch.inf, best).argmin(1)
    row = rows.best_row(better, worst)
    each = torch.arange(len(left), device=row.device)
    chosen = form[each, row]
    corners = [torch.where(line > 0, low, high) for line in (chosen, bent[each, row])]
    rest = Pieces(
        pieces.lower[left],
        pieces.upper[left],
        low,
        inner_upper=high,
        share=pieces.share[left],
        known={name: (a[left], b[left]) for name, (a, b) in refined.bounds.items()},
    )
    return Stepped(closed, rest, chosen, points=torch.cat([(low + high) / 2, *corners]))


def halves(pieces: Pieces, form: Tensor, width: Tensor) -> Pieces | None:
    """Each piece cut in two where it matters most to ``form`` (G, n); None if one is too narrow
    for the region's ``width`` (n,)."""
    low, high = pieces.inner_lower, pieces.inner_upper
    weight = form.abs() + 0.02 * form.abs().amax(1, keepdim=True) + 1e-300
    axis = (weight * (high - low)).argmax(1)
    first = torch.arange(len(axis), device=axis.device)
    second = first + len(first)
    if bool(((high - low)[first, axis] <= NARROWEST * width[axis]).any()):
        return None
    middle = (low[first, axis] + high[first, axis]) / 2
    both = pieces.rows(first.repeat(2))
    both = replace(both, share=both.share / 2)
    for upper in (both.upper, both.inner_upper):
        upper[first, axis] = middle
    for lower in (both.lower, both.inner_lower):
        lower[second, axis] = middle
    return both


def batch_for(rows: Rows, halfspaces: int, inputs: int) -> int:
    """Pieces to bound at once."""
    each = max(1, len(rows.owner) * max(1, halfspaces) * inputs * inputs)
    return min(512, max(16, MOST_WORK // each))


def _decided(value: Tensor, rows: Rows) -> Tensor:
    """Pieces (G,) in which every conjunct is excluded by a row's bound (G, R)."""
    return rows.any(excludes(value, rows.strict)).all(1)
