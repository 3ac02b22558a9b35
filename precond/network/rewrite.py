"""Rewrites that leave a network's real function exactly as it is.

Only steps without any rounding are taken: no-op layers go, a bias that was added after a
product without one joins it, moves of elements merge.  Batch normalisation and means are
never folded into weights, since the products would round; constants that no float holds move
with their ranges.  Node names stand for values: a
rewritten node keeps the name of the value it still computes, ``tensor_names`` loses the
values that are gone.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from precond.network.constants import true
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Array,
    Concat,
    Conv2d,
    Layer,
    Node,
    Reshape,
    Scale,
    Select,
    Shape,
)


def simplify(network: Network) -> Network:
    """All rewrites, until none applies."""
    passes: tuple[Callable[[Network], Network], ...] = (
        drop_identities,
        merge_moves,
        merge_bias,
    )
    while True:
        before = network
        for rewrite in passes:
            network = rewrite(network)
        if network is before:
            return network


def rename(network: Network, names: Mapping[str, str]) -> Network:
    """The same network under other node names; ``names`` maps every old name to its new one."""
    new = {INPUT: INPUT, **names}
    nodes = [Node(new[n.name], n.layer, tuple(new[s] for s in n.inputs)) for n in network.nodes]
    tensors = {tensor: new[name] for tensor, name in network.tensor_names.items()}
    return dataclasses.replace(network, nodes=tuple(nodes), tensor_names=tensors)


def drop_identities(network: Network) -> Network:
    """Drops layers that return their input: Scale(1, 0), a reshape to the same shape, …"""
    alias: dict[str, str] = {}
    for node in network.nodes:
        source = node.inputs[0]
        if _is_identity(node, network.shapes[source]):
            alias[node.name] = alias.get(source, source)
    if not alias or all(node.name in alias for node in network.nodes):
        return network
    if alias.get(network.output) == INPUT:
        return network
    nodes = [
        Node(n.name, n.layer, tuple(alias.get(s, s) for s in n.inputs))
        for n in network.nodes
        if n.name not in alias
    ]
    return _with_nodes(network, nodes, alias)


def merge_moves(network: Network) -> Network:
    """Reshape or Select that reads a Reshape or Select becomes one layer on its source."""
    nodes: list[Node] = []
    changed = False
    seen: dict[str, Node] = {}
    for original in network.nodes:
        node = original
        first = seen.get(node.inputs[0])
        merged = _merged_move(first, node) if first is not None else None
        if merged is not None:
            node, changed = merged, True
        seen[node.name] = node
        nodes.append(node)
    return _with_nodes(network, nodes, {}) if changed else network


def merge_bias(network: Network) -> Network:
    """``x Wᵀ`` then ``+ b``, possibly with a reshape between, becomes ``x Wᵀ + b``.

    Products are Affine, Conv2d and Scale; only one whose own constant is zero takes a bias,
    so that nothing is added up here.
    """
    readers = _readers(network)
    new: dict[str, Node | None] = {}
    for node in network.nodes:
        chain = _product_before(network, node)
        if not chain or any(readers[part.name] != 1 or part.name in new for part in chain):
            continue
        product = chain[-1]
        assert isinstance(node.layer, Scale)
        shift = true(node.layer.shift, node.layer.shift_range)
        layer = _with_constant(product.layer, shift, network.shapes, product=product, node=node)
        if layer is None:
            continue
        new.update({part.name: None for part in chain})
        if len(chain) == 1:
            new[node.name] = Node(node.name, layer, product.inputs)
        else:
            shape = network.shapes[node.name]
            new[product.name] = Node(product.name, layer, product.inputs)
            new[node.name] = Node(node.name, Reshape(shape), (product.name,))
    if not new:
        return network
    nodes = [new.get(node.name, node) for node in network.nodes]
    kept = tuple(node for node in nodes if node is not None)
    stale = set(new) - {node.name for node in network.nodes if _adds_only(node)}
    tensors = {t: name for t, name in network.tensor_names.items() if name not in stale}
    return dataclasses.replace(network, nodes=kept, tensor_names=tensors)


def _adds_only(node: Node) -> bool:
    match node.layer:
        case Scale(factor, _, None):
            return bool((factor == 1.0).all())
        case _:
            return False


def _product_before(network: Network, node: Node) -> list[Node]:
    """The nodes from ``node``, a Scale(1, b), back to the product without constant it reads."""
    if not _adds_only(node):
        return []
    chain: list[Node] = []
    name = node.inputs[0]
    while name != INPUT and len(chain) < 2:
        chain.append(network.node[name])
        match chain[-1].layer:
            case Scale() as layer:
                some = layer.shift.any() or layer.shift_range is not None
                return [] if some or _adds_only(chain[-1]) else chain
            case Affine() | Conv2d() as layer:
                return [] if layer.bias.any() or layer.bias_range is not None else chain
            case Reshape():
                name = chain[-1].inputs[0]
            case _:
                return []
    return []


def _with_constant(
    layer: Layer, shift: Array, shapes: Mapping[str, Shape], product: Node, node: Node
) -> Layer | None:
    """The product with ``shift`` as its constant, None where features share no one bias."""
    if isinstance(layer, Scale) and product.name == node.inputs[0]:
        return Scale(true(layer.factor, layer.factor_range), shift)
    spread = np.broadcast_to(shift, shapes[node.name]).reshape(shapes[product.name])
    if isinstance(layer, Scale):
        return Scale(true(layer.factor, layer.factor_range), spread)
    assert isinstance(layer, Affine | Conv2d)
    bias = _common_bias(layer, spread)
    return None if bias is None else dataclasses.replace(layer, bias=bias)


def _is_identity(node: Node, shape: Shape) -> bool:
    match node.layer:
        case Scale(factor, shift, None, None):
            return bool((factor == 1.0).all() and (shift == 0.0).all())
        case Reshape(target):
            return target == shape
        case Select(index, target, _):
            return target == shape and bool((index == np.arange(index.size)).all())
        case Add(coefficients):
            return coefficients == (1.0,)
        case Concat():
            return len(node.inputs) == 1
        case _:
            return False


def _merged_move(first: Node, node: Node) -> Node | None:
    match first.layer, node.layer:
        case Reshape(), Reshape() | Select():
            return Node(node.name, node.layer, first.inputs)
        case Select(index, _, fill), Reshape(shape):
            return Node(node.name, Select(index, shape, fill), first.inputs)
        case Select(inner, _, inner_fill), Select(outer, shape, outer_fill):
            composed = np.where(outer < 0, -1, inner[np.maximum(outer, 0)])
            fills = {outer_fill} if (outer < 0).any() else set()
            if (inner[outer[outer >= 0]] < 0).any():
                fills.add(inner_fill)
            if len(fills) > 1:
                return None
            fill = fills.pop() if fills else 0.0
            return Node(node.name, Select(composed, shape, fill), first.inputs)
        case _:
            return None


def _common_bias(layer: Affine | Conv2d, shift: Array) -> Array | None:
    """The one bias per output feature that ``shift`` (of the value's shape) stands for."""
    by_feature = (
        shift.reshape(-1, shift.shape[-1]).T
        if isinstance(layer, Affine)
        else shift.reshape(shift.shape[0], -1)
    )
    bias: Array = by_feature[:, 0]
    return bias if (by_feature == bias[:, None]).all() else None


def _readers(network: Network) -> Counter[str]:
    """How many times each value is read; the output counts as read once more."""
    counts = Counter(source for node in network.nodes for source in node.inputs)
    counts[network.output] += 1
    return counts


def _with_nodes(network: Network, nodes: Sequence[Node], alias: Mapping[str, str]) -> Network:
    """The network of the nodes that the (possibly aliased) output needs."""
    output = alias.get(network.output, network.output)
    needed = {output}
    kept: list[Node] = []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    present = {INPUT, *(node.name for node in kept)}
    tensors = {
        tensor: alias.get(name, name)
        for tensor, name in network.tensor_names.items()
        if alias.get(name, name) in present
    }
    return dataclasses.replace(network, nodes=tuple(reversed(kept)), tensor_names=tensors)
