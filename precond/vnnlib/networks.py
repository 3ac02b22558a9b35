"""Networks made for queries that one network as it stands cannot state.

``side_by_side`` puts several networks in one: (x, x', …) ↦ (f(x), g(x'), …).
``exposing`` appends hidden values to the output: x ↦ (f(x), h(x)).  Both only copy nodes
and add reshapes and concatenations, so values are those of the networks given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.interface import NamedTensor, places
from precond.network.layers import Concat, Node, Reshape, Select, Shape


@dataclass(frozen=True)
class Slot:
    """One input or output of a model: where its values begin among all, and its shape; ``name``
    is the file's, empty where the model has only one."""

    name: str
    offset: int
    shape: Shape


@dataclass(frozen=True)
class NetworkPart:
    """Where one of the given networks lies in the whole; ``tensor_names`` has the whole's nodes."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    tensor_names: Mapping[str, str]


def _part(network: Network, start: int, end: int, tensor_names: Mapping[str, str]) -> NetworkPart:
    """Its inputs begin at ``start`` of the whole's, its outputs at ``end``."""
    return NetworkPart(
        _slots(network.input_parts, network.input_shape, start),
        _slots(network.output_parts, network.shapes[network.output], end),
        tensor_names,
    )


def _slots(parts: Sequence[NamedTensor], shape: Shape, offset: int) -> tuple[Slot, ...]:
    if not parts:
        return (Slot("", offset, shape),)
    return tuple(Slot(part.name, offset + start, part.shape) for part, start, _ in places(parts))


def side_by_side(networks: Mapping[str, Network]) -> tuple[Network, tuple[NetworkPart, ...]]:
    """One network over the inputs of all, and each one's part; a single one is kept as it is."""
    if len(networks) == 1:
        (network,) = networks.values()
        return network, (_part(network, 0, 0, tensor_names=network.tensor_names),)
    total = sum(network.input_size for network in networks.values())
    nodes: list[Node] = []
    parts: list[NetworkPart] = []
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
        parts.append(_part(network, start, end, tensor_names=names))
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
    nodes = (*network.nodes, *flats, tail)
    return replace(network, nodes=nodes, output_parts=()), offsets


def models_of(
    query: Any, source: str, networks: Mapping[str, Network] | Network
) -> dict[str, Network]:
    """The network of every declaration, by declared name, in declaration order."""
    originals = {item.name: item.equal_to or None for item in query.networks}
    needed = [name for name, original in originals.items() if original is None]
    if isinstance(networks, Network):
        if len(needed) != 1:
            raise QueryError(
                source,
                expected=f"networks named {', '.join(needed)}",
                got="one without a name",
                fix="Give --network NAME=MODEL for each",
            )
        networks = {needed[0]: networks}
    if sorted(networks) != sorted(needed):
        raise QueryError(
            f"networks of {source}",
            expected=f"a model for each of {', '.join(needed)} and no other",
            got=", ".join(networks) or "none",
            fix="Give --network NAME=MODEL for each network not declared equal to another",
        )
    for name, original in originals.items():
        if original is not None and originals.get(original, name) is not None:
            raise QueryError(
                f"{source}: network {name} equal to {original}",
                expected="a network that is not itself declared equal to another",
                got=str(original),
            )
    for item in query.networks:
        other = item.isometric_to or None
        if other is not None and originals.get(other, other) is not None:
            raise QueryError(
                f"{source}: network {item.name} isomorphic to {other}",
                expected="a declared network with a model of its own",
                got=str(other),
            )
    return {name: networks[original or name] for name, original in originals.items()}
