"""Integers times a power of two in machine words, for batches that must be fast.

Integers are held in float64, where those below 2^53 are exact, so that sums, products and
matrix products are exact; a size is checked before it could leave that range.  What cannot be
kept in full (a number cut to fewer bits) is rounded down, by less than two units; users account
for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from precond.checker.certificate import Invalid

Array = NDArray[Any]
WORD = 50  # bits of a sum's terms; a word holds 52


@dataclass(frozen=True, eq=False)
class Fixed:
    """The numbers ``n · 2^e``; n holds integers."""

    n: Array
    e: int

    def __neg__(self) -> Fixed:
        return Fixed(-self.n, self.e)

    def __getitem__(self, key: Any) -> Fixed:
        return Fixed(self.n[key], self.e)

    @cached_property
    def length(self) -> int:
        """Bits of the largest |n|."""
        return length(self.n)


class TooLong(Invalid):
    """A number that no word of this precision holds: nothing is decided."""


def length(n: Array) -> int:
    """Bits of the largest |n|."""
    return int(max(n.max(), -n.min())).bit_length() if n.size else 0


def require(fits: bool) -> None:
    if not fits:
        raise TooLong("numbers grow longer than this precision holds: more bits are needed")


def shift(n: Array, k: int, size: int | None = None) -> Array:
    """⌊n · 2^k⌋; ``size``: the ``length`` of n, where it is known."""
    if k == 0:
        return n
    size = length(n) if size is None else size
    if not size:
        return n
    require(size + max(k, 0) <= 52)
    if k > -99:
        moved = n * 2.0**k
        return moved if k > 0 else np.floor(moved, out=moved)
    return np.where(n < 0, -1.0, 0.0)


def exponent(bits: int, *parts: Fixed) -> int:
    """The least e at which no part is longer than ``bits`` or gets new digits."""
    used = [x for x in parts if x.length] or list(parts)
    return max(min(x.e for x in used), max(x.e + x.length - bits for x in used))


def add(x: Fixed, y: Fixed) -> Fixed:
    """The sum; where it does not fit a word, less than two units below."""
    e = exponent(WORD, x, y)
    parts = [shift(part.n, part.e - e, part.length) for part in (x, y)]
    return Fixed(parts[0] + parts[1], e)


def short(x: Fixed, bits: int) -> Fixed:
    """x rounded down to ``bits`` bits of the largest."""
    e = exponent(bits, x)
    return x if e == x.e else Fixed(shift(x.n, x.e - e, x.length), e)


def at(x: Fixed, e: int) -> Array:
    """x rounded down to units of 2^e; what lies beyond ±2^51 becomes that."""
    if x.e <= e:
        return shift(x.n, x.e - e)
    return np.clip(x.n * 2.0 ** min(x.e - e, 900), -(2.0**51), 2.0**51)


def read(values: NDArray[np.float64], bits: int) -> Fixed:
    """Floats rounded down to ``bits`` bits of the largest."""
    if not values.any():
        return Fixed(np.zeros(values.shape), 0)
    e = int(np.frexp(np.abs(values).max())[1]) - bits
    n = np.floor(np.ldexp(values, -e))
    return Fixed(np.where((n == 0) & (values < 0), -1.0, n), e)


def dot(x: Fixed, y: Fixed) -> Fixed:
    """``Σ_m x · y``, less than two units below; x (G, R, m), y (G or 1, 1 or R, m) → (G, R)."""
    width = 51 - x.length - x.n.shape[-1].bit_length()
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

    Takes numbers of up to ``bits`` + 2 bits; results are less than ``ERROR`` units low.
    """

    ERROR = 2

    def __init__(self, values: coo_array, bits: int) -> None:
        self.limit = bits + 2
        counts = [int(np.bincount(i, minlength=1).max()) for i in values.coords]
        self.width = WORD - self.limit - max(counts).bit_length()
        dense = values.nnz > 0.2 * values.shape[0] * values.shape[1]
        rest, e = values.data, int(np.frexp(np.abs(values.data).max(initial=0.0))[1])
        self.e = e - self.width
        self.parts: list[Any] = []
        while rest.any():
            require(self.width > 4 and len(self.parts) < 16)
            e -= self.width
            digits = np.trunc(np.ldexp(rest, -e))
            rest = rest - np.ldexp(digits, e)
            part = csr_array(coo_array((digits, values.coords), shape=values.shape))
            self.parts.append(part.toarray() if dense else part)
        self.parts = self.parts or [csr_array(values.shape)]
        positive = [p * (p > 0) for p in self.parts]
        self.up = [p.T for p in positive]
        self.down = [(q - p).T for p, q in zip(self.parts, positive, strict=True)]

    def product(self, x: Fixed) -> Fixed:
        """``x · M`` over the last axis."""
        return self._times(x, self.parts)

    def image(self, ends: Fixed) -> Fixed:
        """Lower bounds of M z and −M z from those of z and −z, (2, …, m)."""
        turned = Fixed(ends.n[::-1], ends.e)
        return add(self._times(ends, self.up), self._times(turned, self.down))

    def _times(self, x: Fixed, parts: list[Any]) -> Fixed:
        flat = x.n.reshape(-1, x.n.shape[-1])
        k = self.limit - x.length  # in full length nothing is lost to short numbers
        require(k >= 0)
        flat = flat * 2.0**k
        used = np.flatnonzero(flat.any(0))
        if 4 * len(used) < flat.shape[1] and len(flat) > 1:  # most of a picture is not seen
            flat, parts = flat[:, used], [part[used] for part in parts]
        total = flat @ parts[-1]
        for part in parts[-2::-1]:
            total = np.floor(total * 2.0**-self.width) + flat @ part
        return Fixed(total.reshape(*x.n.shape[:-1], -1), x.e - k + self.e)


def raised(values: coo_array) -> coo_array:
    """Numbers ≥ 0 raised to a few bits of the largest, so that they are short."""
    unit = 2.0 ** (np.frexp(values.data.max(initial=0.0))[1] - 10)
    if not values.data.any() or unit == 0.0:
        return values
    return coo_array((np.ceil(values.data / unit) * unit, values.coords), shape=values.shape)


def least(x: Fixed, ends: Fixed) -> Fixed:
    """A lower bound of ``x · v`` from those of v and −v, (2, G, m)."""
    if not (ends.n[0] + ends.n[1]).any():
        return dot(x, ends[0][:, None])
    low = dot(Fixed(np.maximum(x.n, 0), x.e), ends[0][:, None])
    return add(low, dot(Fixed(np.maximum(-x.n, 0), x.e), ends[1][:, None]))
