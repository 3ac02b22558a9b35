"""Convolution, pooling and batch normalisation of tensors (N, C, …) of one to three spatial axes.

Layers have two such axes.  A line is a picture of height 1.  A maximum or an average over three
axes is one over two of them, then over the third.  A convolution over three reads, for each place
along the first, the slices that its kernel touches there as channels of their own; all places
are groups of one convolution.

An average over windows is a depthwise convolution with ones, exact, then one scale by the
reciprocal of each window's count, so that a network read from a file and written again
keeps integer weights.  Counts follow ONNX and torch: with padding included, a window counts
its taps inside the padded image; without, its taps inside the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import arithmetic
from precond.formats.lowering.basic import reduce, scale
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size, constant_array
from precond.formats.lowering.moves import reshape, squeeze, transpose, unsqueeze
from precond.formats.lowering.window import Window
from precond.network.layers import Array, Conv2d, MaxPool2d, Reshape


@dataclass(frozen=True, eq=False)
class Filters:
    """``weight`` (out, C/groups, …) and ``bias`` (out,) of a convolution."""

    weight: Array
    bias: Array | None
    groups: int = 1


def spatial(b: NetworkBuilder, value: Value, rank: int) -> Value:
    """``value`` as a batch of one tensor of channels and ``rank`` spatial axes."""
    if not 1 <= rank <= 3:
        raise ModelError("an image operator", expected="one to three spatial axes", got=str(rank))
    if not value.batched and len(value.shape) == rank + 2 and value.shape[0] == 1:
        inner = b.emit(Reshape(value.shape[1:]), [value])
        value = Value(inner.name, inner.shape, batched=True)
    if not value.batched or len(value.shape) != rank + 1:
        axes = ("length", "height, width", "depth, height, width")[rank - 1]
        raise ModelError(
            "an image operator", expected=f"shape (batch, channels, {axes})", got=str(value.full)
        )
    return value


def conv(b: NetworkBuilder, value: Value, filters: Filters, window: Window) -> Value:
    weight = constant_array(filters.weight)
    if weight.ndim != window.rank + 2:
        axes = f"{window.rank + 2} axes"
        raise ModelError("conv weight", expected=axes, got=str(weight.shape))
    value = spatial(b, value, window.rank)
    count, groups = len(weight), filters.groups
    if groups < 1 or count % groups:
        raise ModelError("conv groups", expected=f"a divisor of {count}", got=str(groups))
    bias = np.zeros(count) if filters.bias is None else constant_array(filters.bias)
    if bias.shape != (count,):
        raise ModelError("conv bias", expected=f"({count},)", got=str(bias.shape))
    if value.shape[0] != weight.shape[1] * groups:
        expected = f"{weight.shape[1] * groups} channels"
        raise ModelError("conv weight", expected=expected, got=str(value.shape[0]))
    filters = Filters(weight, bias, groups)
    if window.rank == 1:
        flat = unsqueeze(b, value, [2])
        high = replace(filters, weight=weight[:, :, None])
        return squeeze(b, _conv(b, flat, high, window=window.above()), [2])
    if window.rank == 3:
        return _conv_volume(b, value, filters, window=window)
    return _conv(b, value, filters, window=window)


def _conv(b: NetworkBuilder, value: Value, filters: Filters, window: Window) -> Value:
    assert filters.bias is not None
    layer = Conv2d(
        filters.weight,
        filters.bias,
        window.pair("stride"),
        padding=window.pads,
        dilation=window.pair("dilation"),
        groups=filters.groups,
    )
    return b.emit(layer, [value])


def _conv_volume(b: NetworkBuilder, value: Value, filters: Filters, window: Window) -> Value:
    """(N, C, D, H, W): every place along D is a group that reads the slices it needs."""
    channels, depth, height, width = value.shape
    weight, bias, groups = filters.weight, filters.bias, filters.groups
    assert bias is not None
    taps = window.part(0, 1).taps(depth)
    places, kernel = taps.shape
    check_size((places, channels * kernel, height, width))
    check_size((places, *weight.shape))
    index = value.index.reshape(groups, channels // groups, depth, height, width)
    index = np.where(taps[:, :, None, None] < 0, -1, index.take(np.maximum(taps, 0), 2))
    index = index.transpose(2, 0, 1, 3, 4, 5).reshape(1, -1, height, width)
    one = weight.reshape(len(weight), -1, *weight.shape[3:])
    every = Filters(
        np.concatenate([one] * places), np.concatenate([bias] * places), groups * places
    )
    result = _conv(b, b.rearrange(value, index), every, window=window.part(1, 3))
    result = reshape(b, result, (1, places, len(weight), *result.shape[1:]))
    return transpose(b, result, (0, 2, 1, 3, 4))


def max_pool(b: NetworkBuilder, value: Value, window: Window) -> Value:
    value = spatial(b, value, window.rank)
    if window.rank == 1:
        flat = max_pool(b, unsqueeze(b, value, [2]), window.above())
        return squeeze(b, flat, [2])
    if window.rank == 3:
        rest = max_pool(b, _slices(b, value), window.part(1, 3))
        return _along_depth(b, rest, value.shape, pool=lambda v: max_pool(b, v, _first(window)))
    layer = MaxPool2d(
        window.pair("kernel"),
        window.pair("stride"),
        window.pads,
        dilation=window.pair("dilation"),
        ceil_mode=window.ceil_mode,
    )
    plane = (1, *value.shape[1:])
    check_size((*layer.output_shape([plane]), *window.kernel))
    if not (layer.windows(plane) >= 0).any(-1).all():
        raise ModelError("max-pool", expected="windows that touch the image", got="one in padding")
    return b.emit(layer, [value])


def average_pool(
    b: NetworkBuilder,
    value: Value,
    window: Window,
    *,
    include_pad: bool = False,
    divisor: int | None = None,
) -> Value:
    """``divisor``: what sums are divided by, instead of the count of each window."""
    value = spatial(b, value, window.rank)
    if window.rank == 1:
        flat = unsqueeze(b, value, [2])
        line = average_pool(b, flat, window.above(), include_pad=include_pad, divisor=divisor)
        return squeeze(b, line, [2])
    if window.rank == 3:
        none = None if divisor is None else 1
        planes, first = window.part(1, 3), _first(window)
        slices = _slices(b, value)
        rest = average_pool(b, slices, planes, include_pad=include_pad, divisor=none)
        return _along_depth(
            b,
            rest,
            value.shape,
            pool=lambda v: average_pool(b, v, first, include_pad=include_pad, divisor=divisor),
        )
    return _average_plane(b, value, window, include_pad=include_pad, divisor=divisor)


def _average_plane(
    b: NetworkBuilder, value: Value, window: Window, include_pad: bool, divisor: int | None
) -> Value:
    channels = value.shape[0]
    pool = MaxPool2d(
        window.pair("kernel"),
        window.pair("stride"),
        window.pads,
        dilation=window.pair("dilation"),
        ceil_mode=window.ceil_mode,
    )
    _, *counts = pool.output_shape([value.shape])
    check_size((channels, *counts))
    check_size((channels, *window.kernel))
    wide = _reaching(window, value.shape[1:], counts) if window.ceil_mode else window
    taps = [
        _taps(value.shape[axis + 1], counts[axis], axis, pool=pool, include_pad=include_pad)
        for axis in (0, 1)
    ]
    total = np.outer(taps[0], taps[1]).astype(np.float64)
    if divisor is not None:
        total = np.full_like(total, divisor)
    if (total == 0).any():
        raise ModelError(
            "average pool", expected="windows that touch the image", got="one in padding"
        )
    ones = Filters(np.ones((channels, 1, *window.kernel)), bias=None, groups=channels)
    summed = conv(b, value, ones, window=wide)
    uniform = bool((total == total[0, 0]).all())
    return scale(b, summed, arithmetic.divide(1.0, total[0, 0] if uniform else total), shift=0.0)


def _reaching(window: Window, sizes: tuple[int, ...], counts: list[int]) -> Window:
    """With padding at the end that every counted window ends in."""
    ends = tuple(
        max(
            (counts[axis] - 1) * window.stride[axis]
            + window.dilation[axis] * (window.kernel[axis] - 1)
            + 1
            - sizes[axis]
            - window.before[axis],
            0,
        )
        for axis in range(window.rank)
    )
    return replace(window, after=ends)


def _first(window: Window) -> Window:
    """The first axis of three, of a picture whose width is the other two."""
    return window.part(0, 1).below()


def _slices(b: NetworkBuilder, value: Value) -> Value:
    """(N, C, D, H, W) as (N, C D, H, W)."""
    channels, depth, height, width = value.shape
    return reshape(b, value, (1, channels * depth, height, width))


def _along_depth(
    b: NetworkBuilder, slices: Value, shape: tuple[int, ...], pool: Callable[[Value], Value]
) -> Value:
    """(N, C D, H, W) pooled along D, as (N, C, D', H, W)."""
    channels, depth = shape[:2]
    height, width = slices.shape[1:]
    pooled = pool(reshape(b, slices, (1, channels, depth, height * width)))
    return reshape(b, pooled, (1, channels, pooled.shape[1], height, width))


def global_average(b: NetworkBuilder, value: Value) -> Value:
    """The mean over all spatial axes, which stay as axes of size 1."""
    value = spatial(b, value, len(value.full) - 2)
    return reduce(b, value, range(2, len(value.full)), keepdims=True, mean=True)


def batch_norm(
    b: NetworkBuilder, value: Value, parameters: Sequence[Array], epsilon: float
) -> Value:
    """``(x − mean) / √(variance + ε) · gain + bias`` along axis 1; ``parameters`` are gain, bias,
    mean and variance."""
    gain, bias, mean, variance = map(constant_array, parameters)
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
    return scale(b, value, factor.reshape(-1, *rest), shift=shift.reshape(-1, *rest))


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
