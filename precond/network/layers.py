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

from precond.basics.arguments import number
from precond.errors import ModelError
from precond.network.checked import require_positive, settle
from precond.network.constants import Range
from precond.network.windows import WindowGeometry

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Shape = tuple[int, ...]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


ALONE: Shape = (1,)  # of a value that is one number


@dataclass(frozen=True, eq=False)
class Affine:
    """``y = x Wᵀ + b`` over the last axis.  ``weight`` (m, n), ``bias`` (m,)."""

    weight: Array
    bias: Array
    weight_range: Range | None = None
    bias_range: Range | None = None

    def __post_init__(self) -> None:
        settle(self, "weight", "bias")
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            got = f"{self.weight.shape} and {self.bias.shape}"
            raise ModelError("affine layer", expected="weight (m, n) and bias (m,)", got=got)

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
    weight_range: Range | None = None
    bias_range: Range | None = None

    def __post_init__(self) -> None:
        settle(self, "weight", "bias")
        if self.weight.ndim != 4 or self.bias.shape != self.weight.shape[:1]:
            got = f"{self.weight.shape} and {self.bias.shape}"
            expected = "weight (out, in/groups, height, width) and bias (out,)"
            raise ModelError("conv layer", expected=expected, got=got)
        require_positive("conv layer", (*self.stride, *self.dilation, self.groups))
        if len(self.weight) % self.groups:
            got = f"{len(self.weight)} outputs in {self.groups} groups"
            raise ModelError("conv layer", expected="groups of one size", got=got)

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        channels = self.weight.shape[1] * self.groups
        if len(shape) != 3 or shape[0] != channels:
            raise ModelError("conv layer", expected=f"({channels}, H, W)", got=str(shape))
        places = WindowGeometry(
            self.weight.shape[2:], self.stride, self.padding, dilation=self.dilation
        )
        return (self.weight.shape[0], *places.counts(shape[1:]))


@dataclass(frozen=True, eq=False)
class Scale:
    """``y = x · factor + shift`` element by element; both broadcast to the value's shape."""

    factor: Array
    shift: Array
    factor_range: Range | None = None
    shift_range: Range | None = None

    def __post_init__(self) -> None:
        settle(self, "factor", "shift")

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
    scale_range: Range | None = None

    def __post_init__(self) -> None:
        settle(self, "scale")
        object.__setattr__(self, "scale", float(self.scale))

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
        if not 0.0 <= number("slope of a leaky ReLU", self.slope) <= 1.0:
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

    def __post_init__(self) -> None:
        require_positive("max-pool", (*self.kernel, *self.stride, *self.dilation))

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        if len(shape) != 3:
            raise ModelError("max-pool", expected="(C, H, W)", got=str(shape))
        places = self._windows
        places.require_values(shape[1:])
        return (shape[0], *places.counts(shape[1:]))

    @property
    def _windows(self) -> WindowGeometry:
        return WindowGeometry(
            self.kernel, self.stride, self.padding, dilation=self.dilation, ceil_mode=self.ceil_mode
        )

    def windows(self, shape: Shape) -> IntArray:
        """Flat input indices (outputs, kh·kw) of every window; −1 where it lies in padding."""
        channels, height, width = shape
        return self._windows.indices((channels, height, width))


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
