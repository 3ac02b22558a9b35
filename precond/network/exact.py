"""Exact evaluation of a network at one point, in rational arithmetic.

Floats are dyadic, so weights and inputs are integers over a power of two.  A value is kept
as an array of Python integers with one common exponent and divisor
(``integer · 2^-exponent / divisor``); sums and products of such arrays are exact.  The divisor
is 1 but for rational constants that no float holds.

Where a constant is known only to lie in an interval, or the divisors of a layer's constants
have too long a multiple, a value is a middle and a radius (``enclosed_values``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.errors import ModelError
from precond.network.constants import apply, true
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)

Objects = NDArray[Any]
LONGEST = 4096  # bits of a common denominator


@dataclass(frozen=True, eq=False)
class ExactArray:
    """``numbers · 2^-exponent / divisor`` with Python integers in an object array."""

    numbers: Objects
    exponent: int
    divisor: int = 1

    @classmethod
    def of(cls, values: ArrayLike) -> ExactArray:
        """The exact value of finite floats."""
        array = np.asarray(values, dtype=np.float64)
        mantissa, power = np.frexp(array)
        whole = (mantissa * 2.0**53).astype(np.int64)  # exact: |mantissa| < 1 has 53 bits
        shift = power.astype(np.int64) - 53
        used = shift[whole != 0]
        exponent = max(0, -int(used.min())) if used.size else 0
        raised = [
            number << (power_of + exponent) if number else 0
            for number, power_of in zip(
                whole.reshape(-1).tolist(), shift.reshape(-1).tolist(), strict=True
            )
        ]
        return cls(_objects(raised).reshape(array.shape), exponent)

    @classmethod
    def rational(cls, values: Objects) -> ExactArray:
        """The exact value of fractions, over their common denominator."""
        divisor = math.lcm(*(value.denominator for value in values.flat))
        if divisor.bit_length() > LONGEST:
            raise DenominatorTooLong
        whole = [value.numerator * (divisor // value.denominator) for value in values.flat]
        return cls(_objects(whole).reshape(values.shape), 0, divisor)

    def at(self, exponent: int, divisor: int | None = None) -> Objects:
        """The same numbers over a larger power of two and a multiple of the divisor."""
        factor = (1 << (exponent - self.exponent)) * ((divisor or self.divisor) // self.divisor)
        return self.numbers if factor == 1 else self.numbers * factor

    def plus(self, other: ExactArray) -> ExactArray:
        (left, right), exponent, divisor = common(self, other)
        return ExactArray(left + right, exponent, divisor)

    def minus(self, other: ExactArray) -> ExactArray:
        return self.plus(ExactArray(-other.numbers, other.exponent, other.divisor))

    def times(self, other: ExactArray) -> ExactArray:
        return self.like(self.numbers * other.numbers, other)

    def like(self, numbers: Objects, other: ExactArray | None = None) -> ExactArray:
        """Other numbers over the same power and divisor, or over the product with ``other``'s."""
        if other is None:
            return ExactArray(numbers, self.exponent, self.divisor)
        return ExactArray(numbers, self.exponent + other.exponent, self.divisor * other.divisor)

    def fractions(self) -> list[Fraction]:
        """Flat values as fractions."""
        scale = self.divisor << self.exponent
        return [Fraction(n) / scale for n in self.numbers.reshape(-1)]

    def any_below(self, bounds: NDArray[np.float64]) -> bool:
        """Whether a flat value lies below its bound (m,); −∞ is none.  Signs are compared as they
        are, without fractions."""
        return self._any_beyond(bounds, 1)

    def any_above(self, bounds: NDArray[np.float64]) -> bool:
        return self._any_beyond(bounds, -1)

    def _any_beyond(self, bounds: NDArray[np.float64], sign: int) -> bool:
        flat, scale = self.numbers.reshape(-1), self.divisor << self.exponent
        if any(sign * n < 0 for n in flat[bounds == 0]):
            return True
        others = np.flatnonzero(np.isfinite(bounds) & (bounds != 0))
        return any(
            sign * (Fraction(flat[i]) / scale - Fraction(float(bounds[i]))) < 0 for i in others
        )


def common(*parts: ExactArray) -> tuple[list[Objects], int, int]:
    """Numbers over one power and divisor, with these."""
    exponent = max(part.exponent for part in parts)
    divisor = math.lcm(*(part.divisor for part in parts))
    return [part.at(exponent, divisor) for part in parts], exponent, divisor


class DenominatorTooLong(Exception):
    """The denominators of fractions have too long a common multiple."""


def exact_values(network: Network, point: ArrayLike) -> dict[str, ExactArray]:
    """The exact value of every node for one input (n,).

    ModelError where a constant is known only to lie in an interval (``enclosed_values``).
    """
    return dict(_values(network, np.asarray(point, dtype=np.float64).tobytes()))


