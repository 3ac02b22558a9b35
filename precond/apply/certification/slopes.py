"""Rigorous bounds of a ReLU network's directional derivative over boxes.

On every linear piece the derivative is a product of weights and neuron states; interval
arithmetic over it, with a neuron's state fixed where bounds fix its sign and free otherwise,
holds for all pieces in a box.  Positive and negative weights are kept apart, so that what is
exactly 0 (behind neurons that are off) stays exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.affine import AffineOperator
from precond.network.deviation import deviation
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Conv2d,
    Layer,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Scale,
    Sum,
)
from precond.network.operators import affine_operator, operators
from precond.proof.bounds.intervals import Interval
from precond.proof.bounds.region import refine
from precond.proof.bounds.rounding import TINY, gamma
from precond.proof.gate import is_off, is_on

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearPart:
    """An affine layer without its bias, as positive minus negative weights (None: none).
    ``away``: what true weights that are no floats differ by at most."""

    positive: AffineOperator
    negative: AffineOperator | None
    away: AffineOperator | None = None

    def bounds(self, sources: list[Interval]) -> Interval:
        """``P low − N high`` and ``P high − N low``, rounded outwards.

        Weights of one sign meet one end only, so what is exactly 0 stays exactly 0.
        """
        lows, highs = [low for low, _ in sources], [high for _, high in sources]
        return self._end(lows, highs, -1.0), self._end(highs, lows, 1.0)

    def _end(self, ends: list[Tensor], others: list[Tensor], sign: float) -> Tensor:
        value, size, moving = _reach(self.positive, ends)
        if self.negative is not None:
            taken, more, also = _reach(self.negative, others)
            value, size, moving = value - taken, size + more, moving | also
        loss = 2 * gamma(self.positive.terms) * size + TINY
        if self.away is not None:
            sizes = [torch.maximum(a.abs(), b.abs()) for a, b in zip(ends, others, strict=True)]
            off, _, touched = _reach(self.away, sizes)
            loss, moving = loss + off * (1 + 2 * gamma(self.away.terms)), moving | touched
        return torch.where(moving, value + sign * loss, value)


def _reach(operator: AffineOperator, values: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The operator on values, on their magnitudes, and where anything but 0 is read."""
    moving = [(value != 0).to(value.dtype) for value in values]
    return (
        operator.apply(values, bias=False),
        operator.apply([value.abs() for value in values], bias=False),
        operator.apply(moving, bias=False) != 0,
    )


def linear_parts(network: Network, device: str) -> dict[str, LinearPart]:
    """The linear parts of every affine node."""
    place, found = torch.device(device), {}

    def made(node: Node, layer: Layer) -> AffineOperator:
        shapes = [network.shapes[source] for source in node.inputs]
        shape = network.shapes[node.name]
        operator = affine_operator(
            layer, inputs=shapes, output=shape, device=place, dtype=torch.float64
        )
        assert operator is not None
        return operator

    for node in network.nodes:
        if not network.is_affine(node.name):
            continue
        positive, negative = (_one_sign(node.layer, sign) for sign in (1.0, -1.0))
        away = deviation(node.layer)
        found[node.name] = LinearPart(
            made(node, positive or node.layer),
            None if negative is None else made(node, negative),
            None if away is None else made(node, away),
        )
    return found


def _one_sign(layer: Layer, sign: float) -> Layer | None:
    """The weights of one sign, as positive numbers; None for layers that only move values."""

    def part(values: Array) -> Array:
        return np.maximum(sign * values, 0.0)

    match layer:
        case Affine() | Conv2d():
            weight, bias = part(layer.weight), np.zeros_like(layer.bias)
            return replace(layer, weight=weight, bias=bias, weight_range=None, bias_range=None)
        case Scale():
            return Scale(part(layer.factor), np.zeros_like(layer.shift))
        case Add(coefficients):
            return Add(tuple(max(sign * c, 0.0) for c in coefficients))
        case Sum():
            return replace(layer, scale=max(sign * layer.scale, 0.0), scale_range=None)
        case _:
            return None


def least_derivative(
    network: Network,
    slopes: dict[str, LinearPart],
    lower: Array,
    upper: Array,
    direction: Array,
    device: str,
) -> Array:
    """Rigorous lower bounds (G, K) of the derivative along ``direction`` over G boxes."""
    ops = operators(network, device, torch.float64)

    def tensor(values: Array) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)

    with torch.no_grad():
        bounds = refine(ops, tensor(lower), tensor(upper)).bounds
        start = tensor(direction).reshape(1, *network.input_shape)
        start = start.expand(len(lower), *network.input_shape)
        values: dict[str, Interval] = {INPUT: (start, start)}
        for node in network.nodes:
            sources = [values[s] for s in node.inputs]
            match node.layer:
                case ReLU() | LeakyReLU():
                    off = node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0
                    z = [b.reshape(sources[0][0].shape) for b in bounds[node.name]]
                    values[node.name] = _gated(sources[0], low=z[0], high=z[1], off=off)
                case MaxPool2d():
                    windows = ops.windows[node.name]
                    shape = network.shapes[node.name]
                    low, high = (b.flatten(1)[:, windows.clamp(min=0)] for b in sources[0])
                    low = low.masked_fill(windows < 0, torch.inf).amin(-1)
                    high = high.masked_fill(windows < 0, -torch.inf).amax(-1)
                    values[node.name] = (low.reshape(-1, *shape), high.reshape(-1, *shape))
                case _:
                    values[node.name] = slopes[node.name].bounds(sources)
    return np.asarray(values[network.output][0].flatten(1).cpu().numpy())


def _gated(value: Interval, low: Tensor, high: Tensor, off: float) -> Interval:
    """The derivative behind a neuron whose pre-activation lies in [low, high].

    1e-12 covers the one rounding of a product with a leaky slope, TINY its underflow.
    """
    least, most = value
    if off:
        largest = torch.maximum(least.abs(), most.abs())
        slack = torch.where(largest == 0, largest, 1e-12 * largest + TINY)
        dead = (off * least - slack, off * most + slack)
    else:
        dead = (torch.zeros_like(least), torch.zeros_like(most))
    on, idle = is_on(low) & (low != 0), is_off(high) & (high != 0)
    free = (torch.minimum(least, dead[0]), torch.maximum(most, dead[1]))
    return (
        torch.where(on, least, torch.where(idle, dead[0], free[0])),
        torch.where(on, most, torch.where(idle, dead[1], free[1])),
    )
