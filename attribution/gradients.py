"""Gradients of quantities at many points, the one kernel under every average.

``Kernel`` holds a model, its inputs, the sites where points are given and the sites where
gradients are wanted; ``at`` evaluates a block of (rows, points) with one forward pass for
all quantities and a vector–Jacobian product for each: batched on a GPU, one after the other
on the CPU, where batched rules copy what was saved once per quantity and each product is
large enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from attribution.affine import is_affine
from attribution.distributions import Parts
from attribution.inputs import Inputs
from attribution.memory import fast_layout, tally
from attribution.quantities import Quantity
from attribution.slices import ForwardPass, Site, flat_output, run
from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.module import NetworkModule

Reduce = Callable[[Tensor], Tensor]
"""What is kept of one quantity's gradients (rows, points, *shape)."""


@dataclass(frozen=True, eq=False)
class GradientBlock:
    """Gradients per part (Q, rows, points, *shape), or (Q, …) of what was kept of them, and
    whether they are of affine functions."""

    gradients: Parts
    affine: bool


@dataclass(frozen=True, eq=False)
class Kernel:
    """``point_sites``: those of the points, none for the model's input; ``leaves`` likewise."""

    model: nn.Module
    inputs: Inputs
    point_sites: tuple[Site, ...]
    leaves: tuple[Site, ...]
    quantities: tuple[Quantity, ...]

    def values(self, rows: slice | Tensor) -> Parts:
        """Values (rows, *shape) at the sites of the points for some input rows."""
        part = self.inputs.take(rows)
        if not self.point_sites:
            return part.floats
        with torch.no_grad():
            found = run(self.model, part, read=self.point_sites).values
        return {str(site): found[site] for site in self.point_sites}

    def forward(self, points: Parts, rows: slice | Tensor, *, gradients: bool) -> ForwardPass:
        """One pass over points (rows, points, *shape)."""
        count = _points(points)
        flat = {name: fast_layout(value.flatten(0, 1)) for name, value in points.items()}
        read = [*{q.site: None for q in self.quantities if q.site is not None}]
        if gradients and self._last is not None:
            read.append(self._last[0])
        leaves = self.leaves if gradients else None
        if not self.point_sites:
            inputs = self.inputs.take(rows, count).with_floats(flat)
            return run(self.model, inputs, leaves=leaves, read=read)
        interventions = {site: flat[str(site)] for site in self.point_sites}
        inputs = self.inputs.take(rows, count)
        return run(self.model, inputs, interventions=interventions, leaves=leaves, read=read)

    def scores(self, points: Parts, rows: slice | Tensor) -> Tensor:
        """Quantities (Q, rows, points) without gradients."""
        with torch.no_grad():
            result = self.forward(points, rows, gradients=False)
        return self._scores(result, points, rows)

    def _scores(self, result: ForwardPass, points: Parts, rows: slice | Tensor) -> Tensor:
        count, numbers = _points(points), self._numbers(points, rows)
        scores = [
            q(result.output if q.site is None else result.values[q.site], numbers)
            for q in self.quantities
        ]
        return torch.stack(scores).reshape(len(scores), -1, count)

    def at(
        self, points: Parts, rows: slice | Tensor, reduce: Reduce | None = None
    ) -> GradientBlock:
        """Gradients at points (rows, points, *shape) of some input rows."""
        with torch.enable_grad():
            result = self.forward(points, rows, gradients=True)
            if self._linear:
                y, forms = self._forms(result, points, rows)
            else:
                y = self._scores(result, points, rows).flatten(1).sum(1)
                forms = list(torch.eye(len(y), dtype=y.dtype, device=y.device))
        if not y.requires_grad:
            raise QueryError(
                "influence",
                expected="a quantity that depends on the slice",
                got=f"{self.quantities[0].name} that does not",
                fix="Cut before it, and check that the model does not detach",
            )
        leaves, count = list(result.leaves.values()), _points(points)
        kept: list[list[Tensor]] = [[] for _ in leaves]
        for products in _products(y, leaves, forms):
            for found, leaf, product in zip(kept, leaves, products, strict=True):
                value = torch.zeros_like(leaf) if product is None else product
                value = value.reshape(-1, count, *leaf.shape[1:])
                found.append(value if reduce is None else reduce(value))
        gradients = {
            name: found[0][None] if len(found) == 1 else torch.stack(found)
            for name, found in zip(result.leaves, kept, strict=True)
        }
        return GradientBlock(gradients, is_affine(y))

    @property
    def _linear(self) -> bool:
        """Whether all quantities are linear forms over the same values."""
        first = self.quantities[0].site
        return all(
            q.weights is not None and q.rivals is None and q.site == first for q in self.quantities
        )

    def _forms(
        self, result: ForwardPass, points: Parts, rows: slice | Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Values y (R, K) and a form (R, K) of each quantity."""
        numbers = self._numbers(points, rows)
        site = self.quantities[0].site
        y = flat_output(result.output if site is None else result.values[site])
        forms = [q.weights(y.shape[1], numbers) for q in self.quantities if q.weights is not None]
        forms = [form.to(y.dtype) for form in forms]
        if self._last is None or any(form.stride(0) for form in forms):
            return y, forms
        # The same form in every row: through the last layer once instead of once per row.
        site, weight = self._last
        y = result.values[site]
        return y, [(form[:1] @ weight).expand(len(y), -1) for form in forms]

    @property
    def _last(self) -> tuple[Site, Tensor] | None:
        """What a network's last layer reads, and its weights, where all quantities are linear
        in its output and it is affine."""
        model, first = self.model, self.quantities[0].site
        if not isinstance(model, NetworkModule) or first is not None or not self._linear:
            return None
        node = model.network.node.get(model.network.output)
        layer = None if node is None else model.get_submodule(model.keys[node.name])
        ends = model.network.output_activation is OutputActivation.NONE
        if node is None or not isinstance(layer, nn.Linear) or not ends:
            return None
        behind = any(s.layer == node.name and not s.pre for s in (*self.point_sites, *self.leaves))
        if behind or len(model.network.shapes[node.inputs[0]]) != 1:
            return None
        return Site(node.name, pre=True), layer.weight

    def _numbers(self, points: Parts, rows: slice | Tensor) -> Tensor:
        every = torch.arange(self.inputs.rows, device=self.inputs.tensors[0].device)
        return every[rows].repeat_interleave(_points(points))

    def bytes_per_point(self, points: Parts, rows: slice | Tensor = slice(0, 1)) -> int:
        """Bytes that one forward and backward pass of the first point makes, and those of the
        gradients of all quantities."""
        single = {name: value[:1, :1] for name, value in points.items()}
        batched = any(_batches(value) for value in single.values())
        kernel = self if batched else replace(self, quantities=self.quantities[:1])
        with tally() as made:
            found = kernel.at(single, rows)
        one = sum(value[0].numel() * value.element_size() for value in found.gradients.values())
        return int(made.bytes) + len(self.quantities) * one


def _points(points: Parts) -> int:
    """Points per row; 1 where the input has no floating part (tokens)."""
    return next(iter(points.values())).shape[1] if points else 1


def _batches(y: Tensor) -> bool:
    return y.device.type != "cpu"


Products = tuple[Tensor | None, ...]


def _products(y: Tensor, leaves: Sequence[Tensor], forms: Sequence[Tensor]) -> Iterator[Products]:
    """Vector–Jacobian products of each form, for all leaves, from one graph."""
    if len(forms) > 1 and _batches(y):
        try:
            every = torch.autograd.grad(
                y,
                leaves,
                torch.stack(list(forms)),
                is_grads_batched=True,
                retain_graph=True,
                allow_unused=True,
            )
        except RuntimeError as error:
            # An operator without a batched form.
            if "vmap" not in str(error) and "batch" not in str(error):
                raise
        else:
            for i in range(len(forms)):
                yield tuple(None if one is None else one[i] for one in every)
            return
    for i, form in enumerate(forms):
        more = i + 1 < len(forms)
        yield torch.autograd.grad(y, leaves, form, retain_graph=more, allow_unused=True)
