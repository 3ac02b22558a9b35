"""Operators of tensor libraries, written in the layers of ``layers.py``.

Both readers share these.  Axes and shapes are the file's (batch included); an operand is a
computed ``Value`` or a constant array.  Moves of elements are numpy views of the index
array of a value, so every one of them is a ``Select`` (or a ``Reshape`` where nothing moves).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from precond.errors import ModelError
from precond.formats.lowering import arithmetic
from precond.formats.lowering.builder import Builder, Value, check_size, constant_array
from precond.network.activation import OutputActivation
from precond.network.layers import (
    Add,
    Affine,
    Array,
    Concat,
    IntArray,
    Scale,
    Select,
    Shape,
    Sum,
)

Operand = Value | np.ndarray


def axis_of(value: Value, axis: int) -> int:
    """``axis`` counted from the front of the full shape."""
    rank = len(value.full)
    if not -rank <= axis < rank:
        raise ModelError("axis", expected=f"{-rank} to {rank - 1}", got=str(axis))
    return axis % rank


def reshape(b: Builder, value: Value, target: Sequence[int], zero_copies: bool = False) -> Value:
    """The same numbers in ``target`` (−1 once: what remains; 0: copied, if ``zero_copies``)."""
    sizes = list(target)
    for position, size in enumerate(sizes):
        if size == 0 and zero_copies and position < len(value.full):
            sizes[position] = value.full[position]
    total = math.prod(value.full)
    if sizes.count(-1) == 1:
        known = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = total // known if known else -1
    if any(size < 0 for size in sizes) or math.prod(sizes) != total:
        raise ModelError("reshape", expected=f"a shape of {total} values", got=str(tuple(target)))
    return b.rearrange(value, value.index.reshape(sizes))


def flatten(b: Builder, value: Value, start: int, end: int = -1) -> Value:
    """Axes ``start`` to ``end`` of the full shape made one."""
    full = value.full
    first, last = axis_of(value, start), axis_of(value, end)
    if last < first:
        raise ModelError("flatten", expected="start ≤ end", got=f"{start}, {end}")
    return reshape(b, value, (*full[:first], math.prod(full[first : last + 1]), *full[last + 1 :]))


def transpose(b: Builder, value: Value, order: Sequence[int]) -> Value:
    axes = [axis_of(value, axis) for axis in order]
    return b.rearrange(value, value.index.transpose(axes), axes[:1] == [0])


def squeeze(b: Builder, value: Value, axes: Sequence[int] | None) -> Value:
    """Without the given axes of size 1 (None: all of them but an open batch)."""
    full = value.full
    if axes is None:
        keep = value.batched and b.open_batch
        drop = {i for i, n in enumerate(full) if n == 1 and not (i == 0 and keep)}
    else:
        drop = {axis_of(value, axis) for axis in axes}
    if any(full[axis] != 1 for axis in drop):
        raise ModelError("squeeze", expected="axes of size 1", got=f"{sorted(drop)} of {full}")
    target = [n for i, n in enumerate(full) if i not in drop]
    return b.rearrange(value, value.index.reshape(target), 0 not in drop)


def unsqueeze(b: Builder, value: Value, axes: Sequence[int]) -> Value:
    rank = len(value.full) + len(axes)
    places = {axis + rank if axis < 0 else axis for axis in axes}
    if len(places) != len(axes) or not all(0 <= place < rank for place in places):
        raise ModelError("unsqueeze", expected=f"distinct axes below {rank}", got=str(list(axes)))
    index = np.expand_dims(value.index, tuple(sorted(places)))
    return b.rearrange(value, index, 0 not in places)


def take(b: Builder, value: Value, axis: int, indices: IntArray) -> Value:
    """``numpy.take``: elements ``indices`` of one axis; a scalar index drops the axis."""
    where = axis_of(value, axis)
    size = value.full[where]
    if indices.size == 0 or indices.min() < -size or indices.max() >= size:
        got = f"{indices.min()} to {indices.max()}" if indices.size else "none"
        raise ModelError("indices", expected=f"{-size} to {size - 1}, at least one", got=got)
    check_size((*value.full[:where], *indices.shape, *value.full[where + 1 :]))
    picked = value.index.take(indices % size, where)
    return b.rearrange(value, picked, where != 0 or indices.ndim == 1)


def strided(b: Builder, value: Value, axis: int, start: int, stop: int, step: int) -> Value:
    """``value[..., start:stop:step, ...]`` with numpy's reading of negative bounds."""
    if step == 0:
        raise ModelError("slice", expected="a step other than 0", got="0")
    size = value.full[axis_of(value, axis)]
    low, high = (0, size) if step > 0 else (-1, size - 1)
    begin, end = (
        min(max(bound + size if bound < 0 else bound, low), high) for bound in (start, stop)
    )
    return take(b, value, axis, np.arange(begin, end, step, dtype=np.int64))


