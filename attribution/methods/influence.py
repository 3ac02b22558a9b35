"""Distributional influence (Leino, Sen, Datta, Fredrikson, Li, "Influence-directed
explanations for deep convolutional networks", 2018).

For y = g(h(x)), a quantity q and a distribution of interest P the influence of the slice's
j-th unit is χ_j = E_{x∼P}[∂(q∘g)/∂z_j at z = h(x)].  h is evaluated without a graph, g once
for all quantities; sums are kept in float64 and rows are streamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.affine import first_affine
from attribution.attribution import AFFINE_NOTE, Array, Attribution
from attribution.distributions import Distribution, Empirical, LinearPath, Parts, PerInput, Point
from attribution.fixed_batch import explained
from attribution.gradients import Kernel, Reduce
from attribution.inputs import Inputs, array_rows, count_rows, require_finite
from attribution.memory import rows_for
from attribution.model import as_module, place_of, type_of, undisturbed
from attribution.quantities import Quantity, QuantityLike, quantities_of
from attribution.rules import NETWORK_RULES
from attribution.slices import Site, Slice, find_layer, run
from precond.errors import DataError, QueryError
from precond.network.graph import Network


def influence(
    cut: Slice | nn.Module | Network,
    quantity: QuantityLike | Sequence[QuantityLike],
    distribution: Distribution | None = None,
    inputs: Any = None,
    *,
    device: str | None = None,
    memory: int | None = None,
    chunk: int | None = None,
) -> Attribution:
    """Influence of every unit of ``cut`` (a model: of its input) on each quantity.

    ``inputs`` (rows, …) as the model takes them; a data distribution brings its own and
    gives one row of values.  ``memory``: bytes for one chunk; ``chunk`` sets the number of
    rows instead.  Values are (rows, *slice shape), or (Q, rows, *slice shape) for a list of
    quantities.  The model is not moved; on another ``device`` a copy of it works.
    """
    cut = cut if isinstance(cut, Slice) else Slice(cut)
    quantities, several = quantities_of(quantity)
    distribution = Point() if distribution is None else distribution
    if isinstance(distribution, LinearPath) and distribution.rule in NETWORK_RULES:
        from attribution.methods.on_networks import network_influence

        return network_influence(cut, quantities, several, distribution, inputs, device, memory)
    model = as_module(cut.model, device=device)
    with undisturbed(model):
        if isinstance(distribution, Empirical):
            found = _over_data(model, cut, quantities, distribution, inputs, memory, chunk)
        elif isinstance(distribution, PerInput):
            rows = Inputs.read(inputs, device=place_of(model), dtype=type_of(model))
            with explained(model, rows, "Write x.view(len(x), -1) there"):
                found = _per_input(model, cut, quantities, distribution, inputs, memory, chunk)
        else:
            raise QueryError(
                "distribution",
                expected="Point, LinearPath, Gaussian, Custom, Empirical or ClassConditional",
                got=type(distribution).__name__,
            )
    parts, evaluated, affine = found
    return Attribution(
        parts=tuple(p if several else p[0] for p in parts.values()),
        names=tuple(parts),
        quantities=tuple(q.name for q in quantities),
        method=f"influence of {cut}",
        rule=type(distribution).__name__,
        evaluated=evaluated,
        several=several,
        notes=(AFFINE_NOTE,) if affine else (),
    )


Found = tuple[dict[str, Array], int, bool]


def _sites(model: nn.Module, layer: str | None, pre: bool) -> tuple[Site, ...]:
    if layer is None:
        return ()
    find_layer(model, layer)
    return (Site(layer, pre),)


def _per_input(
    model: nn.Module,
    cut: Slice,
    quantities: tuple[Quantity, ...],
    distribution: PerInput,
    inputs: Any,
    memory: int | None,
    chunk: int | None,
) -> Found:
    if inputs is None:
        raise DataError(type(distribution).__name__, expected="inputs", got="none")
    rows = Inputs.read(inputs, device=place_of(model), dtype=type_of(model))
    point_sites = _sites(model, distribution.at, distribution.pre)
    kernel = Kernel(model, rows, point_sites, cut.sites, quantities)
    total, count = rows.rows, distribution.count()

    def build(block: slice, points: slice) -> Parts:
        return distribution.build(kernel.values(block), block, total, points)

    size = chunk
    if size is None:
        made = kernel.bytes_per_point(build(slice(0, 1), slice(0, 1)))
        size = rows_for(made, memory, place_of(model))
    per_block, points_per_block = max(1, size // count), min(count, size)
    result: dict[str, Array] = {}
    affine = False
    for start in range(0, total, per_block):
        block = slice(start, min(start + per_block, total))
        weights = np.broadcast_to(
            distribution.shares(block, total), (block.stop - block.start, count)
        )
        for first in range(0, count, points_per_block):
            points = slice(first, min(first + points_per_block, count))
            part = torch.tensor(weights[:, points], device=place_of(model))
            found = kernel.at(build(block, points), block, _mean_over_points(part))
            affine = found.affine
            for name, mean in found.gradients.items():
                if name not in result:
                    result[name] = np.zeros((len(quantities), total, *mean.shape[2:]))
                result[name][:, block] += mean.cpu().numpy()
    return result, total * count, affine


@dataclass(frozen=True, eq=False)
class _Source:
    """How batches of a data distribution become kernels."""

    model: nn.Module
    sites: tuple[Site, ...]
    point_sites: tuple[Site, ...]
    context: Inputs | None
    quantities: tuple[Quantity, ...]

    def read(
        self, part: Any, leaves: tuple[Site, ...], first: int = 0
    ) -> tuple[Kernel, Parts, slice | Tensor]:
        """Kernel, points (rows, 1, *shape) and their input rows for some rows of data, from row
        number ``first``."""
        place, dtype = place_of(self.model), type_of(self.model)
        if self.context is None:
            read = Inputs.read(part, device=place, dtype=dtype, first=first)
            points = {name: value.unsqueeze(1) for name, value in read.floats.items()}
            kernel = Kernel(self.model, read, (), leaves, self.quantities)
            return kernel, points, slice(0, read.rows)
        values = torch.as_tensor(part).to(place, dtype)
        require_finite(f"data at layer {self.point_sites[0]}", values, first)
        kernel = Kernel(self.model, self.context, self.point_sites, leaves, self.quantities)
        rows = torch.zeros(len(values), dtype=torch.int64, device=place)
        return kernel, {str(self.point_sites[0]): values.unsqueeze(1)}, rows

    def single(self, part: Any) -> tuple[Inputs, dict[Site, Tensor]]:
        """Arguments of a pass over the first row, and what is given in it."""
        kernel, points, _ = self.read(array_rows(part, slice(0, 1)), self.sites)
        values = {site: points[str(site)].flatten(0, 1) for site in self.point_sites}
        return kernel.inputs.take(slice(0, 1)), values


def _over_data(
    model: nn.Module,
    cut: Slice,
    quantities: tuple[Quantity, ...],
    distribution: Empirical,
    inputs: Any,
    memory: int | None,
    chunk: int | None,
) -> Found:
    place = place_of(model)
    point_sites = _sites(model, distribution.at, distribution.pre)
    context = None
    here: tuple[int, ...] = ()
    if point_sites:
        if inputs is None or count_rows(inputs) != 1:
            raise DataError(
                f"data at layer {distribution.at}",
                expected="inputs of one row, for what the rest of the model reads",
                got="none" if inputs is None else f"{count_rows(inputs)} rows",
            )
        context = Inputs.read(inputs, device=place, dtype=type_of(model))
        with torch.no_grad():
            here = tuple(run(model, context, read=point_sites).values[point_sites[0]].shape[1:])
    source = _Source(model, cut.sites, point_sites, context, quantities)
    sums: dict[str, Tensor] = {}
    weight_sum, evaluated, affine, size = 0.0, 0, False, chunk
    through: _Through | None = None
    leaves: tuple[Site, ...] | None = None
    for batch, weights in distribution.batches():
        length = count_rows(batch)
        if point_sites and tuple(np.shape(batch)[1:]) != here:
            raise DataError(
                f"data at layer {distribution.at}",
                expected=f"rows of shape {here}",
                got=str(tuple(np.shape(batch)[1:])),
            )
        if weights is not None and weights.shape != (length,):
            raise DataError("weights", expected=f"({length},)", got=str(weights.shape))
        if weights is not None:
            require_finite("weights", weights)
        if leaves is None:
            through = _Through.of(source, batch)
            leaves = cut.sites if through is None else (through.site,)
        start = 0
        while start < length:
            rows = slice(start, min(start + (size or 1), length))
            kernel, points, every = source.read(array_rows(batch, rows), leaves, start)
            if size is None:
                made = kernel.bytes_per_point(points, every)
                size = rows_for(made, memory, place)
                continue
            found = kernel.at(points, every, _sum_over_rows(weights, rows, place))
            affine = found.affine
            weight_sum += rows.stop - rows.start if weights is None else weights[rows].sum()
            evaluated += rows.stop - rows.start
            for name, added in found.gradients.items():
                sums[name] = added if name not in sums else sums[name] + added
            start = rows.stop
    if not evaluated or weight_sum == 0:
        raise DataError("data distribution", expected="rows with weight", got="none")
    means = {name: value / weight_sum for name, value in sums.items()}
    if through is not None:
        means = through.back(means)
    return (
        {name: value.unsqueeze(1).cpu().numpy() for name, value in means.items()},
        evaluated,
        affine,
    )


def _mean_over_points(weights: Tensor) -> Reduce:
    """Means (rows, *shape) float64 of gradients (rows, points, *shape)."""
    return lambda gradient: torch.einsum("rp,rp...->r...", weights, gradient.double())


def _sum_over_rows(weights: NDArray[np.float64] | None, rows: slice, place: torch.device) -> Reduce:
    """Sums (*shape) float64 of gradients (rows, 1, *shape)."""
    if weights is None:
        # Within a chunk in the model's numbers, over chunks in float64.
        return lambda gradient: gradient[:, 0].sum(0).double()
    share = torch.tensor(weights[rows], device=place)
    return lambda gradient: torch.einsum("r,r...->...", share, gradient[:, 0].double())


@dataclass(frozen=True, eq=False)
class _Through:
    """An affine layer just after the slice: means are taken behind it and carried back once.

    ``leaf`` is one row at the slice and ``value`` what the layer makes of it.
    """

    site: Site
    name: str
    leaf: Tensor
    value: Tensor

    @classmethod
    def of(cls, source: _Source, batch: Any) -> _Through | None:
        if source.point_sites and source.point_sites != source.sites:
            return None
        inputs, values = source.single(batch)
        site = first_affine(source.model, inputs, source.sites)
        if site is None:
            return None
        with torch.enable_grad():
            passed = run(
                source.model, inputs, interventions=values, leaves=source.sites, read=[site]
            )
        ((name, leaf),) = passed.leaves.items()
        return cls(site, name, leaf, passed.values[site])

    def back(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        (mean,) = means.values()
        pulled = []
        for one in mean:
            form = one[None].to(self.value.dtype)
            (found,) = torch.autograd.grad(self.value, self.leaf, form, retain_graph=True)
            pulled.append(found[0].double())
        return {self.name: torch.stack(pulled)}
