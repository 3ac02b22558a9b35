"""Quantities of interest: what about the output is to be explained, as one number per row.

``class_score(c)`` is y_c; ``comparative(a, b)`` is y_a − y_b ("why a rather than b");
``max_class()`` is max_k y_k; ``margin(c)`` is y_c − max_{k≠c} y_k; ``unit(layer, j)`` is the
j-th value of an internal layer; any callable (B, K) → (B,) will do.  Targets are one
number, or one per input row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.slices import Site, flat_output
from precond.errors import QueryError

Target = int | Sequence[int] | NDArray[np.integer] | Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantity:
    """One number per row.  ``score(output, rows)``: ``rows`` (B,) are input row numbers."""

    name: str
    score: Callable[[Any, Tensor], Tensor]
    site: Site | None = None
    weights: Callable[[int, Tensor], Tensor] | None = None
    """(K, rows) → (B, K): the linear form over the outputs, for quantities that are one."""
    rivals: Callable[[int, Tensor], Tensor] | None = None
    """(K, rows) → (B, K) mask: outputs whose largest is added to the form."""
    sign: int = -1
    """With which sign the largest rival is added."""

    def __call__(self, output: Any, rows: Tensor) -> Tensor:
        result = self.score(output, rows)
        if not isinstance(result, Tensor) or result.shape != rows.shape:
            raise QueryError(
                f"quantity {self.name}",
                expected=f"one number for each of {len(rows)} rows",
                got=str(tuple(result.shape)) if isinstance(result, Tensor) else str(type(result)),
            )
        return result


def _targets(target: Target, rows: Tensor, classes: int) -> Tensor:
    chosen = torch.as_tensor(np.asarray(target) if not isinstance(target, Tensor) else target)
    if chosen.is_floating_point() or chosen.dim() > 1:
        raise QueryError(
            "targets",
            expected="whole numbers, one or one per input row",
            got=f"{chosen.dtype} of shape {tuple(chosen.shape)}",
        )
    chosen = chosen.to(rows.device, torch.int64)
    if chosen.dim() and rows.numel() and int(rows.max()) >= len(chosen):
        raise QueryError(
            "targets", expected="one per input row", got=f"{len(chosen)} for row {int(rows.max())}"
        )
    picked = chosen[rows] if chosen.dim() else chosen.expand(len(rows))
    if picked.numel() and not 0 <= int(picked.min()) <= int(picked.max()) < classes:
        raise _no_class(classes, str(sorted(set(picked.tolist()))))
    return picked


def _no_class(classes: int, got: str) -> QueryError:
    return QueryError("class", expected=f"0 to {classes - 1}", got=got)


def _word(target: Target) -> str:
    return str(target) if isinstance(target, int) else "its target"


def class_weights(target: Target, rows: Tensor, classes: int) -> Tensor:
    """(B, K): 1 at each row's target."""
    if isinstance(target, int):
        if not 0 <= target < classes:
            raise _no_class(classes, str([target]))
        form = torch.zeros(1, classes, device=rows.device)
        form[0, target] = 1.0
        return form.expand(len(rows), classes)
    return torch.nn.functional.one_hot(_targets(target, rows, classes), classes)


def class_score(target: Target) -> Quantity:
    """y_c."""

    def score(output: Any, rows: Tensor) -> Tensor:
        y = flat_output(output)
        return y.gather(1, _targets(target, rows, y.shape[1])[:, None])[:, 0]

    return Quantity(
        name=f"class {_word(target)}",
        score=score,
        weights=lambda classes, rows: class_weights(target, rows, classes),
    )


def comparative(target: Target, other: Target) -> Quantity:
    """y_a − y_b: why ``target`` rather than ``other``."""
    first, second = class_score(target), class_score(other)

    def weights(classes: int, rows: Tensor) -> Tensor:
        assert first.weights is not None and second.weights is not None
        return first.weights(classes, rows) - second.weights(classes, rows)

    return Quantity(
        name=f"class {_word(target)} rather than {_word(other)}",
        score=lambda output, rows: first.score(output, rows) - second.score(output, rows),
        weights=weights,
    )


def max_class() -> Quantity:
    """max_k y_k."""
    return Quantity(
        name="largest class",
        score=lambda output, _: flat_output(output).amax(1),
        weights=lambda classes, rows: torch.zeros(len(rows), classes, device=rows.device),
        rivals=lambda classes, rows: torch.ones(
            len(rows), classes, dtype=torch.bool, device=rows.device
        ),
        sign=1,
    )


def margin(target: Target) -> Quantity:
    """y_c − max_{k≠c} y_k: positive where ``target`` is predicted."""
    own = class_score(target)

    def rivals(classes: int, rows: Tensor) -> Tensor:
        assert own.weights is not None
        return own.weights(classes, rows) == 0

    def score(output: Any, rows: Tensor) -> Tensor:
        y = flat_output(output)
        others = y.masked_fill(~rivals(y.shape[1], rows), -torch.inf)
        return own.score(output, rows) - others.amax(1)

    return Quantity(
        name=f"margin of class {_word(target)}", score=score, weights=own.weights, rivals=rivals
    )


def unit(layer: str, index: int, *, pre: bool = False, call: int = 0) -> Quantity:
    """The ``index``-th value (flat) of an internal layer."""

    def score(value: Any, _: Tensor) -> Tensor:
        flat = flat_output(value)
        if not 0 <= index < flat.shape[1]:
            raise QueryError(
                f"unit of {layer}", expected=f"0 to {flat.shape[1] - 1}", got=str(index)
            )
        return flat[:, index]

    return Quantity(
        name=f"unit {index} of {layer}",
        score=score,
        site=Site(layer, pre, call),
        weights=lambda width, rows: class_weights(index, rows, width),
    )


def as_quantity(
    value: Quantity | Callable[[Tensor], Tensor] | int | NDArray[np.integer] | Tensor,
) -> Quantity:
    """A quantity from itself, a class number, an array of one for each row, or a callable
    (B, K) → (B,)."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | np.integer):
        return class_score(int(value))
    if isinstance(value, np.ndarray | Tensor):
        return class_score(value)
    if callable(value):
        return Quantity(
            name=getattr(value, "__name__", "callable"), score=lambda output, _: value(output)
        )
    raise QueryError(
        "quantity", expected="a Quantity, a class number or a callable", got=str(type(value))
    )


QuantityLike = Quantity | int | NDArray[np.integer] | Tensor | Callable[[Tensor], Tensor]


def quantities_of(
    quantity: QuantityLike | Sequence[QuantityLike],
) -> tuple[tuple[Quantity, ...], bool]:
    """Quantities, and whether several were asked for."""
    several = isinstance(quantity, Sequence)
    every = quantity if isinstance(quantity, Sequence) else (quantity,)
    if not every:
        raise QueryError("quantity", expected="at least one", got="none")
    return tuple(as_quantity(one) for one in every), several
