"""``DataBalls``: boxes around data whose sides are shares of each input value's range.

An input value of a picture ranges over its natural range; a column of a table over what the
training inputs show, so that columns of metres and of millimetres are moved alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.data.dataset import Dataset
from precond.region.box import Box

Array = NDArray[np.float64]
LADDER = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
"""Radii, ascending."""


@dataclass(frozen=True, eq=False)
class DataBalls:
    """Around ``points`` (N, n), cut to ``within``; ``scale`` (n,) is what radius 1 means."""

    points: NDArray[np.floating]
    within: Box
    scale: Array

    @classmethod
    def of(cls, data: Dataset, within: Box) -> DataBalls:
        """Around every row of a data set."""
        flat = data.flat
        if data.image_shape is not None:
            return cls(flat, within, np.full(flat.shape[1], data.natural[1] - data.natural[0]))
        rows = flat[data.train]
        return cls(flat, within, np.asarray(np.ptp(rows, axis=0), dtype=np.float64))

    def around(self, row: int, radius: float) -> Box:
        """The ball around one row, which lies in ``within``."""
        centre = np.asarray(self.points[row], dtype=np.float64)
        step = radius * self.scale
        return Box(centre - step, centre + step).intersect(self.within)
