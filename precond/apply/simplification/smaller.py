"""A network without the values that it need not compute: the same outputs, exactly.

Nothing is added up: rows, columns and channels of weights go, weights that only ever meet 0 become
0, and a ReLU of which no neuron is ever off goes too.  So the outputs are the same real numbers
for every input over which what is known of the neurons holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from precond.apply.simplification.dropped import (
    PICTURE,
    Mask,
    computes_units,
    dropped,
    nonzero,
    whole,
    zeros,
)
from precond.apply.simplification.fixed import FixedNeurons
from precond.network.constants import Range
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Affine,
    Array,
    Conv2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Shape,
)
from precond.network.rewrite import simplify
from precond.region.box import Box

GATHER = (
    0.25  # of the inputs of a dense layer that it must be able to do without, to leave them out
)


def smaller(network: Network, box: Box, fixed: Mapping[str, FixedNeurons]) -> Network:
    """``network`` without what is not needed over ``box``, where ``fixed`` holds."""
    always = {name: neurons.off for name, neurons in fixed.items()}
    always[INPUT] = (box.lower == 0) & (box.upper == 0)
    zero = zeros(network, always)
    gone = dropped(network, zero)
    nodes: list[Node] = []
    source: dict[str, str] = {}  # of a ReLU that does nothing, what it reads
    for node in network.nodes:
        inputs = tuple(source.get(name, name) for name in node.inputs)
        if (
            _does_nothing(node, fixed.get(node.name), gone[node.name])
            and node.name != network.output
        ):
            source[node.name] = inputs[0]
            continue
        nodes += _without(network, replace(node, inputs=inputs), node.inputs, gone=gone, zero=zero)
    return simplify(replace(network, nodes=tuple(nodes), tensor_names={}))


def _does_nothing(node: Node, fixed: FixedNeurons | None, gone: Mask) -> bool:
    """Whether it is a ReLU all of whose neurons that stay are always on."""
    return isinstance(node.layer, ReLU) and fixed is not None and bool((fixed.on | gone).all())


def _without(
    network: Network,
    node: Node,
    sources: tuple[str, ...],
    *,
    gone: Mapping[str, Mask],
    zero: Mapping[str, Mask],
) -> list[Node]:
    """The node without the units in ``gone``; before a dense layer that reads a picture's values
    directly, a choice of those that it uses."""
    source = sources[0]
    shape, layer = network.shapes[source], node.layer
    left = ~gone[node.name]
    out = _units(left, network.shapes[node.name])
    match layer:
        case Affine() if len(shape) == 1:
            return _dense(node, rows=out, gone=gone[source], zero=zero[source])
        case Conv2d() if computes_units(node):
            kept = _units(~gone[source], shape)
            still = whole(zero[source], shape[0])[kept]
            return [replace(node, layer=_convolution(layer, out, kept, still=still))]
        case Reshape():
            return [replace(node, layer=Reshape(_kept_shape(layer.shape, out)))]
        case Scale():
            return [replace(node, layer=_scale(layer, network.shapes[node.name], out))]
        case _:
            return [node]


def _units(left: Mask, shape: Shape) -> Mask:
    """Of a layer's units, which stay; all where it has none that could go."""
    if len(shape) not in (1, PICTURE):
        return np.ones(shape[0], dtype=np.bool_)
    return ~whole(~left, shape[0])


def _kept_shape(shape: Shape, units: Mask) -> Shape:
    return (int(units.sum()), *shape[1:])


def _dense(node: Node, *, rows: Mask, gone: Mask, zero: Mask) -> list[Node]:
    layer = node.layer
    assert isinstance(layer, Affine)
    weight, known = _part(layer.weight, layer.weight_range, np.ix_(rows, ~gone))
    bias, bias_range = _part(layer.bias, layer.bias_range, rows)
    still = zero[~gone]
    unused = still | ~nonzero(weight, known).any(0)
    if unused.sum() > 0 and unused.mean() >= GATHER and not unused.all():
        used = np.flatnonzero(~unused)
        chosen = Node(f"{node.name} inputs", Select(used, (len(used),)), node.inputs)
        weight, known = _part(weight, known, np.ix_(np.ones(len(weight), np.bool_), ~unused))
        return [
            chosen,
            Node(node.name, Affine(weight, bias, known, bias_range=bias_range), (chosen.name,)),
        ]
    if still.any():
        weight, known = _cleared(weight, known, np.broadcast_to(still, weight.shape))
    return [replace(node, layer=Affine(weight, bias, known, bias_range=bias_range))]


def _convolution(layer: Conv2d, out: Mask, kept: Mask, still: Mask) -> Conv2d:
    """``still``: input channels that stay and are 0 all over the box."""
    weight, known = _part(layer.weight, layer.weight_range, np.ix_(out, kept))
    bias, bias_range = _part(layer.bias, layer.bias_range, out)
    if still.any():
        cleared = np.broadcast_to(still[:, None, None], weight.shape)
        weight, known = _cleared(weight, known, cleared)
    return replace(layer, weight=weight, bias=bias, weight_range=known, bias_range=bias_range)


def _scale(layer: Scale, shape: Shape, units: Mask) -> Scale:
    """The factors of the units that stay."""
    parts = []
    for values, known in ((layer.factor, layer.factor_range), (layer.shift, layer.shift_range)):
        full = np.ones(len(shape) - values.ndim, dtype=int).tolist() + list(values.shape)
        ranged = None if known is None else _shaped(known, full)
        if full[0] == 1:
            parts.append((values, known))
        else:
            parts.append(_part(values.reshape(full), ranged, units))
    (factor, factor_range), (shift, shift_range) = parts
    return Scale(factor, shift, factor_range, shift_range=shift_range)


def _part(values: Array, known: Range | None, index: Any) -> tuple[Array, Range | None]:
    """Some of a layer's constants, with where the true ones lie."""
    if known is None:
        return values[index], None
    return values[index], Range(known.stored[index], known.low[index], known.high[index])


def _shaped(known: Range, shape: list[int]) -> Range:
    return Range(*(part.reshape(shape) for part in (known.stored, known.low, known.high)))


def _cleared(values: Array, known: Range | None, where: Mask) -> tuple[Array, Range | None]:
    """The constants with 0 in the places ``where``."""
    if known is None:
        return np.where(where, 0.0, values), None
    low, high = np.where(where, 0, known.low), np.where(where, 0, known.high)
    return np.where(where, 0.0, values), Range(np.where(where, 0.0, known.stored), low, high)


def multiplications(network: Network) -> int:
    """How many products of a weight and a value one input costs, weights that are 0 included."""
    total = 0
    for node in network.nodes:
        match node.layer:
            case Affine(weight):
                total += weight.size * (network.width(node.inputs[0]) // weight.shape[1])
            case Conv2d(weight):
                total += network.width(node.name) * weight[0].size
            case Scale():
                total += network.width(node.name)
    return total


def connections(network: Network) -> int:
    """How many weights of dense and convolutional layers are not 0."""
    layers = [node.layer for node in network.nodes]
    return sum(
        int(nonzero(layer.weight, layer.weight_range).sum())
        for layer in layers
        if isinstance(layer, Affine | Conv2d)
    )
