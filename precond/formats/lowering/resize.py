"""Changes of resolution as layers: nearest and linear resizing, transposed convolution, and
moves between channels and space.

A resized axis is an affine map with rational weights.  They are written as whole numbers and
one division by their common denominator, so that none is rounded here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.basic import divide, linear
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size, constant_array
from precond.formats.lowering.images import image
from precond.formats.lowering.moves import axis_of, pad, take
from precond.network.layers import Array, Conv2d, Pads, Pair

HALF = Fraction(1, 2)
EXACT = 1 << 53

Rational = Callable[[Fraction], int]
ROUNDINGS: dict[str, Rational] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda x: math.ceil(x - HALF),
    "round_prefer_ceil": lambda x: math.floor(x + HALF),
}


@dataclass(frozen=True)
class Axis:
    """One resized axis: its old and new sizes, new over old as the file says it, and where
    the new points lie (the names of ONNX's coordinate_transformation_mode)."""

    before: int
    after: int
    factor: Fraction
    places: str

    def point(self, i: int) -> Fraction:
        """Where new point ``i`` lies among the old ones."""
        return Fraction(self._point(Fraction(i), self.factor, 1 / self.factor))

    def computed(self, i: int) -> list[Fraction]:
        """Where runtimes compute that it lies, in float32: by division or by the reciprocal."""
        factor = np.float32(float(self.factor))
        own = np.float32(i)
        inverses = (None, np.float32(1) / factor)
        return [Fraction(float(self._point(own, factor, inverse))) for inverse in inverses]

    def _point(self, i: Any, factor: Any, inverse: Any) -> Any:
        """In the number type of the arguments; ``inverse`` None: by division."""
        half = type(i)(0.5)

        def old(new: Any) -> Any:
            return new / factor if inverse is None else new * inverse

        match self.places:
            case "half_pixel":
                return old(i + half) - half
            case "half_pixel_symmetric":
                grown = self.after / (factor * self.before)
                return half * self.before * (1 - grown) + old(i + half) - half
            case "pytorch_half_pixel":
                return old(i + half) - half if self.after > 1 else type(i)(0)
            case "align_corners":
                return i * (self.before - 1) / max(self.after - 1, 1)
            case "asymmetric":
                return old(i)
            case _:
                raise ModelError(
                    "resize: coordinates",
                    expected="half_pixel, align_corners, asymmetric or a variant of them",
                    got=self.places,
                )

    def inside(self, place: int) -> int:
        return min(max(place, 0), self.before - 1)


def nearest(b: NetworkBuilder, value: Value, axis: int, resized: Axis, rounding: str) -> Value:
    """One axis by its nearest old points."""
    if rounding not in ROUNDINGS:
        raise ModelError("resize: nearest", expected=", ".join(ROUNDINGS), got=rounding)
    round_ = ROUNDINGS[rounding]
    chosen = [resized.inside(round_(resized.point(i))) for i in range(resized.after)]
    for i, own in enumerate(chosen):
        if any(resized.inside(round_(point)) != own for point in resized.computed(i)):
            raise ModelError(
                "resize: nearest",
                expected="points that no rounding of a runtime can move",
                got=f"one at {float(resized.point(i)):g}",
                fix="Use a factor that is a whole number",
            )
    return take(b, value, axis, np.array(chosen, dtype=np.int64))


def interpolated(b: NetworkBuilder, value: Value, axis: int, resized: Axis) -> Value:
    """One axis by linear interpolation; beyond the ends the last old point counts."""
    b.other_arithmetic.append("a linear resize")
    last_old = Fraction(resized.before - 1)
    points = [min(max(resized.point(i), Fraction(0)), last_old) for i in range(resized.after)]
    common = math.lcm(*(point.denominator for point in points))
    if common > EXACT:
        raise ModelError("resize: factor", expected="a simple fraction", got=str(resized.factor))
    divisor = 1 if _is_power(common) else common
    matrix = np.zeros((resized.after, resized.before))
    for row, point in zip(matrix, points, strict=True):
        low = math.floor(point)
        row[low] += float((1 - (point - low)) * divisor)
        row[resized.inside(low + 1)] += float((point - low) * divisor)
    where = axis_of(value, axis)
    last = len(value.full) - 1
    moved = b.rearrange(value, value.index.swapaxes(where, last), where != 0)
    product = linear(b, moved, matrix)
    if divisor != 1:
        product = divide(b, product, np.asarray(float(divisor)))
    return b.rearrange(product, product.index.swapaxes(where, last), where != 0)


def resize(
    b: NetworkBuilder, value: Value, axes: Sequence[Axis | None], mode: str, rounding: str
) -> Value:
    """Every axis in turn (None: as it is)."""
    for number, axis in enumerate(axes):
        if axis is not None:
            if axis.after < 1:
                raise ModelError("resize", expected="sizes of 1 or more", got=str(axis.after))
            rest = math.prod(value.full) // axis.before
            check_size((rest, axis.after))
            check_size((axis.before, axis.after))
        if axis is None or (axis.before == axis.after and axis.factor == 1):
            continue
        if mode == "nearest":
            value = nearest(b, value, number, axis, rounding)
        elif mode == "linear":
            value = interpolated(b, value, number, axis)
        else:
            raise ModelError("resize: mode", expected="nearest or linear", got=mode)
    return value


def conv_transpose(
    b: NetworkBuilder,
    value: Value,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    more: Pair,
) -> Value:
    """The transpose of a convolution: zeros between the points, then a plain convolution.

    ``weight`` (C, out/groups, kh, kw); ``more`` are rows and columns added at the end.
    """
    value = image(b, value)
    weight = constant_array(weight)
    channels = value.shape[0]
    if weight.ndim != 4 or groups < 1 or channels % groups or weight.shape[0] != channels:
        raise ModelError(
            "transposed convolution",
            expected=f"weights of {channels} channels",
            got=str(weight.shape),
        )
    outputs = weight.shape[1] * groups
    shift = np.zeros(outputs) if bias is None else constant_array(bias)
    if shift.shape != (outputs,):
        raise ModelError(
            "transposed convolution: bias", expected=f"({outputs},)", got=str(shift.shape)
        )
    for axis in (0, 1):
        size = value.full[axis + 2]
        check_size((*value.full, stride[axis]))
        spread = np.full((size - 1) * stride[axis] + 1, -1, dtype=np.int64)
        spread[:: stride[axis]] = np.arange(size)
        value = _spread(b, value, axis + 2, spread)
    reach = [dilation[axis] * (weight.shape[axis + 2] - 1) for axis in (0, 1)]
    edges = [
        (reach[axis] - padding[axis], reach[axis] - padding[axis + 2] + more[axis])
        for axis in (0, 1)
    ]
    value = pad(b, value, [(0, 0), (0, 0), *edges], 0.0, "constant")
    grouped = weight.reshape(groups, channels // groups, *weight.shape[1:])
    kernel = grouped.swapaxes(1, 2).reshape(outputs, channels // groups, *weight.shape[2:])
    return b.emit(
        Conv2d(kernel[:, :, ::-1, ::-1], shift, (1, 1), (0, 0, 0, 0), dilation, groups), [value]
    )


def _is_power(number: int) -> bool:
    """Whether a positive whole number is a power of two."""
    return number & (number - 1) == 0


def _spread(b: NetworkBuilder, value: Value, axis: int, places: np.ndarray) -> Value:
    """Element ``places[k]`` of one axis at k; 0 where it is −1."""
    index = value.index.take(np.maximum(places, 0), axis)
    shape = [1] * index.ndim
    shape[axis] = len(places)
    return b.rearrange(value, np.where((places < 0).reshape(shape), -1, index))


def depth_to_space(b: NetworkBuilder, value: Value, block: int, mode: str) -> Value:
    """(N, C r², H, W) as (N, C, H r, W r); ``mode`` DCR or CRD orders the channels."""
    n, c, h, w = _four(value)
    if block < 1 or c % block**2 or mode not in ("DCR", "CRD"):
        raise ModelError(
            "depth to space", expected="channels for blocks, DCR or CRD", got=f"{c}, {mode}"
        )
    depth = c // block**2
    if mode == "DCR":
        index = value.index.reshape(n, block, block, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        index = value.index.reshape(n, depth, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return b.rearrange(value, index.reshape(n, depth, h * block, w * block))


def space_to_depth(b: NetworkBuilder, value: Value, block: int, mode: str) -> Value:
    """(N, C, H r, W r) as (N, C r², H, W), the inverse."""
    n, c, h, w = _four(value)
    if block < 1 or h % block or w % block:
        raise ModelError("space to depth", expected=f"sizes in {block}s", got=f"{h}, {w}")
    blocks = value.index.reshape(n, c, h // block, block, w // block, block)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    index = blocks.transpose(order).reshape(n, c * block**2, h // block, w // block)
    return b.rearrange(value, index)


def _four(value: Value) -> tuple[int, int, int, int]:
    if len(value.full) != 4:
        raise ModelError("channels and space", expected="four axes", got=str(value.full))
    n, c, h, w = value.full
    return n, c, h, w
