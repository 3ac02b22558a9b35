"""What stands in for a hidden part of an input: draws from the data, or given its surroundings.

``Marginal``: the part as it is in another input of the data, drawn at random.
``PatchGaussian`` (Zintgraf, Cohen, Adel, Welling 2017, §3.1): a Gaussian of patches of l × l
pixels, fitted once on patches from all places; a hidden window of k × k pixels is drawn given
the rest of the patch around it,

    μ = μ_i + Σ_io Σ_oo⁺ (p_o − μ_o),   Σ = Σ_ii − Σ_io Σ_oo⁺ Σ_oi

with i the hidden and o the other pixels of the patch, and ⁺ the pseudo-inverse.  At the border
the patch is moved inwards, so the window need not be in its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
PATCHES = 20_000
CUTOFF = 1e-10
"""Eigenvalues of a covariance below this share of the largest count as 0."""


class Sampler(Protocol):
    """How a hidden part is drawn."""

    def draw(
        self, row: Array, part: Ints, count: int | None, generator: np.random.Generator
    ) -> Array:
        """Values (S, len(part)) for the ``part`` of ``row`` (n,)."""


@dataclass(frozen=True, eq=False)
class Marginal:
    """``data`` (N, n): values at the same places, of other inputs; all where ``count`` is None."""

    data: NDArray[np.floating]

    def draw(
        self, row: Array, part: Ints, count: int | None, generator: np.random.Generator
    ) -> Array:
        if row.size != self.data.shape[1]:
            raise DataError("data", expected=f"{row.size} values", got=str(self.data.shape[1]))
        if count is None:
            return np.asarray(self.data[:, part], dtype=np.float64)
        rows = generator.integers(len(self.data), size=count)
        return np.asarray(self.data[np.ix_(rows, part)], dtype=np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchGaussian:
    """A Gaussian of patches (C, l, l) of pictures of ``shape`` (C, H, W), values cut to
    ``natural``."""

    shape: tuple[int, int, int]
    side: int
    mean: Array
    covariance: Array
    natural: tuple[float, float]
    _known: dict[bytes, tuple[Array, Array]] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(
        cls,
        pictures: NDArray[np.floating],
        side: int,
        *,
        natural: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
    ) -> PatchGaussian:
        """From pictures (N, C, H, W), by patches from random places."""
        if pictures.ndim != 4 or not len(pictures):
            raise DataError("pictures", expected="(N, C, H, W)", got=str(pictures.shape))
        channels, height, width = pictures.shape[1:]
        if not 2 <= side <= min(height, width):
            raise QueryError(
                "side of a patch", expected=f"2 to {min(height, width)}", got=str(side)
            )
        generator = np.random.default_rng(seed)
        numbers = generator.integers(len(pictures), size=PATCHES)
        downs = generator.integers(height - side + 1, size=PATCHES)
        acrosses = generator.integers(width - side + 1, size=PATCHES)
        windows = np.lib.stride_tricks.sliding_window_view(pictures, (side, side), axis=(2, 3))
        patches = windows[numbers, :, downs, acrosses].reshape(PATCHES, -1).astype(np.float64)
        return cls(
            shape=(channels, height, width),
            side=side,
            mean=patches.mean(0),
            covariance=np.atleast_2d(np.cov(patches.T)),
            natural=natural,
        )

    def draw(
        self, row: Array, part: Ints, count: int | None, generator: np.random.Generator
    ) -> Array:
        if count is None:
            raise QueryError("samples", expected="a number, of a Gaussian", got="all")
        patch, hidden = self._around(part)
        gain, root = self.given(hidden)
        outside = np.setdiff1d(np.arange(len(patch)), hidden)
        middle = self.mean[hidden] + gain @ (row[patch[outside]] - self.mean[outside])
        noise = generator.normal(size=(count, len(hidden))) @ root.T
        return np.clip(middle + noise, *self.natural)

    def given(self, hidden: Ints) -> tuple[Array, Array]:
        """Σ_io Σ_oo⁺, and a square root of Σ, for ``hidden`` places of a patch."""
        key = hidden.tobytes()
        if key not in self._known:
            outside = np.setdiff1d(np.arange(len(self.mean)), hidden)
            across = self.covariance[np.ix_(hidden, outside)]
            other = self.covariance[np.ix_(outside, outside)]
            gain = across @ np.linalg.pinv(other, rcond=CUTOFF, hermitian=True)
            left = self.covariance[np.ix_(hidden, hidden)] - gain @ across.T
            values, vectors = np.linalg.eigh((left + left.T) / 2)
            self._known[key] = gain, vectors * np.sqrt(np.clip(values, 0, None))
        return self._known[key]

    def _around(self, part: Ints) -> tuple[Ints, Ints]:
        """The patch around a window, as places in a flat picture, and the window in the patch."""
        channels, height, width = self.shape
        place, down, across = np.unravel_index(part, self.shape)
        if np.ptp(down) >= self.side or np.ptp(across) >= self.side:
            raise QueryError(
                "window", expected=f"one smaller than a patch, {self.side}", got="a larger one"
            )
        top = _start(down, self.side, height)
        left = _start(across, self.side, width)
        grid = np.arange(channels * height * width).reshape(self.shape)
        patch = grid[:, top : top + self.side, left : left + self.side].reshape(-1)
        inside = (channels, self.side, self.side)
        hidden = np.ravel_multi_index((place, down - top, across - left), inside)
        if len(hidden) == len(patch):
            raise QueryError("window", expected="one smaller than a patch", got="a whole patch")
        return patch, np.asarray(hidden, dtype=np.int64)


def _start(places: Ints, side: int, length: int) -> int:
    middle = (int(places.min()) + int(places.max()) + 1 - side) // 2
    return min(max(middle, 0), length - side)


def windows_of(shape: Sequence[int], size: int) -> tuple[Ints, ...]:
    """Every window of ``size`` × ``size`` pixels, all channels, of pictures (H, W) or (C, H, W)."""
    if len(shape) not in (2, 3):
        raise DataError("picture", expected="(H, W) or (C, H, W)", got=str(tuple(shape)))
    height, width = shape[-2:]
    if not 1 <= size <= min(height, width):
        raise QueryError("window", expected=f"1 to {min(height, width)} pixels", got=str(size))
    grid = np.arange(int(np.prod(shape))).reshape(-1, height, width)
    return tuple(
        grid[:, top : top + size, left : left + size].reshape(-1)
        for top in range(height - size + 1)
        for left in range(width - size + 1)
    )
