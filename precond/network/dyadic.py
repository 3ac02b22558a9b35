"""Exact arithmetic on arrays of dyadic numbers, which floats are: sums, products, matrices.

Nothing is rounded unless a function says so, and then downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dyadic:
    """``n · 2^e`` with Python integers n."""

    n: Array
    e: int

    def to(self, e: int) -> Array:
        """Rounded down to units of 2^e."""
        k = self.e - e
        return self.n << k if k > 0 else self.n >> -k

    def __add__(self, other: Dyadic) -> Dyadic:
        e = min(self.e, other.e)
        return Dyadic(self.to(e) + other.to(e), e)

    def __neg__(self) -> Dyadic:
        return Dyadic(-self.n, self.e)

    def __getitem__(self, key: Any) -> Dyadic:
        return Dyadic(self.n[key], self.e)

    def dot(self, other: Dyadic) -> Dyadic:
        """``Σ x y`` over the last axis."""
        return Dyadic(np.asarray((self.n * other.n).sum(-1), dtype=object), self.e + other.e)

    def short(self, bits: int) -> Dyadic:
        """Rounded down to ``bits`` bits of the largest."""
        k = max((abs(v).bit_length() for v in self.n.reshape(-1).tolist()), default=0) - bits
        return Dyadic(self.n >> max(k, 0), self.e + max(k, 0))


def exact(values: NDArray[np.float64]) -> Dyadic:
    """Finite floats as they are."""
    mantissa, power = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64).astype(object)  # exact: 53 bits
    e = int(power[values != 0].min(initial=53)) - 53
    return Dyadic(whole << np.where(values != 0, power - 53 - e, 0).astype(object), e)


def product(x: Dyadic, matrix: Dyadic) -> Dyadic:
    """``x · M``, x (R, m), M (m, n), by python-flint."""
    from flint import fmpz_mat

    left, right = (fmpz_mat(*a.n.shape, a.n.reshape(-1).tolist()) for a in (x, matrix))
    numbers = np.array([int(v) for v in (left * right).entries()], dtype=object)
    return Dyadic(numbers.reshape(len(x.n), matrix.n.shape[1]), x.e + matrix.e)


def image(ends: Dyadic, matrix: Dyadic) -> Dyadic:
    """Lower bounds of M z and −M z from those of z and −z, (2, m)."""
    up, down = (Dyadic(np.maximum(k * matrix.n.T, 0), matrix.e) for k in (1, -1))
    return product(ends, up) + product(ends[::-1], down)


def larger(x: Dyadic, y: Dyadic, where: Any = True) -> Dyadic:
    """The larger of x and y, x elsewhere."""
    e = min(x.e, y.e)
    return Dyadic(np.where(where, np.maximum(x.to(e), y.to(e)), x.to(e)), e)


def zeros(*shape: int) -> Dyadic:
    """All zero."""
    return Dyadic(np.zeros(shape, dtype=object), 0)
