"""Small claims of every outcome, for runs that are about the machinery and not the proofs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.claim import Claim
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern


def mixed_claims(count: int, seed: int = 0, networks: int = 8) -> list[Claim]:
    """``count`` claims about ``networks`` random networks: y₀ ≥ b, with b around what samples
    reach, under patterns of a few literals or none."""
    stream = np.random.default_rng(seed)
    made = [_network(stream, f"random {k}") for k in range(networks)]
    return [_claim(made[k % networks], stream) for k in range(count)]


def _network(stream: np.random.Generator, origin: str) -> Network:
    widths = (int(stream.integers(2, 6)), *stream.integers(6, 25, size=2), 2)
    nodes: list[Node] = []
    for k, (n, m) in enumerate(pairwise(widths)):
        layer = Affine(stream.normal(size=(m, n)) / np.sqrt(n), stream.normal(size=m) / 4)
        nodes.append(Node(f"z{k}", layer, (f"relu{k - 1}" if k else INPUT,)))
        if k < len(widths) - 2:
            nodes.append(Node(f"relu{k}", ReLU(), (f"z{k}",)))
    return Network(tuple(nodes), (widths[0],), origin)


def _claim(network: Network, stream: np.random.Generator) -> Claim:
    centre = stream.normal(size=network.input_size)
    box = Box.ball(centre, float(stream.choice([0.1, 0.4, 1.0])))
    x = box.sample(200, stream)
    z = [x]
    for k in range(3):
        layer = network.node[f"z{k}"].layer
        assert isinstance(layer, Affine)
        z.append(np.maximum(z[-1], 0.0 if k else -np.inf) @ layer.weight.T + layer.bias)
    low, high = z[3][:, 0].min(), z[3][:, 0].max()
    bound = low + (high - low) * float(stream.choice([-1.0, -0.2, 0.1]))
    literals = stream.permutation(z[1].shape[1])[: int(stream.integers(0, 4))]
    row = z[1][int(stream.integers(200))]
    pattern = DecisionPattern(
        frozenset(("relu0", int(i)) for i in literals if row[i] > 0),
        frozenset(("relu0", int(i)) for i in literals if row[i] <= 0),
    )
    return Claim(network, box, pattern, Property(((Inequality(((0, 1.0),), float(bound)),),)))
