"""What a unit means, and an explanation in such units (Leino et al. 2018, section 3).

A unit is shown by where in the input it looks (the mean gradient of its value over the
inputs of interest), by the inputs that excite it most, and by the patches of them it reads.
An input's explanation is its most influential units, each with its picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.distributions import Empirical, Point
from attribution.evaluate import outputs, values_at
from attribution.inputs import array_rows, count_rows
from attribution.methods.influence import influence
from attribution.quantities import QuantityLike, class_score, comparative, unit
from attribution.slices import Slice
from precond.errors import QueryError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Patch:
    """The part of input ``row`` that a unit reads: ``where`` along each axis of an image."""

    row: int
    activation: float
    where: tuple[slice, slice]


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitMeaning:
    """``gradient`` (*input shape): mean ∂unit/∂x; ``top`` rows that excite it most, best first,
    with their ``activations``; ``patches`` of them (images only)."""

    cut: Slice
    index: int
    gradient: Array
    top: tuple[int, ...]
    activations: tuple[float, ...]
    patches: tuple[Patch, ...]


def _site_unit(cut: Slice, index: int) -> Any:
    if len(cut.sites) != 1:
        raise QueryError("unit", expected="a slice at one layer", got=str(cut))
    site = cut.sites[0]
    return unit(site.layer, index, pre=site.pre, call=site.call)


def unit_meaning(
    cut: Slice, index: int, inputs: NDArray[np.floating], *, top: int = 9
) -> UnitMeaning:
    """What unit ``index`` (flat) of ``cut`` stands for over ``inputs`` (N, …)."""
    quantity = _site_unit(cut, index)
    start = Slice(cut.model)
    gradient = influence(start, quantity, Empirical(inputs)).values[0]
    activation = values_at(cut, inputs).reshape(count_rows(inputs), -1)[:, index]
    best = np.argsort(-activation, kind="stable")[:top]
    patches: list[Patch] = []
    if inputs.ndim >= 3:
        for row in best:
            one = influence(
                start,
                quantity=quantity,
                distribution=Point(),
                inputs=array_rows(inputs, slice(row, row + 1)),
            )
            where = support(one.values[0])
            if where is not None:
                patches.append(Patch(int(row), float(activation[row]), where))
    return UnitMeaning(
        cut=cut,
        index=index,
        gradient=gradient,
        top=tuple(int(row) for row in best),
        activations=tuple(float(activation[row]) for row in best),
        patches=tuple(patches),
    )


def support(gradient: Array) -> tuple[slice, slice] | None:
    """The smallest rectangle over the last two axes that holds every nonzero; None if none."""
    plane = np.abs(gradient.reshape(-1, *gradient.shape[-2:])).max(0) > 0
    if not plane.any():
        return None
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@dataclass(frozen=True, eq=False)
class UnitEvidence:
    """One unit of an explanation: its influence, its value at the input, and ``picture``
    (*input shape), the gradient of its value there."""

    index: int
    influence: float
    activation: float
    picture: Array


@dataclass(frozen=True, eq=False)
class Explanation:
    """``quantity``'s most influential units at one input, largest magnitude first."""

    quantity: str
    output: Array
    units: tuple[UnitEvidence, ...]


def explain_input(
    cut: Slice,
    input_row: NDArray[np.floating],
    quantity: QuantityLike | None = None,
    *,
    units: int = 5,
) -> Explanation:
    """The explanation of one input (1, …); ``quantity`` None: its predicted class."""
    if count_rows(input_row) != 1:
        raise QueryError("explanation", expected="one input", got=f"{count_rows(input_row)}")
    y = outputs(cut, input_row)[0]
    chosen = class_score(int(y.argmax())) if quantity is None else quantity
    found = influence(cut, quantity=chosen, distribution=Point(), inputs=input_row)
    return Explanation(
        found.quantities[0], y, evidence(cut, input_row, influences=found.flat(), units=units)
    )


def evidence(
    cut: Slice, input_row: NDArray[np.floating], influences: Array, units: int
) -> tuple[UnitEvidence, ...]:
    """The ``units`` of largest influence (flat) with their pictures at one input."""
    active = values_at(cut, input_row).reshape(-1)
    best = np.argsort(-np.abs(influences), kind="stable")[:units]
    quantities = [_site_unit(cut, int(i)) for i in best]
    pictures = influence(
        Slice(cut.model), quantity=quantities, distribution=Point(), inputs=input_row
    ).values[:, 0]
    return tuple(
        UnitEvidence(
            int(i), influence=float(influences[i]), activation=float(active[i]), picture=picture
        )
        for i, picture in zip(best, pictures, strict=True)
    )


def why_rather_than(
    cut: Slice, input_row: NDArray[np.floating], target: int, other: int, *, units: int = 5
) -> Explanation:
    """Why ``target`` rather than ``other``: the explanation of y_target − y_other."""
    return explain_input(cut, input_row, comparative(target, other), units=units)