def split(b: Builder, value: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    where = axis_of(value, axis)
    if sum(sizes) != value.full[where] or any(size < 1 for size in sizes):
        raise ModelError(
            "split", expected=f"sizes that add up to {value.full[where]}", got=str(list(sizes))
        )
    starts = np.cumsum([0, *sizes])
    return [take(b, value, where, np.arange(starts[i], starts[i + 1])) for i in range(len(sizes))]


def pad(
    b: Builder, value: Value, widths: Sequence[tuple[int, int]], fill: float, mode: str
) -> Value:
    """``numpy.pad`` by (before, after) for every axis; negative widths crop."""
    if len(widths) != len(value.full):
        raise ModelError("pad", expected=f"{len(value.full)} pairs", got=str(len(widths)))
    index = value.index
    for axis, (before, after) in enumerate(widths):
        size = index.shape[axis]
        index = index.take(np.arange(max(-before, 0), size - max(-after, 0)), axis)
    grown = [(max(before, 0), max(after, 0)) for before, after in widths]
    check_size([n + sum(more) for n, more in zip(index.shape, grown, strict=True)])
    if mode == "constant":
        index = np.pad(index, grown, constant_values=-1)
    elif mode in ("reflect", "edge"):
        index = np.pad(index, grown, mode=mode)  # type: ignore[call-overload]  # stubs want Literal
    else:
        raise ModelError("pad mode", expected="constant, reflect or edge", got=mode)
    return b.rearrange(value, index, fill=fill if (index < 0).any() else 0.0)


def expand(b: Builder, value: Value, full: Shape) -> Value:
    """``value`` broadcast to the full shape ``full``."""
    if full == value.full:
        return value
    index = np.broadcast_to(value.index, full)
    return b.rearrange(value, index, len(full) == len(value.full))


def scale(b: Builder, value: Value, factor: ArrayLike, shift: ArrayLike) -> Value:
    """``value · factor + shift`` with the file's broadcasting."""
    factor, shift = constant_array(factor), constant_array(shift)
    full = _broadcast(value.full, factor.shape, shift.shape)
    value = expand(b, value, full)

    def inner(constant: Array) -> Array:
        return constant[0] if value.batched and constant.ndim == len(full) else constant

    return b.emit(Scale(inner(factor), inner(shift)), [value])


def add(b: Builder, left: Operand, right: Operand, sign: float = 1.0) -> Value:
    """``left + sign · right`` (sign ±1) with broadcasting; at least one operand computed."""
    if isinstance(left, Value) and isinstance(right, Value):
        if left == right:
            return scale(b, left, 1.0 + sign, 0.0)
        full = _broadcast(left.full, right.full)
        if left.batched != right.batched or len(left.full) != len(right.full):
            left, right = b.unbatch(left), b.unbatch(right)
        left, right = expand(b, left, full), expand(b, right, full)
        return b.emit(Add((1.0, sign)), [left, right])
    if isinstance(left, Value):
        assert isinstance(right, np.ndarray)
        return scale(b, left, 1.0, sign * constant_array(right))
    assert isinstance(right, Value)
    return scale(b, right, sign, left)


def multiply(b: Builder, left: Operand, right: Operand) -> Value:
    if isinstance(left, Value) and isinstance(right, Value):
        raise ModelError(
            "product of two computed values",
            expected="a constant on one side",
            got="values that both depend on the input",
            fix="Only piecewise linear networks can be read",
        )
    if isinstance(left, Value):
        assert isinstance(right, np.ndarray)
        return scale(b, left, constant_array(right), 0.0)
    assert isinstance(right, Value)
    return scale(b, right, constant_array(left), 0.0)


def divide(b: Builder, left: Operand, right: Operand) -> Value:
    """``left / constant``, as a product with the reciprocal, which need be no float."""
    if isinstance(right, Value):
        raise ModelError(
            "division by a computed value", expected="a constant divisor", got="a computed one"
        )
    return multiply(b, left, arithmetic.divide(1.0, right))


def linear(b: Builder, value: Value, weight: Array) -> Value:
    """``x Wᵀ`` over the last axis, ``weight`` (m, n)."""
    if not value.shape:
        value = b.unbatch(value)
    return b.emit(Affine(weight, np.zeros(len(weight))), [value])


def matmul(b: Builder, left: Operand, right: Operand) -> Value:
    """Matrix product in numpy's sense, one side constant."""
    if isinstance(left, Value):
        if isinstance(right, Value):
            return multiply(b, left, right)
        matrix = _matrix(right)
        result = linear(b, left, matrix.T if matrix.ndim == 2 else matrix[None])
        if matrix.ndim == 1:
            return take(b, result, -1, np.array(0))
        return _leading_ones(b, result, np.ndim(right))
    assert isinstance(right, Value)
    matrix = _matrix(left)
    weight = matrix if matrix.ndim == 2 else matrix[None]
    if len(right.full) == 1 or (right.batched and len(right.shape) == 1):
        right = b.unbatch(right)
    if len(right.full) == 1:
        result = linear(b, right, weight)
        return result if matrix.ndim == 2 else take(b, result, -1, np.array(0))
    result = linear(b, _swapped(b, right), weight)
    if matrix.ndim == 1:
        return take(b, result, -1, np.array(0))
    return _leading_ones(b, _swapped(b, result), np.ndim(left))


def reduce(
    b: Builder, value: Value, axes: Sequence[int] | None, keepdims: bool, mean: bool
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


def concat(b: Builder, operands: Sequence[Operand], axis: int) -> Value:
    """Joined along one axis of the full shape; constants may be among the parts."""
    first = next(operand for operand in operands if isinstance(operand, Value))
    where = axis_of(first, axis)
    values = [v if isinstance(v, Value) else constant(b, first, v) for v in operands]
    if where == 0 or any(not value.batched for value in values):
        values = [b.unbatch(value) for value in values]
    return b.emit(Concat(where - 1 if values[0].batched else where), values)


def constant(b: Builder, like: Value, array: np.ndarray) -> Value:
    """A constant as a value of the network: zeros picked from nowhere, then shifted."""
    values = constant_array(array)
    batched = like.batched and values.ndim == len(like.full) and values.shape[0] == 1
    if batched:
        values = values[0]
    zeros = b.emit(Select(np.full(values.size, -1), values.shape), [like])
    zeros = replace(zeros, shape=values.shape, batched=batched)
    return b.emit(Scale(np.ones(()), values), [zeros])


def softmax(
    b: Builder, value: Value, axes: Sequence[int], activation: OutputActivation, last: bool
) -> Value:
    """Keeps a last (log-)softmax as the network's last activation, if it runs over all outputs."""
    _require_last(activation, last)
    places = {axis_of(value, axis) for axis in axes}
    size = math.prod(value.full)
    if math.prod(value.full[place] for place in places) != size:
        raise ModelError(
            activation.value, expected="one over all outputs", got=f"axes {sorted(places)}"
        )
    if size < 2:
        raise ModelError(
            activation.value,
            expected="two outputs or more",
            got="one output, which it turns into a constant",
            fix="End a network of one output in Sigmoid, or leave its logit as it is",
        )
    b.output_activation = activation
    return value


def sigmoid(b: Builder, value: Value, last: bool) -> Value:
    """Keeps a last sigmoid as the network's last activation."""
    _require_last(OutputActivation.SIGMOID, last)
    b.output_activation = OutputActivation.SIGMOID
    return value


def _require_last(activation: OutputActivation, last: bool) -> None:
    if not last:
        raise ModelError(
            activation.value,
            expected="it as the last operator",
            got="operators after it, or a second output",
            fix="Train with ReLU inside; attribution takes any torch module as it is",
        )


def _swapped(b: Builder, value: Value) -> Value:
    return b.rearrange(value, value.index.swapaxes(-1, -2))


def _matrix(array: np.ndarray) -> Array:
    """A constant factor as a vector or one matrix."""
    values = constant_array(array)
    if values.ndim > 2 and math.prod(values.shape[:-2]) == 1:
        values = values.reshape(values.shape[-2:])
    if values.ndim not in (1, 2):
        raise ModelError("matrix product", expected="one constant matrix", got=str(values.shape))
    return values


def _leading_ones(b: Builder, value: Value, rank: int) -> Value:
    missing = rank - len(value.full)
    return unsqueeze(b, value, range(missing)) if missing > 0 else value


def _broadcast(*shapes: Shape) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ModelError(
            "operands", expected="shapes that broadcast", got=" and ".join(map(str, shapes))
        ) from error
