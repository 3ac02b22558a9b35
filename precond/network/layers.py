"""The layer kinds a network is made of: frozen data, no behaviour beyond shapes.

Everything a reader meets is lowered to these eleven kinds.  All but ``ReLU``,
``LeakyReLU`` and ``MaxPool2d`` are affine, so an engine needs one rule for affine
layers (apply, transpose) and three for the rest.  Weights are float64 arrays that
hold the file's float32 (or float64) values exactly.

Shapes never include the batch dimension, and have at least one axis: a number alone is (1,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from precond.errors import ModelError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Shape = tuple[int, ...]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


ALONE: Shape = (1,)  # of a value that is one number


def _frozen(values: object) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Affine:
    """``y = x Wᵀ + b`` over the last axis.  ``weight`` (m, n), ``bias`` (m,)."""

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _frozen(self.weight))
        object.__setattr__(self, "bias", _frozen(self.bias))

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        if not shape or shape[-1] != self.weight.shape[1]:
            raise ModelError(
                "affine layer", expected=f"last axis of {self.weight.shape[1]}", got=str(shape)
            )
        return (*shape[:-1], self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Conv2d:
    """Cross-correlation of a (C, H, W) value.  ``weight`` (out, C/groups, kh, kw)."""

    weight: Array
    bias: Array
    stride: Pair = (1, 1)
    padding: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _frozen(self.weight))
        object.__setattr__(self, "bias", _frozen(self.bias))

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        channels = self.weight.shape[1] * self.groups
        if len(shape) != 3 or shape[0] != channels:
            raise ModelError("conv layer", expected=f"({channels}, H, W)", got=str(shape))
        height, width = _window_output(
            shape[1:], self.weight.shape[2:], self.stride, self.padding, self.dilation, False
        )
        return (self.weight.shape[0], height, width)


@dataclass(frozen=True, eq=False)
class Scale:
    """``y = x · factor + shift`` element by element; both broadcast to the value's shape."""

    factor: Array
    shift: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _frozen(self.factor))
        object.__setattr__(self, "shift", _frozen(self.shift))

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        try:
            result = np.broadcast_shapes(shape, self.factor.shape, self.shift.shape)
        except ValueError:
            result = ()
        if result != shape:
            raise ModelError(
                "scale layer",
                expected=f"constants that broadcast to {shape}",
                got=f"{self.factor.shape} and {self.shift.shape}",
            )
        return shape


@dataclass(frozen=True, eq=False)
class Reshape:
    """The same numbers in row-major order under another shape."""

    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape) or ALONE)

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        if math.prod(shape) != math.prod(self.shape):
            raise ModelError("reshape", expected=f"{math.prod(self.shape)} values", got=str(shape))
        return self.shape


@dataclass(frozen=True, eq=False)
class Select:
    """``y.flat[k] = x.flat[index[k]]``, or ``fill`` where ``index[k]`` is −1.

    Transpose, slice, split, gather and pad are all of this kind.
    """

    index: IntArray
    shape: Shape
    fill: float = 0.0

    def __post_init__(self) -> None:
        index = np.array(self.index, dtype=np.int64).reshape(-1)
        index.setflags(write=False)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "shape", tuple(self.shape) or ALONE)

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        size = math.prod(shape)
        if self.index.size != math.prod(self.shape):
            raise ModelError(
                "select", expected=f"{math.prod(self.shape)} indices", got=str(self.index.size)
            )
        if self.index.size and (self.index.min() < -1 or self.index.max() >= size):
            raise ModelError(
                "select", expected=f"indices in −1..{size - 1}", got=str(self.index.max())
            )
        return self.shape


@dataclass(frozen=True, eq=False)
class Sum:
    """``y = scale · Σ x`` over ``axes``; the mean is a sum with its scale.

    Over all axes it is one number, (1,), unless ``keepdims`` keeps them all.
    """

    axes: tuple[int, ...]
    keepdims: bool
    scale: float = 1.0

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        if not self.axes or any(not 0 <= axis < len(shape) for axis in self.axes):
            raise ModelError(
                "sum", expected=f"one axis or more, below {len(shape)}", got=str(self.axes)
            )
        if self.keepdims:
            return tuple(1 if i in self.axes else n for i, n in enumerate(shape))
        return tuple(n for i, n in enumerate(shape) if i not in self.axes) or ALONE


