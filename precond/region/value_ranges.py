"""``ValueRanges``: what each value of a data set ranges over, and balls in these terms.

    ball(x, r) = {x' : |x'_i − x_i| ≤ r s_i, low_i ≤ x'_i ≤ high_i}

where s_i is 1, or the range of value i if the radius is a share.  Pixels have one range; a column
of a table has what its rows show, and one that never changes stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.basics.arguments import numbers
from precond.data.dataset import Dataset
from precond.region.box import Box
from precond.region.radius import Radius

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
ROWS = 65536  # at once in memory


@dataclass(frozen=True, eq=False)
class ValueRanges:
    """``box``: what balls are cut to; ``spread`` (n,): what a share of 1 means; ``columns``: of a
    table, where each value has a range of its own."""

    box: Box
    spread: Array
    columns: bool = False

    @classmethod
    def of(cls, data: Dataset) -> ValueRanges:
        """Pictures: the natural range of a pixel.  Tables: what each column shows, in all rows
        for ``box``, and in training rows for ``spread``."""
        flat = data.flat
        if data.image_shape is not None:
            return cls.uniform(flat.shape[1], data.natural)
        low, high = _ends(flat, data.train)
        return cls(Box(*_ends(flat)), np.asarray(high - low), columns=True)

    @classmethod
    def uniform(cls, size: int, natural: tuple[float, float]) -> ValueRanges:
        """The same range for each of ``size`` values."""
        box = Box.uniform(size, *natural)
        return cls(box, box.width)

    def plain(self, radius: Radius) -> Radius:
        """The same radius as people say it: of pictures in the units of the pixels."""
        if not radius.of_range or self.columns or not self.spread[0]:
            return radius
        return Radius(float(f"{radius.size * self.spread[0]:.6g}"))

    def steps(self, radius: Radius) -> Array:
        """How far each value may move, (n,)."""
        if radius.of_range:
            return np.asarray(radius.size * self.spread)
        return np.full(len(self.spread), radius.size)

    def ball(self, centre: ArrayLike, radius: Radius, *, within: Box | None = None) -> Box:
        """The ball around ``centre``, cut to ``within``, by default to ``box``."""
        flat = numbers("centre of a ball", centre).reshape(-1)
        steps = self.steps(radius)
        return Box(flat - steps, flat + steps).intersect(self.box if within is None else within)

    def balls(self, points: Array, radius: Radius) -> tuple[Array, Array]:
        """The ends (N, n) of the balls around ``points`` (N, n), cut to ``box``."""
        steps = self.steps(radius)
        lower = np.maximum(points - steps, self.box.lower)
        return lower, np.minimum(points + steps, self.box.upper)

    def holding(self, points: NDArray[np.floating]) -> ValueRanges:
        """The same, its box widened so that ``points`` (N, n) lie inside."""
        if not len(points):
            return self
        low, high = _ends(points)
        return replace(
            self, box=Box(np.minimum(self.box.lower, low), np.maximum(self.box.upper, high))
        )

    @property
    def over(self) -> str:
        """``box`` in words."""
        return self.cut if self.columns else f"{self.cut} for every input"

    @property
    def cut(self) -> str:
        """What balls are cut to, in words."""
        if not self.columns:
            return f"[{self.box.lower.min():g}, {self.box.upper.max():g}]"
        fixed = int((self.box.width == 0).sum())
        words = "each column's range in the data"
        if fixed:
            words += f", in which {fixed} of {self.box.size} never change"
        return words


def ranges_of(natural: ValueRanges | tuple[float, float], size: int) -> ValueRanges:
    """Ranges of each of ``size`` values, or the one range of all of them."""
    return natural if isinstance(natural, ValueRanges) else ValueRanges.uniform(size, natural)


def _ends(flat: NDArray[np.floating], rows: Rows | None = None) -> tuple[Array, Array]:
    """The smallest and the largest of each value over some rows, or all; few rows in memory."""
    count = len(flat) if rows is None else len(rows)
    low, high = np.full(flat.shape[1], np.inf), np.full(flat.shape[1], -np.inf)
    for start in range(0, count, ROWS):
        some = slice(start, start + ROWS)
        part = flat[some] if rows is None else flat[rows[some]]
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    return low, high
