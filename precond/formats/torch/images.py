"""aten operators over images: convolutions, pools, normalisation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import images as lowering_images
from precond.formats.lowering.builder import Value
from precond.formats.torch.arguments import Arguments, Result
from precond.formats.torch.resize import conv_transpose, planar


def conv2d(a: Arguments) -> Result:
    value = lowering_images.image(a.builder, a.value("input"))
    weight = a.constant("weight")
    stride, dilation = a.pair("stride"), a.pair("dilation")
    mode = a.get("padding")
    if mode == "same":
        kernel = lowering_images.pair(weight.shape[2:], "kernel")
        padding = lowering_images.same_padding(
            value.shape[1:], kernel, stride, dilation, upper=True
        )
    else:
        padding = (0, 0, 0, 0) if mode == "valid" else a.padding()
    return lowering_images.conv(
        a.builder,
        value,
        weight,
        a.optional("bias"),
        stride,
        padding,
        dilation,
        a.integer("groups", 1),
    )


def convolution(a: Arguments) -> Result:
    return conv_transpose(a) if a.get("transposed", False) else conv2d(a)


def max_pool2d(a: Arguments) -> Result:
    kernel = a.pair("kernel_size")
    return lowering_images.max_pool(
        a.builder,
        a.value(),
        kernel,
        a.pair("stride", kernel),
        a.padding(),
        a.pair("dilation"),
        bool(a.get("ceil_mode", False)),
    )


def max_pool2d_with_indices(a: Arguments) -> Result:
    values = max_pool2d(a)
    assert isinstance(values, Value)
    return [values]


def avg_pool2d(a: Arguments) -> Result:
    kernel = a.pair("kernel_size")
    divisor = a.get("divisor_override")
    return lowering_images.average_pool(
        a.builder,
        a.value(),
        kernel,
        a.pair("stride", kernel),
        a.padding(),
        (1, 1),
        bool(a.get("ceil_mode", False)),
        bool(a.get("count_include_pad", True)),
        None if divisor is None else a.integer("divisor_override"),
    )


def adaptive_avg_pool2d(a: Arguments) -> Result:
    value = lowering_images.image(a.builder, a.value())
    rows, columns = a.pair("output_size")
    _, height, width = value.shape
    if (rows, columns) == (1, 1):
        return lowering_images.global_average(a.builder, value)
    if height % rows or width % columns:
        raise ModelError(
            "adaptive average pool",
            expected=f"a size that divides {(height, width)}",
            got=str((rows, columns)),
        )
    kernel = (height // rows, width // columns)
    return lowering_images.average_pool(
        a.builder, value, kernel, kernel, (0, 0, 0, 0), (1, 1), False, False
    )


def batch_norm(a: Arguments) -> Result:
    if a.get("training", False):
        raise ModelError(
            "batch normalisation",
            expected="evaluation mode",
            got="training mode",
            fix="Call module.eval() before torch.export.export",
        )
    value = a.value("input")
    mean, variance = a.constant("running_mean"), a.constant("running_var")
    gain, bias = a.optional("weight"), a.optional("bias")
    gain = np.ones_like(mean) if gain is None else gain
    bias = np.zeros_like(mean) if bias is None else bias
    epsilon = a.get("eps", 1e-5)
    assert isinstance(epsilon, float)
    return lowering_images.batch_norm(a.builder, value, gain, bias, mean, variance, epsilon)


def batch_norm_outputs(a: Arguments) -> Result:
    values = batch_norm(a)
    assert isinstance(values, Value)
    return [values]


IMAGES: dict[str, Callable[[Arguments], Result]] = {
    "adaptive_avg_pool1d": planar(adaptive_avg_pool2d),
    "_adaptive_avg_pool2d": adaptive_avg_pool2d,
    "_native_batch_norm_legit_no_training": batch_norm_outputs,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "avg_pool2d": avg_pool2d,
    "batch_norm": batch_norm,
    "avg_pool1d": planar(avg_pool2d),
    "conv1d": planar(conv2d),
    "conv2d": conv2d,
    "convolution": planar(convolution),
    "max_pool1d": planar(max_pool2d),
    "max_pool2d": max_pool2d,
    "max_pool2d_with_indices": max_pool2d_with_indices,
}
