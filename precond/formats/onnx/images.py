"""ONNX operators on images: convolution, pooling, batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import images as lowering_images
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import Value
from precond.formats.onnx.call import Call
from precond.network.layers import Pads, Pair

Outputs = Sequence[Operand]


def conv(call: Call) -> Outputs:
    weight = call.required(1)
    value = lowering_images.image(call.builder, call.value())
    if weight.ndim != 4:
        raise ModelError("Conv weight", expected="four axes (2-D)", got=str(weight.shape))
    kernel = lowering_images.pair(weight.shape[2:], "kernel_shape")
    if (call.integers("kernel_shape") or list(kernel)) != list(kernel):
        raise ModelError("kernel_shape", expected=str(kernel), got=str(call.attributes))
    stride, padding, dilation = _window(call, value, kernel)
    groups = call.integer("group", 1)
    bias = call.constant(2)
    return [
        lowering_images.conv(call.builder, value, weight, bias, stride, padding, dilation, groups)
    ]


def max_pool(call: Call) -> Outputs:
    value = lowering_images.image(call.builder, call.value())
    kernel = lowering_images.pair(call.integers("kernel_shape") or [], "kernel_shape")
    stride, padding, dilation = _window(call, value, kernel)
    ceil_mode = bool(call.integer("ceil_mode", 0))
    return [
        lowering_images.max_pool(call.builder, value, kernel, stride, padding, dilation, ceil_mode)
    ]


def average_pool(call: Call) -> Outputs:
    value = lowering_images.image(call.builder, call.value())
    kernel = lowering_images.pair(call.integers("kernel_shape") or [], "kernel_shape")
    stride, padding, dilation = _window(call, value, kernel)
    return [
        lowering_images.average_pool(
            call.builder,
            value,
            kernel,
            stride,
            padding,
            dilation,
            bool(call.integer("ceil_mode", 0)),
            bool(call.integer("count_include_pad", 0)),
        )
    ]


def global_average_pool(call: Call) -> Outputs:
    return [lowering_images.global_average(call.builder, call.value())]


def batch_normalization(call: Call) -> Outputs:
    if call.integer("training_mode", 0):
        raise ModelError("batch normalisation", expected="inference", got="training_mode = 1")
    if call.outputs > 1:
        raise ModelError("batch normalisation", expected="inference", got="statistics as outputs")
    if not call.integer("spatial", 1):
        raise ModelError("batch normalisation", expected="spatial = 1", got="spatial = 0")
    parameters = [call.required(position) for position in (1, 2, 3, 4)]
    gain, bias, mean, variance = parameters
    epsilon = call.number("epsilon", float(np.float32(1e-5)))
    return [
        lowering_images.batch_norm(call.builder, call.value(), gain, bias, mean, variance, epsilon)
    ]


def _window(call: Call, value: Value, kernel: Pair) -> tuple[Pair, Pads, Pair]:
    """Stride, padding (top, left, bottom, right) and dilation of a sliding window."""
    sizes = call.integers("kernel_shape")
    if sizes is not None and len(sizes) != 2:
        raise ModelError("kernel_shape", expected="two sizes", got=str(sizes))
    stride = lowering_images.pair(call.integers("strides") or [1, 1], "strides")
    dilation = lowering_images.pair(call.integers("dilations") or [1, 1], "dilations")
    auto = call.text("auto_pad", "NOTSET")
    if auto != "NOTSET" and any(call.integers("pads") or []):
        raise ModelError("pads", expected="none beside auto_pad", got=auto)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return (
            stride,
            lowering_images.same_padding(
                value.shape[1:], kernel, stride, dilation, auto == "SAME_UPPER"
            ),
            dilation,
        )
    if auto not in ("NOTSET", "VALID"):
        raise ModelError("auto_pad", expected="NOTSET, VALID or SAME_…", got=auto)
    pads = call.integers("pads") if auto == "NOTSET" else None
    top, left, bottom, right = pads or [0, 0, 0, 0]
    return stride, (top, left, bottom, right), dilation
