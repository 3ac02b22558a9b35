"""BARS: pictures of bars whose colour goes with the class in the data (Goyal et al. 2019, §4.1).

The class is the direction of the bars: 0 horizontal, 1 vertical.  The concept is their colour,
green or red.  A share a of class 0 is green, and a share b of class 1; only where a = b is the
colour of no use to a classifier.  A picture is made of what is drawn (places, lengths and
brightness of the bars, noise) and of its colour, so that do(green) is exact: the same picture with
the other colour.  The pictures of the paper are not published; size, number and noise are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
GREEN, RED = (0.1, 0.9, 0.1), (0.9, 0.1, 0.1)
SMALLEST = 12


@dataclass(frozen=True)
class BarStyle:
    """``size`` of a picture, ``bars`` in it, and the ``noise`` added to every value (σ)."""

    size: int = 20
    bars: int = 3
    noise: float = 0.1

    def __post_init__(self) -> None:
        if self.size < SMALLEST or self.bars < 1 or not self.noise >= 0:
            raise QueryError(
                "pictures of bars",
                expected=f"size {SMALLEST} or more, one bar or more, noise of 0 or more",
                got=f"{self.size}, {self.bars}, {self.noise:g}",
            )


@dataclass(frozen=True, eq=False)
class Bars:
    """``marks`` (N, S, S): brightness; ``noise`` (N, 3, S, S); ``labels`` and ``green`` (N,)."""

    marks: Floats
    noise: Floats
    labels: NDArray[np.int64]
    green: Bools

    @property
    def pictures(self) -> Floats:
        """(N, 3, S, S) in [0, 1]."""
        return self._painted(self.green)

    def do(self, green: bool) -> Floats:
        """The same pictures, all green or all red."""
        return self._painted(np.full(len(self.labels), green))

    def _painted(self, green: Bools) -> Floats:
        colour = np.where(green[:, None], GREEN, RED).astype(np.float32)
        painted = self.marks[:, None] * colour[:, :, None, None] + self.noise
        return np.asarray(np.clip(painted, 0, 1), dtype=np.float32)


def render_bars(
    count: int, shares: tuple[float, float], *, style: BarStyle | None = None, seed: int = 0
) -> Bars:
    """``count`` pictures, half of each class; ``shares``: a and b, of green in class 0 and 1."""
    style = style or BarStyle()
    if count < 2 or not all(0 <= share <= 1 for share in shares):
        raise QueryError(
            "pictures of bars",
            expected="2 or more, and shares of green between 0 and 1",
            got=f"{count}, {shares[0]:g} and {shares[1]:g}",
        )
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 2)
    green = generator.random(count) < np.array(shares)[labels]
    marks = np.stack([_drawn(style, bool(label), generator) for label in labels])
    noise = generator.normal(0, style.noise, (count, 3, style.size, style.size))
    return Bars(marks, noise.astype(np.float32), labels=labels, green=green)


def _drawn(style: BarStyle, vertical: bool, generator: np.random.Generator) -> Floats:
    """Bars one pixel wide, a quarter to a half of the picture long."""
    picture = np.zeros((style.size, style.size), dtype=np.float32)
    for _ in range(style.bars):
        length = int(generator.integers(style.size // 4, style.size // 2 + 1))
        line = int(generator.integers(style.size))
        first = int(generator.integers(style.size - length + 1))
        picture[line, first : first + length] = generator.uniform(0.6, 1.0)
    return picture.T if vertical else picture
