"""Exact arithmetic on arrays of dyadic numbers, which floats are: sums, products, matrices.

Nothing is rounded unless a function says so, and then downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
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
        largest = max(self.n.max(), -self.n.min()) if self.n.size else 0
        k = max(int(largest).bit_length() - bits, 0)
        return Dyadic(self.n >> k, self.e + k)


def exact(values: NDArray[np.float64]) -> Dyadic:
    """Finite floats as they are; OverflowError where one is not finite."""
    if not np.isfinite(values).all():
        raise OverflowError("a number is not finite")
    mantissa, power = np.frexp(np.asarray(values, dtype=np.float64))
    whole = (mantissa * 2.0**53).astype(np.int64).astype(object)  # exact: 53 bits
    e = int(power[values != 0].min(initial=53)) - 53
    return Dyadic(whole << np.where(values != 0, power - 53 - e, 0).astype(object), e)


class DyadicMatrix:
    """A matrix M (m, n) of floats, as it is, for many products by python-flint."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        given = exact(values)
        self.shape, self.e = given.n.shape, given.e
        self._whole = _flint(given.n)
        self._up, self._down = (_flint(np.maximum(k * given.n.T, 0)) for k in (1, -1))

    def product(self, x: Dyadic) -> Dyadic:
        """``x · M``, x (R, m)."""
        return Dyadic(_array(_flint(x.n) * self._whole), x.e + self.e)

    def image(self, ends: Dyadic) -> Dyadic:
        """Lower bounds of M z and −M z from those of z and −z, (2, n)."""
        found = _flint(ends.n) * self._up + _flint(ends.n[::-1]) * self._down
        return Dyadic(_array(found), ends.e + self.e)


class Away:
    """What y = M z + b is off at most, where the true M and b differ from their floats by no more
    than ``matrices``, one for each z, and ``bias``."""

    def __init__(self, matrices: list[NDArray[np.float64]], bias: NDArray[np.float64]) -> None:
        self._matrices, self._bias = [DyadicMatrix(m) for m in matrices], exact(bias)

    def least(self, values: list[Dyadic]) -> Dyadic:
        """Minus that, (n,), from lower bounds (2, m) of each z and −z."""
        total = -self._bias
        for x, matrix in zip(values, self._matrices, strict=True):
            low = np.minimum(x.n.min(0), 0)  # −|z| is at least this
            total = total + matrix.image(Dyadic(np.stack([low, low]), x.e))[0]
        return total


def _flint(n: Array) -> Any:
    from flint import fmpz_mat

    return fmpz_mat(*n.shape, n.reshape(-1).tolist())


def _array(matrix: Any) -> Array:
    numbers = np.array([int(v) for v in matrix.entries()], dtype=object)
    return numbers.reshape(matrix.nrows(), matrix.ncols())


def larger(x: Dyadic, y: Dyadic, where: Any = True) -> Dyadic:
    """The larger of x and y, x elsewhere."""
    e = min(x.e, y.e)
    return Dyadic(np.where(where, np.maximum(x.to(e), y.to(e)), x.to(e)), e)


def zeros(*shape: int) -> Dyadic:
    """All zero."""
    return Dyadic(np.zeros(shape, dtype=object), 0)


def enclosure(
    function: str, low: Fraction, high: Fraction, bits: int
) -> tuple[Fraction, Fraction] | None:
    """Dyadic numbers around a function of Arb, by its name there, over [low, high]; None where it
    is not finite.  Source: Johansson 2017 (ball arithmetic)."""
    from flint import arb, ctx, fmpq

    before = ctx.prec
    try:
        ctx.prec = bits
        ends = [arb(fmpq(end.numerator, end.denominator)) for end in (low, high)]
        found = getattr(ends[0] if low == high else ends[0].union(ends[1]), function)()
        return (_fraction(found.lower()), _fraction(found.upper())) if found.is_finite() else None
    finally:
        ctx.prec = before


def _fraction(value: Any) -> Fraction:
    mantissa, exponent = (int(part) for part in value.man_exp())
    return Fraction(mantissa) * Fraction(2) ** exponent
