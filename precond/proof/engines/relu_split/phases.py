"""What decided phases make of the root's region, and which neuron to split next.

A neuron's score is what its relaxation costs the row that bounds best: its coefficient times
the height of the triangle (De Palma et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from precond.network.layers import LeakyReLU, ReLU
from precond.network.operators import Operators
from precond.proof.bounds.backward import NO_MULTIPLIERS, Bound, Multipliers, Region
from precond.proof.bounds.lines import ActivationLines, activation_lines, relaxation_cost
from precond.proof.bounds.row_bounds import row_bounds, row_estimates
from precond.proof.engines.relu_split.blocks import Subdomains, twice
from precond.proof.gate import crossed
from precond.proof.rows import Rows

CANDIDATES = 3


class Phases:
    """The root's region and layer bounds, to be cut by phases (G, neurons of all layers)."""

    def __init__(
        self, ops: Operators, root: Region, bounds: dict[str, tuple[Tensor, Tensor]], rows: Rows
    ) -> None:
        self.ops = ops
        self.root = root
        self.bounds = bounds
        self.rows = rows
        self.layers = ops.network.decision_layers
        self.widths = [ops.network.width(name) for name in self.layers]

    def name_of(self, neuron: int) -> tuple[str, int]:
        """The layer of a neuron, and its index in it."""
        for name, width in zip(self.layers, self.widths, strict=True):
            if neuron < width:
                return name, neuron
            neuron -= width
        raise IndexError(neuron)

    def region(self, phases: Tensor) -> tuple[Region, Tensor]:
        """The subdomains' region: the root's layer bounds cut by the phases; and which are
        empty by that alone, (G,)."""
        count = len(phases)
        lines = dict(self.root.lines)
        constraints = dict(self.root.constraints)
        empty = torch.zeros(count, dtype=torch.bool, device=phases.device)
        start = 0
        for name, width in zip(self.layers, self.widths, strict=True):
            part = phases[:, start : start + width]
            start += width
            if not bool(part.any()):
                continue
            low, high = (bound.expand(count, -1) for bound in self.bounds[name])
            infinite = torch.full_like(low, torch.inf)
            cut_low = torch.where(part > 0, torch.zeros_like(low), -infinite)
            cut_high = torch.where(part < 0, torch.zeros_like(high), infinite)
            if name in constraints:
                cut_low = torch.maximum(cut_low, constraints[name][0][:, 0])
                cut_high = torch.minimum(cut_high, constraints[name][1][:, 0])
            constraints[name] = (cut_low[:, None], cut_high[:, None])
            low, high = torch.maximum(low, cut_low), torch.minimum(high, cut_high)
            empty |= crossed(low, high).any(1)
            layer = self.ops.network.node[name].layer
            assert isinstance(layer, ReLU | LeakyReLU)
            lines[name] = activation_lines(layer, low, torch.maximum(low, high))
        return (
            Region(
                self.ops,
                self.root.lower.expand(count, -1),
                self.root.upper.expand(count, -1),
                lines=lines,
                constraints=constraints,
                sizes=self.root.sizes,
                floors=self.root.floors,
                half=self.root.half,
                slacks=self.root.slacks,
            ),
            empty,
        )

    def cut(self, phases: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Layer bounds of subdomains with these phases (G, neurons): the root's, cut by them."""
        cut, start = {}, 0
        for name, width in zip(self.layers, self.widths, strict=True):
            part = phases[:, start : start + width]
            start += width
            low, high = self.bounds[name]
            cut[name] = (
                torch.where(part > 0, low.clamp(min=0.0), low),
                torch.where(part < 0, high.clamp(max=0.0), high),
            )
        return cut

    def bound(
        self,
        region: Region,
        multipliers: Multipliers | None,
        conjunct: Tensor,
    ) -> Bound:
        """One pass for the rows of each subdomain's own conjunct."""
        with torch.no_grad():
            own = self.rows.own(conjunct)
            return row_bounds(region, own, multipliers or NO_MULTIPLIERS)

    def scores(self, region: Region, coefficients: Mapping[str, Tensor], row: Tensor) -> Tensor:
        """What each free neuron's relaxation costs the chosen row, (G, neurons); 0 if fixed.
        ``coefficients``: what met the layers, (G, R, m)."""
        index = torch.arange(len(row), device=row.device)
        parts = []
        for name, width in zip(self.layers, self.widths, strict=True):
            lines = region.lines[name]
            assert isinstance(lines, ActivationLines)
            if name not in coefficients:
                parts.append(torch.zeros(len(row), width, dtype=torch.float64, device=row.device))
                continue
            cost = relaxation_cost(lines, coefficients[name][index, row])
            parts.append(cost.expand(len(row), -1))
        none = torch.zeros(len(row), 0, dtype=torch.float64, device=row.device)
        return torch.cat([none, *parts], 1)

    def split(self, block: Subdomains, scores: Tensor, row: Tensor) -> Tensor:
        """The neuron (G,) whose phases bound best among the dearest few."""
        count = len(block)
        many = min(CANDIDATES, scores.shape[1])
        top = scores.topk(many, dim=1)
        if many == 1:
            return top.indices[:, 0]
        tried = []
        for k in range(many):
            both = both_phases(block.phases, top.indices[:, k])
            region, empty = self.region(both)
            own = self.rows.own(block.conjunct.repeat(2))
            with torch.no_grad():
                estimates = row_estimates(region, own, twice(block.start) or NO_MULTIPLIERS)
            value = estimates.gather(1, row.repeat(2)[:, None]).squeeze(1)
            value = torch.where(empty, torch.full_like(value, 1e30), value).clamp(max=0)
            pair = value[:count] + value[count:]
            tried.append(torch.where(top.values[:, k] > 0, pair, torch.full_like(pair, -torch.inf)))
        best = torch.stack(tried).argmax(0)
        return top.indices.gather(1, best[:, None]).squeeze(1)


def both_phases(phases: Tensor, neuron: Tensor) -> Tensor:
    """Phases (2G, neurons): off in the first half, on in the second."""
    count = len(phases)
    index = torch.arange(count, device=phases.device)
    both = phases.repeat(2, 1)
    both[index, neuron] = -1
    both[index + count, neuron] = 1
    return both
