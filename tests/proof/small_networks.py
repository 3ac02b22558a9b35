"""Small networks and properties that several tests of this folder use."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)
from precond.property import Property
from precond.region.inequality import Inequality


def layered(
    *weights: tuple[object, object], last: bool = False, slope: float | None = None
) -> Network:
    """Affine layers z0, z1, … with ReLUs relu0, … between (and after the last, with ``last``)."""
    nodes: list[Node] = []
    for k, (weight, bias) in enumerate(weights):
        source = INPUT if k == 0 else f"relu{k - 1}"
        layer = Affine(np.array(weight, float), np.array(bias, float))
        nodes.append(Node(f"z{k}", layer, (source,)))
        if last or k < len(weights) - 1:
            kind = ReLU() if slope is None else LeakyReLU(slope)
            nodes.append(Node(f"relu{k}", kind, (f"z{k}",)))
    return Network(tuple(nodes), (np.array(weights[0][0]).shape[1],))


def random_net(
    rng: np.random.Generator, *widths: int, size: float = 1.0, slope: float | None = None
) -> Network:
    """``layered`` with weights and biases ~ N(0, size²)."""
    weights = [
        (size * rng.normal(size=(m, n)), size * rng.normal(size=m)) for n, m in pairwise(widths)
    ]
    return layered(*weights, slope=slope)


def mixed(rng: np.random.Generator) -> Network:
    """Every layer kind, on a 4×4 image."""

    def conv(channels: int, groups: int = 1) -> Conv2d:
        weight = rng.normal(size=(2, channels, 3, 3)) / 3
        return Conv2d(weight, rng.normal(size=2), padding=(1, 1, 1, 1), groups=groups)

    nodes = (
        Node("scale", Scale(np.array(0.7), np.array(-0.2)), (INPUT,)),
        Node("conv", conv(1), ("scale",)),
        Node("a", ReLU(), ("conv",)),
        Node("pool", MaxPool2d((2, 2), (2, 2)), ("a",)),
        Node("conv2", conv(1, groups=2), ("pool",)),
        Node("sum", Add((1.0, 0.5)), ("conv2", "pool")),
        Node("b", LeakyReLU(0.1), ("sum",)),
        Node("both", Concat(0), ("b", "pool")),
        Node("some", Select(np.array([0, 3, -1, 5, 5, 9, 12, 15]), (2, 4), 0.25), ("both",)),
        Node("mean", Sum((1,), True, 0.25), ("some",)),
        Node("flat", Reshape((2,)), ("mean",)),
        Node("out", Affine(rng.normal(size=(3, 2)), rng.normal(size=3)), ("flat",)),
    )
    return Network(nodes, (1, 4, 4))


def below(output: int, limit: float) -> Property:
    """y_output < limit; its violation is y_output ≥ limit."""
    return Property(((Inequality(((output, -1.0),), -limit, strict=True),),))


ABSOLUTE = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]))
"""relu(x) + relu(−x) = |x|"""
IDENTITY = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0]))
"""relu(x) − relu(−x) = x"""
