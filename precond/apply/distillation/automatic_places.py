"""Where votes are tried unless the user says it."""

from __future__ import annotations

import math

import numpy as np

from precond.apply.distillation.reading import Reading
from precond.errors import QueryError
from precond.network.graph import Network
from precond.network.layers import Affine, Conv2d
from precond.network.parts import is_cut

WIDE = 8  # a picture of neurons at least this high and wide is read at every second row


def automatic_readings(network: Network) -> list[Reading]:
    """Where votes are tried unless told: the first layer, and the first after a quarter of the
    network's products that has less than 60 % of them before it."""
    work = np.cumsum([_products(network, node.name) for node in network.nodes], dtype=np.float64)
    place = {node.name: k for k, node in enumerate(network.nodes)}
    found: list[Reading] = []
    for layer in network.decision_layers:
        before = network.pre_activation(layer)
        reading = Reading(layer, _step(network, layer))
        if not is_cut(network, reading.cut(network)):
            continue
        share = work[place[before]] / max(work[-1], 1.0) if before in place else 0.0
        if not found or (len(found) == 1 and 0.25 <= share < 0.6):
            found.append(reading)
    if not found:
        raise QueryError(
            f"network {network.origin}",
            expected="a decision layer that every path to the output goes through",
            got="none",
        )
    return found


def _step(network: Network, layer: str) -> int:
    shape = network.shapes[layer]
    before = network.node.get(network.pre_activation(layer))
    convolution = before is not None and isinstance(before.layer, Conv2d)
    return 2 if convolution and len(shape) == 3 and min(shape[1:]) >= WIDE else 1


def _products(network: Network, name: str) -> float:
    match network.node[name].layer:
        case Affine(weight, _):
            return float(math.prod(network.shapes[name]) * weight.shape[1])
        case Conv2d() as layer:
            return float(math.prod(network.shapes[name]) * math.prod(layer.weight.shape[1:]))
        case _:
            return 0.0
