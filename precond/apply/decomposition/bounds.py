"""Bounds on both sides of a cut, many boxes at once: what a layer can read, and what follows.

``HeadBounds``: for boxes of inputs, rigorous intervals of every pre-activation of the layer.
``TailBounds``: for boxes of the layer's activations, how far the property holds there.  Both also
say how much each of their inputs matters, by which a box is cut.  The numbers are rigorous,
but they guide a search: what is claimed is proved by ``prove``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.graph import Network
from precond.network.operators import Operators, operators
from precond.proof.bounds.backward import lower_bound
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.rows import stack_rows
from precond.region.box import Box

Array = NDArray[np.float64]
CHUNK_BYTES = 32 << 20  # of linear forms in one pass


@dataclass(frozen=True, eq=False)
class HeadBounds:
    """Bounds of the output of ``network``, which ends with a layer's pre-activations."""

    network: Network
    device: str = "cpu"

    def __call__(
        self, lower: Array, upper: Array, deadline: Deadline = FOREVER
    ) -> tuple[Array, Array, Array]:
        """For boxes (G, n): low and high (G, m), and by how much each input moves each value at
        most by these bounds, (G, m, n) ≥ 0.  Past the deadline: −∞, ∞ and 0."""
        ops = operators(self.network, self.device, torch.float64)
        m = self.network.output_size
        widest = max(self.network.width(name) for name in self.network.shapes)
        size = max(1, CHUNK_BYTES // (16 * m * widest))
        found = [
            self._some(ops, lower[at : at + size], upper[at : at + size], deadline=deadline)
            for at in range(0, len(lower), size)
        ]
        low, high, weight = (np.concatenate(part) for part in zip(*found, strict=True))
        return low, high, weight

    def _some(
        self, ops: Operators, lower: Array, upper: Array, deadline: Deadline
    ) -> tuple[Array, Array, Array]:
        m, n, count = self.network.output_size, self.network.input_size, len(lower)
        value, form = np.full((count, 2 * m), -np.inf), np.zeros((count, 2 * m, n))
        widest = max(self.network.width(name) for name in self.network.shapes)
        size = max(1, CHUNK_BYTES // (8 * widest * count))
        low, high = _tensor(lower, self.device), _tensor(upper, self.device)
        with torch.no_grad():
            refined = refine(ops, low, high, passes=LayerPasses(deadline=deadline))
            for at in range(0, 2 * m, size):
                if deadline.passed:
                    break
                rows = torch.arange(at, min(at + size, 2 * m), device=self.device)
                unit = low.new_zeros(len(rows), m)
                unit[torch.arange(len(rows)), rows % m] = torch.where(rows < m, 1.0, -1.0).double()
                zeros = unit.new_zeros(1, len(rows))
                objective = Objective(self.network.output, unit[None], zeros)
                bound = lower_bound(refined.region, objective)
                value[:, at : at + size] = bound.value.cpu().numpy()
                form[:, at : at + size] = bound.form.abs().cpu().numpy()
        moved = (form[:, :m] + form[:, m:]) / 2 * (upper - lower)[:, None]
        return value[:, :m], -value[:, m:], moved


@dataclass(frozen=True, eq=False)
class TailBounds:
    """Bounds of a property's ``conjuncts`` over the inputs of ``network``, the part after a
    layer: one network, one property, many boxes."""

    network: Network
    conjuncts: tuple[Conjunct, ...]
    device: str = "cpu"
    steps: int = 0

    def __call__(
        self, lower: Array, upper: Array, deadline: Deadline = FOREVER
    ) -> tuple[Array, Array]:
        """For boxes (G, m) of activations: the least bound over the conjuncts, (G,), positive
        where the property holds all over the box; and the size, (G, m), of the coefficients
        that it was found with."""
        ops = operators(self.network, self.device, torch.float64)
        problem = Problem(
            self.network, box=Box(lower[0], upper[0]), intervals={}, conjuncts=self.conjuncts
        )
        rows = stack_rows(problem, self.device)
        with torch.no_grad():
            low, high = _tensor(lower, self.device), _tensor(upper, self.device)
            refined = refine(ops, low, high, passes=LayerPasses(deadline=deadline))
        bound, _ = improved_bounds(refined.region, rows, steps=self.steps, deadline=deadline)
        value = bound.value.detach().nan_to_num(nan=-torch.inf)
        least, worst = rows.best(value).min(1)
        each = torch.arange(len(value), device=value.device)
        chosen = bound.form.detach().abs()[each, rows.best_row(value, worst)]
        return least.cpu().numpy(), chosen.cpu().numpy()


def _tensor(values: Array, device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device)
