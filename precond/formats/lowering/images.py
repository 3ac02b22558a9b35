"""Convolution, pooling and batch normalisation of (N, C, H, W) tensors, as layers.

An average over windows is a depthwise convolution with ones, exact, then one scale by the
reciprocal of each window's count, so that a network read from a file and written again
keeps integer weights.  Counts follow ONNX and torch: with padding included, a window counts
its taps inside the padded image; without, its taps inside the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import arithmetic
from precond.formats.lowering.basic import scale
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size, constant_array
from precond.network.layers import Array, Conv2d, MaxPool2d, Pads, Pair, Reshape, Sum


def image(b: NetworkBuilder, value: Value) -> Value:
    """``value`` as a batch of one (C, H, W) image."""
    if not value.batched and len(value.shape) == 4 and value.shape[0] == 1:
        inner = b.emit(Reshape(value.shape[1:]), [value])
        value = Value(inner.name, inner.shape, True)
    if not value.batched or len(value.shape) != 3:
        raise ModelError(
            "an image operator",
            expected="shape (batch, channels, height, width)",
            got=str(value.full),
            fix="Only two-dimensional convolution and pooling can be read",
        )
    return value


def pair(values: Sequence[int], name: str) -> Pair:
    """Two sizes, or one for both axes, as torch and ONNX write them."""
    sizes = tuple(int(v) for v in values)
    if len(sizes) == 1:
        sizes *= 2
    if len(sizes) != 2 or min(sizes) < 1:
        raise ModelError(name, expected="two positive sizes", got=str(tuple(values)))
    return (sizes[0], sizes[1])


def same_padding(
    size: Sequence[int], kernel: Pair, stride: Pair, dilation: Pair, upper: bool
) -> Pads:
    """Padding that makes ⌈size / stride⌉ windows; the odd row goes last if ``upper``."""
    ends = []
    for axis in (0, 1):
        count = -(-size[axis] // stride[axis])
        reach = (count - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        total = max(reach - size[axis], 0)
        small, large = total // 2, total - total // 2
        ends.append((small, large) if upper else (large, small))
    return (ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def conv(
    b: NetworkBuilder,
    value: Value,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
) -> Value:
    value = image(b, value)
    weight = constant_array(weight)
    if weight.ndim != 4:
        raise ModelError("conv weight", expected="four axes", got=str(weight.shape))
    if groups < 1 or weight.shape[0] % groups:
        raise ModelError("conv groups", expected=f"a divisor of {weight.shape[0]}", got=str(groups))
    shift = np.zeros(weight.shape[0]) if bias is None else constant_array(bias)
    if shift.shape != (weight.shape[0],):
        raise ModelError("conv bias", expected=f"({weight.shape[0]},)", got=str(shift.shape))
    _check_padding(padding)
    return b.emit(Conv2d(weight, shift, stride, padding, dilation, groups), [value])


def max_pool(
    b: NetworkBuilder,
    value: Value,
    kernel: Pair,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    ceil_mode: bool,
) -> Value:
    value = image(b, value)
    _check_padding(padding)
    layer = MaxPool2d(kernel, stride, padding, dilation, ceil_mode)
    plane = (1, *value.shape[1:])
    check_size((*layer.output_shape([plane]), *kernel))
    if not (layer.windows(plane) >= 0).any(-1).all():
        raise ModelError("max-pool", expected="windows that touch the image", got="one in padding")
    return b.emit(layer, [value])


def average_pool(
    b: NetworkBuilder,
    value: Value,
    kernel: Pair,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None = None,
) -> Value:
    value = image(b, value)
    _check_padding(padding)
    channels = value.shape[0]
    pool = MaxPool2d(kernel, stride, padding, dilation, ceil_mode)
    _, *counts = pool.output_shape([value.shape])
    check_size((channels, *counts))
    check_size((channels, *kernel))
    top, left, bottom, right = padding
    if ceil_mode:
        bottom, right = (
            max(
                (counts[axis] - 1) * stride[axis]
                + dilation[axis] * (kernel[axis] - 1)
                + 1
                - value.shape[axis + 1]
                - padding[axis],
                0,
            )
            for axis in (0, 1)
        )
    taps = [_taps(value.shape[axis + 1], counts[axis], axis, pool, include_pad) for axis in (0, 1)]
    total = np.outer(taps[0], taps[1]).astype(np.float64)
    if divisor is not None:
        total = np.full_like(total, divisor)
    if (total == 0).any():
        raise ModelError(
            "average pool", expected="windows that touch the image", got="one in padding"
        )
    ones = np.ones((channels, 1, *kernel))
    summed = conv(b, value, ones, None, stride, (top, left, bottom, right), dilation, channels)
    uniform = bool((total == total[0, 0]).all())
    return scale(b, summed, arithmetic.divide(1.0, total[0, 0] if uniform else total), 0.0)


def global_average(b: NetworkBuilder, value: Value) -> Value:
    value = image(b, value)
    share = arithmetic.divide(1.0, float(math.prod(value.shape[1:]))).item()
    return b.emit(Sum((1, 2), True, share), [value])


def batch_norm(
    b: NetworkBuilder,
    value: Value,
    gain: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    epsilon: float,
) -> Value:
    """``(x − mean) / √(variance + ε) · gain + bias`` along axis 1."""
    gain, bias, mean, variance = map(constant_array, (gain, bias, mean, variance))
    if len(value.full) < 2 or {a.shape for a in (gain, bias, mean, variance)} != {value.full[1:2]}:
        raise ModelError(
            "batch normalisation",
            expected="one parameter per channel of axis 1",
            got=f"{gain.shape} for {value.full}",
        )
    spread = arithmetic.add(variance, epsilon)
    if not (spread > 0.0).all():
        raise ModelError("batch normalisation", expected="positive variance", got="0 or less")
    b.other_arithmetic.append("a batch normalisation")
    factor = arithmetic.divide(gain, arithmetic.square_root(spread))
    shift = arithmetic.subtract(bias, arithmetic.multiply(mean, factor))
    rest = (1,) * (len(value.full) - 2)
    return scale(b, value, factor.reshape(-1, *rest), shift.reshape(-1, *rest))


def _check_padding(padding: Pads) -> None:
    if min(padding) < 0:
        raise ModelError("padding", expected="0 or more", got=str(padding))


def _taps(size: int, count: int, axis: int, pool: MaxPool2d, include_pad: bool) -> Array:
    """Taps of each window along one axis that count."""
    before, after = pool.padding[axis], pool.padding[axis + 2]
    places = (
        np.arange(count)[:, None] * pool.stride[axis]
        + np.arange(pool.kernel[axis])[None, :] * pool.dilation[axis]
    )
    low, high = (0, before + size + after) if include_pad else (before, before + size)
    result: Array = ((places >= low) & (places < high)).sum(1).astype(np.float64)
    return result
