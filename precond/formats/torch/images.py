"""aten operators over lines, pictures and volumes: convolutions, pools, normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import images as lowering
from precond.formats.lowering import pieces
from precond.formats.lowering.builder import Value
from precond.formats.lowering.resize import conv_transpose as transposed
from precond.formats.lowering.window import Window, positive, same_padding, unpadded
from precond.formats.torch.arguments import Arguments, Result

Operator = Callable[[Arguments], Result]


def conv(a: Arguments) -> Result:
    if a.get("transposed", False):
        return conv_transpose(a)
    filters, value = _filters(a), a.value("input")
    window = _window(a, filters.weight.shape[2:])
    if a.get("padding") == "same":
        window = same_padding(value.full[2:], window, upper=True)
    return lowering.conv(a.builder, value, filters, window=window)


def conv_transpose(a: Arguments) -> Result:
    filters = _filters(a)
    window = _window(a, filters.weight.shape[2:])
    more = a.integers("output_padding") or [0]
    more = more * window.rank if len(more) == 1 else more
    return transposed(a.builder, a.value("input"), filters, window=window, more=tuple(more))


def _filters(a: Arguments) -> lowering.Filters:
    return lowering.Filters(a.constant("weight"), a.optional("bias"), a.integer("groups", 1))


def max_pool(rank: int, *, indices: bool = False) -> Operator:
    """Over ``rank`` axes; ``indices``: the operator also gives where the largest stand."""

    def apply(a: Arguments) -> Result:
        found = lowering.max_pool(a.builder, a.value(), _pool(a, rank))
        return [found] if indices else found

    return apply


def average_pool(rank: int) -> Operator:
    def apply(a: Arguments) -> Result:
        given = a.get("divisor_override") is not None
        return lowering.average_pool(
            a.builder,
            a.value(),
            _pool(a, rank),
            include_pad=bool(a.get("count_include_pad", True)),
            divisor=a.integer("divisor_override") if given else None,
        )

    return apply


def adaptive_average_pool(rank: int) -> Operator:
    def apply(a: Arguments) -> Result:
        if set(a.integers("output_size")) == {1}:
            return lowering.global_average(a.builder, lowering.spatial(a.builder, a.value(), rank))
        return lowering.average_pool(a.builder, a.value(), _parts(a, rank))

    return apply


def adaptive_max_pool(rank: int) -> Operator:
    def apply(a: Arguments) -> Result:
        if set(a.integers("output_size")) == {1}:
            axes = range(-rank, 0)
            return [pieces.extreme_over(a.builder, a.value(), axes, keepdims=True, sign=1.0)]
        return [lowering.max_pool(a.builder, a.value(), _parts(a, rank))]

    return apply


def batch_norm(a: Arguments) -> Result:
    if a.get("training", False):
        raise ModelError(
            "batch normalisation",
            expected="evaluation mode",
            got="training mode",
            fix="Call module.eval() before torch.export.export",
        )
    mean, variance = a.constant("running_mean"), a.constant("running_var")
    gain, bias = a.optional("weight"), a.optional("bias")
    gain = np.ones_like(mean) if gain is None else gain
    bias = np.zeros_like(mean) if bias is None else bias
    epsilon = a.get("eps", 1e-5)
    assert isinstance(epsilon, float)
    return lowering.batch_norm(
        a.builder, a.value("input"), [gain, bias, mean, variance], epsilon=epsilon
    )


def batch_norm_outputs(a: Arguments) -> Result:
    values = batch_norm(a)
    assert isinstance(values, Value)
    return [values]


def _pool(a: Arguments, rank: int) -> Window:
    kernel = positive(a.integers("kernel_size"), rank, "kernel_size")
    given = a.integers("stride") or list(kernel)
    ceil_mode = bool(a.get("ceil_mode", False))
    return replace(_window(a, kernel, given), ceil_mode=ceil_mode)


def _window(a: Arguments, kernel: tuple[int, ...], stride: list[int] | None = None) -> Window:
    rank = len(kernel)
    given = a.get("padding")
    padding = [0] if isinstance(given, str) else a.integers("padding") or [0]
    padding = padding * rank if len(padding) == 1 else padding
    return Window(
        kernel=kernel,
        stride=positive(stride or a.integers("stride") or [1], rank, "stride"),
        before=tuple(padding),
        after=tuple(padding),
        dilation=positive(a.integers("dilation") or [1], rank, "dilation"),
    )


def _parts(a: Arguments, rank: int) -> Window:
    """The window of an adaptive pool whose parts are of one size."""
    sizes = a.value().full[-rank:]
    counts = positive(a.integers("output_size"), rank, "output_size")
    if any(size % count for size, count in zip(sizes, counts, strict=True)):
        raise ModelError(
            "adaptive pool", expected=f"a size that divides {sizes}", got=str(tuple(counts))
        )
    return unpadded(tuple(size // count for size, count in zip(sizes, counts, strict=True)))


IMAGES: dict[str, Operator] = {
    "_adaptive_avg_pool2d": adaptive_average_pool(2),
    "_adaptive_avg_pool3d": adaptive_average_pool(3),
    "_native_batch_norm_legit_no_training": batch_norm_outputs,
    "adaptive_avg_pool1d": adaptive_average_pool(1),
    "adaptive_avg_pool2d": adaptive_average_pool(2),
    "adaptive_avg_pool3d": adaptive_average_pool(3),
    "adaptive_max_pool1d": adaptive_max_pool(1),
    "adaptive_max_pool2d": adaptive_max_pool(2),
    "adaptive_max_pool3d": adaptive_max_pool(3),
    "avg_pool1d": average_pool(1),
    "avg_pool2d": average_pool(2),
    "avg_pool3d": average_pool(3),
    "batch_norm": batch_norm,
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
    "conv_transpose3d": conv_transpose,
    "convolution": conv,
    "max_pool1d": max_pool(1),
    "max_pool2d": max_pool(2),
    "max_pool2d_with_indices": max_pool(2, indices=True),
    "max_pool3d": max_pool(3),
    "max_pool3d_with_indices": max_pool(3, indices=True),
}
