"""Arithmetic on a file's constants, over the reals: results are exact, or narrow intervals.

Most results are floats, and are computed as floats: a sum, product, quotient or root is one if
it leaves no remainder (Dekker 1971, Knuth).  Where some element is none, the whole array is one
of ``Real`` (dtype object); every function takes both kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.errors import ModelError
from precond.network.constants import MOST, Real, apply, plain, reals
from precond.network.dyadic import enclosure

Numbers = NDArray[Any]
SPLITTER = 2.0**27 + 1  # Dekker's, for halves of 26 bits
LOW, HIGH = 2.0**-900, 2.0**900  # sizes between which remainders neither under- nor overflow
PRECISION = 160  # bits, of transcendental functions
MULTIPLIED = 1 << 20  # products of fractions in a matrix product


def numbers(values: ArrayLike) -> Numbers:
    """A constant as float64, exactly, or as an array of ``Real``."""
    array = np.asarray(values)
    if array.dtype == np.object_:
        return plain(reals(array))
    found = array.astype(np.float64)
    if array.dtype.kind in "iu" and array.size and int(np.abs(found).max()) >= 1 << 53:
        return plain(reals(array))
    return found


def add(left: ArrayLike, right: ArrayLike) -> Numbers:
    return _binary(left, right, np.add, is_exact=_sum_is_exact, slow=lambda a, b: a + b)


def subtract(left: ArrayLike, right: ArrayLike) -> Numbers:
    return add(left, negative(right))


def negative(values: ArrayLike) -> Numbers:
    return np.asarray(-numbers(values))


def multiply(left: ArrayLike, right: ArrayLike) -> Numbers:
    return _binary(left, right, np.multiply, is_exact=_product_is_exact, slow=lambda a, b: a * b)


def divide(left: ArrayLike, right: ArrayLike) -> Numbers:
    """ModelError for a divisor that may be 0."""
    divisor = numbers(right)
    if divisor.dtype != np.object_ and (divisor == 0.0).any():
        raise ModelError("division", expected="a divisor other than 0", got="0")
    return _binary(
        left,
        divisor,
        np.divide,
        is_exact=lambda a, b, q: _product_is_exact(q, b, a),
        slow=lambda a, b: a / b,
    )


def square_root(values: ArrayLike) -> Numbers:
    given = numbers(values)
    if given.dtype != np.object_ and (given >= 0).all():
        found = np.sqrt(given)
        if _product_is_exact(found, found, given).all():
            return found
    return plain(apply(Real.sqrt, reals(given)))


def power(base: ArrayLike, exponent: ArrayLike) -> Numbers:
    """Whole exponents and halves of them by products and roots, others by logarithms."""
    return plain(apply(_power, reals(numbers(base)), reals(numbers(exponent))))


def maximum(left: ArrayLike, right: ArrayLike) -> Numbers:
    return plain(apply(Real.maximum, reals(numbers(left)), reals(numbers(right))))


def minimum(left: ArrayLike, right: ArrayLike) -> Numbers:
    return negative(maximum(negative(left), negative(right)))


def absolute(values: ArrayLike) -> Numbers:
    return plain(apply(abs, reals(numbers(values))))


def total(values: ArrayLike, axes: Sequence[int] | None, keepdims: bool) -> Numbers:
    """Sum over axes (None: all)."""
    given: Any = reals(numbers(values))
    where = tuple(range(given.ndim)) if axes is None else tuple(axes)
    return plain(reals(given.sum(axis=where, keepdims=keepdims, initial=Real(Fraction(0)))))


def mean(values: ArrayLike, axes: Sequence[int] | None, keepdims: bool) -> Numbers:
    shape = np.shape(values)
    count = math.prod(shape if axes is None else [shape[axis] for axis in axes])
    return divide(total(values, axes, keepdims), float(count))


def matmul(left: ArrayLike, right: ArrayLike) -> Numbers:
    """Of many numbers an interval: the float product and its rounding."""
    a, b = numbers(left), numbers(right)
    size = a.size * (b.shape[-1] if b.ndim > 1 else 1)
    if object not in (a.dtype, b.dtype) and _whole(a, b):
        return np.asarray(a @ b)
    if size <= MULTIPLIED:
        return plain(reals(reals(a) @ reals(b)))
    product = a @ b if object not in (a.dtype, b.dtype) else None
    if product is None or product.size > MOST:
        raise ModelError(
            "a product of constants that no float holds",
            expected=f"at most {MULTIPLIED} products, or {MOST} sums of floats",
            got=str(size),
        )
    terms = a.shape[-1] + 2
    loss = terms * 2.0**-52 * (np.abs(a) @ np.abs(b)) + 1e-300
    return apply(_around, product, loss)


def elementwise(name: str, values: ArrayLike) -> Numbers:
    """A transcendental function of Arb (Johansson 2017) by its name there."""
    return plain(apply(lambda x: _ball(name, x), reals(numbers(values))))


def exponential(values: ArrayLike) -> Numbers:
    return elementwise("exp", values)


def as_type(values: ArrayLike, dtype: np.dtype[Any]) -> Numbers:
    """A conversion that the file asks for: floats are rounded, a ``Real`` that is none stays."""
    given = numbers(values) if np.asarray(values).dtype == np.object_ else np.asarray(values)
    if given.dtype != np.object_:
        with np.errstate(over="ignore"):
            return given.astype(dtype)
    if dtype.kind != "f":
        raise ModelError("a conversion", expected="numbers that a float holds", got="others")
    return given


def _power(base: Real, exponent: Real) -> Real:
    if exponent.known and (2 * exponent.low).denominator == 1:
        double = int(2 * exponent.low)
        if abs(double) <= 64:
            return (base if double % 2 == 0 else base.sqrt()).power(
                double // 2 if double % 2 == 0 else double
            )
    if base.low <= 0:
        raise ModelError("a power", expected="a base above 0", got=str(base))
    return _ball("exp", _ball("log", base) * exponent)


def _ball(name: str, x: Real) -> Real:
    found = enclosure(name, x.low, x.high, bits=PRECISION)
    if found is None:
        raise ModelError(f"{name} of a constant", expected="a finite number", got="none")
    return Real(*found)


def _around(value: float, loss: float) -> Real:
    return Real(Fraction(value) - Fraction(loss), Fraction(value) + Fraction(loss))


def _binary(
    left: ArrayLike,
    right: ArrayLike,
    fast: Callable[[Numbers, Numbers], Any],
    is_exact: Callable[[Numbers, Numbers, Numbers], NDArray[np.bool_]],
    slow: Callable[[Real, Real], Real],
) -> Numbers:
    a, b = numbers(left), numbers(right)
    if object not in (a.dtype, b.dtype):
        with np.errstate(all="ignore"):
            found = np.asarray(fast(a, b))
        wide = np.broadcast_arrays(a, b)
        if is_exact(wide[0], wide[1], found).all():
            return found
    size = math.prod(np.broadcast_shapes(a.shape, b.shape))
    if size > MOST:
        raise ModelError("constants that no float holds", expected=f"at most {MOST}", got=str(size))
    return plain(apply(slow, reals(a), reals(b)))


def _sum_is_exact(a: Numbers, b: Numbers, total: Numbers) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        part = total - a
        rest = (a - (total - part)) + (b - part)
        return np.asarray((rest == 0) & np.isfinite(total))


def _product_is_exact(a: Numbers, b: Numbers, product: Numbers) -> NDArray[np.bool_]:
    """Whether ``product`` is a · b itself, as far as floats can tell."""
    with np.errstate(all="ignore"):
        a_high, a_low = _halves(a)
        b_high, b_low = _halves(b)
        rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
        sizes = (np.abs(a), np.abs(b), np.abs(product))
        usual = np.all([(size > LOW) & (size < HIGH) for size in sizes], axis=0)
        zero = ((a == 0) | (b == 0)) & (product == 0) & np.isfinite(a) & np.isfinite(b)
        return np.asarray((usual & (rest == 0)) | zero)


def _halves(a: Numbers) -> tuple[Numbers, Numbers]:
    scaled = a * SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def _whole(a: Numbers, b: Numbers) -> bool:
    """Whether all products and sums of a matrix product are whole numbers below 2^53."""
    if not a.size or not b.size or (a != np.floor(a)).any() or (b != np.floor(b)).any():
        return not a.size or not b.size
    return bool(a.shape[-1] * np.abs(a).max() * np.abs(b).max() < 2.0**53)
