"""Constants that a model's file means and that no float need hold.

A file's constants are floats, taken as they are; its operators are those of real numbers.  So
the constant 1/49, which a division by 49 is read as, lies beside the float that a layer
stores.  Readers compute with arrays of ``Real`` (dtype object); a layer keeps the nearest
floats and, where one of them is not the constant itself, a ``Range`` of the truth: from a
rational to the same rational, or the two ends of a narrow interval around a root.

A ``Real`` is never turned into a float silently: ``float(x)`` is an error unless x is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.errors import ModelError

Array = NDArray[np.float64]
Objects = NDArray[Any]
DIGITS = 128  # bits of the ends of a root
MOST = 1 << 20  # constants of one array that no float holds


class Real:
    """A number between the rationals ``low`` and ``high``, which are equal where it is known."""

    __slots__ = ("high", "low")

    def __init__(self, low: Fraction, high: Fraction | None = None) -> None:
        self.low, self.high = low, low if high is None else high

    @classmethod
    def of(cls, value: Any) -> Real:
        """A float, an integer or a fraction as it is; ModelError for NaN and infinity."""
        if isinstance(value, Real):
            return value
        if isinstance(value, Fraction):
            return cls(value)
        number = value.item() if isinstance(value, np.generic) else value
        if isinstance(number, float) and not math.isfinite(number):
            raise ModelError("constants", expected="finite numbers", got="NaN or infinity")
        return cls(Fraction(number))

    @property
    def known(self) -> bool:
        return self.low == self.high

    def __add__(self, other: Any) -> Real:
        other = Real.of(other)
        if self.known and other.known:
            return Real(self.low + other.low)
        return Real(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Real:
        return Real(-self.high, -self.low)

    def __sub__(self, other: Any) -> Real:
        return self + -Real.of(other)

    def __rsub__(self, other: Any) -> Real:
        return Real.of(other) + -self

    def __mul__(self, other: Any) -> Real:
        other = Real.of(other)
        if self.known and other.known:
            return Real(self.low * other.low)
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Real(min(ends), max(ends))

    def __truediv__(self, other: Any) -> Real:
        other = Real.of(other)
        if other.low <= 0 <= other.high:
            raise ModelError("division", expected="a divisor other than 0", got="0")
        return self * Real(1 / other.high, 1 / other.low)

    def __rtruediv__(self, other: Any) -> Real:
        return Real.of(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __abs__(self) -> Real:
        if self.low >= 0:
            return self
        return -self if self.high <= 0 else Real(Fraction(0), max(-self.low, self.high))

    def maximum(self, other: Any) -> Real:
        other = Real.of(other)
        return Real(max(self.low, other.low), max(self.high, other.high))

    def sqrt(self) -> Real:
        """ModelError for a number that may be below 0."""
        if self.low < 0:
            raise ModelError("square root", expected="0 or more", got=str(self))
        return Real(_root(self.low, up=False), _root(self.high, up=True))

    def power(self, exponent: int) -> Real:
        if exponent < 0:
            return 1 / self.power(-exponent)
        if self.known:
            return Real(self.low**exponent)
        base = abs(self) if exponent % 2 == 0 else self
        return Real(base.low**exponent, base.high**exponent)

    def __eq__(self, other: object) -> bool:
        """Whether both are surely the same number."""
        if self is other:
            return True
        if not isinstance(other, Real | Fraction | int | float | np.generic):
            return NotImplemented
        real = Real.of(other)
        return self.known and real.known and self.low == real.low

    def __hash__(self) -> int:
        return hash((self.low, self.high))

    def __lt__(self, other: Any) -> bool:
        return not self._reaches(Real.of(other))

    def __ge__(self, other: Any) -> bool:
        return self._reaches(Real.of(other))

    def __gt__(self, other: Any) -> bool:
        return not Real.of(other)._reaches(self)

    def __le__(self, other: Any) -> bool:
        return Real.of(other)._reaches(self)

    def _reaches(self, other: Real) -> bool:
        """self ≥ other; ModelError where that is not known."""
        if self.low >= other.high:
            return True
        if self.high < other.low:
            return False
        raise ModelError("a comparison of constants", expected="numbers apart", got=str(self))

    def __bool__(self) -> bool:
        return not (self.low == 0 == self.high)

    def __float__(self) -> float:
        value = nearest(self.low)
        if not self.known or Fraction(value) != self.low:
            raise ModelError(
                "a constant of the file",
                expected="a number that a float holds, for this operator",
                got=str(self),
            )
        return value

    def __repr__(self) -> str:
        return f"about {nearest((self.low + self.high) / 2)!r}"

    def __getstate__(self) -> tuple[Fraction, Fraction]:
        return self.low, self.high

    def __setstate__(self, state: tuple[Fraction, Fraction]) -> None:
        self.low, self.high = state


def nearest(value: Fraction) -> float:
    """The nearest float; infinity for what is larger than all."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _root(value: Fraction, up: bool) -> Fraction:
    """√value to some 128 bits, rounded down or up; exact where it is rational."""
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return Fraction(top, bottom)
    shift = max(0, 2 * DIGITS - value.numerator.bit_length() + value.denominator.bit_length())
    shift += shift % 2
    scaled = (value.numerator << shift) // value.denominator  # ⌊value · 2^shift⌋
    return Fraction(math.isqrt(scaled) + up, 1 << (shift // 2))


@dataclass(frozen=True, eq=False)
class Range:
    """Where the true constants lie whose nearest floats are ``stored``: objects ``low`` and
    ``high`` are fractions, of the same shape."""

    stored: Array
    low: Objects
    high: Objects

    @property
    def reals(self) -> Objects:
        """The constants as an array of ``Real``."""
        return apply(Real, self.low, self.high)

    @cached_property
    def radius(self) -> Array:
        """Bounds of |true − stored|, as floats rounded up."""
        parts = self.stored, self.low, self.high
        return apply(_distance, *parts).astype(np.float64)

    @cached_property
    def known(self) -> bool:
        """Whether each constant is one rational."""
        return bool((self.low == self.high).all())

    @property
    def rounded(self) -> int:
        """How many of the floats are not the constant itself."""
        return int(np.count_nonzero(self.radius))


def apply(function: Callable[..., Any], *arrays: Any) -> Objects:
    """``function`` of each element, into an array of objects."""
    values = np.broadcast_arrays(*(np.asarray(array) for array in arrays))
    parts = zip(*(value.reshape(-1).tolist() for value in values), strict=True)
    found = np.empty(values[0].size, dtype=np.object_)
    found[:] = [function(*part) for part in parts]
    return found.reshape(values[0].shape)


def reals(values: Any) -> Objects:
    """Numbers as an array of ``Real``; ModelError for too many, NaN or infinity."""
    array = np.asarray(values)
    if array.size > MOST:
        raise ModelError(
            "constants that no float holds", expected=f"at most {MOST}", got=str(array.size)
        )
    return apply(Real.of, array)


def are_reals(values: object) -> bool:
    """Whether these are a ``Real`` or an array of some."""
    if isinstance(values, np.ndarray) and values.dtype == np.object_:
        return any(isinstance(value, Real) for value in values.flat)
    return isinstance(values, Real)


def plain(values: Objects) -> NDArray[Any]:
    """Floats where every ``Real`` is one, else the array as it is."""
    flat = values.reshape(-1).tolist()
    floats = [_middle(x) for x in flat]
    pairs = zip(flat, floats, strict=True)
    if not all(math.isfinite(v) and x.known and Fraction(v) == x.low for x, v in pairs):
        return values
    return np.array(floats, dtype=np.float64).reshape(values.shape)


def settled(values: Any, known: Range | None) -> tuple[Array, Range | None]:
    """Floats for a layer to compute with, and where the true constants lie (None: the floats
    are the constants).  ValueError for floats that ``known`` is not about."""
    array = np.asarray(values)
    if array.dtype != np.object_:
        stored, found = np.array(array, dtype=np.float64), known
    else:
        exact = reals(array)
        stored = apply(_middle, exact).astype(np.float64)
        found = None
        if np.isfinite(stored).all():
            found = Range(stored, apply(_low, exact), apply(_high, exact))
            found = found if found.rounded else None
    if found is not None and not np.array_equal(found.stored, stored):
        raise ValueError("these constants are not those whose range is given")
    stored.setflags(write=False)
    return stored, found


def true(stored: Any, known: Range | None) -> NDArray[Any]:
    """What a layer's constants stand for: the floats, or an array of ``Real``."""
    return np.asarray(stored, dtype=np.float64) if known is None else known.reals


def _low(x: Real) -> Fraction:
    return x.low


def _high(x: Real) -> Fraction:
    return x.high


def _middle(x: Real) -> float:
    return nearest(x.low if x.known else (x.low + x.high) / 2)


def _distance(stored: float, low: Fraction, high: Fraction) -> float:
    if low == high and Fraction(stored) == low:
        return 0.0
    away = max(abs(low - Fraction(stored)), abs(high - Fraction(stored)))
    value = nearest(away)
    if math.isinf(value) or Fraction(value) >= away:
        return value
    return float(np.nextafter(value, math.inf))