@lru_cache(maxsize=4)  # one input is often asked about again, under another claim
def _values(network: Network, point: bytes) -> dict[str, ExactArray]:
    flat = np.frombuffer(point, dtype=np.float64).reshape(network.input_shape)
    values = {INPUT: ExactArray.of(flat)}
    for node in network.nodes:
        sources = [values[source] for source in node.inputs]
        values[node.name] = apply_layer(network, node.name, node.layer, sources=sources)
    return values


def apply_layer(  # noqa: C901 - one case a kind of layer
    network: Network, name: str, layer: Layer, sources: list[ExactArray]
) -> ExactArray:
    """The value of a layer at the place of node ``name``."""
    x = sources[0]
    shape = network.shapes[name]
    match layer:
        case Affine():
            weight, bias = _numbers(layer)
            return x.like(x.numbers @ weight.numbers.T, weight).plus(bias)
        case Conv2d():
            return _convolution(layer, x, shape)
        case Scale():
            factor, shift = (
                _constant(np.broadcast_to(true(value, known), shape))
                for value, known in (
                    (layer.factor, layer.factor_range),
                    (layer.shift, layer.shift_range),
                )
            )
            return x.times(factor).plus(shift)
        case Reshape():
            return x.like(x.numbers.reshape(shape))
        case Select():
            fill = ExactArray.of(np.full(1, layer.fill))
            (numbers, last), exponent, divisor = common(x, fill)
            flat = np.append(numbers.reshape(-1), last)
            return ExactArray(flat[layer.index].reshape(shape), exponent, divisor)
        case Sum():
            total = _objects(np.ravel(x.numbers.sum(axis=layer.axes)).tolist())
            scale = _constant(true(layer.scale, layer.scale_range).reshape(1))
            return x.like((total * scale.numbers[0]).reshape(shape), scale)
        case Add():
            result = sources[0].times(ExactArray.of(np.full(1, layer.coefficients[0])))
            for value, coefficient in zip(sources[1:], layer.coefficients[1:], strict=True):
                result = result.plus(value.times(ExactArray.of(np.full(1, coefficient))))
            return result
        case Concat():
            parts, exponent, divisor = common(*sources)
            return ExactArray(np.concatenate(parts, axis=layer.axis), exponent, divisor)
        case ReLU():
            return x.like(np.where(x.numbers > 0, x.numbers, 0))
        case LeakyReLU():
            slope = ExactArray.of(np.full(1, layer.slope))
            scaled = x.numbers * slope.numbers[0]
            kept = x.numbers * (1 << slope.exponent)
            return x.like(np.where(x.numbers > 0, kept, scaled), slope)
        case MaxPool2d():
            (source,) = network.node[name].inputs
            windows = layer.windows(network.shapes[source])
            flat = x.numbers.reshape(-1)
            largest = [max(flat[w] for w in window if w >= 0) for window in windows]
            return x.like(_objects(largest).reshape(shape))


def _objects(numbers: list[int]) -> Objects:
    array: Objects = np.empty(len(numbers), dtype=np.object_)
    array[:] = numbers
    return array


@lru_cache(maxsize=64)
def _numbers(layer: Affine | Conv2d) -> tuple[ExactArray, ExactArray]:
    """Weight and bias, converted once per layer."""
    return (
        _constant(true(layer.weight, layer.weight_range)),
        _constant(true(layer.bias, layer.bias_range)),
    )


def _constant(values: NDArray[Any]) -> ExactArray:
    """Floats or known rationals; ModelError for others."""
    if values.dtype != np.object_:
        return ExactArray.of(values)
    if not all(value.known for value in values.flat):
        raise ModelError(
            "exact evaluation",
            expected="constants that are rational",
            got="one between two numbers, such as a root",
        )
    return ExactArray.rational(apply(lambda value: value.low, values))


def _convolution(layer: Conv2d, x: ExactArray, shape: tuple[int, ...]) -> ExactArray:
    _, height, width = x.numbers.shape
    out, per_group, kernel_h, kernel_w = layer.weight.shape
    probe = MaxPool2d((kernel_h, kernel_w), layer.stride, layer.padding, dilation=layer.dilation)
    windows = probe.windows((1, height, width))  # (positions, kh·kw), −1 is padding
    padded = np.concatenate(
        [x.numbers.reshape(x.numbers.shape[0], -1), np.zeros((x.numbers.shape[0], 1), object)], 1
    )
    weight, bias = _numbers(layer)
    kernel, bias = weight.numbers.reshape(out, -1), bias.like(bias.numbers[:, None])
    per_out = out // layer.groups
    rows = []
    for group in range(layer.groups):
        channels = padded[group * per_group : (group + 1) * per_group]
        columns = channels[:, windows].transpose(0, 2, 1).reshape(-1, len(windows))
        rows.append(kernel[group * per_out : (group + 1) * per_out] @ columns)
    found = x.like(np.concatenate(rows), weight).plus(bias)
    return found.like(found.numbers.reshape(shape))
