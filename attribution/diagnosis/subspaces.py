"""Subspaces of inputs as orthonormal bases (k, n): bands of the discrete cosine transform.

The orthonormal cosine transform of a picture has one coefficient for each pair of frequencies
(u, v).  A band is a square block of W × W coefficients on the diagonal, from (0, 0), the mean and
the slowest waves, to the fastest ones (Ortiz-Jimenez, Modas, Moosavi, Frossard 2020, §4).  The
bands of a colour picture span all its channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Subspace:
    """A name, and an orthonormal basis (k, n) of some directions of the n inputs."""

    name: str
    basis: Array

    def __post_init__(self) -> None:
        basis = self.basis
        if basis.ndim != 2 or not 0 < len(basis) <= basis.shape[1]:
            raise DataError(f"basis of {self.name}", expected="(k, n), k ≤ n", got=str(basis.shape))
        error = np.linalg.norm(basis @ basis.T - np.eye(len(basis)))
        if not error <= TOLERANCE:
            raise DataError(
                f"basis of {self.name}",
                expected=f"orthonormal rows, up to {TOLERANCE:g}",
                got=f"an error of {error:.2g}",
                fix="numpy.linalg.qr(basis.T)[0].T makes them so",
            )


def whole_space(size: int) -> Subspace:
    """All directions."""
    return Subspace("all directions", np.eye(size))


def cosine_bands(shape: Sequence[int], *, width: int, count: int) -> tuple[Subspace, ...]:
    """``count`` bands of ``width`` × ``width`` coefficients, evenly along the diagonal, slow ones
    first; pictures of ``shape`` (H, W) or (C, H, W)."""
    from scipy.fft import idctn

    if len(shape) not in (2, 3):
        raise DataError("picture", expected="(H, W) or (C, H, W)", got=str(tuple(shape)))
    channels, height, grid = (1, *shape) if len(shape) == 2 else tuple(shape)
    if not 1 <= width <= min(height, grid) or count < 1:
        raise QueryError(
            "bands",
            expected=f"a width of 1 to {min(height, grid)}, and one or more",
            got=f"width {width}, {count} of them",
        )
    bands = []
    for share in np.linspace(0, 1, count):
        top, left = round(share * (height - width)), round(share * (grid - width))
        waves = np.zeros((width * width, height, grid))
        for place in range(width * width):
            waves[place, top + place // width, left + place % width] = 1.0
        plane = idctn(waves, axes=(1, 2), norm="ortho").reshape(width * width, -1)
        name = f"frequencies {top}–{top + width - 1}"
        bands.append(Subspace(name, np.kron(np.eye(channels), plane)))
    return tuple(bands)
