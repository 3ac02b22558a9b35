"""Which values of a network need not be computed, where some neurons are known to be 0.

A *value* is one number that a node computes; a *unit* is what can be taken out of a layer: one
value of a dense layer, one channel of a convolution.  A unit is dropped where every node that
reads it, through ReLUs, pools, scales, sums over the picture and reshapes, multiplies it by
weights that are 0, or where the unit is 0 itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from precond.network.constants import Range
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

Mask = NDArray[np.bool_]
PICTURE = 3  # axes of a value with channels, height and width


def nonzero(values: NDArray[np.float64], known: Range | None) -> Mask:
    """Which constants may be other than 0."""
    found = values != 0
    return np.asarray(found if known is None else found | (known.radius > 0))


def whole(mask: Mask, units: int) -> Mask:
    """Per unit, whether all of its values are in ``mask``."""
    return np.asarray(mask.reshape(units, -1).all(axis=1))


def zeros(network: Network, fixed: Mapping[str, Mask]) -> dict[str, Mask]:
    """Per node (and ``input``), which flat values are 0 for every input; ``fixed`` says it of
    neurons and of inputs."""
    found = {INPUT: _given(fixed, INPUT, network.input_size)}
    for node in network.nodes:
        size = network.width(node.name)
        found[node.name] = _zero(network, node, found) | _given(fixed, node.name, size)
    return found


def _given(fixed: Mapping[str, Mask], name: str, size: int) -> Mask:
    return fixed.get(name, np.zeros(size, dtype=np.bool_))


def _zero(network: Network, node: Node, known: Mapping[str, Mask]) -> Mask:
    """Which values of ``node`` are 0 because what it reads is."""
    sources = [known[source].reshape(network.shapes[source]) for source in node.inputs]
    layer, size = node.layer, network.width(node.name)
    match layer:
        case ReLU() | LeakyReLU() | Reshape():
            return np.asarray(sources[0].reshape(-1))
        case MaxPool2d():
            every = sources[0].all((1, 2), keepdims=True)
            return np.broadcast_to(every, network.shapes[node.name]).reshape(-1)
        case Scale(_, shift, _, shift_range):
            still = ~np.broadcast_to(nonzero(shift, shift_range), sources[0].shape)
            return np.asarray((sources[0] & still).reshape(-1))
        case Sum(axes, keepdims):
            return np.asarray(sources[0].all(axes, keepdims=keepdims)).reshape(-1)
        case Add():
            return np.asarray(np.logical_and.reduce(sources)).reshape(-1)
        case Concat(axis):
            return np.concatenate(sources, axis=axis).reshape(-1)
        case Select(index, _, fill):
            flat = np.append(sources[0].reshape(-1), fill == 0)  # index −1 is the last
            return np.asarray(flat[index])
        case _:
            return np.zeros(size, dtype=np.bool_)


def dropped(network: Network, zero: Mapping[str, Mask]) -> dict[str, Mask]:
    """Per node (and ``input``, of which nothing is), the flat values that need not be computed:
    whole units, and not all of a layer."""
    found = {name: np.ones(network.width(name), dtype=np.bool_) for name in network.shapes}
    for name in (INPUT, network.output):
        found[name][:] = False
    changed = True
    while changed:
        before = {name: mask.copy() for name, mask in found.items()}
        for node in reversed(network.nodes):
            for source in node.inputs:
                found[source] &= _unread(network, node, source, found=found, zero=zero)
            if not (passes_units(network, node) or computes_units(node)):
                found[node.name][:] = False
        for node in network.nodes:
            if passes_units(network, node):
                found[node.name] &= _onward(network, node, found[node.inputs[0]])
        for name, mask in found.items():
            found[name] = _whole_units(mask, network.shapes[name])
        changed = any(not np.array_equal(before[name], found[name]) for name in found)
    return found


def computes_units(node: Node) -> bool:
    """Whether the node has weights of its own for each unit, which can be taken out."""
    return isinstance(node.layer, Affine) or (
        isinstance(node.layer, Conv2d) and node.layer.groups == 1
    )


def passes_units(network: Network, node: Node) -> bool:
    """Whether each unit that the node computes comes from the same one that it reads."""
    shape = network.shapes[node.inputs[0]]
    match node.layer:
        case ReLU() | LeakyReLU() | Reshape() | Scale() | MaxPool2d():
            return True
        case Sum(axes):
            return len(shape) == PICTURE and tuple(axes) == (1, 2)
        case _:
            return False


def _onward(network: Network, node: Node, mask: Mask) -> Mask:
    """Values of ``node`` of which all that they are made of is in ``mask``."""
    shape = network.shapes[node.inputs[0]]
    if isinstance(node.layer, MaxPool2d | Sum):
        every = whole(mask, shape[0])
        return np.repeat(every, network.width(node.name) // shape[0])
    return mask


def _unread(
    network: Network, node: Node, source: str, found: Mapping[str, Mask], zero: Mapping[str, Mask]
) -> Mask:
    """Values of ``source`` that ``node`` can do without."""
    shape, layer = network.shapes[source], node.layer
    if passes_units(network, node):
        if isinstance(layer, MaxPool2d | Sum):
            every = whole(found[node.name], shape[0])
            return np.repeat(every, network.width(source) // shape[0])
        return found[node.name]
    match layer:
        case Affine(weight, _, known) if len(shape) == 1:
            rows = ~found[node.name]
            return zero[source] | ~(nonzero(weight, known)[rows]).any(0)
        case Conv2d() if computes_units(node):
            rows = ~whole(found[node.name], len(layer.weight))
            used = nonzero(layer.weight, layer.weight_range)[rows].any((0, 2, 3))
            still = whole(zero[source], shape[0])
            return np.repeat(still | ~used, network.width(source) // shape[0])
        case _:
            return np.zeros(network.width(source), dtype=np.bool_)


def _whole_units(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Only units all of whose values are in ``mask``; where they are all of the layer, the first
    stays.  A value of two axes, or of more than three, has no units."""
    if len(shape) not in (1, PICTURE):
        return np.zeros_like(mask)
    every = whole(mask, shape[0])
    if every.all():
        every[0] = False
    return np.repeat(every, mask.size // shape[0])
