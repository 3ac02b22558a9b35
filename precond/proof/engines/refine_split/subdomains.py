"""Subdomains of a search that refines layer bounds: what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from precond.network.graph import Network
from precond.proof.bounds.subdomains import Batch

Bounds = dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class RefinedSubdomains(Batch):
    """Subdomains: their numbers (G,), the share of the whole that each is (G,), 2^−depth, the
    conjuncts (G, conjuncts) that are open in it, the number (G,) of the layer that was split last
    to make it, and layer bounds that hold there: the parent's, cut by the phase."""

    node: Tensor
    share: Tensor
    open: Tensor
    layer: Tensor
    known: Bounds


@dataclass(frozen=True)
class Neurons:
    """The neurons of all layers, numbered one layer after the other."""

    layers: tuple[str, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, network: Network) -> Neurons:
        layers = network.decision_layers
        return cls(layers, tuple(network.width(name) for name in layers))

    def name_of(self, neuron: int) -> tuple[str, int]:
        """The layer of a neuron, and its index in it."""
        for name, width in zip(self.layers, self.widths, strict=True):
            if neuron < width:
                return name, neuron
            neuron -= width
        raise IndexError(neuron)

    def layer_of(self, neuron: Tensor) -> Tensor:
        """The numbers of the layers of neurons (G,)."""
        ends = torch.tensor(self.widths, device=neuron.device).cumsum(0)
        return torch.searchsorted(ends, neuron, right=True)

    def halves(self, bounds: Mapping[str, tuple[Tensor, Tensor]], neuron: Tensor) -> Bounds:
        """Bounds (2G, m) where ``neuron`` (G,) is off in the first half, and on in the second."""
        count, start = len(neuron), 0
        index = torch.arange(count, device=neuron.device)
        both = {}
        for name, width in zip(self.layers, self.widths, strict=True):
            low, high = (side.repeat(2, 1) for side in bounds[name])
            here = index[(neuron >= start) & (neuron < start + width)]
            column = neuron[here] - start
            high[here, column] = high[here, column].clamp(max=0.0)
            low[here + count, column] = low[here + count, column].clamp(min=0.0)
            start += width
            both[name] = (low, high)
        return both
