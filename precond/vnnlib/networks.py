"""Networks made for queries that one network as it stands cannot state.

``side_by_side`` puts several networks in one: (x, x', …) ↦ (f(x), g(x'), …).
``exposing`` appends hidden values to the output: x ↦ (f(x), h(x)).  Both only copy nodes
and add reshapes and concatenations, so values are those of the networks given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from precond.network.graph import INPUT, Network
from precond.network.layers import Concat, Node, Reshape, Select, Shape


@dataclass(frozen=True)
class Part:
    """Where one of the given networks lies in the whole; ``tensor_names`` has the whole's nodes."""

    input_offset: int
    input_shape: Shape
    output_offset: int
    output_shape: Shape
    tensor_names: Mapping[str, str]


def side_by_side(networks: Mapping[str, Network]) -> tuple[Network, tuple[Part, ...]]:
    """One network over the inputs of all, and each one's part; a single one is kept as it is."""
    if len(networks) == 1:
        (network,) = networks.values()
        part = Part(0, network.input_shape, 0, network.shapes[network.output], network.tensor_names)
        return network, (part,)
    total = sum(network.input_size for network in networks.values())
    nodes: list[Node] = []
    parts: list[Part] = []
    ends: list[str] = []
    start = end = 0
    for name, network in networks.items():
        renamed = {old: f"{name}/{old}" for old in network.shapes}
        index = np.arange(start, start + network.input_size)
        nodes.append(Node(renamed[INPUT], Select(index, network.input_shape), (INPUT,)))
        nodes += [
            Node(renamed[n.name], n.layer, tuple(renamed[s] for s in n.inputs))
            for n in network.nodes
        ]
        nodes.append(
            Node(f"{name} flat", Reshape((network.output_size,)), (renamed[network.output],))
        )
        ends.append(f"{name} flat")
        names = {
            tensor: renamed[node]
            for tensor, node in network.tensor_names.items()
            if node in renamed
        }
        parts.append(Part(start, network.input_shape, end, network.shapes[network.output], names))
        start += network.input_size
        end += network.output_size
    nodes.append(Node("side by side", Concat(0), tuple(ends)))
    origin = " and ".join(network.origin for network in networks.values())
    others = tuple(o for network in networks.values() for o in network.other_arithmetic)
    return Network(tuple(nodes), (total,), origin, other_arithmetic=others), tuple(parts)


def exposing(network: Network, names: Sequence[str]) -> tuple[Network, dict[str, int]]:
    """The network with the flat values of nodes ``names`` after its outputs, and the index
    each of them starts at."""
    offsets: dict[str, int] = {}
    end = network.output_size
    for name in names:
        offsets[name] = end
        end += math.prod(network.shapes[name])
    pieces = (network.output, *names)
    flats = [
        Node(f"exposed {i}", Reshape((math.prod(network.shapes[name]),)), (name,))
        for i, name in enumerate(pieces)
    ]
    tail = Node("exposed", Concat(0), tuple(node.name for node in flats))
    return replace(network, nodes=(*network.nodes, *flats, tail)), offsets
