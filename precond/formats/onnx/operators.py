"""ONNX operators, one small function each: what they read, as layers.

Every function takes a ``Call`` and returns the operator's outputs.  Semantics follow the
operator specification of opsets 7 to 24 (github.com/onnx/onnx/blob/main/docs/Operators.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from precond.errors import ModelError
from precond.formats.lowering import arithmetic, last_activation, moves
from precond.formats.lowering import basic as lowering
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import Value
from precond.formats.onnx.call import Call
from precond.formats.onnx.images import IMAGES
from precond.formats.onnx.pieces import FLOATS, PIECES
from precond.formats.onnx.resize import RESIZING
from precond.network.activation import OutputActivation
from precond.network.layers import ReLU

Outputs = Sequence[Operand]


def gemm(call: Call) -> Outputs:
    b = call.builder
    sides = [_matrix(call, 0, "transA"), _matrix(call, 1, "transB")]
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if abs(alpha) != 1.0 or abs(beta) != 1.0:
        b.other_arithmetic.append("a Gemm with alpha or beta")
    added = call.optional(2)
    if isinstance(sides[0], np.ndarray) and isinstance(sides[1], np.ndarray):
        sides[0] = lowering.constant(b, call.value(2), sides[0])  # only C depends on the input
    scaled = [_times(side, alpha) if isinstance(side, np.ndarray) else side for side in sides]
    result = lowering.matmul(b, *scaled)
    if added is None:
        return [result]
    if isinstance(added, Value) and beta != 1.0:
        added = lowering.scale(b, added, beta, shift=0.0)
    elif isinstance(added, np.ndarray):
        added = _times(added, beta)
    total = lowering.add(b, result, added)
    if total.full != result.full:
        raise ModelError("Gemm: C", expected=f"a shape within {result.full}", got=str(total.full))
    return [total]


def _matrix(call: Call, position: int, flag: str) -> Operand:
    side = call.operand(position)
    rank = len(side.full) if isinstance(side, Value) else side.ndim
    if rank != 2:
        raise ModelError(f"Gemm: input {position}", expected="a matrix", got=f"{rank} axes")
    if not call.integer(flag, 0):
        return side
    return moves.transpose(call.builder, side, (1, 0)) if isinstance(side, Value) else side.T


def matmul(call: Call) -> Outputs:
    return [lowering.matmul(call.builder, call.operand(0), call.operand(1))]


def add(call: Call) -> Outputs:
    return [lowering.add(call.builder, call.operand(0), call.operand(1))]


def subtract(call: Call) -> Outputs:
    return [lowering.add(call.builder, call.operand(0), call.operand(1), sign=-1.0)]


def multiply(call: Call) -> Outputs:
    return [lowering.multiply(call.builder, call.operand(0), call.operand(1))]


def divide(call: Call) -> Outputs:
    return [lowering.divide(call.builder, call.operand(0), call.operand(1))]


def negate(call: Call) -> Outputs:
    return [lowering.scale(call.builder, call.value(), -1.0, shift=0.0)]


def relu(call: Call) -> Outputs:
    return [call.builder.emit(ReLU(), [call.value()])]


def flatten(call: Call) -> Outputs:
    value = call.value()
    full = value.full
    axis = call.integer("axis", 1)
    least = -len(full) if call.opset >= 11 else 0
    if not least <= axis <= len(full):
        raise ModelError("axis", expected=f"{least} to {len(full)}", got=str(axis))
    axis = axis + len(full) if axis < 0 else axis
    return [moves.reshape(call.builder, value, (int(np.prod(full[:axis])), -1))]


def reshape(call: Call) -> Outputs:
    target = call.listed("shape", 1)
    if target is None:
        raise ModelError("Reshape", expected="a shape", got="none")
    copies = not call.integer("allowzero", 0)
    return [moves.reshape(call.builder, call.value(), target, zero_copies=copies)]


def transpose(call: Call) -> Outputs:
    value = call.value()
    order = call.integers("perm") or list(range(len(value.full)))[::-1]
    return [moves.transpose(call.builder, value, order)]


def squeeze(call: Call) -> Outputs:
    return [moves.squeeze(call.builder, call.value(), call.listed("axes", 1))]


def unsqueeze(call: Call) -> Outputs:
    return [moves.unsqueeze(call.builder, call.value(), call.listed("axes", 1) or [])]


def concat(call: Call) -> Outputs:
    operands = [call.operand(position) for position in range(len(call.operands))]
    return [lowering.concat(call.builder, operands, call.integer("axis", 1))]


def slice_(call: Call) -> Outputs:
    value = call.value()
    starts, ends = call.listed("starts", 1) or [], call.listed("ends", 2) or []
    axes = call.listed("axes", 3) or list(range(len(starts)))
    steps = call.listed("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        value = moves.strided(call.builder, value, axis, start=start, stop=end, step=step)
    return [value]


def split(call: Call) -> Outputs:
    value = call.value()
    axis = call.integer("axis", 0)
    sizes = call.listed("split", 1)
    if sizes is None:
        size = value.full[moves.axis_of(value, axis)]
        each = -(-size // call.outputs)
        if call.opset < 18 and size % call.outputs:
            raise ModelError("Split", expected="equal parts", got=f"{size} by {call.outputs}")
        if call.opset >= 18 and call.integer("num_outputs", 0) != call.outputs:
            raise ModelError("Split: num_outputs", expected=str(call.outputs), got="another number")
        sizes = [min(each, size - i * each) for i in range(call.outputs)]
    return moves.split(call.builder, value, axis, sizes=sizes)


def gather(call: Call) -> Outputs:
    indices = call.required(1).astype(np.int64)
    return [moves.take(call.builder, call.value(), call.integer("axis", 0), indices=indices)]


def pad(call: Call) -> Outputs:
    value = call.value()
    rank = len(value.full)
    pads = call.listed("pads", 1) or []
    axes = [moves.axis_of(value, a) for a in call.listed("axes", 3) or range(rank)]
    widths = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        widths[axis] = (pads[i], pads[i + len(axes)])
    given = call.constant(2)
    fill = call.number("value", 0.0) if given is None else float(np.ravel(given)[0])
    return [moves.pad(call.builder, value, widths, fill=fill, mode=call.text("mode", "constant"))]


def reduce_mean(call: Call) -> Outputs:
    return _reduce(call, mean=True)


def reduce_sum(call: Call) -> Outputs:
    return _reduce(call, mean=False)


def identity(call: Call) -> Outputs:
    return [call.value()]


def dropout(call: Call) -> Outputs:
    training = call.constant(2)
    if training is not None and bool(np.ravel(training)[0]):
        raise ModelError("Dropout", expected="inference", got="training_mode = true")
    return [call.value()]


def cast(call: Call) -> Outputs:
    target = call.integer("to", 0)
    if target not in FLOATS:
        raise ModelError(
            "Cast", expected="a floating-point type", got=TensorProto.DataType.Name(target)
        )
    if target != TensorProto.FLOAT:
        call.builder.other_arithmetic.append("a Cast to another number type")
    return [call.value()]


def shape(call: Call) -> Outputs:
    full = np.array(call.value().full, dtype=np.int64)
    end = call.attributes.get("end")
    assert end is None or isinstance(end, int)
    return [full[call.integer("start", 0) : end]]


def softmax(call: Call) -> Outputs:
    return [_softmax(call, OutputActivation.SOFTMAX)]


def log_softmax(call: Call) -> Outputs:
    return [_softmax(call, OutputActivation.LOG_SOFTMAX)]


def sigmoid(call: Call) -> Outputs:
    return [last_activation.sigmoid(call.builder, call.value(), call.last)]


def _softmax(call: Call, activation: OutputActivation) -> Value:
    value = call.value()
    rank = len(value.full)
    axis = call.integer("axis", -1 if call.opset >= 13 else 1)
    start = moves.axis_of(value, axis)
    axes = [start] if call.opset >= 13 else range(start, rank)
    return last_activation.softmax(
        call.builder, value, list(axes), activation=activation, last=call.last
    )


def _reduce(call: Call, mean: bool) -> Outputs:
    axes = call.listed("axes", 1)
    if not axes:
        axes = [] if call.integer("noop_with_empty_axes", 0) else None
    keepdims = bool(call.integer("keepdims", 1))
    return [lowering.reduce(call.builder, call.value(), axes, keepdims=keepdims, mean=mean)]


def _times(array: np.ndarray, factor: float) -> np.ndarray:
    return array if factor == 1.0 else arithmetic.multiply(array, factor)


OPERATORS: dict[str, Callable[[Call], Outputs]] = {
    **IMAGES,
    **PIECES,
    **RESIZING,
    "Add": add,
    "Cast": cast,
    "Concat": concat,
    "Div": divide,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "Identity": identity,
    "LogSoftmax": log_softmax,
    "MatMul": matmul,
    "Mul": multiply,
    "Neg": negate,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
    "Relu": relu,
    "Reshape": reshape,
    "Shape": shape,
    "Sigmoid": sigmoid,
    "Slice": slice_,
    "Softmax": softmax,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": subtract,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""Operators of the default domain that can read computed tensors.  Others may appear where
all their operands are constants (Constant, ConstantOfShape, Range, …): they are folded."""
