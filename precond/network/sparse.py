"""Affine layers as sparse matrices: ``y = Σ_i M_i x_i + b`` over flat values.

The entries are the layer's own floats, so the matrices are the layer, not an approximation; what
its true constants differ from these by is bounded by matrices of their own.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from precond.network.constants import Range, apply
from precond.network.deviation import deviation, with_constants
from precond.network.graph import Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    MaxPool2d,
    Reshape,
    Scale,
    Select,
    Sum,
)

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Objects = NDArray[Any]


def deviation_matrices(network: Network, name: str) -> tuple[list[coo_array], Array] | None:
    """Matrices and bias like ``affine_matrices``, of what the true entries differ by at most from
    those; None where they do not."""
    away = deviation(network.node[name].layer)
    return None if away is None else affine_matrices(network, name, away)


def rational_matrix(network: Network, name: str) -> tuple[Objects, Objects]:
    """The matrix (outputs, all inputs) and bias (outputs,) of an affine node whose constants are
    rational, as fractions."""
    layer = network.node[name].layer
    values: dict[str, Objects] = {}

    def numbered(part: str, stored: Array, known: Range | None) -> Array:
        """Each constant's place, from 1, in place of it."""
        flat = stored if known is None else known.low
        values[part] = apply(Fraction, [0, *np.asarray(flat, dtype=np.object_).reshape(-1)])
        return np.arange(1.0, stored.size + 1).reshape(stored.shape)

    matrices, places = affine_matrices(network, name, with_constants(layer, numbered))
    columns = np.concatenate([m.toarray() for m in matrices], 1).astype(np.int64)
    weights, bias = (values[next(part for part in parts if part in values)] for parts in _PARTS)
    return weights[columns], bias[places.astype(np.int64)]


_PARTS = (("weight", "factor", "scale"), ("bias", "shift", "scale"))  # a sum has no bias


def affine_matrices(
    network: Network, name: str, layer: Layer | None = None
) -> tuple[list[coo_array], Array]:
    """One matrix (outputs, inputs) for each value that affine node ``name`` reads, and the
    bias (outputs,).  ``layer``: another of the same shapes in its place."""
    node = network.node[name]
    layer = layer or node.layer
    shapes = [network.shapes[source] for source in node.inputs]
    sizes = [math.prod(shape) for shape in shapes]
    shape = network.shapes[name]
    size = math.prod(shape)
    each, bias = np.arange(size), np.zeros(size)

    def matrix(rows: Index, columns: Index, values: Array, source: int = 0) -> coo_array:
        flat = np.broadcast_arrays(rows, columns, values)
        rows, columns, values = (part.reshape(-1) for part in flat)
        return coo_array((values, (rows, columns)), shape=(size, sizes[source]))

    one = np.ones(1)
    match layer:
        case Affine(weight, constant):
            count = size // len(constant)
            block = np.arange(count)[:, None, None]
            rows = block * weight.shape[0] + np.arange(weight.shape[0])[:, None]
            columns = block * weight.shape[1] + np.arange(weight.shape[1])
            return [matrix(rows, columns, weight)], np.tile(constant, count)
        case Conv2d():
            return [_convolution(layer, shapes[0], size)], np.repeat(
                layer.bias, size // len(layer.bias)
            )
        case Scale(factor, constant):
            diagonal = np.broadcast_to(factor, shape).reshape(-1)
            return [matrix(each, each, diagonal)], np.broadcast_to(constant, shape).reshape(-1)
        case Reshape():
            return [matrix(each, each, one)], bias
        case Select(index, _, fill):
            taken = np.flatnonzero(index >= 0)
            bias[index < 0] = fill
            return [matrix(taken, index[taken], one)], bias
        case Sum(axes, _, scale):
            kept = tuple(1 if i in axes else n for i, n in enumerate(shapes[0]))
            rows = np.broadcast_to(each.reshape(kept), shapes[0]).reshape(-1)
            return [matrix(rows, np.arange(sizes[0]), np.array([scale]))], bias
        case Add(coefficients):
            return [matrix(each, each, np.array([c]), i) for i, c in enumerate(coefficients)], bias
        case Concat(axis):
            flat = [np.arange(n).reshape(s) for n, s in zip(sizes, shapes, strict=True)]
            columns = np.concatenate(flat, axis).reshape(-1)
            marks = [np.full(s, i) for i, s in enumerate(shapes)]
            owner = np.concatenate(marks, axis).reshape(-1)
            return [
                matrix(each[owner == i], columns[owner == i], one, i) for i in range(len(sizes))
            ], bias
        case _:
            raise TypeError(f"{name} is not affine")


def _convolution(layer: Conv2d, shape: tuple[int, ...], size: int) -> coo_array:
    _, height, width = shape
    out, per_group, kernel_h, kernel_w = layer.weight.shape
    probe = MaxPool2d((kernel_h, kernel_w), layer.stride, layer.padding, dilation=layer.dilation)
    windows = probe.windows((1, height, width))  # (positions, kh·kw), −1 is padding
    channel = np.arange(out)
    first = channel // (out // layer.groups) * per_group  # of the group's input channels
    rows = (channel[:, None] * len(windows) + np.arange(len(windows)))[:, None, :, None]
    plane = (first[:, None] + np.arange(per_group)) * (height * width)
    columns = plane[:, :, None, None] + windows
    values = layer.weight.reshape(out, per_group, 1, -1)
    inside = windows >= 0
    rows, columns, values, inside = np.broadcast_arrays(rows, columns, values, inside)
    return coo_array(
        (values[inside], (rows[inside], columns[inside])), shape=(size, math.prod(shape))
    )
