"""Cells of a secant doubled, row by row, until that changes the mean gradients little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from attribution.attribution import Array

AUTO_FIRST, AUTO_LAST = 8, 1024


@dataclass(frozen=True, eq=False)
class Means:
    """Mean gradients (Q, rows, *shape), changes q(x) − q(x') (Q, rows)."""

    mean: Array
    change: Array
    evaluated: int
    rule: str
    notes: tuple[str, ...] = ()


def doubled(secants: Callable[..., Means], rows: int, tolerance: float) -> Means:
    """Cells doubled row by row until that changes little."""
    cells = AUTO_FIRST
    whole = secants(cells)
    mean, evaluated = whole.mean, whole.evaluated
    late, used = np.arange(rows), np.full(rows, cells)
    while len(late) and cells < AUTO_LAST:
        cells *= 2
        again = secants(cells, torch.as_tensor(late))
        evaluated += again.evaluated
        change = np.abs(again.mean - mean[late]).reshape(len(late), -1).sum(1)
        size = np.abs(again.mean).reshape(len(late), -1).sum(1)
        mean[late], used[late] = again.mean, cells
        late = late[change > tolerance * size]
    notes: tuple[str, ...] = ()
    if len(late):
        notes = (f"{len(late)} rows above the tolerance {tolerance:g} at {AUTO_LAST} steps",)
    text = f"{used.min()} to {used.max()}" if used.min() < used.max() else str(used.max())
    return Means(mean, whole.change, evaluated, rule=f"secant, {text} steps", notes=notes)
