"""Operators of torch's aten library, one small function each: what they compute, as layers.

Arguments are looked up by their schema names (``torch_arguments.py``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np
import torch

from precond.errors import ModelError
from precond.formats import lowering, lowering_images
from precond.formats.builder import Value
from precond.formats.lowering import Operand
from precond.formats.torch_arguments import Arguments
from precond.network.layers import LeakyReLU, ReLU

LAST = 2**63 - 1  # torch's way to say "to the end"


Result = Operand | Sequence[Operand]


def linear(a: Arguments) -> Result:
    result = lowering.matmul(a.builder, a.value("input"), a.constant("weight").T)
    bias = a.optional("bias")
    return result if bias is None else lowering.add(a.builder, result, bias)


def addmm(a: Arguments) -> Result:
    b = a.builder
    alpha, beta = a.number("alpha", 1.0), a.number("beta", 1.0)
    product = lowering.matmul(b, a.operand("mat1"), a.operand("mat2"))
    if alpha != 1.0:
        product = lowering.scale(b, product, alpha, 0.0)
    added = a.operand("self")
    if beta != 1.0:
        scaled = lowering.scale(b, added, beta, 0.0) if isinstance(added, Value) else added * beta
        return lowering.add(b, product, scaled)
    return lowering.add(b, product, added)


def mm(a: Arguments) -> Result:
    right = "mat2" if "mat2" in a.named else "other"
    return lowering.matmul(a.builder, a.operand("self"), a.operand(right))


def add(a: Arguments) -> Result:
    return _sum(a, a.operand("self"), a.operand("other"), 1.0)


def sub(a: Arguments) -> Result:
    return _sum(a, a.operand("self"), a.operand("other"), -1.0)


def rsub(a: Arguments) -> Result:
    return _sum(a, a.operand("other"), a.operand("self"), -1.0, scaled=0)


def mul(a: Arguments) -> Result:
    return lowering.multiply(a.builder, a.operand("self"), a.operand("other"))


def div(a: Arguments) -> Result:
    if a.get("rounding_mode") is not None:
        raise ModelError("div", expected="true division", got=str(a.get("rounding_mode")))
    return lowering.divide(a.builder, a.operand("self"), a.operand("other"))


def neg(a: Arguments) -> Result:
    return lowering.scale(a.builder, a.value(), -1.0, 0.0)


def relu(a: Arguments) -> Result:
    return a.builder.emit(ReLU(), [a.value()])


def leaky_relu(a: Arguments) -> Result:
    return a.builder.emit(LeakyReLU(a.number("negative_slope", 0.01)), [a.value()])


def hardtanh(a: Arguments) -> Result:
    low, high = a.number("min_val", -1.0), a.number("max_val", 1.0)
    return lowering.clip(a.builder, a.value(), low, high)


def relu6(a: Arguments) -> Result:
    return lowering.clip(a.builder, a.value(), 0.0, 6.0)


def clamp(a: Arguments) -> Result:
    low, high = (None if a.get(name) is None else a.number(name, 0.0) for name in ("min", "max"))
    return lowering.clip(a.builder, a.value(), low, high)


def conv2d(a: Arguments) -> Result:
    if a.get("transposed", False):
        raise ModelError("convolution", expected="a plain one", got="a transposed one")
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


def flatten(a: Arguments) -> Result:
    return lowering.flatten(a.builder, a.value(), a.integer("start_dim"), a.integer("end_dim", -1))


def reshape(a: Arguments) -> Result:
    target = "shape" if "shape" in a.named else "size"
    return lowering.reshape(a.builder, a.value(), a.integers(target))


def expand(a: Arguments) -> Result:
    value, sizes = a.value(), a.integers("size")
    full = (1,) * (len(sizes) - len(value.full)) + value.full
    target = tuple(old if new == -1 else new for old, new in zip(full, sizes, strict=True))
    return lowering.expand(a.builder, value, target)


def permute(a: Arguments) -> Result:
    return lowering.transpose(a.builder, a.value(), a.integers("dims"))


def transpose(a: Arguments) -> Result:
    value = a.value()
    order = list(range(len(value.full)))
    first, second = (lowering.axis_of(value, a.integer(f"dim{i}")) for i in (0, 1))
    order[first], order[second] = order[second], order[first]
    return lowering.transpose(a.builder, value, order)


def t(a: Arguments) -> Result:
    value = a.value()
    return lowering.transpose(a.builder, value, range(len(value.full))[::-1])


def squeeze(a: Arguments) -> Result:
    value = a.value()
    if "dim" not in a.named:
        return lowering.squeeze(a.builder, value, None)
    axes = [lowering.axis_of(value, axis) for axis in a.integers("dim")]
    return lowering.squeeze(a.builder, value, [axis for axis in axes if value.full[axis] == 1])


def unsqueeze(a: Arguments) -> Result:
    return lowering.unsqueeze(a.builder, a.value(), [a.integer("dim")])


def slice_(a: Arguments) -> Result:
    value = a.value()
    end = min(a.integer("end", LAST), LAST)
    return lowering.strided(
        a.builder, value, a.integer("dim"), a.integer("start"), end, a.integer("step", 1)
    )


def select(a: Arguments) -> Result:
    index = np.array(a.integer("index"))
    return lowering.take(a.builder, a.value(), a.integer("dim"), index)


def index_select(a: Arguments) -> Result:
    index = a.constant("index").astype(np.int64)
    return lowering.take(a.builder, a.value(), a.integer("dim"), np.atleast_1d(index))


def split(a: Arguments) -> Result:
    value, axis = a.value(), a.integer("dim")
    size = value.full[lowering.axis_of(value, axis)]
    name = "split_sizes" if "split_sizes" in a.named else "split_size"
    given = a.integers(name)
    if isinstance(a.get(name), int):
        each = given[0]
        given = [min(each, size - start) for start in range(0, size, each)]
    return lowering.split(a.builder, value, axis, given)


def chunk(a: Arguments) -> Result:
    value, axis = a.value(), a.integer("dim")
    size = value.full[lowering.axis_of(value, axis)]
    each = -(-size // a.integer("chunks", 1))
    sizes = [min(each, size - start) for start in range(0, size, each)]
    return lowering.split(a.builder, value, axis, sizes)


def cat(a: Arguments) -> Result:
    tensors = a.get("tensors")
    assert isinstance(tensors, Sequence)
    parts = [a.as_operand(part, "tensors") for part in tensors]
    return lowering.concat(a.builder, parts, a.integer("dim"))


def pad(a: Arguments) -> Result:
    value = a.value()
    sizes = a.integers("pad")
    widths = [(0, 0)] * len(value.full)
    for i in range(len(sizes) // 2):
        widths[-1 - i] = (sizes[2 * i], sizes[2 * i + 1])
    mode = {"replicate": "edge"}.get(str(a.get("mode", "constant")), str(a.get("mode", "constant")))
    return lowering.pad(a.builder, value, widths, a.number("value", 0.0), mode)


def mean(a: Arguments) -> Result:
    return _reduce(a, mean=True)


def sum_(a: Arguments) -> Result:
    return _reduce(a, mean=False)


def unchanged(a: Arguments) -> Result:
    return a.value("input" if "input" in a.named else "self")


def dropout(a: Arguments) -> Result:
    if a.get("train", False):
        raise ModelError(
            "dropout",
            expected="evaluation mode",
            got="training mode",
            fix="Call module.eval() before torch.export.export",
        )
    return a.value("input")


def to_float(a: Arguments) -> Result:
    dtype = a.get("dtype")
    if isinstance(dtype, torch.dtype) and not dtype.is_floating_point:
        raise ModelError("conversion", expected="a floating-point type", got=str(dtype))
    return a.value()


def softmax(a: Arguments) -> Result:
    return _softmax(a, "softmax")


def log_softmax(a: Arguments) -> Result:
    return _softmax(a, "log_softmax")


def _softmax(a: Arguments, name: str) -> Value:
    if not a.last:
        raise ModelError(name, expected="it as the last operator", got="operators after it")
    return lowering.softmax(a.builder, a.value(), a.integers("dim"), name)


def _sum(a: Arguments, left: Operand, right: Operand, sign: float, scaled: int = 1) -> Value:
    alpha = a.number("alpha", 1.0)
    if alpha != 1.0:
        sides = [left, right]
        side = sides[scaled]
        sides[scaled] = (
            lowering.scale(a.builder, side, alpha, 0.0) if isinstance(side, Value) else side * alpha
        )
        left, right = sides
    return lowering.add(a.builder, left, right, sign)


def _reduce(a: Arguments, mean: bool) -> Value:
    axes = a.integers("dim") or None
    return lowering.reduce(a.builder, a.value(), axes, bool(a.get("keepdim", False)), mean)


OPERATORS: dict[str, Callable[[Arguments], Result]] = {
    "_adaptive_avg_pool2d": adaptive_avg_pool2d,
    "_log_softmax": log_softmax,
    "_native_batch_norm_legit_no_training": batch_norm_outputs,
    "_softmax": softmax,
    "_to_copy": to_float,
    "_unsafe_view": reshape,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "add": add,
    "addmm": addmm,
    "alias": unchanged,
    "avg_pool2d": avg_pool2d,
    "batch_norm": batch_norm,
    "cat": cat,
    "chunk": chunk,
    "clamp": clamp,
    "clone": unchanged,
    "constant_pad_nd": pad,
    "contiguous": unchanged,
    "conv2d": conv2d,
    "convolution": conv2d,
    "detach": unchanged,
    "div": div,
    "dropout": dropout,
    "expand": expand,
    "feature_dropout": dropout,
    "flatten": flatten,
    "hardtanh": hardtanh,
    "index_select": index_select,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_softmax": log_softmax,
    "matmul": mm,
    "max_pool2d": max_pool2d,
    "max_pool2d_with_indices": max_pool2d_with_indices,
    "mean": mean,
    "mm": mm,
    "mul": mul,
    "neg": neg,
    "pad": pad,
    "permute": permute,
    "relu": relu,
    "relu6": relu6,
    "reshape": reshape,
    "rsub": rsub,
    "select": select,
    "slice": slice_,
    "softmax": softmax,
    "split": split,
    "split_with_sizes": split,
    "squeeze": squeeze,
    "sub": sub,
    "sum": sum_,
    "t": t,
    "to": to_float,
    "transpose": transpose,
    "unsqueeze": unsqueeze,
    "view": reshape,
}
"""aten operators that can read computed tensors; ``relu_`` and its like mean ``relu``."""

SIZES: dict[str, Callable[..., object]] = {
    "python.add": operator.add,
    "python.sub": operator.sub,
    "python.mul": operator.mul,
    "python.floordiv": operator.floordiv,
    "python.mod": operator.mod,
}
"""Arithmetic on sizes."""
