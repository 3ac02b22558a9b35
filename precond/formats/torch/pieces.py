"""aten operators that are piecewise linear beside ReLU, and choices by constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from precond.errors import ModelError, UnsupportedOperator
from precond.formats.lowering import basic as lowering
from precond.formats.lowering import moves
from precond.formats.lowering import pieces as lowering_pieces
from precond.formats.lowering.builder import Value, check_size
from precond.formats.lowering.refusals import REMEDY
from precond.formats.torch.arguments import Arguments, Result


def leaky_relu(a: Arguments) -> Result:
    slope = np.asarray(a.number("negative_slope", 0.01))
    return lowering_pieces.leaky(a.builder, a.value(), slope)


def prelu(a: Arguments) -> Result:
    value, slopes = a.value(), a.constant("weight")
    if slopes.size > 1:
        slopes = slopes.reshape(-1, *[1] * (len(value.full) - 2))
    return lowering_pieces.leaky(a.builder, value, slopes)


def hardtanh(a: Arguments) -> Result:
    low, high = a.number("min_val", -1.0), a.number("max_val", 1.0)
    return lowering_pieces.clip(a.builder, a.value(), low, high=high)


def relu6(a: Arguments) -> Result:
    return lowering_pieces.clip(a.builder, a.value(), 0.0, high=6.0)


def clamp(a: Arguments) -> Result:
    low, high = (None if a.get(name) is None else a.number(name, 0.0) for name in ("min", "max"))
    return lowering_pieces.clip(a.builder, a.value(), low, high=high)


def hardsigmoid(a: Arguments) -> Result:
    """``relu6(x + 3) / 6``."""
    b = a.builder
    six = lowering_pieces.clip(b, lowering.scale(b, a.value(), 1.0, shift=3.0), 0.0, high=6.0)
    return lowering.divide(b, six, np.asarray(6.0))


def threshold(a: Arguments) -> Result:
    limit, value = a.number("threshold", 0.0), a.number("value", 0.0)
    if limit != value:
        raise UnsupportedOperator(
            f"threshold at {limit:g} with value {value:g} jumps, and proofs are about "
            "continuous networks",
            fix="Train with ReLU",
        )
    return lowering_pieces.maximum(a.builder, [a.value(), np.asarray(limit)])


def absolute(a: Arguments) -> Result:
    return lowering_pieces.absolute(a.builder, a.value())


def maximum(a: Arguments) -> Result:
    return lowering_pieces.maximum(a.builder, [a.operand("self"), a.operand("other")])


def minimum(a: Arguments) -> Result:
    return lowering_pieces.minimum(a.builder, [a.operand("self"), a.operand("other")])


def amax(a: Arguments) -> Result:
    return _over(a, 1.0)


def amin(a: Arguments) -> Result:
    return _over(a, -1.0)


def max_(a: Arguments) -> Result:
    return _max(a, maximum, 1.0)


def min_(a: Arguments) -> Result:
    return _max(a, minimum, -1.0)


def _max(a: Arguments, of_two: Callable[[Arguments], Result], sign: float) -> Result:
    """``max(x, y)``, ``max(x)``, or the values of ``max(x, dim)``, whose indices jump."""
    if "other" in a.named:
        return of_two(a)
    found = _over(a, sign)
    return [found] if "dim" in a.named else found


def _over(a: Arguments, sign: float) -> Value:
    axes = a.integers("dim") or None
    keep = bool(a.get("keepdim", False))
    return lowering_pieces.extreme_over(a.builder, a.value(), axes, keepdims=keep, sign=sign)


def where(a: Arguments) -> Result:
    condition = a.constant("condition")
    return lowering_pieces.choose(a.builder, condition, a.operand("self"), right=a.operand("other"))


def masked_fill(a: Arguments) -> Result:
    fill = a.constant("value")
    return lowering_pieces.choose(a.builder, a.constant("mask"), fill, right=a.value())


def power(a: Arguments) -> Result:
    exponent = a.get("exponent")
    if exponent in (0, 1):
        return lowering.scale(
            a.builder, a.value(), float(exponent == 1), shift=float(exponent == 0)
        )
    raise UnsupportedOperator(
        "pow of a computed value is not piecewise linear, which proofs need",
        fix=REMEDY,
    )


def filled(number: float | None) -> Callable[[Arguments], Result]:
    """``zeros_like`` and its like: a constant of a computed value's shape."""

    def apply(a: Arguments) -> Result:
        fill = a.number("fill_value", 0.0) if number is None else number
        return np.full(a.value().full, fill)

    return apply


