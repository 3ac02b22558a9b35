"""Of what is known of a network's neurons, the part that a smaller network rests on.

A neuron that is always off matters where it is one value that a dense layer reads, or where its
whole channel is 0; one that is always on matters where no neuron of its layer needs the ReLU.  What
does not matter need not be proved with a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from precond.apply.simplification.dropped import (
    PICTURE,
    Mask,
    computes_units,
    passes_units,
    whole,
    zeros,
)
from precond.apply.simplification.fixed import FixedNeurons
from precond.network.graph import Network
from precond.network.layers import Affine, Conv2d, MaxPool2d, Node, Sum


def needed(
    network: Network, fixed: Mapping[str, FixedNeurons], inputs: Mapping[str, Mask]
) -> dict[str, FixedNeurons]:
    """``fixed`` without the neurons that change nothing; ``inputs``: which of them are 0."""
    off = {name: neurons.off for name, neurons in fixed.items()}
    read = _read(network, zeros(network, {**off, **inputs}))
    found = {}
    for name, neurons in fixed.items():
        useful = neurons.off & read[name]
        linear = bool((neurons.on | useful).all())
        on = neurons.on if linear else np.zeros_like(neurons.on)
        found[name] = FixedNeurons(on & ~useful, useful)
    return found


def _read(network: Network, zero: Mapping[str, Mask]) -> dict[str, Mask]:
    """Per node, the values for which it matters to a later layer that they are 0."""
    found = {name: np.zeros(network.width(name), dtype=np.bool_) for name in network.shapes}
    for node in reversed(network.nodes):
        for source in node.inputs:
            found[source] |= _useful(network, node, source, found=found, zero=zero)
    return found


def _useful(
    network: Network, node: Node, source: str, found: Mapping[str, Mask], zero: Mapping[str, Mask]
) -> Mask:
    shape, width = network.shapes[source], network.width(source)
    if isinstance(node.layer, Affine) and len(shape) == 1:
        return np.ones(width, dtype=np.bool_)
    if len(shape) == PICTURE:
        silent = whole(zero[source], shape[0])
        if isinstance(node.layer, Conv2d) and computes_units(node):
            return np.repeat(silent, width // shape[0])
        if isinstance(node.layer, MaxPool2d | Sum) and passes_units(network, node):
            later = ~whole(~found[node.name], shape[0])
            return np.repeat(silent & later, width // shape[0])
    if passes_units(network, node):
        return found[node.name]
    return np.zeros(width, dtype=np.bool_)
