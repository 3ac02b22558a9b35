"""Influence over a data set: gradients of its rows are added up batch by batch, in float64.

Where an affine layer follows the slice, sums are taken behind it and carried back once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.affine import first_affine
from attribution.attribution import Array
from attribution.distributions import Empirical, Parts, PerInput
from attribution.gradients import Kernel, Reduce
from attribution.inputs import Inputs, array_rows, count_rows, require_finite
from attribution.memory import rows_for
from attribution.model import place_of, type_of
from attribution.quantities import Quantity
from attribution.slices import Site, Slice, find_layer, run
from precond.errors import DataError

Means = tuple[dict[str, Array], int, bool]  # by part, gradients taken, whether all is affine


@dataclass(frozen=True, eq=False, kw_only=True)
class InfluenceQuestion:
    """Whose influence on what, and the size of a chunk: ``chunk`` rows, or ``memory`` bytes."""

    model: nn.Module
    cut: Slice
    quantities: tuple[Quantity, ...]
    inputs: Any
    memory: int | None
    chunk: int | None

    def sites(self, distribution: PerInput | Empirical) -> tuple[Site, ...]:
        """Where the distribution's points are; none: at the model's input."""
        if distribution.at is None:
            return ()
        find_layer(self.model, distribution.at)
        return (Site(distribution.at, distribution.pre),)

    def rows(self) -> Inputs:
        return Inputs.read(self.inputs, device=place_of(self.model), dtype=type_of(self.model))


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
            kernel = Kernel(
                self.model, inputs=read, point_sites=(), leaves=leaves, quantities=self.quantities
            )
            return kernel, points, slice(0, read.rows)
        values = torch.as_tensor(part).to(place, dtype)
        require_finite(f"data at layer {self.point_sites[0]}", values, first)
        kernel = Kernel(
            self.model,
            inputs=self.context,
            point_sites=self.point_sites,
            leaves=leaves,
            quantities=self.quantities,
        )
        rows = torch.zeros(len(values), dtype=torch.int64, device=place)
        return kernel, {str(self.point_sites[0]): values.unsqueeze(1)}, rows

    def shape(self) -> tuple[int, ...] | None:
        """Of one row of data, where it is values of a layer."""
        if self.context is None:
            return None
        with torch.no_grad():
            values = run(self.model, self.context, read=self.point_sites).values
        return tuple(values[self.point_sites[0]].shape[1:])

    def single(self, part: Any) -> tuple[Inputs, dict[Site, Tensor]]:
        """Arguments of a pass over the first row, and what is given in it."""
        kernel, points, _ = self.read(array_rows(part, slice(0, 1)), self.sites)
        values = {site: points[str(site)].flatten(0, 1) for site in self.point_sites}
        return kernel.inputs.take(slice(0, 1)), values


def over_data(question: InfluenceQuestion, distribution: Empirical) -> Means:
    """Means (Q, 1, *slice shape) of the gradients over all rows of the distribution."""
    source = _source(question, distribution)
    sums = _Sums(question, source)
    for batch, weights in _batches(distribution, source):
        sums.add(batch, weights)
    return sums.means()


def _source(question: InfluenceQuestion, distribution: Empirical) -> _Source:
    sites, context = question.sites(distribution), None
    if sites:
        rows = 0 if question.inputs is None else count_rows(question.inputs)
        if rows != 1:
            raise DataError(
                f"data at layer {distribution.at}",
                expected="inputs of one row, for what the rest of the model reads",
                got="none" if question.inputs is None else f"{rows} rows",
            )
        context = question.rows()
    return _Source(
        question.model,
        sites=question.cut.sites,
        point_sites=sites,
        context=context,
        quantities=question.quantities,
    )


def _batches(
    distribution: Empirical, source: _Source
) -> Iterator[tuple[Any, NDArray[np.float64] | None]]:
    """The distribution's batches; DataError for rows or weights of another shape."""
    here = source.shape()
    for batch, weights in distribution.batches():
        if here is not None and tuple(np.shape(batch)[1:]) != here:
            raise DataError(
                f"data at layer {distribution.at}",
                expected=f"rows of shape {here}",
                got=str(tuple(np.shape(batch)[1:])),
            )
        if weights is not None:
            if weights.shape != (count_rows(batch),):
                expected = f"({count_rows(batch)},)"
                raise DataError("weights", expected=expected, got=str(weights.shape))
            require_finite("weights", weights)
        yield batch, weights


class _Sums:
    """Sums of gradients over batches of data, and the weight they have."""

    def __init__(self, question: InfluenceQuestion, source: _Source) -> None:
        self.question, self.source = question, source
        self.place = place_of(question.model)
        self.sums: dict[str, Tensor] = {}
        self.weight, self.evaluated, self.affine = 0.0, 0, False
        self.size = question.chunk
        self.through: _Through | None = None
        self.leaves: tuple[Site, ...] | None = None

    def add(self, batch: Any, weights: NDArray[np.float64] | None) -> None:
        if self.leaves is None:
            self.through = _Through.of(self.source, batch)
            cut = self.source.sites
            self.leaves = cut if self.through is None else (self.through.site,)
        length, start = count_rows(batch), 0
        while start < length:
            rows = slice(start, min(start + (self.size or 1), length))
            part = array_rows(batch, rows)
            kernel, points, every = self.source.read(part, self.leaves, start)
            if self.size is None:
                point = kernel.bytes_per_point(points, every)
                self.size = rows_for(point, self.question.memory, self.place)
                continue
            found = kernel.at(points, every, _sum_over_rows(weights, rows, self.place))
            self.affine = found.affine
            self.weight += rows.stop - rows.start if weights is None else weights[rows].sum()
            self.evaluated += rows.stop - rows.start
            for name, more in found.gradients.items():
                self.sums[name] = more if name not in self.sums else self.sums[name] + more
            start = rows.stop

    def means(self) -> Means:
        if not self.evaluated or self.weight == 0:
            raise DataError("data distribution", expected="rows with weight", got="none")
        means = {name: value / self.weight for name, value in self.sums.items()}
        if self.through is not None:
            means = self.through.back(means)
        parts = {name: value.unsqueeze(1).cpu().numpy() for name, value in means.items()}
        return parts, self.evaluated, self.affine


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
        return cls(site, name, leaf, value=passed.values[site])

    def back(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        (mean,) = means.values()
        pulled = []
        for one in mean:
            form = one[None].to(self.value.dtype)
            (found,) = torch.autograd.grad(self.value, self.leaf, form, retain_graph=True)
            pulled.append(found[0].double())
        return {self.name: torch.stack(pulled)}