def stack(a: Arguments) -> Result:
    tensors = a.get("tensors")
    assert isinstance(tensors, Sequence)
    parts = [a.as_operand(part, "tensors") for part in tensors]
    axis = a.integer("dim")
    rank = max(len(p.full) if isinstance(p, Value) else p.ndim for p in parts) + 1
    axis = axis + rank if axis < 0 else axis
    grown = [
        moves.unsqueeze(a.builder, part, [axis])
        if isinstance(part, Value)
        else np.expand_dims(part, axis)
        for part in parts
    ]
    return lowering.concat(a.builder, grown, axis)


def unbind(a: Arguments) -> Result:
    value, axis = a.value(), a.integer("dim")
    size = value.full[moves.axis_of(value, axis)]
    return [moves.take(a.builder, value, axis, indices=np.array(i)) for i in range(size)]


def flip(a: Arguments) -> Result:
    value = a.value()
    for axis in a.integers("dims"):
        size = value.full[moves.axis_of(value, axis)]
        value = moves.take(a.builder, value, axis, indices=np.arange(size)[::-1].copy())
    return value


def roll(a: Arguments) -> Result:
    value, shifts, axes = a.value(), a.integers("shifts"), a.integers("dims")
    if len(shifts) != len(axes):
        raise ModelError("roll", expected="a shift for each axis", got=f"{shifts} for {axes}")
    for shift, axis in zip(shifts, axes, strict=True):
        places = np.roll(np.arange(value.full[moves.axis_of(value, axis)]), shift)
        value = moves.take(a.builder, value, axis, indices=places)
    return value


def repeat(a: Arguments) -> Result:
    value, counts = a.value(), a.integers("repeats")
    missing = len(counts) - len(value.full)
    if missing > 0:
        value = moves.unsqueeze(a.builder, value, range(missing))
    check_size([n * count for n, count in zip(value.full, counts, strict=True)])
    for axis, count in enumerate(counts):
        places = np.tile(np.arange(value.full[axis]), count)
        value = moves.take(a.builder, value, axis, indices=places) if count != 1 else value
    return value


def tile(a: Arguments) -> Result:
    counts, rank = a.integers("dims"), len(a.value().full)
    named = {**a.named, "repeats": [*[1] * (rank - len(counts)), *counts]}
    return repeat(replace(a, named=named))


def running_sum(a: Arguments) -> Result:
    return lowering.running_sum(a.builder, a.value(), a.integer("dim"))


def gather(a: Arguments) -> Result:
    indices = a.constant("index").astype(np.int64)
    return moves.gather_elements(a.builder, a.value(), a.integer("dim"), indices=indices)


def index(a: Arguments) -> Result:
    """``x[:, [2, 0]]``: a constant list of places for each axis, or all of it."""
    given = a.get("indices")
    assert isinstance(given, Sequence)
    places: list[object] = [slice(None)] * len(given)
    for axis, one in enumerate(given):
        if one is not None:
            array = a.as_operand(one, "indices")
            if isinstance(array, Value):
                raise ModelError("index", expected="constant places", got="computed ones")
            boolean = getattr(one, "dtype", None) in (torch.bool, torch.uint8)
            places[axis] = array.astype(bool) if boolean else array.astype(np.int64)
    return moves.pick(a.builder, a.value(), tuple(places))


def triangle(upper: bool) -> Callable[[Arguments], Result]:
    def apply(a: Arguments) -> Result:
        return moves.triangle(a.builder, a.value(), upper, diagonal=a.integer("diagonal"))

    return apply


PIECES: dict[str, Callable[[Arguments], Result]] = {
    "abs": absolute,
    "amax": amax,
    "amin": amin,
    "clamp": clamp,
    "clamp_max": clamp,
    "clamp_min": clamp,
    "cumsum": running_sum,
    "flip": flip,
    "full_like": filled(number=None),
    "gather": gather,
    "hardsigmoid": hardsigmoid,
    "hardtanh": hardtanh,
    "index": index,
    "leaky_relu": leaky_relu,
    "masked_fill": masked_fill,
    "max": max_,
    "maximum": maximum,
    "min": min_,
    "minimum": minimum,
    "ones_like": filled(1.0),
    "pow": power,
    "prelu": prelu,
    "_prelu_kernel": prelu,
    "relu6": relu6,
    "repeat": repeat,
    "roll": roll,
    "stack": stack,
    "threshold": threshold,
    "tile": tile,
    "tril": triangle(upper=False),
    "triu": triangle(upper=True),
    "unbind": unbind,
    "where": where,
    "zeros_like": filled(0.0),
}
