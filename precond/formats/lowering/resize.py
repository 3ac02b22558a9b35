"""Changes of resolution as layers: nearest, linear and cubic resizing, transposed convolution, and
moves between channels and space.

A resized axis is an affine map with rational weights.  They are written as whole numbers and
one division by their common denominator, so that none is rounded here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.basic import divide, linear
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size, constant_array
from precond.formats.lowering.images import Filters, conv, spatial
from precond.formats.lowering.moves import axis_of, pad, take
from precond.formats.lowering.window import Sizes, Window, unpadded

HALF = Fraction(1, 2)
EXACT = 1 << 53

Rational = Callable[[Fraction], int]
ROUNDINGS: dict[str, Rational] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda x: math.ceil(x - HALF),
    "round_prefer_ceil": lambda x: math.floor(x + HALF),
}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One resized axis: its old and new sizes, new over old as the file says it, and where
    the new points lie (the names of ONNX's coordinate_transformation_mode).  ``cubic``: the
    coefficient of cubic interpolation; ``exclude_outside``: old points beyond the ends count
    nothing there."""

    before: int
    after: int
    factor: Fraction
    places: str
    cubic: Fraction = Fraction(-3, 4)
    exclude_outside: bool = False

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
    return take(b, value, axis, indices=np.array(chosen, dtype=np.int64))


def linear_weights(place: Fraction, axis: Axis) -> dict[int, Fraction]:
    """Weights of the two old points around ``place``; beyond the ends the last one counts."""
    inside = min(max(place, Fraction(0)), Fraction(axis.before - 1))
    low = math.floor(inside)
    share = inside - low
    found = {low: 1 - share}
    found[axis.inside(low + 1)] = found.get(axis.inside(low + 1), Fraction(0)) + share
    return found


def cubic_weights(place: Fraction, axis: Axis) -> dict[int, Fraction]:
    """Weights of the four old points around ``place``, by Keys's kernel (1981): a cubic function
    of where the point lies, but linear in the values.  Beyond the ends the last value counts, or
    nothing where ``exclude_outside`` makes the others sum to 1 again."""
    low, a = math.floor(place), axis.cubic
    found: dict[int, Fraction] = {}
    for point in range(low - 1, low + 3):
        if axis.exclude_outside and not 0 <= point < axis.before:
            continue
        x = abs(place - point)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        weight = near if x <= 1 else a * (x**3 - 5 * x**2 + 8 * x - 4)
        found[axis.inside(point)] = found.get(axis.inside(point), Fraction(0)) + weight
    total = sum(found.values())
    if total == 0:
        raise ModelError("resize: cubic", expected="weights that sum to 1", got="to 0")
    return {point: weight / total for point, weight in found.items()}


Weights = Callable[[Fraction, Axis], dict[int, Fraction]]
WEIGHTS: dict[str, Weights] = {"linear": linear_weights, "cubic": cubic_weights}


def interpolated(
    b: NetworkBuilder, value: Value, axis: int, resized: Axis, weights: Weights
) -> Value:
    """One axis by weighted sums of its old points."""
    b.other_arithmetic.append("an interpolating resize")
    rows = [weights(resized.point(i), resized) for i in range(resized.after)]
    common = math.lcm(*(weight.denominator for row in rows for weight in row.values()))
    if common > EXACT:
        raise ModelError("resize: factor", expected="a simple fraction", got=str(resized.factor))
    divisor = 1 if _is_power(common) else common
    matrix = np.zeros((resized.after, resized.before))
    for line, row in zip(matrix, rows, strict=True):
        for place, weight in row.items():
            line[place] = float(weight * divisor)
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
            value = nearest(b, value, number, resized=axis, rounding=rounding)
        elif mode in WEIGHTS:
            value = interpolated(b, value, number, resized=axis, weights=WEIGHTS[mode])
        else:
            raise ModelError("resize: mode", expected="nearest, linear or cubic", got=mode)
    return value


def conv_transpose(
    b: NetworkBuilder, value: Value, filters: Filters, window: Window, more: Sizes
) -> Value:
    """The transpose of a convolution: zeros between the points, then a plain convolution.

    ``filters.weight`` (C, out/groups, …); ``more`` are places added at the end of each axis.
    """
    value = spatial(b, value, window.rank)
    weight, groups = constant_array(filters.weight), filters.groups
    channels = value.shape[0]
    fits = weight.ndim == window.rank + 2 and groups >= 1 and channels % groups == 0
    if not fits or weight.shape[0] != channels:
        raise ModelError(
            "transposed convolution",
            expected=f"weights of {channels} channels",
            got=str(weight.shape),
        )
    if len(more) != window.rank or min(more) < 0:
        raise ModelError("output_padding", expected="sizes of 0 or more", got=str(more))
    outputs = weight.shape[1] * groups
    edges = [(0, 0), (0, 0)]
    for axis in range(window.rank):
        size, stride = value.full[axis + 2], window.stride[axis]
        check_size((*value.full, stride))
        places = np.full((size - 1) * stride + 1, -1, dtype=np.int64)
        places[::stride] = np.arange(size)
        value = _spread(b, value, axis + 2, places=places)
        reach = window.dilation[axis] * (weight.shape[axis + 2] - 1)
        edges.append((reach - window.before[axis], reach - window.after[axis] + more[axis]))
    value = pad(b, value, edges, fill=0.0, mode="constant")
    grouped = weight.reshape(groups, channels // groups, *weight.shape[1:])
    kernel = grouped.swapaxes(1, 2).reshape(outputs, channels // groups, *weight.shape[2:])
    flipped = np.flip(kernel, tuple(range(2, kernel.ndim)))
    plain = replace(unpadded(window.kernel, (1,) * window.rank), dilation=window.dilation)
    return conv(b, value, Filters(flipped, filters.bias, groups), window=plain)


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
