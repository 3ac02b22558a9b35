"""Arithmetic among an ONNX file's constants, over the reals (``arithmetic``).

ONNX computes in the file's number types, which rounds.  What is rounded here is only what the
file says is: a Cast of a wider type.  A result that its type cannot hold is an array of
``Real``; operators that move such numbers move their places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import onnx

from precond.errors import ModelError
from precond.formats.lowering import arithmetic
from precond.formats.lowering.arithmetic import Numbers
from precond.network.constants import MOST, Real, reals

MOVES = frozenset(
    (
        *("Concat", "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "GatherND"),
        *("Identity", "Pad", "Reshape", "ScatterElements", "ScatterND", "Slice", "Split"),
        *("Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
    )
)
Operands = Sequence[np.ndarray | None]
Evaluate = Callable[[Sequence[np.ndarray | None]], list[np.ndarray]]
Attributes = Mapping[str, Any]


def is_real(operand: np.ndarray | None) -> bool:
    """Whether an operand holds ``Real`` numbers."""
    return operand is not None and operand.dtype == np.object_


def computed(
    node: onnx.NodeProto, operands: Operands, evaluate: Evaluate, opset: int
) -> list[np.ndarray]:
    """Outputs of a node of constants; ``evaluate`` computes them of operands in ONNX's types."""
    name = node.op_type
    real = any(map(is_real, operands))
    typed = [o for o in operands if o is not None and _is_float(o)]
    if not real and not (name in ARITHMETIC and typed and _are_finite(typed)):
        return evaluate(operands)
    if name in ("Shape", "Size"):
        return evaluate([stand_in(o) for o in operands])
    if name in MOVES:
        return _moved(operands, evaluate)
    if name not in ARITHMETIC and name not in COMPARED:
        raise ModelError(
            name, expected="constants that a float holds", got="others, such as a quotient"
        )
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    attributes["opset"] = opset
    found = {**ARITHMETIC, **COMPARED}[name](operands, attributes)
    dtype = next((o.dtype for o in typed if not is_real(o)), np.dtype(np.float64))
    return [found if name == "Cast" else _in_type(found, dtype)]


def stand_in(operand: np.ndarray | None) -> np.ndarray | None:
    """A float32 array of the same shape, for what asks for sizes and types only."""
    return None if operand is None else np.zeros(operand.shape, np.float32)


def _is_float(operand: np.ndarray) -> bool:
    return operand.dtype.kind not in "iubSU"


def _are_finite(operands: Sequence[np.ndarray]) -> bool:
    return all(bool(np.isfinite(o.astype(np.float64)).all()) for o in operands if not is_real(o))


