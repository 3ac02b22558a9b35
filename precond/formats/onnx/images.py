"""ONNX operators on lines, pictures and volumes: convolution, pooling, batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import images as lowering
from precond.formats.lowering import pieces
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.resize import conv_transpose as transposed
from precond.formats.lowering.window import Window, positive, same_padding
from precond.formats.onnx.call import Call

Outputs = Sequence[Operand]


def conv(call: Call) -> Outputs:
    filters, kernel = _filters(call)
    window = _window(call, kernel, call.value().full[2:])
    return [lowering.conv(call.builder, call.value(), filters, window=window)]


def conv_transpose(call: Call) -> Outputs:
    filters, kernel = _filters(call)
    value, rank = call.value(), len(kernel)
    more = tuple(call.integers("output_padding") or [0] * rank)
    auto, shape = call.text("auto_pad", "NOTSET"), call.integers("output_shape")
    if shape is None and auto in ("NOTSET", "VALID"):
        window = _window(call, kernel, value.full[2:])
        return [transposed(call.builder, value, filters, window=window, more=more)]
    plain = replace(call, attributes={**call.attributes, "auto_pad": b"VALID", "pads": []})
    window = _window(plain, kernel, value.full[2:])
    sizes = value.full[2:]
    if shape is None:
        shape = [size * step for size, step in zip(sizes, window.stride, strict=True)]
    wanted = shape[-rank:]
    total = [
        step * (size - 1) + extra + (width - 1) * apart + 1 - new
        for step, size, extra, width, apart, new in zip(
            window.stride, sizes, more, kernel, window.dilation, wanted, strict=True
        )
    ]
    if any(padding < 0 or padding % 2 for padding in total):
        raise ModelError(
            "ConvTranspose: padding of output_shape or auto_pad",
            expected="even numbers of 0 or more",
            got=str(total),
            fix="Runtimes split an odd one differently: export it with pads",
        )
    half = tuple(padding // 2 for padding in total)
    padded = replace(window, before=half, after=half)
    return [transposed(call.builder, value, filters, window=padded, more=more)]


def max_pool(call: Call) -> Outputs:
    return [lowering.max_pool(call.builder, call.value(), _pool(call))]


def average_pool(call: Call) -> Outputs:
    padded = bool(call.integer("count_include_pad", 0))
    window = _pool(call)
    return [lowering.average_pool(call.builder, call.value(), window, include_pad=padded)]


def sums_pool(call: Call) -> Outputs:
    """LpPool of p = 1: sums of absolute values."""
    if call.integer("p", 2) != 1:
        raise ModelError(
            "LpPool", expected="p = 1, which is piecewise linear", got=str(call.integer("p", 2))
        )
    sizes = pieces.absolute(call.builder, call.value())
    return [lowering.average_pool(call.builder, sizes, _pool(call), divisor=1)]


def global_average_pool(call: Call) -> Outputs:
    return [lowering.global_average(call.builder, call.value())]


def batch_normalization(call: Call) -> Outputs:
    if call.integer("training_mode", 0):
        raise ModelError("batch normalisation", expected="inference", got="training_mode = 1")
    if call.outputs > 1:
        raise ModelError("batch normalisation", expected="inference", got="statistics as outputs")
    if not call.integer("spatial", 1):
        raise ModelError("batch normalisation", expected="spatial = 1", got="spatial = 0")
    parameters = [call.required(position) for position in (1, 2, 3, 4)]
    epsilon = call.number("epsilon", float(np.float32(1e-5)))
    return [lowering.batch_norm(call.builder, call.value(), parameters, epsilon=epsilon)]


def _filters(call: Call) -> tuple[lowering.Filters, tuple[int, ...]]:
    """Weights, and the sizes of the kernel."""
    weight = call.required(1)
    if not 3 <= weight.ndim <= 5:
        raise ModelError("weight", expected="three to five axes", got=str(weight.shape))
    kernel = weight.shape[2:]
    if (call.integers("kernel_shape") or list(kernel)) != list(kernel):
        raise ModelError("kernel_shape", expected=str(kernel), got=str(call.attributes))
    return lowering.Filters(weight, call.constant(2), call.integer("group", 1)), kernel


def _pool(call: Call) -> Window:
    kernel = tuple(call.integers("kernel_shape") or [])
    return _window(call, kernel, call.value().full[2:])


def _window(call: Call, kernel: Sequence[int], size: Sequence[int]) -> Window:
    """The sliding window of a call on spatial axes of ``size``."""
    rank = len(kernel)
    if rank != len(size):
        raise ModelError("kernel_shape", expected=f"{len(size)} sizes", got=str(list(kernel)))
    pads = call.integers("pads") or [0] * (2 * rank)
    if len(pads) != 2 * rank:
        raise ModelError("pads", expected=f"{2 * rank} sizes", got=str(pads))
    auto = call.text("auto_pad", "NOTSET")
    if auto != "NOTSET" and any(pads):
        raise ModelError("pads", expected="none beside auto_pad", got=auto)
    window = Window(
        kernel=positive(kernel, rank, "kernel_shape"),
        stride=positive(call.integers("strides") or [1], rank, "strides"),
        before=tuple(pads[:rank]),
        after=tuple(pads[rank:]),
        dilation=positive(call.integers("dilations") or [1], rank, "dilations"),
        ceil_mode=bool(call.integer("ceil_mode", 0)),
    )
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return same_padding(size, window, auto == "SAME_UPPER")
    if auto not in ("NOTSET", "VALID"):
        raise ModelError("auto_pad", expected="NOTSET, VALID or SAME_…", got=auto)
    return window


IMAGES: dict[str, Callable[[Call], Outputs]] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": global_average_pool,
    "LpPool": sums_pool,
    "MaxPool": max_pool,
}
