"""Distributional influence (Leino, Sen, Datta, Fredrikson, Li, "Influence-directed
explanations for deep convolutional networks", 2018).

For y = g(h(x)), a quantity q and a distribution of interest P the influence of the slice's
j-th unit is χ_j = E_{x∼P}[∂(q∘g)/∂z_j at z = h(x)].  h is evaluated without a graph, g once
for all quantities; sums are kept in float64 and rows are streamed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attribution.adapter import as_module, place_of, type_of, undisturbed
from attribution.attribution import Array, Attribution
from attribution.distributions import (
    Distribution,
    Empirical,
    LinearPath,
    Parts,
    PerInput,
    Point,
    Rule,
)
from attribution.gradients import Kernel
from attribution.inputs import Inputs, array_rows, count_rows
from attribution.memory import rows_for
from attribution.quantities import Quantity, as_quantity
from attribution.slices import Site, Slice, find_layer
from precond.errors import DataError, QueryError

QuantityLike = Quantity | int | Callable[[Tensor], Tensor]
AFFINE_NOTE = (
    "nothing nonlinear follows the slice: its influence is a row of weights, the same for "
    "every input"
)


def quantities_of(
    quantity: QuantityLike | Sequence[QuantityLike],
) -> tuple[tuple[Quantity, ...], bool]:
    """Quantities, and whether several were asked for."""
    several = isinstance(quantity, Sequence)
    every = quantity if isinstance(quantity, Sequence) else (quantity,)
    if not every:
        raise QueryError("quantity", expected="at least one", got="none")
    return tuple(as_quantity(one) for one in every), several


def influence(
    cut: Slice,
    quantity: QuantityLike | Sequence[QuantityLike],
    distribution: Distribution | None = None,
    inputs: Any = None,
    *,
    device: str | None = None,
    memory: int | None = None,
    chunk: int | None = None,
) -> Attribution:
    """Influence of every unit of ``cut`` on each quantity.

    ``inputs`` (rows, …) as the model takes them; a data distribution brings its own and
    gives one row of values.  ``memory``: bytes for one chunk; ``chunk`` sets the number of
    rows instead.  Values are (rows, *slice shape), or (Q, rows, *slice shape) for a list of
    quantities.  The model is not moved; on another ``device`` a copy of it works.
    """
    chosen, several = quantities_of(quantity)
    distribution = Point() if distribution is None else distribution
    if isinstance(distribution, LinearPath) and distribution.rule is Rule.EXACT:
        from attribution.exact import exact_influence

        return exact_influence(cut, chosen, several, distribution, inputs, device, memory)
    model = as_module(cut.model, device=device)
    with undisturbed(model):
        if isinstance(distribution, Empirical):
            found = _over_data(model, cut, chosen, distribution, inputs, memory, chunk)
        elif isinstance(distribution, PerInput):
            found = _per_input(model, cut, chosen, distribution, inputs, memory, chunk)
        else:
            raise QueryError(
                "distribution",
                expected="Point, LinearPath, Gaussian, Custom, Empirical or ClassConditional",
                got=type(distribution).__name__,
            )
    parts, evaluated, affine = found
    return Attribution(
        tuple(p if several else p[0] for p in parts.values()),
        tuple(parts),
        tuple(q.name for q in chosen),
        f"influence of {cut}",
        type(distribution).__name__,
        evaluated,
        several,
        notes=(AFFINE_NOTE,) if affine else (),
    )


Found = tuple[dict[str, Array], int, bool]


def _sites(model: torch.nn.Module, layer: str | None, pre: bool) -> tuple[Site, ...]:
    if layer is None:
        return ()
    find_layer(model, layer)
    return (Site(layer, pre),)


def _per_input(
    model: torch.nn.Module,
    cut: Slice,
    chosen: tuple[Quantity, ...],
    distribution: PerInput,
    inputs: Any,
    memory: int | None,
    chunk: int | None,
) -> Found:
    if inputs is None:
        raise DataError(type(distribution).__name__, expected="inputs", got="none")
    rows = Inputs.read(inputs, device=place_of(model), dtype=type_of(model))
    given = _sites(model, distribution.at, distribution.pre)
    kernel = Kernel(model, rows, given, cut.sites, chosen)
    total, count = rows.rows, distribution.count()

    def build(block: slice, points: slice) -> Parts:
        return distribution.build(kernel.values(block), block, total, points)

    size = chunk
    if size is None:
        made = kernel.bytes_per_point(build(slice(0, 1), slice(0, 1))) * len(chosen)
        size = rows_for(made, memory, place_of(model))
    per_block, points_per_block = max(1, size // count), min(count, size)
    result: dict[str, Array] = {}
    affine = False
    for start in range(0, total, per_block):
        block = slice(start, min(start + per_block, total))
        weights = np.broadcast_to(
            distribution.weights(block, total), (block.stop - block.start, count)
        )
        for first in range(0, count, points_per_block):
            points = slice(first, min(first + points_per_block, count))
            found = kernel.at(build(block, points), block)
            affine = found.affine
            part = torch.tensor(weights[:, points], device=place_of(model))
            for name, gradient in found.gradients.items():
                mean = torch.einsum("rp,qrp...->qr...", part, gradient.double())
                if name not in result:
                    result[name] = np.zeros((len(chosen), total, *mean.shape[2:]))
                result[name][:, block] += mean.cpu().numpy()
    return result, total * count, affine


def _over_data(
    model: torch.nn.Module,
    cut: Slice,
    chosen: tuple[Quantity, ...],
    distribution: Empirical,
    inputs: Any,
    memory: int | None,
    chunk: int | None,
) -> Found:
    place, dtype = place_of(model), type_of(model)
    given = _sites(model, distribution.at, distribution.pre)
    context = None
    if given:
        if inputs is None or count_rows(inputs) != 1:
            raise DataError(
                f"data at layer {distribution.at}",
                expected="inputs of one row, for what the rest of the model reads",
                got="none" if inputs is None else f"{count_rows(inputs)} rows",
            )
        context = Inputs.read(inputs, device=place, dtype=dtype)
    sums: dict[str, Tensor] = {}
    weight_sum, evaluated, affine, size = 0.0, 0, False, chunk
    for batch, weights in distribution.batches():
        length = count_rows(batch)
        if weights is not None and weights.shape != (length,):
            raise DataError("weights", expected=f"({length},)", got=str(weights.shape))
        start = 0
        while start < length:
            rows = slice(start, min(start + (size or 1), length))
            part = array_rows(batch, rows)
            if context is None:
                read = Inputs.read(part, device=place, dtype=dtype)
                kernel = Kernel(model, read, (), cut.sites, chosen)
                points = {name: value.unsqueeze(1) for name, value in read.floats.items()}
                every: slice | Tensor = slice(0, read.rows)
            else:
                values = torch.as_tensor(part).to(place, dtype)
                kernel = Kernel(model, context, given, cut.sites, chosen)
                points = {str(given[0]): values.unsqueeze(1)}
                every = torch.zeros(len(values), dtype=torch.int64, device=place)
            if size is None:
                made = kernel.bytes_per_point(points) * max(1, len(chosen) // 2)
                size = rows_for(made, memory, place)
                continue
            found = kernel.at(points, every)
            affine = found.affine
            share = None if weights is None else torch.tensor(weights[rows], device=place)
            weight_sum += rows.stop - rows.start if weights is None else weights[rows].sum()
            evaluated += rows.stop - rows.start
            for name, gradient in found.gradients.items():
                flat = gradient[:, :, 0]
                if share is None:
                    added = flat.sum(1, dtype=torch.float64)
                else:
                    added = torch.einsum("r,qr...->q...", share, flat.double())
                sums[name] = added if name not in sums else sums[name] + added
            start = rows.stop
    if not evaluated or weight_sum == 0:
        raise DataError("data distribution", expected="rows with weight", got="none")
    means = {name: (value / weight_sum).unsqueeze(1).cpu().numpy() for name, value in sums.items()}
    return means, evaluated, affine
