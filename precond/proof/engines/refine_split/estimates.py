"""What a subdomain's bounds are worth, and which neuron to split, by derivatives.

All layer bounds of a subdomain are computed one layer after the other, each by backward passes
over the lines that the ones before it give, and from them the bounds of the conjuncts.  The
whole chain is differentiated.  With s the sum of the negative ones, and [l, h] a neuron's bounds,
the phase "on" (l = 0) raises s by ``−l ∂s/∂l`` to first order, "off" (h = 0) by ``−h ∂s/∂h``: not
by the neuron's own relaxation alone, but by those of all later layers too.

Without a count of rounding: nothing here proves anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.network.graph import Network
from precond.network.layers import LeakyReLU, ReLU
from precond.network.operators import Operators
from precond.proof.bounds.backward import Multipliers, Region
from precond.proof.bounds.estimate import estimate
from precond.proof.bounds.lines import LayerLines, activation_lines
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.row_multipliers import RowMultipliers
from precond.proof.engines.refine_split.subdomains import Bounds

TIE = 1e-12  # of a neuron's width: a free neuron that nothing depends on comes last


@dataclass(frozen=True, eq=False)
class SubdomainEstimate:
    """Of G subdomains: what the rows' bounds come to (G, R), the forms (G, R, n) at the input,
    and the layers' bounds."""

    value: Float[Tensor, "subdomains rows"]
    form: Float[Tensor, "subdomains rows inputs"]
    bounds: Bounds

    def gains(self, total: Tensor, layers: tuple[str, ...]) -> Tensor:
        """By how much the two phases of each neuron raise ``total``, a sum over the values,
        (G, neurons of all layers); 0 where the phase is known."""
        sides = [side for name in layers for side in self.bounds[name]]
        slopes = torch.autograd.grad(total, sides, allow_unused=True)
        parts = []
        for k, name in enumerate(layers):
            low, high = (side.detach() for side in self.bounds[name])
            gain = torch.zeros_like(low)
            for side, slope in ((low, slopes[2 * k]), (high, slopes[2 * k + 1])):
                gain = gain if slope is None else gain - side * slope
            free = (low < 0) & (high > 0)
            gain = gain.nan_to_num(nan=0.0).clamp(min=0.0) + TIE * (high - low)
            parts.append(torch.where(free, gain, torch.zeros_like(gain)))
        return torch.cat(parts, 1)


class Estimator:
    """Estimates in subdomains of one box."""

    def __init__(
        self, ops: Operators, lower: Tensor, upper: Tensor, multipliers: RowMultipliers
    ) -> None:
        self.ops = ops
        self.network: Network = ops.network
        self.lower, self.upper = lower, upper
        self.multipliers = multipliers

    def of(self, known: Bounds, rows: Objective, chosen: Multipliers) -> SubdomainEstimate:
        """Of the subdomains with layer bounds ``known`` (G, m), which hold in them."""
        count = len(next(iter(known.values()))[0])
        bounds: Bounds = {}
        lines: dict[str, LayerLines] = {}
        region = Region(
            self.ops,
            self.lower.expand(count, -1),
            self.upper.expand(count, -1),
            lines=lines,  # of the layers so far
            constraints={},
            sizes={},
            floors={},
        )
        for name in self.network.decision_layers:
            low, high = self._tightened(region, name, known[name])
            if torch.is_grad_enabled() and not low.requires_grad:
                low, high = low.clone().requires_grad_(), high.clone().requires_grad_()
            bounds[name] = (low, high)
            layer = self.network.node[name].layer
            assert isinstance(layer, ReLU | LeakyReLU)
            lines[name] = activation_lines(layer, low, torch.maximum(low, high))
        last = estimate(region, rows, chosen)
        return SubdomainEstimate(last.value, last.form, bounds)

    def _tightened(
        self, region: Region, name: str, known: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Bounds of what ``name`` reads, by passes over the lines of the layers before it."""
        low, high = known
        source = self.network.pre_activation(name)
        columns = ((low < 0) & (high > 0)).any(0).nonzero().squeeze(1)
        if source not in self.network.loose or not len(columns):
            return low, high
        form = low.new_zeros(1, 2 * len(columns), low.shape[1])
        index = torch.arange(len(columns), device=low.device)
        form[0, index, columns] = 1.0
        form[0, index + len(columns), columns] = -1.0
        objective = Objective(source, form, form.new_zeros(1, 2 * len(columns)))
        chosen = self.multipliers.both(source, columns, low.dtype)
        below, above = estimate(region, objective, chosen).value.chunk(2, dim=1)
        return (
            low.index_copy(1, columns, torch.maximum(low[:, columns], below)),
            high.index_copy(1, columns, torch.minimum(high[:, columns], -above)),
        )
