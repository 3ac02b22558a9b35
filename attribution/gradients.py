"""Gradients of quantities at many points, the one kernel under every average.

``Kernel`` holds a model, its inputs, the sites where points are given and the sites where
gradients are wanted; ``at`` evaluates a block of (rows, points) with one forward pass for
all quantities and one batched vector–Jacobian product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attribution.affine import is_affine
from attribution.distributions import Parts
from attribution.inputs import Inputs
from attribution.memory import fast_layout, tally
from attribution.quantities import Quantity
from attribution.slices import Run, Site, flat_output, run
from precond.errors import QueryError


@dataclass(frozen=True, eq=False)
class Block:
    """Gradients per part (Q, rows, points, *shape), and whether they are of affine functions."""

    gradients: Parts
    affine: bool


@dataclass(frozen=True, eq=False)
class Kernel:
    """``given``: sites of the points, none for the model's input; ``leaves`` likewise."""

    model: nn.Module
    inputs: Inputs
    given: tuple[Site, ...]
    leaves: tuple[Site, ...]
    quantities: tuple[Quantity, ...]

    def values(self, rows: slice | Tensor) -> Parts:
        """Values (rows, *shape) at the sites of the points for some input rows."""
        part = self.inputs.take(rows)
        if not self.given:
            return part.floats
        with torch.no_grad():
            found = run(self.model, part, read=self.given).values
        return {str(site): found[site] for site in self.given}

    def forward(self, points: Parts, rows: slice | Tensor, *, gradients: bool) -> Run:
        """One pass over points (rows, points, *shape)."""
        count = _points(points)
        flat = {name: fast_layout(value.flatten(0, 1)) for name, value in points.items()}
        read = tuple({q.site: None for q in self.quantities if q.site is not None})
        leaves = self.leaves if gradients else None
        if not self.given:
            inputs = self.inputs.take(rows, count).with_floats(flat)
            return run(self.model, inputs, leaves=leaves, read=read)
        given = {site: flat[str(site)] for site in self.given}
        inputs = self.inputs.take(rows, count)
        return run(self.model, inputs, given=given, leaves=leaves, read=read)

    def scores(self, points: Parts, rows: slice | Tensor) -> Tensor:
        """Quantities (Q, rows, points) without gradients."""
        with torch.no_grad():
            result = self.forward(points, rows, gradients=False)
        return self._scores(result, points, rows)

    def _scores(self, result: Run, points: Parts, rows: slice | Tensor) -> Tensor:
        count, numbers = _points(points), self._numbers(points, rows)
        scores = [
            q(result.output if q.site is None else result.values[q.site], numbers)
            for q in self.quantities
        ]
        return torch.stack(scores).reshape(len(scores), -1, count)

    def at(self, points: Parts, rows: slice | Tensor) -> Block:
        """Gradients at points (rows, points, *shape) of some input rows."""
        with torch.enable_grad():
            result = self.forward(points, rows, gradients=True)
            if self._linear:
                y, forms = self._forms(result, points, rows)
            else:
                y = self._scores(result, points, rows).flatten(1).sum(1)
                forms = torch.eye(len(y), dtype=y.dtype, device=y.device)
        leaves = list(result.leaves.values())
        if not y.requires_grad:
            raise QueryError(
                "influence",
                expected="a quantity that depends on the slice",
                got=f"{self.quantities[0].name} that does not",
                fix="Cut before it, and check that the model does not detach",
            )
        batched = _products(y, leaves, forms)
        count = _points(points)
        gradients = {}
        for name, leaf, gradient in zip(result.leaves, leaves, batched, strict=True):
            value = leaf.new_zeros(len(forms), *leaf.shape) if gradient is None else gradient
            gradients[name] = value.reshape(len(forms), -1, count, *leaf.shape[1:])
        return Block(gradients, is_affine(y))

    @property
    def _linear(self) -> bool:
        """Whether all quantities are linear forms over the same values."""
        first = self.quantities[0].site
        return all(
            q.weights is not None and q.rivals is None and q.site == first for q in self.quantities
        )

    def _forms(self, result: Run, points: Parts, rows: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Values y (R, K) and forms (Q, R, K) whose products are the quantities."""
        numbers = self._numbers(points, rows)
        site = self.quantities[0].site
        y = flat_output(result.output if site is None else result.values[site])
        forms = [q.weights(y.shape[1], numbers) for q in self.quantities if q.weights is not None]
        return y, torch.stack(forms).to(y.dtype)

    def _numbers(self, points: Parts, rows: slice | Tensor) -> Tensor:
        every = torch.arange(self.inputs.rows, device=self.inputs.tensors[0].device)
        return every[rows].repeat_interleave(_points(points))

    def bytes_per_point(self, points: Parts, rows: slice | Tensor = slice(0, 1)) -> int:
        """Bytes made by one forward and backward pass, all quantities, of the first point."""
        single = {name: value[:1, :1] for name, value in points.items()}
        with tally() as made:
            self.at(single, rows)
        return int(made.bytes)


def _points(points: Parts) -> int:
    """Points per row; 1 where the input has no floating part (tokens)."""
    return next(iter(points.values())).shape[1] if points else 1


def _products(y: Tensor, leaves: Sequence[Tensor], forms: Tensor) -> list[Tensor | None]:
    """Vector–Jacobian products of all ``forms`` (Q, …) from one graph: batched, or one by one
    where an operator has no batched form."""
    if len(forms) == 1:
        found = torch.autograd.grad(y, leaves, forms[0], allow_unused=True)
        return [None if g is None else g[None] for g in found]
    try:
        return list(
            torch.autograd.grad(
                y, leaves, forms, is_grads_batched=True, retain_graph=True, allow_unused=True
            )
        )
    except RuntimeError as error:
        if "vmap" not in str(error) and "batch" not in str(error):
            raise
    rows = [
        torch.autograd.grad(y, leaves, form, retain_graph=True, allow_unused=True) for form in forms
    ]
    return [
        None
        if all(g is None for g in column)
        else torch.stack([torch.zeros_like(leaf) if g is None else g for g in column])
        for leaf, column in zip(leaves, zip(*rows, strict=True), strict=True)
    ]
