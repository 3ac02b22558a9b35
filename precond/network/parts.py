"""Cutting a network at a layer: f = g ∘ h.

``head`` computes h, the value of one node; ``tail`` computes g, from that value to the
output.  A tail exists where every later node depends on the input through that value alone.
Node names stay, so patterns over the later layers mean the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, Reshape


def head(network: Network, name: str) -> Network:
    """The network that ends at node ``name``; its output is that node's value.

    Up to ``INPUT`` it is one layer that changes nothing.
    """
    network.require(name)
    if name == INPUT:
        same = Node("same", Reshape(network.input_shape), (INPUT,))
        return Network((same,), network.input_shape, f"{network.origin} up to {name}")
    wanted = network.ancestors[name] | {name}
    nodes = tuple(node for node in network.nodes if node.name in wanted)
    return Network(
        nodes,
        network.input_shape,
        f"{network.origin} up to {name}",
        other_arithmetic=network.other_arithmetic,
    )


def cuts(network: Network) -> tuple[str, ...]:
    """Nodes at which the network can be cut, first to last: all later nodes read the input
    through them alone.  The output itself is none of them."""
    found = []
    for position, node in enumerate(network.nodes[:-1]):
        before = {INPUT, *(n.name for n in network.nodes[:position])}
        later = network.nodes[position + 1 :]
        if not any(source in before for after in later for source in after.inputs):
            found.append(node.name)
    return tuple(found)


def required(network: Network, given: str, wanted: Sequence[str]) -> set[str] | None:
    """Names of the nodes to compute for ``wanted`` from ``given``; None if the input is needed
    besides."""
    needed: set[str] = set()
    stack = [name for name in wanted if name != given]
    while stack:
        name = stack.pop()
        if name == INPUT:
            return None
        if name not in needed:
            needed.add(name)
            stack.extend(source for source in network.node[name].inputs if source != given)
    return needed


def is_cut(network: Network, name: str) -> bool:
    """Whether the output depends on the input through the value ``name`` alone."""
    return required(network, name, [network.output]) is not None


def tail(network: Network, name: str) -> Network:
    """The network from the value of node ``name`` to the output.

    Raises ``QueryError`` where later nodes read something else too (a skip connection).
    """
    network.require(name)
    if name not in cuts(network):
        raise QueryError(
            f"cut of {network.origin} at {name}",
            expected=f"one of {', '.join(cuts(network)) or '(none)'}",
            got="a node that later nodes go round",
        )
    position = [node.name for node in network.nodes].index(name)
    nodes = tuple(
        replace(node, inputs=tuple(INPUT if s == name else s for s in node.inputs))
        for node in network.nodes[position + 1 :]
    )
    return replace(
        network,
        nodes=nodes,
        input_shape=network.shapes[name],
        origin=f"{network.origin} after {name}",
        tensor_names={},
        input_parts=(),
    )


def of_scores(network: Network) -> Network:
    """The network with one score a class as its outputs, which ``Classes.scores`` makes of its
    logits; itself where each class has its logit."""
    if not network.classes.binary:
        return network.logits
    half = 0.5 * network.threshold[0]
    layer = Affine(np.array([[-0.5], [0.5]]), np.array([half, -half]))
    flat = Node("one logit", Reshape((1,)), (network.output,))
    both = Node("scores of both classes", layer, (flat.name,))
    nodes = (*network.nodes, flat, both)
    return replace(network.logits, nodes=nodes, tensor_names={}, output_parts=())