def _in_type(values: Numbers, dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers of ``dtype`` where all are that, else ``Real``."""
    if values.dtype == np.object_ or dtype == np.float64:
        return values
    with np.errstate(over="ignore"):
        narrow = values.astype(dtype)
    if (narrow.astype(np.float64) == values).all():
        return narrow
    return reals(values) if values.size <= MOST else values


def _moved(operands: Operands, evaluate: Evaluate) -> list[np.ndarray]:
    """Real numbers moved by their places in a list that begins with 0, the default filling."""
    pool: list[Any] = [Real.of(0)]
    places: list[np.ndarray | None] = []
    for operand in operands:
        if operand is None or not _is_float(operand):
            places.append(operand)
            continue
        start = len(pool)
        pool += reals(operand).reshape(-1).tolist()
        places.append(np.arange(start, len(pool), dtype=np.int64).reshape(operand.shape))
    numbers = np.empty(len(pool), dtype=np.object_)
    numbers[:] = pool
    return [
        numbers[found] if found.dtype == np.int64 else found
        for found in map(np.asarray, evaluate(places))
    ]


def _reduced(operands: Operands, attributes: Attributes) -> tuple[np.ndarray, list[int], bool]:
    """The operand, its axes, and whether these stay as axes of size 1."""
    (values, *rest), keep = operands, bool(attributes.get("keepdims", 1))
    assert values is not None
    given = attributes.get("axes", rest[0] if rest else None)
    axes = [] if given is None else [int(axis) % values.ndim for axis in np.ravel(given)]
    if not axes and not attributes.get("noop_with_empty_axes", 0):
        axes = list(range(values.ndim))
    return values, axes, keep


def _sum(operands: Operands, attributes: Attributes) -> Numbers:
    values, axes, keep = _reduced(operands, attributes)
    return arithmetic.total(values, axes, keep)


def _mean(operands: Operands, attributes: Attributes) -> Numbers:
    values, axes, keep = _reduced(operands, attributes)
    return arithmetic.mean(values, axes, keep)


def _product(operands: Operands, attributes: Attributes) -> Numbers:
    values, axes, keep = _reduced(operands, attributes)
    given: Any = reals(values)
    return reals(given.prod(axis=tuple(axes), keepdims=keep))


def _length(operands: Operands, attributes: Attributes) -> Numbers:
    values, axes, keep = _reduced(operands, attributes)
    squares = arithmetic.multiply(values, values)
    return arithmetic.square_root(arithmetic.total(squares, axes, keep))


def _size(operands: Operands, attributes: Attributes) -> Numbers:
    values, axes, keep = _reduced(operands, attributes)
    return arithmetic.total(arithmetic.absolute(values), axes, keep)


def _extreme(operands: Operands, attributes: Attributes, sign: float) -> Numbers:
    values, axes, keep = _reduced(operands, attributes)
    found = reals(arithmetic.multiply(values, sign))
    for axis in axes:
        parts = [found.take([k], axis) for k in range(found.shape[axis])]
        found = reals(reduce(arithmetic.maximum, parts))
    found = found if keep else found.squeeze(tuple(axes))
    return arithmetic.multiply(found, sign)


def _power(operands: Operands, _: Attributes) -> Numbers:
    return arithmetic.power(*_two(operands))


def _two(operands: Operands) -> tuple[np.ndarray, np.ndarray]:
    left, right = operands
    assert left is not None and right is not None
    return left, right


def _one(operands: Operands) -> np.ndarray:
    assert operands[0] is not None
    return operands[0]


def _gemm(operands: Operands, attributes: Attributes) -> Numbers:
    left, right = _two(operands[:2])
    left = left.T if attributes.get("transA", 0) else left
    right = right.T if attributes.get("transB", 0) else right
    found = arithmetic.multiply(arithmetic.matmul(left, right), attributes.get("alpha", 1.0))
    if len(operands) < 3 or operands[2] is None:
        return found
    return arithmetic.add(found, arithmetic.multiply(operands[2], attributes.get("beta", 1.0)))


def _dequantized(operands: Operands, attributes: Attributes) -> Numbers:
    values, scale = _two(operands[:2])
    zero = operands[2] if len(operands) > 2 else None
    axis, block = int(attributes.get("axis", 1)), int(attributes.get("block_size", 0))

    def spread(part: np.ndarray) -> np.ndarray:
        if block:
            return np.repeat(part, block, axis).take(range(values.shape[axis]), axis)
        if part.ndim == 1 and values.ndim:
            shape = [1] * values.ndim
            shape[axis] = part.size
            return part.reshape(shape if part.size > 1 else [1] * values.ndim)
        return part

    moved = values if zero is None else arithmetic.subtract(values, spread(zero))
    return arithmetic.multiply(moved, spread(scale))


def _running(operands: Operands, attributes: Attributes) -> Numbers:
    values, axis = _two(operands)
    at = int(np.ravel(axis)[0])
    given = reals(values)
    turned = np.flip(given, at) if attributes.get("reverse", 0) else given
    found = np.cumsum(turned, at, dtype=object)
    if attributes.get("exclusive", 0):
        found = found - turned
    return np.flip(found, at) if attributes.get("reverse", 0) else found


def _range(operands: Operands, _: Attributes) -> Numbers:
    start, limit, step = (Real.of(np.ravel(o)[0]) for o in operands if o is not None)
    count = max(0, math.ceil((limit.low - start.low) / step.low))
    return np.array([start + step * k for k in range(count)], dtype=np.object_)


def _sigmoid(operands: Operands, _: Attributes) -> Numbers:
    away = arithmetic.exponential(arithmetic.negative(_one(operands)))
    return arithmetic.divide(1.0, arithmetic.add(1.0, away))


def _softmax(operands: Operands, attributes: Attributes) -> Numbers:
    values, new = _one(operands), attributes["opset"] >= 13
    axis = int(attributes.get("axis", -1 if new else 1)) % max(values.ndim, 1)
    powers = arithmetic.exponential(values)
    axes = [axis] if new else list(range(axis, values.ndim))
    return arithmetic.divide(powers, arithmetic.total(powers, axes, keepdims=True))


def _cast(operands: Operands, attributes: Attributes) -> Numbers:
    given = _one(operands)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
    return arithmetic.as_type(given, np.dtype(dtype))


def _clip(operands: Operands, attributes: Attributes) -> Numbers:
    found, given = _one(operands), (*operands[1:], None, None)
    for name, change, bound in (
        ("min", arithmetic.maximum, given[0]),
        ("max", arithmetic.minimum, given[1]),
    ):
        limit = attributes.get(name) if bound is None else bound
        if limit is not None:
            found = change(found, limit)
    return found


def _each(operands: Operands, function: Callable[..., Numbers]) -> Numbers:
    return reduce(function, [o for o in operands if o is not None])


ARITHMETIC: dict[str, Callable[[Operands, Attributes], Numbers]] = {
    "Add": lambda o, _: arithmetic.add(*_two(o)),
    "Cos": lambda o, _: arithmetic.elementwise("cos", _one(o)),
    "CumSum": _running,
    "DequantizeLinear": _dequantized,
    "Div": lambda o, _: arithmetic.divide(*_two(o)),
    "Erf": lambda o, _: arithmetic.elementwise("erf", _one(o)),
    "Exp": lambda o, _: arithmetic.exponential(_one(o)),
    "Gemm": _gemm,
    "Log": lambda o, _: arithmetic.elementwise("log", _one(o)),
    "MatMul": lambda o, _: arithmetic.matmul(*_two(o)),
    "Mul": lambda o, _: arithmetic.multiply(*_two(o)),
    "Pow": _power,
    "Range": _range,
    "Reciprocal": lambda o, _: arithmetic.divide(1.0, _one(o)),
    "ReduceL1": _size,
    "ReduceL2": _length,
    "ReduceMean": _mean,
    "ReduceProd": _product,
    "ReduceSum": _sum,
    "Sigmoid": _sigmoid,
    "Sin": lambda o, _: arithmetic.elementwise("sin", _one(o)),
    "Softmax": _softmax,
    "Sqrt": lambda o, _: arithmetic.square_root(_one(o)),
    "Sub": lambda o, _: arithmetic.subtract(*_two(o)),
    "Sum": lambda o, _: _each(o, arithmetic.add),
    "Tanh": lambda o, _: arithmetic.elementwise("tanh", _one(o)),
}
"""What may round in the file's number types."""

COMPARED: dict[str, Callable[[Operands, Attributes], Numbers]] = {
    "Abs": lambda o, _: arithmetic.absolute(_one(o)),
    "Cast": _cast,
    "CastLike": lambda o, _: arithmetic.as_type(_one(o), o[1].dtype),  # type: ignore[union-attr]
    "Clip": _clip,
    "Max": lambda o, _: _each(o, arithmetic.maximum),
    "Min": lambda o, _: _each(o, arithmetic.minimum),
    "Neg": lambda o, _: arithmetic.negative(_one(o)),
    "ReduceMax": lambda o, a: _extreme(o, a, 1.0),
    "ReduceMin": lambda o, a: _extreme(o, a, -1.0),
    "Relu": lambda o, _: arithmetic.maximum(_one(o), 0.0),
}
"""What never rounds: ONNX computes it, but of ``Real`` numbers."""
