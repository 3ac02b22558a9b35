"""``DataBalls``: boxes around data whose sides are multiples of a scale for each input value: of
its range (``ValueRanges``), or of 1 where a radius is asked for in the units of the values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.data.dataset import Dataset
from precond.region.box import Box
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

Array = NDArray[np.float64]
LADDER = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
"""Radii, ascending."""


@dataclass(frozen=True, eq=False)
class DataBalls:
    """Around ``points`` (N, n), cut to ``within``; ``scale`` (n,) is what radius 1 means;
    ``columns`` says that it differs from value to value, by their ranges."""

    points: NDArray[np.floating]
    within: Box
    scale: Array
    columns: bool = False

    @classmethod
    def of(cls, data: Dataset, within: Box, *, of_range: bool = True) -> DataBalls:
        """Around every row of a data set, by shares of each value's range or in its units."""
        if not of_range:
            return cls(data.flat, within, np.ones(data.flat.shape[1]))
        ranges = ValueRanges.of(data)
        return cls(data.flat, within, ranges.spread, columns=ranges.columns)

    def radius(self, size: float) -> Radius:
        """A multiple of the scale as people say it."""
        if self.columns or not self.scale[0]:
            return Radius(size, of_range=True)
        return Radius(float(f"{size * self.scale[0]:.6g}"))

    def around(self, row: int, radius: float) -> Box:
        """The ball around one row, which lies in ``within``."""
        centre = np.asarray(self.points[row], dtype=np.float64)
        step = self._steps(radius)
        return Box(centre - step, centre + step).intersect(self.within)

    def _steps(self, size: float) -> Array:
        """How far each value may move: by what is said of the radius, digits left out and all."""
        said = self.radius(size)
        return said.size * self.scale if said.of_range else np.full_like(self.scale, said.size)
