"""Piecewise-linear functions other than ReLU, written with ReLUs and maxima.

Every identity here holds over the reals with the constants as they stand, so nothing is
rounded: max(a, b) = a + relu(b − a), |x| = 2 relu(x) − x, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce as fold

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.basic import Operand, add, scale
from precond.formats.lowering.builder import NetworkBuilder, Value, constant_array
from precond.formats.lowering.moves import axis_of, reshape
from precond.network.layers import Array, LeakyReLU, MaxPool2d, ReLU

LARGEST_FLOAT = float(np.finfo(np.float32).max)
"""Limits at or beyond it are how files say that there is none."""


def relu(b: NetworkBuilder, value: Value) -> Value:
    return b.emit(ReLU(), [value])


def leaky(b: NetworkBuilder, value: Value, slopes: Array) -> Value:
    """``x`` where x > 0, else ``slopes · x``: relu(x) + slopes · (x − relu(x))."""
    own = np.unique(constant_array(slopes))
    if own.size == 1 and 0.0 <= own[0] <= 1.0:
        return b.emit(LeakyReLU(float(own[0])), [value])
    positive = relu(b, value)
    return add(b, positive, scale(b, add(b, value, positive, sign=-1.0), slopes, shift=0.0))


def absolute(b: NetworkBuilder, value: Value) -> Value:
    """``2 relu(x) − x``."""
    return add(b, scale(b, relu(b, value), 2.0, shift=0.0), value, sign=-1.0)


def maximum(b: NetworkBuilder, operands: Sequence[Operand]) -> Value:
    """The largest of all, element by element: a + relu(b − a)."""
    return _extreme(b, operands, 1.0)


def minimum(b: NetworkBuilder, operands: Sequence[Operand]) -> Value:
    """The smallest of all: a − relu(a − b)."""
    return _extreme(b, operands, -1.0)


def _extreme(b: NetworkBuilder, operands: Sequence[Operand], sign: float) -> Value:
    values = [operand for operand in operands if isinstance(operand, Value)]
    constants = [constant_array(o) for o in operands if not isinstance(o, Value)]

    def pair(left: Value, right: Value) -> Value:
        over = relu(
            b, add(b, right, left, sign=-1.0) if sign > 0 else add(b, left, right, sign=-1.0)
        )
        return add(b, left, over, sign=sign)

    value = fold(pair, values)
    if not constants:
        return value
    limit = fold(np.maximum if sign > 0 else np.minimum, constants)
    over = relu(b, scale(b, value, sign, shift=-sign * limit))
    return scale(b, over, sign, shift=limit)


def clip(b: NetworkBuilder, value: Value, low: float | None, high: float | None) -> Value:
    """``min(max(x, low), high)``; None for no limit.  With low > high it is ``high``.

    Both limits in turn where ``high − low`` is a float64, so that bounds stay within them;
    else low + relu(x − low) − relu(x − high), which needs no difference of the limits.
    """
    low = None if low is None or low <= -LARGEST_FLOAT else low
    high = None if high is None or high >= LARGEST_FLOAT else high
    if low is None:
        return value if high is None else minimum(b, [value, np.asarray(high)])
    if high is None:
        return maximum(b, [value, np.asarray(low)])
    if low > high:
        return scale(b, value, 0.0, shift=high)
    above = relu(b, scale(b, value, 1.0, shift=-low))
    width = high - low
    if Fraction(width) == Fraction(high) - Fraction(low):
        below = relu(b, scale(b, above, -1.0, shift=width))
        return scale(b, below, -1.0, shift=high)
    over = relu(b, scale(b, value, 1.0, shift=-high))
    return scale(b, add(b, above, over, sign=-1.0), 1.0, shift=low)


def shrink(b: NetworkBuilder, value: Value, limit: float) -> Value:
    """``x − limit`` above it, ``x + limit`` below −limit, else 0."""
    if limit < 0.0:
        raise ModelError("shrink", expected="a limit of 0 or more", got=str(limit))
    above = relu(b, scale(b, value, 1.0, shift=-limit))
    return add(b, above, relu(b, scale(b, value, -1.0, shift=-limit)), sign=-1.0)


def extreme_over(
    b: NetworkBuilder, value: Value, axes: Sequence[int] | None, keepdims: bool, sign: float
) -> Value:
    """Maximum (``sign`` 1) or minimum (−1) over axes of the full shape (None: all)."""
    if sign < 0:
        mirrored = extreme_over(
            b, scale(b, value, -1.0, shift=0.0), axes, keepdims=keepdims, sign=1.0
        )
        return scale(b, mirrored, -1.0, shift=0.0)
    places = sorted({axis_of(value, a) for a in (range(len(value.full)) if axes is None else axes)})
    if not places:
        return value
    if places[0] == 0:
        value = b.unbatch(value)
    full = value.full
    kept = [axis for axis in range(len(full)) if axis not in places]
    index = value.index.transpose([*kept, *places]).reshape(
        *([1] if value.batched else []), 1, -1, int(np.prod([full[axis] for axis in places]))
    )
    lines = b.rearrange(value, index)
    largest = b.emit(MaxPool2d((1, index.shape[-1]), (1, 1)), [lines])
    if keepdims:
        return reshape(b, largest, [1 if i in places else n for i, n in enumerate(full)])
    return reshape(b, largest, [full[axis] for axis in kept])


def choose(b: NetworkBuilder, condition: np.ndarray, left: Operand, right: Operand) -> Value:
    """``left`` where a constant condition holds, else ``right``."""
    mask = np.asarray(condition, dtype=bool)
    return add(b, _part(b, left, mask), _part(b, right, ~mask))


def _part(b: NetworkBuilder, operand: Operand, mask: np.ndarray) -> Operand:
    """The operand where the mask holds, else 0."""
    if isinstance(operand, Value):
        return scale(b, operand, mask, shift=0.0)
    return np.where(mask, operand, 0.0)
