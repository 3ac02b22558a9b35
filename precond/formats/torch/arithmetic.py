"""Calls of aten operators that read constants only, computed over the reals (``arithmetic``).

What torch's number types would round is an array of ``Real``; a conversion that the program
asks for rounds, and so does a plain number in a float32 program, as torch computes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from precond.errors import ModelError
from precond.formats.lowering import arithmetic
from precond.formats.lowering.arithmetic import Numbers
from precond.formats.torch.shapes import SHAPES
from precond.network.constants import MOST, Real, reals

SAME = ("_to_copy", "alias", "clone", "contiguous", "detach", "dropout", "feature_dropout", "to")
EXACT = frozenset(
    (
        *(*SHAPES, *SAME, "clamp", "full", "hardtanh", "max_pool2d", "max_pool2d_with_indices"),
        *("neg", "relu", "relu6", "zeros", "ones", "arange", "gt", "ge", "lt", "le", "eq", "ne"),
        *("logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not"),
        *("scalar_tensor", "lift_fresh_copy", "abs", "amax", "amin", "clamp_max", "clamp_min"),
        *("flip", "full_like", "masked_fill", "max", "maximum", "min", "minimum", "ones_like"),
        *("repeat", "roll", "stack", "unbind", "where", "zeros_like", "adaptive_max_pool2d"),
        *("pixel_shuffle", "pixel_unshuffle"),
    )
)
"""What rounds nothing of the numbers it reads."""


@dataclass(frozen=True)
class Constants:
    """Arguments of a call; ``single``: plain numbers are float32."""

    named: Mapping[str, object]
    single: bool

    def get(self, name: str) -> Numbers:
        found = self.named[name]
        if isinstance(found, torch.Tensor):
            return found.detach().cpu().to(torch.float64).numpy()
        if isinstance(found, np.ndarray):
            return found
        if not isinstance(found, int | float):
            raise ModelError(f"argument {name}", expected="a tensor or a number", got=str(found))
        return np.asarray(np.float32(found) if self.single else float(found), dtype=np.float64)

    def times(self, name: str, factor: str) -> Numbers:
        """An argument, times another where that is given."""
        if self.named.get(factor) is None:
            return self.get(name)
        return arithmetic.multiply(self.get(name), self.get(factor))

    @property
    def axes(self) -> list[int] | None:
        found = self.named.get("dim")
        if found is None or found == []:
            return None
        assert isinstance(found, int | list)
        return [found] if isinstance(found, int) else found

    @property
    def keepdim(self) -> bool:
        return bool(self.named.get("keepdim", False))


def folded(name: str, named: Mapping[str, object], dtype: torch.dtype) -> object:
    """The result of aten's ``name`` of constants, in a program of ``dtype``."""
    items = list(_leaves(named.values()))
    real = any(isinstance(item, np.ndarray) for item in items)
    floats = [t for t in items if isinstance(t, torch.Tensor) and t.is_floating_point()]
    integer = not real and not floats
    if integer or (not real and (name in EXACT or named.get("rounding_mode") is not None)):
        with torch.no_grad():
            return getattr(torch.ops.aten, name)(**named)
    if name in SAME:
        return named["input" if "input" in named else "self"]
    if name in SHAPES:
        return _moved(name, named)
    if name not in ARITHMETIC:
        raise ModelError(
            f"{name} of constants",
            expected=f"one of {', '.join(sorted(ARITHMETIC))}, or a move of numbers",
            got=name,
            fix="Compute it in the module's __init__",
        )
    found = ARITHMETIC[name](Constants(named, dtype == torch.float32))
    return _in_type(found, floats[0].dtype if floats else dtype)


def _leaves(values: object) -> list[object]:
    """Tensors and numbers among nested arguments."""
    if isinstance(values, str | torch.Tensor | np.ndarray) or not hasattr(values, "__iter__"):
        return [values]
    return [leaf for value in values for leaf in _leaves(value)]


