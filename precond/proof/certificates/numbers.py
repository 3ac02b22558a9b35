"""Integers times a power of two: the arithmetic of the checker.

Up to 30 bits of precision integers are held in float64, where those below 2^53 are exact, so
that matrix products are exact and fast; a size is checked before it could leave that range.
Above 30 bits, or on request, they are Python integers, and python-flint multiplies matrices.
What cannot be exact (a number cut to fewer bits) is rounded down, by less than two units; users
account for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

Array = NDArray[Any]
EXACT = 1 << 20  # bits: more than any float has
WORD = 50  # bits of a sum's terms; a word holds 52


class Invalid(Exception):
    """Why a certificate is not valid."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """The numbers ``n · 2^e``; n holds integers, in float64 or as Python integers."""

    n: Array
    e: int

    def __neg__(self) -> Fixed:
        return Fixed(-self.n, self.e)

    def __getitem__(self, key: Any) -> Fixed:
        return Fixed(self.n[key], self.e)

    def float(self, key: Any) -> float:
        """One number, for people."""
        n = int(self.n[key])
        k = max(n.bit_length() - 60, 0)
        try:
            return math.ldexp(n >> k, self.e + k)
        except OverflowError:
            return math.inf if n > 0 else -math.inf

    @property
    def wide(self) -> bool:
        return self.n.dtype == object


def length(n: Array) -> int:
    """Bits of the largest |n|."""
    return int(max(n.max(), -n.min())).bit_length() if n.size else 0


def require(fits: bool) -> None:
    if not fits:
        raise Invalid("numbers grow longer than this precision holds: more bits are needed")


def shift(n: Array, k: int) -> Array:
    """⌊n · 2^k⌋"""
    if k == 0 or not n.any():
        return n
    if n.dtype == object:
        return n << k if k > 0 else n >> -k
    require(length(n) + max(k, 0) <= 52)
    return np.floor(n * 2.0**k) if k > -99 else np.where(n < 0, -1.0, 0.0)


def exponent(bits: int, *parts: Fixed) -> int:
    """The least e at which no part is longer than ``bits`` or gets new digits."""
    used = [x for x in parts if x.n.any()] or list(parts)
    return max(min(x.e for x in used), max(x.e + length(x.n) - bits for x in used))


def add(x: Fixed, y: Fixed) -> Fixed:
    """The sum; where it does not fit a word, less than two units below."""
    e = exponent(EXACT if x.wide else WORD, x, y)
    return Fixed(shift(x.n, x.e - e) + shift(y.n, y.e - e), e)


def short(x: Fixed, bits: int) -> Fixed:
    """x rounded down to ``bits`` bits of the largest."""
    e = exponent(bits, x)
    return Fixed(shift(x.n, x.e - e), e)


def at(x: Fixed, e: int) -> Array:
    """x rounded down to units of 2^e; in words, what lies beyond ±2^51 becomes that."""
    if x.wide or x.e <= e:
        return shift(x.n, x.e - e)
    return np.clip(x.n * 2.0 ** min(x.e - e, 900), -(2.0**51), 2.0**51)


def read(values: NDArray[np.float64], bits: int, wide: bool) -> Fixed:
    """Floats rounded down to ``bits`` bits of the largest."""
    if not values.any():
        return Fixed(np.zeros(values.shape, dtype=object if wide else float), 0)
    e = int(np.frexp(np.abs(values).max())[1]) - bits
    if not wide:
        n = np.floor(np.ldexp(values, -e))
        return Fixed(np.where((n == 0) & (values < 0), -1.0, n), e)
    mantissa, power = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64).astype(object)  # exact: 53 bits
    e = max(e, int(power[values != 0].min()) - 53)
    k = (power - 53 - e).astype(object)
    return Fixed(np.asarray((whole << np.maximum(k, 0)) >> np.maximum(-k, 0), dtype=object), e)


def dot(x: Fixed, y: Fixed) -> Fixed:
    """``Σ_m x · y``, less than two units below; x (G, R, m), y (G or 1, 1 or R, m) → (G, R)."""
    if x.wide:
        return Fixed((x.n * y.n).sum(-1), x.e + y.e)
    width = 51 - length(x.n) - x.n.shape[-1].bit_length()
    require(width > 0)
    e, total, rest = x.e + y.e, np.zeros(1), y.n
    while (size := length(rest)) > width:  # the lowest digits first, so that most are kept
        cut = (size - 1) % width + 1
        high = np.floor(rest * 2.0**-cut)
        total = np.floor((total + _inner(x.n, rest - high * 2.0**cut)) * 2.0**-cut)
        rest, e = high, e + cut
    return Fixed(total + _inner(x.n, rest), e)


def _inner(x: Array, y: Array) -> Array:
    return np.asarray((x @ y.swapaxes(1, 2))[..., 0] if y.shape[1] == 1 else (x * y).sum(-1))


class Matrix:
    """A real matrix as ``Σ_k parts[k] · 2^(e − k·width)``, exactly; parts hold short integers.

    ``product`` takes numbers of up to ``limit`` bits.  ``error``: how many units its results
    are less than below the truth.
    """

    def __init__(self, values: coo_array, bits: int, wide: bool) -> None:
        self.limit, self.error = bits + 2, 0 if wide else 2
        counts = [int(np.bincount(i, minlength=1).max()) for i in values.coords]
        self.width = WORD - self.limit - max(counts).bit_length()
        self.parts: list[Any] = []
        self.views: dict[str, list[Any]] = {}
        dense = wide or values.nnz > 0.2 * values.shape[0] * values.shape[1]
        rest, e = values.data, int(np.frexp(np.abs(values.data).max(initial=0.0))[1])
        self.e = e - self.width
        if wide:
            whole = read(rest, EXACT, True)
            full = np.zeros(values.shape, dtype=object)
            full[values.coords], rest, self.e = whole.n, np.zeros(0), whole.e
            self.parts = [full]
        while rest.any():
            require(self.width > 4 and len(self.parts) < 16)
            e -= self.width
            digits = np.trunc(np.ldexp(rest, -e))
            rest = rest - np.ldexp(digits, e)
            part = csr_array(coo_array((digits, values.coords), shape=values.shape))
            self.parts.append(part.toarray() if dense else part)
        self.parts = self.parts or [csr_array(values.shape)]

    def product(self, x: Fixed) -> Fixed:
        """``x · M`` over the last axis."""
        return self._times(x, "whole")

    def image(self, ends: Fixed) -> Fixed:
        """Lower bounds of M z and −M z from those of z and −z, (2, …, m)."""
        turned = Fixed(ends.n[::-1], ends.e)
        return add(self._times(ends, "positive"), self._times(turned, "negative"))

    def _times(self, x: Fixed, view: str) -> Fixed:
        if view not in self.views:
            parts = self.parts
            if view != "whole":
                positive = [p * (p > 0) for p in parts]
                chosen = (
                    positive
                    if view == "positive"
                    else [q - p for p, q in zip(parts, positive, strict=True)]
                )
                parts = [p.T for p in chosen]
            self.views[view] = [_flint(p) for p in parts] if x.wide else parts
        parts = self.views[view]
        flat = x.n.reshape(-1, x.n.shape[-1])
        if x.wide:
            total = np.array([int(v) for v in (_flint(flat) * parts[0]).entries()], dtype=object)
        else:
            k = self.limit - length(flat)  # in full length nothing is lost to short numbers
            require(k >= 0)
            x, flat = Fixed(x.n, x.e - k), flat * 2.0**k
            total = flat @ parts[-1]
            for part in parts[-2::-1]:
                total = np.floor(total * 2.0**-self.width) + flat @ part
        return Fixed(total.reshape(*x.n.shape[:-1], -1), x.e + self.e)


def _flint(numbers: Array) -> Any:
    from flint import fmpz_mat

    return fmpz_mat(*numbers.shape, [int(v) for v in numbers.reshape(-1)])