@dataclass(frozen=True, eq=False)
class Add:
    """``y = Σ coefficients[i] · x_i`` of branches with one shape."""

    coefficients: tuple[float, ...]

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        if len(shapes) != len(self.coefficients) or any(s != shapes[0] for s in shapes):
            raise ModelError(
                "add", expected=f"{len(self.coefficients)} equal shapes", got=str(list(shapes))
            )
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Concat:
    """Branches joined along ``axis``."""

    axis: int

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        first = shapes[0]
        axis = self.axis
        rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
        if not 0 <= axis < len(first) or len(rest) != 1 or len({len(s) for s in shapes}) != 1:
            raise ModelError("concat", expected=f"shapes equal off axis {axis}", got=str(shapes))
        return (*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :])


@dataclass(frozen=True, eq=False)
class ReLU:
    """``max(z, 0)``; its neurons are the decisions of a pattern."""

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        return shape


@dataclass(frozen=True, eq=False)
class LeakyReLU:
    """``z`` where z > 0, else ``slope · z``, with 0 ≤ slope ≤ 1."""

    slope: float = 0.01

    def __post_init__(self) -> None:
        if not 0.0 <= self.slope <= 1.0:
            raise ModelError("leaky ReLU", expected="a slope in [0, 1]", got=str(self.slope))

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        return shape


@dataclass(frozen=True, eq=False)
class MaxPool2d:
    """Window maximum of a (C, H, W) value; padding never wins."""

    kernel: Pair
    stride: Pair
    padding: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        if len(shape) != 3:
            raise ModelError("max-pool", expected="(C, H, W)", got=str(shape))
        height, width = _window_output(
            shape[1:], self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        return (shape[0], height, width)

    def windows(self, shape: Shape) -> IntArray:
        """Flat input indices (outputs, kh·kw) of every window; −1 where it lies in padding."""
        channels, height, width = shape
        _, out_h, out_w = self.output_shape([shape])
        rows = (
            np.arange(out_h)[:, None] * self.stride[0]
            - self.padding[0]
            + np.arange(self.kernel[0])[None, :] * self.dilation[0]
        )
        cols = (
            np.arange(out_w)[:, None] * self.stride[1]
            - self.padding[1]
            + np.arange(self.kernel[1])[None, :] * self.dilation[1]
        )
        inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((cols >= 0) & (cols < width))[
            None, :, None, :
        ]
        plane = rows[:, None, :, None] * width + cols[None, :, None, :]
        plane = np.where(inside, plane, -1).reshape(out_h * out_w, -1)
        offsets = (np.arange(channels) * height * width)[:, None, None]
        every = np.where(plane[None] >= 0, plane[None] + offsets, -1)
        return every.reshape(channels * out_h * out_w, -1).astype(np.int64)


AFFINE_KINDS = (Affine, Conv2d, Scale, Reshape, Select, Sum, Add, Concat)
Layer = (
    Affine | Conv2d | Scale | Reshape | Select | Sum | Add | Concat | ReLU | LeakyReLU | MaxPool2d
)


@dataclass(frozen=True, eq=False)
class Node:
    """One layer of a network, its name, and the names of the values it reads."""

    name: str
    layer: Layer
    inputs: tuple[str, ...] = field(default=())


def _window_output(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    ceil_mode: bool,
) -> Pair:
    result = []
    for axis in (0, 1):
        padded = size[axis] + padding[axis] + padding[axis + 2]
        room = padded - dilation[axis] * (kernel[axis] - 1) - 1
        if room < 0:
            raise ModelError(
                "window larger than its input",
                expected=f"at most {padded}",
                got=f"{dilation[axis] * (kernel[axis] - 1) + 1}",
            )
        count = (-(-room // stride[axis]) if ceil_mode else room // stride[axis]) + 1
        # A window that would start in the trailing padding is dropped (torch and ONNX agree).
        if ceil_mode and (count - 1) * stride[axis] >= size[axis] + padding[axis]:
            count -= 1
        result.append(count)
    return (result[0], result[1])
