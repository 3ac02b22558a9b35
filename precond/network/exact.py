"""Exact evaluation of a network at one point, in rational arithmetic.

Floats are dyadic, so weights and inputs are integers over a power of two.  A value is kept
as an array of Python integers with one common exponent (``integer · 2^-exponent``); sums
and products of such arrays are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)

Objects = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dyadic:
    """``numbers · 2^-exponent`` with Python integers in an object array."""

    numbers: Objects
    exponent: int

    @classmethod
    def of(cls, values: ArrayLike) -> Dyadic:
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

    def at(self, exponent: int) -> Objects:
        """The same numbers over a larger power of two."""
        return (
            self.numbers
            if exponent == self.exponent
            else self.numbers * (1 << (exponent - self.exponent))
        )

    def plus(self, other: Dyadic) -> Dyadic:
        exponent = max(self.exponent, other.exponent)
        return Dyadic(self.at(exponent) + other.at(exponent), exponent)

    def times(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.numbers * other.numbers, self.exponent + other.exponent)

    def fractions(self) -> list[Fraction]:
        """Flat values as fractions."""
        scale = 1 << self.exponent
        return [Fraction(int(n), scale) for n in self.numbers.reshape(-1)]


def exact_values(network: Network, point: ArrayLike) -> dict[str, Dyadic]:
    """The exact value of every node for one input (n,)."""
    return dict(_values(network, np.asarray(point, dtype=np.float64).tobytes()))


@lru_cache(maxsize=4)  # one input is often asked about again, under another claim
def _values(network: Network, point: bytes) -> dict[str, Dyadic]:
    flat = np.frombuffer(point, dtype=np.float64).reshape(network.input_shape)
    values = {INPUT: Dyadic.of(flat)}
    for node in network.nodes:
        sources = [values[source] for source in node.inputs]
        values[node.name] = _apply(network, node.name, sources)
    return values


def _apply(network: Network, name: str, sources: list[Dyadic]) -> Dyadic:
    layer, x = network.node[name].layer, sources[0]
    shape = network.shapes[name]
    match layer:
        case Affine():
            weight, bias = _numbers(layer)
            product = Dyadic(x.numbers @ weight.numbers.T, x.exponent + weight.exponent)
            return product.plus(bias)
        case Conv2d():
            return _convolution(layer, x, shape)
        case Scale():
            factor = Dyadic.of(np.broadcast_to(layer.factor, shape))
            return x.times(factor).plus(Dyadic.of(np.broadcast_to(layer.shift, shape)))
        case Reshape():
            return Dyadic(x.numbers.reshape(shape), x.exponent)
        case Select():
            fill = Dyadic.of(np.full(1, layer.fill))
            exponent = max(x.exponent, fill.exponent)
            flat = np.append(x.at(exponent).reshape(-1), fill.at(exponent))
            return Dyadic(flat[layer.index].reshape(shape), exponent)
        case Sum():
            total = _objects(np.ravel(x.numbers.sum(axis=layer.axes)).tolist())
            scale = Dyadic.of(np.full(1, layer.scale))
            scaled = (total * scale.numbers[0]).reshape(shape)
            return Dyadic(scaled, x.exponent + scale.exponent)
        case Add():
            result = sources[0].times(Dyadic.of(np.full(1, layer.coefficients[0])))
            for value, coefficient in zip(sources[1:], layer.coefficients[1:], strict=True):
                result = result.plus(value.times(Dyadic.of(np.full(1, coefficient))))
            return result
        case Concat():
            exponent = max(source.exponent for source in sources)
            parts = [source.at(exponent) for source in sources]
            return Dyadic(np.concatenate(parts, axis=layer.axis), exponent)
        case ReLU():
            return Dyadic(np.where(x.numbers > 0, x.numbers, 0), x.exponent)
        case LeakyReLU():
            slope = Dyadic.of(np.full(1, layer.slope))
            scaled = x.numbers * slope.numbers[0]
            kept = x.numbers * (1 << slope.exponent)
            return Dyadic(np.where(x.numbers > 0, kept, scaled), x.exponent + slope.exponent)
        case MaxPool2d():
            (source,) = network.node[name].inputs
            windows = layer.windows(network.shapes[source])
            flat = x.numbers.reshape(-1)
            largest = [max(flat[w] for w in window if w >= 0) for window in windows]
            return Dyadic(_objects(largest).reshape(shape), x.exponent)


def _objects(numbers: list[int]) -> Objects:
    array: Objects = np.empty(len(numbers), dtype=np.object_)
    array[:] = numbers
    return array


@lru_cache(maxsize=64)
def _numbers(layer: Affine | Conv2d) -> tuple[Dyadic, Dyadic]:
    """Weight and bias, converted once per layer."""
    return Dyadic.of(layer.weight), Dyadic.of(layer.bias)


def _convolution(layer: Conv2d, x: Dyadic, shape: tuple[int, ...]) -> Dyadic:
    _, height, width = x.numbers.shape
    out, per_group, kernel_h, kernel_w = layer.weight.shape
    probe = MaxPool2d((kernel_h, kernel_w), layer.stride, layer.padding, layer.dilation)
    windows = probe.windows((1, height, width))  # (positions, kh·kw), −1 is padding
    padded = np.concatenate(
        [x.numbers.reshape(x.numbers.shape[0], -1), np.zeros((x.numbers.shape[0], 1), object)], 1
    )
    weight, bias = _numbers(layer)
    kernel, bias = weight.numbers.reshape(out, -1), Dyadic(bias.numbers[:, None], bias.exponent)
    per_out = out // layer.groups
    rows = []
    for group in range(layer.groups):
        channels = padded[group * per_group : (group + 1) * per_group]
        columns = channels[:, windows].transpose(0, 2, 1).reshape(-1, len(windows))
        rows.append(kernel[group * per_out : (group + 1) * per_out] @ columns)
    product = Dyadic(np.concatenate(rows), x.exponent + weight.exponent)
    return Dyadic(product.plus(bias).numbers.reshape(shape), max(product.exponent, bias.exponent))
