"""Arithmetic of tensor libraries, written in the layers of ``layers.py``.

Both readers share these.  Axes and shapes are the file's (batch included); an operand is a
computed ``Value`` or a constant array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from precond.errors import ModelError
from precond.formats.lowering import arithmetic
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size, constant_array
from precond.formats.lowering.moves import axis_of, expand, take, unsqueeze
from precond.formats.lowering.refusals import REMEDY
from precond.network.layers import (
    Add,
    Affine,
    Array,
    Concat,
    Scale,
    Select,
    Shape,
    Sum,
)

Operand = Value | np.ndarray


def scale(b: NetworkBuilder, value: Value, factor: ArrayLike, shift: ArrayLike) -> Value:
    """``value · factor + shift`` with the file's broadcasting."""
    factor, shift = constant_array(factor), constant_array(shift)
    full = _broadcast(value.full, factor.shape, shift.shape)
    value = expand(b, value, full)

    def inner(constant: Array) -> Array:
        return constant[0] if value.batched and constant.ndim == len(full) else constant

    return b.emit(Scale(inner(factor), inner(shift)), [value])


def add(b: NetworkBuilder, left: Operand, right: Operand, sign: float = 1.0) -> Value:
    """``left + sign · right`` (sign ±1) with broadcasting; at least one operand computed."""
    if isinstance(left, Value) and isinstance(right, Value):
        if left == right:
            return scale(b, left, 1.0 + sign, shift=0.0)
        full = _broadcast(left.full, right.full)
        if left.batched != right.batched or len(left.full) != len(right.full):
            left, right = b.unbatch(left), b.unbatch(right)
        left, right = expand(b, left, full), expand(b, right, full)
        return b.emit(Add((1.0, sign)), [left, right])
    if isinstance(left, Value):
        assert isinstance(right, np.ndarray)
        return scale(b, left, 1.0, shift=sign * constant_array(right))
    assert isinstance(right, Value)
    return scale(b, right, sign, shift=left)


def multiply(b: NetworkBuilder, left: Operand, right: Operand) -> Value:
    if isinstance(left, Value) and isinstance(right, Value):
        raise ModelError(
            "product of two computed values",
            expected="a constant on one side",
            got="values that both depend on the input",
            fix=REMEDY,
        )
    if isinstance(left, Value):
        assert isinstance(right, np.ndarray)
        return scale(b, left, constant_array(right), shift=0.0)
    assert isinstance(right, Value)
    return scale(b, right, constant_array(left), shift=0.0)


def divide(b: NetworkBuilder, left: Operand, right: Operand) -> Value:
    """``left / constant``, as a product with the reciprocal, which need be no float."""
    if isinstance(right, Value):
        raise ModelError(
            "division by a computed value",
            expected="a constant divisor",
            got="a computed one",
            fix=REMEDY,
        )
    return multiply(b, left, arithmetic.divide(1.0, right))


def linear(b: NetworkBuilder, value: Value, weight: Array) -> Value:
    """``x Wᵀ`` over the last axis, ``weight`` (m, n)."""
    if not value.shape:
        value = b.unbatch(value)
    return b.emit(Affine(weight, np.zeros(len(weight))), [value])


def matmul(b: NetworkBuilder, left: Operand, right: Operand) -> Value:
    """Matrix product in numpy's sense, one side constant."""
    if isinstance(left, Value):
        if isinstance(right, Value):
            return multiply(b, left, right)
        matrix = _matrix(right)
        result = linear(b, left, matrix.T if matrix.ndim == 2 else matrix[None])
        if matrix.ndim == 1:
            return take(b, result, -1, indices=np.array(0))
        return _leading_ones(b, result, np.ndim(right))
    assert isinstance(right, Value)
    matrix = _matrix(left)
    weight = matrix if matrix.ndim == 2 else matrix[None]
    if len(right.full) == 1 or (right.batched and len(right.shape) == 1):
        right = b.unbatch(right)
    if len(right.full) == 1:
        result = linear(b, right, weight)
        return result if matrix.ndim == 2 else take(b, result, -1, indices=np.array(0))
    result = linear(b, _swapped(b, right), weight)
    if matrix.ndim == 1:
        return take(b, result, -1, indices=np.array(0))
    return _leading_ones(b, _swapped(b, result), np.ndim(left))


def running_sum(
    b: NetworkBuilder, value: Value, axis: int, *, exclusive: bool = False, reverse: bool = False
) -> Value:
    """Sums of all elements up to each along one axis; ``exclusive``: without it; ``reverse``: of
    those from it on."""
    where, last = axis_of(value, axis), len(value.full) - 1
    size = value.full[where]
    check_size((size, size))
    weight = np.tri(size, k=-1 if exclusive else 0)
    moved = b.rearrange(value, value.index.swapaxes(where, last), where != 0)
    total = linear(b, moved, weight.T if reverse else weight)
    return b.rearrange(total, total.index.swapaxes(where, last), where != 0)


def reduce(
    b: NetworkBuilder, value: Value, axes: Sequence[int] | None, keepdims: bool, mean: bool
) -> Value:
    """Sum or mean over axes of the full shape (None: all)."""
    chosen = range(len(value.full)) if axes is None else axes
    places = sorted({axis_of(value, axis) for axis in chosen})
    if not places:
        return value
    if value.batched and places[0] == 0:
        value = b.unbatch(value)
    offset = 1 if value.batched else 0
    count = math.prod(value.full[place] for place in places)
    inner = tuple(place - offset for place in places)
    share = arithmetic.divide(1.0, float(count)).item() if mean else 1.0
    total = b.emit(Sum(inner, keepdims, share), [value])
    return total if keepdims or len(inner) < len(value.shape) else replace(total, shape=())


def concat(b: NetworkBuilder, operands: Sequence[Operand], axis: int) -> Value:
    """Joined along one axis of the full shape; constants may be among the parts."""
    first = next(operand for operand in operands if isinstance(operand, Value))
    where = axis_of(first, axis)
    values = [v if isinstance(v, Value) else constant(b, first, v) for v in operands]
    if where == 0 or any(not value.batched for value in values):
        values = [b.unbatch(value) for value in values]
    return b.emit(Concat(where - 1 if values[0].batched else where), values)


def constant(b: NetworkBuilder, like: Value, array: np.ndarray) -> Value:
    """A constant as a value of the network: zeros picked from nowhere, then shifted."""
    values = constant_array(array)
    batched = like.batched and values.ndim == len(like.full) and values.shape[0] == 1
    if batched:
        values = values[0]
    zeros = b.emit(Select(np.full(values.size, -1), values.shape), [like])
    zeros = replace(zeros, shape=values.shape, batched=batched)
    return b.emit(Scale(np.ones(()), values), [zeros])


def _swapped(b: NetworkBuilder, value: Value) -> Value:
    return b.rearrange(value, value.index.swapaxes(-1, -2))


def _matrix(array: np.ndarray) -> Array:
    """A constant factor as a vector or one matrix."""
    values = constant_array(array)
    if values.ndim > 2 and math.prod(values.shape[:-2]) == 1:
        values = values.reshape(values.shape[-2:])
    if values.ndim not in (1, 2):
        raise ModelError("matrix product", expected="one constant matrix", got=str(values.shape))
    return values


def _leading_ones(b: NetworkBuilder, value: Value, rank: int) -> Value:
    missing = rank - len(value.full)
    return unsqueeze(b, value, range(missing)) if missing > 0 else value


def _broadcast(*shapes: Shape) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ModelError(
            "operands", expected="shapes that broadcast", got=" and ".join(map(str, shapes))
        ) from error
