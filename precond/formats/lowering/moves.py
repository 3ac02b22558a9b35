"""Operators that move elements, as views of a value's index array.

Each is a numpy view or selection of the indices, so every one of them becomes a ``Select``, or a
``Reshape`` where nothing moves.  Axes and shapes are the file's (batch included).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size
from precond.network.layers import (
    IntArray,
    Shape,
)


def axis_of(value: Value, axis: int) -> int:
    """``axis`` counted from the front of the full shape."""
    rank = len(value.full)
    if not -rank <= axis < rank:
        raise ModelError("axis", expected=f"{-rank} to {rank - 1}", got=str(axis))
    return axis % rank


def reshape(
    b: NetworkBuilder, value: Value, target: Sequence[int], zero_copies: bool = False
) -> Value:
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


def flatten(b: NetworkBuilder, value: Value, start: int, end: int = -1) -> Value:
    """Axes ``start`` to ``end`` of the full shape made one."""
    full = value.full
    first, last = axis_of(value, start), axis_of(value, end)
    if last < first:
        raise ModelError("flatten", expected="start ≤ end", got=f"{start}, {end}")
    return reshape(b, value, (*full[:first], math.prod(full[first : last + 1]), *full[last + 1 :]))


def transpose(b: NetworkBuilder, value: Value, order: Sequence[int]) -> Value:
    axes = [axis_of(value, axis) for axis in order]
    return b.rearrange(value, value.index.transpose(axes), axes[:1] == [0])


def squeeze(b: NetworkBuilder, value: Value, axes: Sequence[int] | None) -> Value:
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


def unsqueeze(b: NetworkBuilder, value: Value, axes: Sequence[int]) -> Value:
    rank = len(value.full) + len(axes)
    places = {axis + rank if axis < 0 else axis for axis in axes}
    if len(places) != len(axes) or not all(0 <= place < rank for place in places):
        raise ModelError("unsqueeze", expected=f"distinct axes below {rank}", got=str(list(axes)))
    index = np.expand_dims(value.index, tuple(sorted(places)))
    return b.rearrange(value, index, 0 not in places)


def take(b: NetworkBuilder, value: Value, axis: int, indices: IntArray) -> Value:
    """``numpy.take``: elements ``indices`` of one axis; a scalar index drops the axis."""
    where = axis_of(value, axis)
    size = value.full[where]
    if indices.size == 0 or indices.min() < -size or indices.max() >= size:
        got = f"{indices.min()} to {indices.max()}" if indices.size else "none"
        raise ModelError("indices", expected=f"{-size} to {size - 1}, at least one", got=got)
    check_size((*value.full[:where], *indices.shape, *value.full[where + 1 :]))
    picked = value.index.take(indices % size, where)
    return b.rearrange(value, picked, where != 0 or indices.ndim == 1)


def strided(b: NetworkBuilder, value: Value, axis: int, start: int, stop: int, step: int) -> Value:
    """``value[..., start:stop:step, ...]`` with numpy's reading of negative bounds."""
    if step == 0:
        raise ModelError("slice", expected="a step other than 0", got="0")
    size = value.full[axis_of(value, axis)]
    low, high = (0, size) if step > 0 else (-1, size - 1)
    begin, end = (
        min(max(bound + size if bound < 0 else bound, low), high) for bound in (start, stop)
    )
    return take(b, value, axis, indices=np.arange(begin, end, step, dtype=np.int64))


def split(b: NetworkBuilder, value: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    where = axis_of(value, axis)
    if sum(sizes) != value.full[where] or any(size < 1 for size in sizes):
        raise ModelError(
            "split", expected=f"sizes that add up to {value.full[where]}", got=str(list(sizes))
        )
    starts = np.cumsum([0, *sizes])
    return [
        take(b, value, where, indices=np.arange(starts[i], starts[i + 1]))
        for i in range(len(sizes))
    ]


def pad(
    b: NetworkBuilder, value: Value, widths: Sequence[tuple[int, int]], fill: float, mode: str
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


def expand(b: NetworkBuilder, value: Value, full: Shape) -> Value:
    """``value`` broadcast to the full shape ``full``."""
    if full == value.full:
        return value
    index = np.broadcast_to(value.index, full)
    return b.rearrange(value, index, len(full) == len(value.full))


def gather_elements(b: NetworkBuilder, value: Value, axis: int, indices: IntArray) -> Value:
    """``numpy.take_along_axis``, where ``indices`` may be smaller along other axes."""
    where = axis_of(value, axis)
    full, size = value.full, value.full[where]
    small = indices.ndim == len(full) and all(
        n <= full[i] for i, n in enumerate(indices.shape) if i != where
    )
    if not small or not indices.size or indices.min() < -size or indices.max() >= size:
        raise ModelError(
            "indices", expected=f"{-size} to {size - 1} within {full}", got=str(indices.shape)
        )
    cut = tuple(slice(None) if i == where else slice(n) for i, n in enumerate(indices.shape))
    return b.rearrange(value, np.take_along_axis(value.index[cut], indices % size, where))


def pick(b: NetworkBuilder, value: Value, index: tuple[Any, ...]) -> Value:
    """``value[index]`` as numpy means it, for constant slices and whole numbers."""
    return b.rearrange(value, value.index[index], _keeps_first(index))


def _keeps_first(index: tuple[Any, ...]) -> bool:
    """Whether the first axis of the result still is the whole first axis."""
    first = index[0] if index else slice(None)
    return isinstance(first, slice) and first == slice(None)


def triangle(b: NetworkBuilder, value: Value, upper: bool, diagonal: int) -> Value:
    """The last two axes above (or below) a diagonal, 0 elsewhere."""
    if len(value.full) < 2:
        raise ModelError("triangle", expected="two axes or more", got=str(value.full))
    rows, columns = value.full[-2:]
    keep = np.tri(rows, columns, diagonal - 1 if upper else diagonal, dtype=bool)
    return b.rearrange(value, np.where(~keep if upper else keep, value.index, -1))
