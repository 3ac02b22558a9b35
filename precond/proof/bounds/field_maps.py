"""Numbers that backward passes over receptive fields share: lines and losses as pictures.

Forms are held in float32 on a CPU, whose convolutions take a fraction of the time there.  Nothing
rests on that: rounding is counted with the unit of whichever type it is, and numbers cast to it
count as rounded.  γ counts sums of products in any order, and no other algorithm, so every
convolution is tried first (``copies_weights``): of forms with a single 1 it has to give back
its weights, every digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    Node,
    Reshape,
    Scale,
    Sum,
)
from precond.network.operators import Operators, operators
from precond.proof.bounds.backward import Region, most_readers
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.patches import picture
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.rounding import TINY, UNIT, gamma, unit_gamma

FLUSHED = {torch.float32: 1e-30, torch.float64: TINY}  # more than sums lose by underflow
HELD = 1e-30, 1e30  # float32 has all numbers between, and their negatives, but for rounding
LONGEST = 1 << 20  # of a sum: its γ in float32 is well below 1


def number_type(ops: Operators) -> torch.dtype:
    """In which forms are held."""
    plain = torch.get_float32_matmul_precision() == "highest"
    layers = [node.layer for node in ops.network.nodes]
    if ops.device.type != "cpu" or not plain:
        return torch.float64
    good = all(holds_factors(layer) for layer in layers) and all(
        copies_weights(layer) for layer in layers if isinstance(layer, Conv2d)
    )
    return torch.float32 if good else torch.float64


def holds_factors(layer: Layer) -> bool:
    """Whether float32 neither flushes nor overflows a factor of an affine layer."""
    match layer:
        case Affine() | Conv2d():
            factors = layer.weight
        case Scale():
            factors = layer.factor
        case Add():
            factors = np.array(layer.coefficients)
        case Sum():
            factors = np.array(layer.scale)
        case _:
            return True
    size = np.abs(factors)
    return bool(((size == 0) | (size >= HELD[0]) & (size <= HELD[1])).all())


@lru_cache(maxsize=256)
def copies_weights(layer: Conv2d) -> bool:
    """Whether a convolution's transpose in float32 gives its weights for forms with one 1: tried
    for each of its output channels and each of 16 places, without padding and with the layer's."""
    weight = torch.tensor(layer.weight, dtype=torch.float32)
    rows = max(16, len(weight))
    form = torch.zeros(rows, len(weight), 4, 4)
    index = torch.arange(rows)
    form[index, index % len(weight), index // 4 % 4, index % 4] = 1.0

    def back(kind: torch.dtype, pad: tuple[int, int]) -> Tensor:
        kernel = weight.to(kind)
        return F.conv_transpose2d(
            form.to(kind), kernel, None, layer.stride, pad, 0, layer.groups, layer.dilation
        )

    top, left, _, _ = layer.padding
    smallest = [d * (k - 1) for d, k in zip(layer.dilation, weight.shape[2:], strict=True)]
    pads = {(0, 0), (min(top, smallest[0]), min(left, smallest[1]))}
    return all(
        bool((back(torch.float32, pad).to(torch.float64) == back(torch.float64, pad)).all())
        for pad in pads
    )


def fits(region: Region) -> bool:
    """Whether passes over receptive fields may bound values of a layer: of a convolutional
    network, with sums short enough to count."""
    network = region.ops.network
    if not any(isinstance(n.layer, Conv2d) for n in network.nodes):
        return False
    return max(network.width(n) for n in network.shapes) < LONGEST


@dataclass(eq=False)
class FieldMaps:
    """One region, and per node what its passes need there, as pictures (n, C, H, W)."""

    region: Region
    maps: dict[tuple[str, bool], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ops = self.region.ops
        self.network = self.ops.network
        self.type = number_type(self.ops)
        self.unit = UNIT if self.type is torch.float64 else 2.0**-24
        self.cast = operators(self.network, str(self.ops.device), self.type)
        # Losses are computed with |form| = form − 2 · min(form, 0), whose sums may cancel.
        self.room = 1 + 8 * self.gamma(max(self.network.width(n) for n in self.network.shapes))

    def gamma(self, terms: int) -> float:
        return unit_gamma(terms, self.unit)

    def activation_maps(self, node: Node, lines: ActivationLines) -> Tensor:
        """Slope below, slope above, intercept above, and what a unit of |form| costs."""
        if (node.name, False) not in self.maps:
            (source,) = node.inputs
            weight = (self.gamma(most_readers(self.network, node)) + 8 * self.unit) * lines.size
            weight = weight + self.gamma(lines.size.shape[-1]) * lines.shift
            if self.covers(source):
                weight = weight + self.affine_loss(source)
            if node.name in self.region.slacks:
                weight = weight + self.region.slacks[node.name]
            weight = weight.clamp(min=FLUSHED[self.type])
            self.maps[node.name, False] = self.pictures(
                source, [lines.low, lines.up - lines.low, lines.shift, weight]
            )
        return self.maps[node.name, False]

    def pool_maps(self, node: Node, lines: PoolLines) -> Tensor:
        """Intercept above, what a unit of |form| costs, then for each place of the window its
        weight below, and the slope of the line above if it is there."""
        if (node.name, False) not in self.maps:
            count = self.gamma(lines.size.shape[-1] + most_readers(self.network, node))
            weight = count * (2 * lines.size + lines.shift.abs()) + 16 * self.unit * lines.size
            weight = weight.clamp(min=FLUSHED[self.type])
            members = lines.members.reshape(lines.below.shape[2:]).T  # (places, m)
            above = (members == lines.peak[0]) * (self.ops.windows[node.name].T >= 0)
            parts = [lines.shift, weight, *lines.below[0, 0].T, *(above * lines.slope[0])]
            self.maps[node.name, False] = self.pictures(node.name, parts)
        return self.maps[node.name, False]

    def affine_map(self, name: str, *, covered: bool) -> Tensor | None:
        """What a unit of |form| at an affine node costs, where no activation counts it."""
        parts = [] if covered else [self.affine_loss(name)]
        if name in self.region.slacks:
            parts.append(self.region.slacks[name])
        if not parts:
            return None
        key = (name, covered)
        if key not in self.maps:
            self.maps[key] = self.pictures(
                name, [torch.stack(parts).sum(0).clamp(min=FLUSHED[self.type])]
            )
        return self.maps[key][0]

    def covers(self, source: str) -> bool:
        """Whether the activation that reads affine node ``source`` counts its rounding."""
        return source in self.ops.affine and self.network.consumers[source] == 1

    def affine_loss(self, name: str) -> Tensor:
        """What rounding costs a unit of |form| at an affine node, (1, 1, m)."""
        operator, layer = self.ops.affine[name], self.network.node[name].layer
        terms = operator.terms
        if isinstance(layer, Conv2d):
            terms = len(layer.weight) // layer.groups * layer.weight[0, 0].size
        elif isinstance(layer, Affine):
            terms = len(layer.weight)
        elif isinstance(layer, Add | Concat | Scale | Reshape):
            terms = 1
        # Two more: the cast of a constant, and of a sum over all that read the value.
        terms += self.network.consumers[name] + most_readers(self.network, self.network.node[name])
        count = self.gamma(terms + 2) + gamma(operator.terms)
        size = self.region.sizes[name].flatten(1).unsqueeze(1)
        return count * size + self.floor(name)

    def floor(self, name: str) -> float:
        """What underflow of the products of an affine node costs."""
        return float(self.region.floors[name].max()) * (FLUSHED[self.type] / TINY)

    def pictures(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        shape = picture(self.network.shapes[name])
        return torch.stack([part.reshape(shape) for part in parts]).to(self.type)
