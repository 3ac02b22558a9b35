"""ONNX operators that are piecewise linear beside ReLU, and those that only move or repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from precond.errors import ModelError, UnsupportedOperator
from precond.formats.lowering import basic as lowering
from precond.formats.lowering import moves
from precond.formats.lowering import pieces as lowering_pieces
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import Value, check_size
from precond.formats.lowering.einsum import einsum
from precond.formats.lowering.refusals import REMEDY
from precond.formats.onnx.call import Call

Outputs = Sequence[Operand]
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def leaky_relu(call: Call) -> Outputs:
    slope = call.number("alpha", float(np.float32(0.01)))
    return [lowering_pieces.leaky(call.builder, call.value(), np.asarray(slope))]


def parametric_relu(call: Call) -> Outputs:
    value, slopes = call.value(), call.required(1)
    if np.broadcast_shapes(value.full, slopes.shape) != value.full:
        raise ModelError("PRelu: slope", expected=f"within {value.full}", got=str(slopes.shape))
    return [lowering_pieces.leaky(call.builder, value, slopes)]


def clip(call: Call) -> Outputs:
    bounds: list[float | None] = []
    for position, name in ((1, "min"), (2, "max")):
        given = call.constant(position)
        if given is not None:
            bounds.append(float(np.ravel(given)[0]))
        else:
            bounds.append(call.number(name, 0.0) if name in call.attributes else None)
    return [lowering_pieces.clip(call.builder, call.value(), *bounds)]


def absolute(call: Call) -> Outputs:
    return [lowering_pieces.absolute(call.builder, call.value())]


def maximum(call: Call) -> Outputs:
    return [lowering_pieces.maximum(call.builder, _alike(call))]


def minimum(call: Call) -> Outputs:
    return [lowering_pieces.minimum(call.builder, _alike(call))]


def hard_sigmoid(call: Call) -> Outputs:
    alpha = call.number("alpha", float(np.float32(0.2)))
    line = lowering.scale(call.builder, call.value(), alpha, shift=call.number("beta", 0.5))
    return [lowering_pieces.clip(call.builder, line, 0.0, high=1.0)]


def thresholded_relu(call: Call) -> Outputs:
    alpha = call.number("alpha", 1.0)
    if alpha != 0.0:
        raise UnsupportedOperator(
            f"ThresholdedRelu with alpha {alpha:g} jumps, and proofs are about continuous networks",
            fix="Train with ReLU",
        )
    return [lowering_pieces.relu(call.builder, call.value())]


def shrink(call: Call) -> Outputs:
    limit, bias = call.number("lambd", 0.5), call.number("bias", 0.0)
    if limit != bias:
        raise UnsupportedOperator(
            f"Shrink with lambd {limit:g} and bias {bias:g} jumps, and proofs are about "
            "continuous networks",
            fix="Train with ReLU",
        )
    return [lowering_pieces.shrink(call.builder, call.value(), limit)]


def reduce_max(call: Call) -> Outputs:
    return [lowering_pieces.extreme_over(call.builder, call.value(), *_axes(call), 1.0)]


def reduce_min(call: Call) -> Outputs:
    return [lowering_pieces.extreme_over(call.builder, call.value(), *_axes(call), -1.0)]


def reduce_l1(call: Call) -> Outputs:
    value = lowering_pieces.absolute(call.builder, call.value())
    return [lowering.reduce(call.builder, value, *_axes(call), False)]


def global_max_pool(call: Call) -> Outputs:
    value = call.value()
    axes = range(2, len(value.full))
    return [lowering_pieces.extreme_over(call.builder, value, axes, keepdims=True, sign=1.0)]


def total(call: Call) -> Outputs:
    return [_total(call)]


def mean(call: Call) -> Outputs:
    count = np.asarray(float(len(call.operands)))
    return [lowering.divide(call.builder, _total(call), count)]


def where(call: Call) -> Outputs:
    condition = call.constant(0)
    if condition is None:
        raise ModelError("Where", expected="a condition", got="none")
    return [lowering_pieces.choose(call.builder, condition, call.operand(1), right=call.operand(2))]


def power(call: Call) -> Outputs:
    exponents = call.constant(1) if isinstance(call.operand(0), Value) else None
    if exponents is None or not np.isin(exponents, (0, 1)).all():
        raise UnsupportedOperator(
            "Pow of a computed value is not piecewise linear, which proofs need",
            fix=REMEDY,
        )
    return [lowering.scale(call.builder, call.value(), exponents == 1, shift=exponents == 0)]


def expand(call: Call) -> Outputs:
    target = tuple(int(size) for size in np.ravel(call.required(1)))
    try:
        full = np.broadcast_shapes(call.value().full, target)
    except ValueError:
        raise ModelError("Expand", expected=f"from {call.value().full}", got=str(target)) from None
    return [moves.expand(call.builder, call.value(), full)]


def tile(call: Call) -> Outputs:
    value = call.value()
    repeats = [int(count) for count in np.ravel(call.required(1))]
    if len(repeats) != len(value.full) or min(repeats, default=1) < 1:
        raise ModelError("Tile", expected=f"{len(value.full)} counts", got=str(repeats))
    check_size([n * count for n, count in zip(value.full, repeats, strict=True)])
    for axis, count in enumerate(repeats):
        places = np.tile(np.arange(value.full[axis]), count)
        value = moves.take(call.builder, value, axis, indices=places) if count > 1 else value
    return [value]


def running_sum(call: Call) -> Outputs:
    axis = int(np.ravel(call.required(1))[0])
    exclusive, reverse = (bool(call.integer(name, 0)) for name in ("exclusive", "reverse"))
    value = lowering.running_sum(
        call.builder, call.value(), axis, exclusive=exclusive, reverse=reverse
    )
    return [value]


def gather_elements(call: Call) -> Outputs:
    indices = call.required(1).astype(np.int64)
    axis = call.integer("axis", 0)
    return [moves.gather_elements(call.builder, call.value(), axis, indices=indices)]


def gather_places(call: Call) -> Outputs:
    """GatherND: the last axis of the indices names places, whole axes where it is short."""
    value, indices = call.value(), call.required(1).astype(np.int64)
    batch, depth = call.integer("batch_dims", 0), indices.shape[-1]
    full = value.full
    sizes = full[batch : batch + depth]
    inside = all(
        (indices[..., i] >= -n).all() and (indices[..., i] < n).all() for i, n in enumerate(sizes)
    )
    if len(sizes) < depth or not inside or indices.shape[:batch] != full[:batch]:
        raise ModelError("GatherND: indices", expected=f"within {full}", got=str(indices.shape))
    outer = np.ix_(*(range(n) for n in full[:batch])) if batch else ()
    rest = indices.ndim - 1 - batch
    grids = [grid.reshape(grid.shape[:batch] + (1,) * rest) for grid in outer]
    places = tuple(indices[..., i] for i in range(depth))
    return [call.builder.rearrange(value, value.index[(*grids, *places)], batch > 0)]


def triangle(call: Call) -> Outputs:
    diagonal = call.constant(1)
    shift = 0 if diagonal is None else int(np.ravel(diagonal)[0])
    return [
        moves.triangle(call.builder, call.value(), bool(call.integer("upper", 1)), diagonal=shift)
    ]


def size(call: Call) -> Outputs:
    return [np.array(int(np.prod(call.value().full)), dtype=np.int64)]


def cast_like(call: Call) -> Outputs:
    target = call.operand(1)
    if isinstance(target, np.ndarray) and target.dtype.kind in "iub":
        raise ModelError("CastLike", expected="a floating-point type", got=str(target.dtype))
    return [call.value()]


def scaler(call: Call) -> Outputs:
    """(x − offset) · scale along the last axis."""
    offset, factor = (
        np.asarray(call.attributes.get(name, default), dtype=np.float64)
        for name, default in (("offset", [0.0]), ("scale", [1.0]))
    )
    shifted = lowering.add(call.builder, call.value(), offset, sign=-1.0)
    return [lowering.multiply(call.builder, shifted, factor)]


def sums_of_products(call: Call) -> Outputs:
    return [einsum(call.builder, call.text("equation", ""), _all(call))]


def _all(call: Call) -> list[Operand]:
    return [call.operand(position) for position in range(len(call.operands))]


def _alike(call: Call) -> list[Operand]:
    """All operands; they broadcast since opset 8."""
    operands = _all(call)
    shapes = {o.full if isinstance(o, Value) else o.shape for o in operands}
    if call.opset < 8 and len(shapes) > 1:
        raise ModelError(
            f"operands at opset {call.opset}", expected="equal shapes", got=str(sorted(shapes))
        )
    return operands


def _total(call: Call) -> Value:
    operands = _alike(call)
    values = [operand for operand in operands if isinstance(operand, Value)]
    result = values[0]
    for value in values[1:]:
        result = lowering.add(call.builder, result, value)
    for operand in operands:
        if isinstance(operand, np.ndarray):
            result = lowering.add(call.builder, result, operand)
    return result


def _axes(call: Call) -> tuple[list[int] | None, bool]:
    """Axes of a reduction (None: all), and whether they stay as axes of size 1."""
    axes = call.listed("axes", 1)
    if not axes:
        axes = [] if call.integer("noop_with_empty_axes", 0) else None
    return axes, bool(call.integer("keepdims", 1))


PIECES: dict[str, Callable[[Call], Outputs]] = {
    "Abs": absolute,
    "CastLike": cast_like,
    "Clip": clip,
    "CumSum": running_sum,
    "Einsum": sums_of_products,
    "Expand": expand,
    "GatherElements": gather_elements,
    "GatherND": gather_places,
    "GlobalMaxPool": global_max_pool,
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "Max": maximum,
    "Mean": mean,
    "Min": minimum,
    "PRelu": parametric_relu,
    "Pow": power,
    "ReduceL1": reduce_l1,
    "ReduceMax": reduce_max,
    "ReduceMin": reduce_min,
    "Shrink": shrink,
    "Size": size,
    "Sum": total,
    "ThresholdedRelu": thresholded_relu,
    "Tile": tile,
    "Trilu": triangle,
    "Where": where,
    "ai.onnx.ml::Scaler": scaler,
}
