"""Distributional influence (Leino, Sen, Datta, Fredrikson, Li, "Influence-directed
explanations for deep convolutional networks", 2018).

For y = g(h(x)), a quantity q and a distribution of interest P the influence of the slice's
j-th unit is χ_j = E_{x∼P}[∂(q∘g)/∂z_j at z = h(x)].  h is evaluated without a graph, g once
for all quantities; sums are kept in float64 and rows are streamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attribution.attribution import AFFINE_NOTE, Array, Attribution
from attribution.distributions import Distribution, Empirical, LinearPath, Parts, PerInput, Point
from attribution.fixed_batch import explained
from attribution.gradients import Kernel, Reduce
from attribution.inputs import Inputs
from attribution.memory import rows_for
from attribution.methods.over_data import InfluenceQuestion, Means, over_data
from attribution.model import as_module, place_of, type_of, undisturbed
from attribution.quantities import QuantityLike, quantities_of
from attribution.rules import NETWORK_RULES
from attribution.slices import Slice
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
        from attribution.methods.on_networks import Machine, network_influence

        machine = Machine(device, memory)
        return network_influence(
            cut, quantities, several, path=distribution, inputs=inputs, machine=machine
        )
    model = as_module(cut.model, device=device)
    question = InfluenceQuestion(
        model=model, cut=cut, quantities=quantities, inputs=inputs, memory=memory, chunk=chunk
    )
    with undisturbed(model):
        if isinstance(distribution, Empirical):
            found = over_data(question, distribution)
        elif isinstance(distribution, PerInput):
            rows = Inputs.read(inputs, device=place_of(model), dtype=type_of(model))
            with explained(model, rows, "Write x.view(len(x), -1) there"):
                found = _per_input(question, distribution)
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


def _per_input(question: InfluenceQuestion, distribution: PerInput) -> Means:
    model, quantities = question.model, question.quantities
    if question.inputs is None:
        raise DataError(type(distribution).__name__, expected="inputs", got="none")
    rows = question.rows()
    kernel = Kernel(
        model,
        inputs=rows,
        point_sites=question.sites(distribution),
        leaves=question.cut.sites,
        quantities=quantities,
    )
    total, count = rows.rows, distribution.count()

    def build(block: slice, points: slice) -> Parts:
        return distribution.build(kernel.values(block), block, total, points)

    size = question.chunk
    if size is None:
        point = kernel.bytes_per_point(build(slice(0, 1), slice(0, 1)))
        size = rows_for(point, question.memory, place_of(model))
    per_block, points_per_block = max(1, size // count), min(count, size)
    result: dict[str, Array] = {}
    affine = False
    for start in range(0, total, per_block):
        block = slice(start, min(start + per_block, total))
        weights = np.broadcast_to(distribution.shares(block), (block.stop - block.start, count))
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


def _mean_over_points(weights: Tensor) -> Reduce:
    """Means (rows, *shape) float64 of gradients (rows, points, *shape)."""
    return lambda gradient: torch.einsum("rp,rp...->r...", weights, gradient.double())
