"""Straight lines that enclose each activation over its bounds.

ReLU and leaky ReLU with slope s over l < 0 < u: the upper line passes through (l, s·l) and
(u, u); a lower line is ``α z`` for any α in [s, 1].  Where the sign is known the activation
is itself a line.  Of max-pools see ``pools``.

Source: Zhang et al. 2018 (CROWN), Singh et al. 2019 (DeepPoly).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float
from precond.network.layers import LeakyReLU, ReLU
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.rounding import TINY, UNIT
from precond.proof.gate import is_off, is_on


@dataclass(frozen=True, eq=False)
class ActivationLines:
    """Lines of one activation layer, each (G, 1, m).

    ``low``: slope of the default lower line; ``up`` and ``shift``: the upper line;
    ``free``: where the two differ.  ``size``: max(|l|, |u|) of the pre-activation.
    """

    low: Float[Tensor, "_ 1 units"]
    up: Float[Tensor, "_ 1 units"]
    shift: Float[Tensor, "_ 1 units"]
    free: Bool[Tensor, "_ 1 units"]
    size: Float[Tensor, "_ 1 units"]
    slope: float

    def take(self, rows: Tensor | slice) -> ActivationLines:
        """Lines of chosen subdomains, repeated as ``rows`` says."""
        if self.low.shape[0] == 1:
            return self
        return ActivationLines(
            self.low[rows],
            self.up[rows],
            self.shift[rows],
            free=self.free[rows],
            size=self.size[rows],
            slope=self.slope,
        )


LayerLines = ActivationLines | PoolLines


def activation_lines(
    layer: ReLU | LeakyReLU,
    lower: Float[Tensor, "subdomains ..."],
    upper: Float[Tensor, "subdomains ..."],
) -> ActivationLines:
    """Lines over pre-activation bounds (G, …)."""
    slope = layer.slope if isinstance(layer, LeakyReLU) else 0.0
    low_bound, high_bound = lower.flatten(1).unsqueeze(1), upper.flatten(1).unsqueeze(1)
    on, off = is_on(low_bound), is_off(high_bound)
    free = ~(on | off)
    width = torch.where(free, high_bound - low_bound, torch.ones_like(low_bound))
    up = torch.where(free, (high_bound - slope * low_bound) / width, on.to(lower.dtype))
    size = torch.maximum(low_bound.abs(), high_bound.abs())
    # The computed slope is taken as it is; the shift is raised until both ends are covered.
    shift = (
        torch.maximum(high_bound - up * high_bound, slope * low_bound - up * low_bound)
        + 6 * UNIT * size
        + TINY
    )
    zero = torch.zeros_like(up)
    shift = torch.where(free, shift, zero)
    low = torch.where(high_bound > -low_bound, torch.ones_like(up), torch.full_like(up, slope))
    low = torch.where(free, low, on.to(lower.dtype))
    if slope:
        low = torch.where(off, torch.full_like(low, slope), low)
        up = torch.where(off, torch.full_like(up, slope), up)
    return ActivationLines(low, up, shift, free=free, size=size, slope=slope)


def relaxation_cost(
    lines: ActivationLines, form: Float[Tensor, "subdomains units"]
) -> Float[Tensor, "subdomains units"]:
    """What each free neuron's relaxation costs a linear form (G, m) that meets the layer: its
    coefficient times the height of the triangle; 0 for the others.

    Source: De Palma et al. 2021 (FSB).
    """
    shift, free = lines.shift[:, 0], lines.free[:, 0]
    cost = (-form).clamp(min=0) * shift + 0.3 * form.clamp(min=0) * shift
    tie = 1e-12 * shift + 1e-300  # a free neuron without influence comes last
    return torch.where(free, cost + tie, torch.zeros_like(cost))
