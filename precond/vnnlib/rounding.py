"""Exact inequalities of a query as float64 ones that are satisfied wherever those are.

A proof must cover the decimals of the file, so every rounding enlarges the set of
violations: lower bounds go down, upper bounds up.  An inequality ``Σ a·y + Σ e·x ≥ b`` is
first scaled so that its factors become floats exactly (0.1, 0.2 → 1, 2).  Where they
cannot, the error of an input's factor goes into b, as inputs are bounded; an output is
not, so its factor is written as a convex combination of its two neighbouring floats.
With k such factors the inequality is a convex combination of k + 1 float inequalities (the
corners of one simplex of the Kuhn triangulation of the unit cube), hence implies that one
of them holds: their disjunction takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NoReturn

import numpy as np

from precond.errors import QueryError
from precond.region.inequality import Inequality

Factors = Sequence[tuple[int, Fraction]]


def nearest(value: Fraction) -> float:
    """The float64 closest to ``value``; QueryError beyond its range."""
    try:
        return float(value)
    except OverflowError:
        _too_large(value)


def down(value: Fraction) -> float:
    """The largest float64 ≤ ``value``."""
    number = nearest(value)
    top, bottom = number.as_integer_ratio()
    above = top * value.denominator > value.numerator * bottom
    result = math.nextafter(number, -math.inf) if above else number
    return result if math.isfinite(result) else _too_large(value)


def up(value: Fraction) -> float:
    """The smallest float64 ≥ ``value``."""
    return -down(-value)


def _too_large(value: Fraction) -> NoReturn:
    digits = len(str(abs(value.numerator) // value.denominator))
    raise QueryError(
        "a number of the query", expected="at most 1.79e308 in size", got=f"about 1e{digits - 1}"
    )


def scale_of(factors: Sequence[Fraction]) -> Fraction:
    """A factor near 1 that makes all of ``factors`` exact floats, where there is one; else 1."""
    if all(_is_float(f) for f in factors):
        return Fraction(1)
    common = math.lcm(*(f.denominator for f in factors))
    shared = math.gcd(*(abs(f.numerator) * (common // f.denominator) for f in factors))
    scale = Fraction(common, shared)
    power = scale.numerator.bit_length() - scale.denominator.bit_length()
    scale = scale / 2**power if power >= 0 else scale * 2**-power
    return scale if all(_is_float(f * scale) for f in factors) else Fraction(1)


def weakened(
    outputs: Factors, inputs: Factors, bound: Fraction, strict: bool, reach: Sequence[Fraction]
) -> tuple[Inequality, ...]:
    """Float inequalities, one of which holds wherever ``Σ outputs·y + Σ inputs·x ≥ bound``
    does (``>`` if strict); ``reach[i]`` bounds |x_i|."""
    scale = scale_of([f for _, f in (*outputs, *inputs)])
    slack = Fraction(0)
    rounded_inputs = []
    for index, factor in inputs:
        number = nearest(factor * scale)
        slack += abs(Fraction(number) - factor * scale) * reach[index]
        rounded_inputs.append((index, number))
    limit = down(bound * scale - slack)
    return tuple(
        Inequality(tuple(corner), limit, strict, inputs=tuple(rounded_inputs))
        for corner in _corners([(i, f * scale) for i, f in outputs])
    )


def half_space(
    inputs: Factors, bound: Fraction, reach: Sequence[Fraction]
) -> tuple[list[tuple[int, float]], float]:
    """Float ``Σ inputs·x ≤ bound`` that holds wherever the exact one does."""
    scale = scale_of([f for _, f in inputs])
    slack = Fraction(0)
    factors = []
    for index, factor in inputs:
        number = nearest(factor * scale)
        slack += abs(Fraction(number) - factor * scale) * reach[index]
        factors.append((index, number))
    return factors, up(bound * scale + slack)


def _corners(outputs: Factors) -> list[list[tuple[int, float]]]:
    """Float vectors whose convex hull holds the exact one; one vector if that is exact."""
    low = [(index, down(factor)) for index, factor in outputs]
    high = [up(factor) for _, factor in outputs]
    weights = []
    for place, (_, factor) in enumerate(outputs):
        under, over = Fraction(low[place][1]), Fraction(high[place])
        if under != over:
            weights.append(((factor - under) / (over - under), place))
    corners = [list(low)]
    for _, place in sorted(weights, reverse=True):
        low[place] = (low[place][0], high[place])
        corners.append(list(low))
    return corners


def _is_float(value: Fraction) -> bool:
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False


def into(low: Fraction, high: Fraction, value: float, kind: type[np.floating]) -> float:
    """The number of type ``kind`` nearest to ``value`` inside [low, high]; where there is
    none inside, the one nearest to ``low``."""
    number = kind(value)
    if not np.isfinite(number):
        number = kind(nearest(low))
    if Fraction(float(number)) < low:
        number = kind(nearest(low))
        if Fraction(float(number)) < low:
            number = np.nextafter(number, kind(np.inf))
    if Fraction(float(number)) > high:
        number = kind(nearest(high))
        if Fraction(float(number)) > high:
            number = np.nextafter(number, kind(-np.inf))
    if Fraction(float(number)) < low:
        number = kind(nearest(low))
    return float(number)
