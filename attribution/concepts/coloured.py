"""Coloured digits: real digits whose colour goes with the class (Kim, Kim, Kim, Kim, Kim 2019,
§4.1; used by Goyal et al. 2019, §4.2).

Class k has a mean colour μ_k.  A digit of class k is painted with a colour drawn from
N(μ_k, σ² I), cut to [0, 1]; its grey values are multiplied by it.  The smaller σ, the more the
colour tells of the class.  do(colour) paints the same digits with given colours, which is exact.

Concept k is "the colour of class k": that μ_k is nearest to the digit's colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError

Floats = NDArray[np.float32]
Array = NDArray[np.float64]

MEANS: Array = (
    np.array(
        [
            (220, 20, 60),
            (0, 128, 128),
            (253, 233, 16),
            (0, 149, 182),
            (237, 145, 33),
            (145, 30, 188),
            (70, 240, 240),
            (250, 197, 187),
            (210, 245, 60),
            (128, 0, 0),
        ]
    )
    / 255.0
)
"""Mean colours of ten classes."""


@dataclass(frozen=True, eq=False)
class ColouredDigits:
    """``grey`` (N, H, W) in [0, 1], ``labels`` (N,), ``colours`` (N, 3)."""

    grey: Floats
    labels: NDArray[np.int64]
    colours: Array

    @property
    def means(self) -> Array:
        """μ, (10, 3)."""
        return MEANS

    @property
    def pictures(self) -> Floats:
        """(N, 3, H, W)."""
        return painted(self.grey, self.colours)

    @property
    def concepts(self) -> NDArray[np.int64]:
        """(N,): the class whose mean colour is nearest."""
        distance = ((self.colours[:, None] - MEANS[None]) ** 2).sum(2)
        return np.asarray(distance.argmin(1))

    def do(self, colours: Array) -> Floats:
        """The same digits in other colours, (3,) or (N, 3)."""
        return painted(self.grey, np.broadcast_to(colours, self.colours.shape))


def painted(grey: Floats, colours: Array) -> Floats:
    """Grey values times colour, (N, 3, H, W)."""
    return np.asarray(grey[:, None] * colours[:, :, None, None], dtype=np.float32)


def colour_digits(
    grey: Floats, labels: NDArray[np.int64], sigma: float, *, seed: int = 0
) -> ColouredDigits:
    """Digits (N, H, W) in [0, 1] with their class's colours, of standard deviation ``sigma``."""
    if grey.ndim != 3 or labels.shape != grey.shape[:1]:
        raise DataError(
            "digits", expected="(N, H, W) and N labels", got=f"{grey.shape} and {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < len(MEANS):
        got = f"{labels.min()} to {labels.max()}"
        raise DataError("labels of digits", expected=f"0 to {len(MEANS) - 1}", got=got)
    if not 0 <= sigma < np.inf:
        raise QueryError("sigma of colours", expected="0 or more, finite", got=f"{sigma:g}")
    generator = np.random.default_rng(seed)
    colours = MEANS[labels] + generator.normal(0, sigma, (len(labels), 3))
    return ColouredDigits(grey, labels, colours=np.clip(colours, 0, 1))
