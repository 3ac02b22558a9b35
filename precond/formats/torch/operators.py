"""Operators of torch's aten library, one small function each: what they compute, as layers.

Arguments are looked up by their schema names (``torch_arguments.py``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch

from precond.errors import ModelError
from precond.formats.lowering import basic as lowering
from precond.formats.lowering import last_activation
from precond.formats.lowering.arithmetic import multiply as multiplied
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import Value
from precond.formats.lowering.einsum import einsum
from precond.formats.torch.arguments import Arguments, Result
from precond.formats.torch.images import IMAGES
from precond.formats.torch.pieces import PIECES
from precond.formats.torch.resize import RESIZING
from precond.formats.torch.shapes import SHAPES
from precond.network.activation import OutputActivation
from precond.network.layers import ReLU


def linear(a: Arguments) -> Result:
    result = lowering.matmul(a.builder, a.value("input"), a.constant("weight").T)
    bias = a.optional("bias")
    return result if bias is None else lowering.add(a.builder, result, bias)


def addmm(a: Arguments) -> Result:
    b = a.builder
    alpha, beta = a.number("alpha", 1.0), a.number("beta", 1.0)
    product = lowering.matmul(b, a.operand("mat1"), a.operand("mat2"))
    if alpha != 1.0:
        product = lowering.scale(b, product, alpha, shift=0.0)
    added = a.operand("self")
    if beta != 1.0:
        b.other_arithmetic.append("an addmm with beta")
        if isinstance(added, Value):
            return lowering.add(b, product, lowering.scale(b, added, beta, shift=0.0))
        return lowering.add(b, product, multiplied(added, beta))
    return lowering.add(b, product, added)


def mm(a: Arguments) -> Result:
    right = "mat2" if "mat2" in a.named else "other"
    return lowering.matmul(a.builder, a.operand("self"), a.operand(right))


def sums_of_products(a: Arguments) -> Result:
    tensors = a.get("tensors")
    assert isinstance(tensors, list)
    return einsum(a.builder, str(a.get("equation")), [a.as_operand(t, "tensors") for t in tensors])


def add(a: Arguments) -> Result:
    return _sum(a, a.operand("self"), a.operand("other"), sign=1.0)


def sub(a: Arguments) -> Result:
    return _sum(a, a.operand("self"), a.operand("other"), sign=-1.0)


def rsub(a: Arguments) -> Result:
    return _sum(a, a.operand("other"), a.operand("self"), sign=-1.0, scaled=0)


def mul(a: Arguments) -> Result:
    return lowering.multiply(a.builder, a.operand("self"), a.operand("other"))


def div(a: Arguments) -> Result:
    if a.get("rounding_mode") is not None:
        raise ModelError("div", expected="true division", got=str(a.get("rounding_mode")))
    return lowering.divide(a.builder, a.operand("self"), a.operand("other"))


def neg(a: Arguments) -> Result:
    return lowering.scale(a.builder, a.value(), -1.0, shift=0.0)


def relu(a: Arguments) -> Result:
    return a.builder.emit(ReLU(), [a.value()])


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
    if isinstance(dtype, torch.dtype):
        a.builder.other_arithmetic.append("a conversion to a number type")
    return a.value()


def softmax(a: Arguments) -> Result:
    return _softmax(a, OutputActivation.SOFTMAX)


def log_softmax(a: Arguments) -> Result:
    return _softmax(a, OutputActivation.LOG_SOFTMAX)


def sigmoid(a: Arguments) -> Result:
    return last_activation.sigmoid(a.builder, a.value(), a.last)


def _softmax(a: Arguments, activation: OutputActivation) -> Value:
    return last_activation.softmax(
        a.builder, a.value(), a.integers("dim"), activation=activation, last=a.last
    )


def _sum(a: Arguments, left: Operand, right: Operand, sign: float, scaled: int = 1) -> Value:
    alpha = a.number("alpha", 1.0)
    if alpha != 1.0:
        a.builder.other_arithmetic.append("a sum with alpha")
        sides = [left, right]
        side = sides[scaled]
        sides[scaled] = (
            lowering.scale(a.builder, side, alpha, shift=0.0)
            if isinstance(side, Value)
            else multiplied(side, alpha)
        )
        left, right = sides
    return lowering.add(a.builder, left, right, sign=sign)


def _reduce(a: Arguments, mean: bool) -> Value:
    axes = a.integers("dim") or None
    return lowering.reduce(
        a.builder, a.value(), axes, keepdims=bool(a.get("keepdim", False)), mean=mean
    )


OPERATORS: dict[str, Callable[[Arguments], Result]] = {
    **IMAGES,
    **PIECES,
    **RESIZING,
    **SHAPES,
    "_log_softmax": log_softmax,
    "_softmax": softmax,
    "_to_copy": to_float,
    "add": add,
    "addmm": addmm,
    "alias": unchanged,
    "einsum": sums_of_products,
    "bmm": mm,
    "clone": unchanged,
    "contiguous": unchanged,
    "detach": unchanged,
    "div": div,
    "dropout": dropout,
    "feature_dropout": dropout,
    "linear": linear,
    "log_softmax": log_softmax,
    "matmul": mm,
    "mean": mean,
    "mm": mm,
    "mul": mul,
    "neg": neg,
    "relu": relu,
    "rsub": rsub,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "sub": sub,
    "sum": sum_,
    "to": to_float,
    "type_as": unchanged,
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