def _in_type(values: Numbers, dtype: torch.dtype) -> object:
    """A tensor of ``dtype`` where its numbers are all that, else an array of ``Real``."""
    if values.dtype == np.object_:
        return values
    tensor = torch.tensor(values)
    if bool((tensor.to(dtype).to(torch.float64) == tensor).all()):
        return tensor.to(dtype)
    return reals(values) if values.size <= MOST else tensor


def _moved(name: str, named: Mapping[str, object]) -> object:
    """Real numbers moved by their places in a list that begins with 0, the default filling."""
    pool: list[Any] = [Real.of(0)]

    def placed(value: object) -> object:
        if isinstance(value, list):
            return [placed(item) for item in value]
        if isinstance(value, np.ndarray) or (
            isinstance(value, torch.Tensor) and value.is_floating_point()
        ):
            plain = value if isinstance(value, np.ndarray) else value.to(torch.float64).numpy()
            start = len(pool)
            pool.extend(reals(plain).reshape(-1).tolist())
            return torch.arange(start, len(pool)).reshape(plain.shape)
        return value

    places = {key: placed(value) for key, value in named.items()}
    fill = places.get("value")
    if isinstance(fill, int | float) and fill:
        places["value"] = len(pool)
        pool.append(Real.of(fill))
    numbers = np.empty(len(pool), dtype=np.object_)
    numbers[:] = pool
    found = getattr(torch.ops.aten, name)(**places)
    if isinstance(found, list | tuple):
        return [numbers[part.numpy()] for part in found]
    return numbers[found.numpy()]


def _linear(c: Constants) -> Numbers:
    product = arithmetic.matmul(c.get("input"), c.get("weight").T)
    return product if c.named.get("bias") is None else arithmetic.add(product, c.get("bias"))


def _addmm(c: Constants) -> Numbers:
    product = arithmetic.matmul(c.get("mat1"), c.get("mat2"))
    if c.named.get("alpha") is not None:
        product = arithmetic.multiply(product, c.get("alpha"))
    return arithmetic.add(product, c.times("self", "beta"))


def _product(c: Constants) -> Numbers:
    return arithmetic.matmul(c.get("self"), c.get("mat2" if "mat2" in c.named else "other"))


def _clamp(c: Constants, low: str, high: str) -> Numbers:
    found = c.get("self")
    if c.named.get(low) is not None:
        found = arithmetic.maximum(found, c.get(low))
    return found if c.named.get(high) is None else arithmetic.minimum(found, c.get(high))


def _softmax(c: Constants) -> Numbers:
    powers = arithmetic.exponential(c.get("self"))
    return arithmetic.divide(powers, arithmetic.total(powers, c.axes, keepdims=True))


def _power(c: Constants) -> Numbers:
    return arithmetic.power(c.get("self"), c.get("exponent"))


ARITHMETIC: dict[str, Callable[[Constants], Numbers]] = {
    "_softmax": _softmax,
    "add": lambda c: arithmetic.add(c.get("self"), c.times("other", "alpha")),
    "addmm": _addmm,
    "clamp": lambda c: _clamp(c, "min", "max"),
    "div": lambda c: arithmetic.divide(c.get("self"), c.get("other")),
    "exp": lambda c: arithmetic.exponential(c.get("self")),
    "linear": _linear,
    "matmul": _product,
    "mean": lambda c: arithmetic.mean(c.get("self"), c.axes, c.keepdim),
    "mm": _product,
    "mul": lambda c: arithmetic.multiply(c.get("self"), c.get("other")),
    "neg": lambda c: arithmetic.negative(c.get("self")),
    "pow": _power,
    "reciprocal": lambda c: arithmetic.divide(1.0, c.get("self")),
    "relu": lambda c: arithmetic.maximum(c.get("self"), 0.0),
    "rsqrt": lambda c: arithmetic.divide(1.0, arithmetic.square_root(c.get("self"))),
    "rsub": lambda c: arithmetic.subtract(c.get("other"), c.times("self", "alpha")),
    "softmax": _softmax,
    "sqrt": lambda c: arithmetic.square_root(c.get("self")),
    "sub": lambda c: arithmetic.subtract(c.get("self"), c.times("other", "alpha")),
    "sum": lambda c: arithmetic.total(c.get("self"), c.axes, c.keepdim),
}
