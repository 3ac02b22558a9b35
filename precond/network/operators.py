"""All affine maps of a network on one device and in one number type, built once.

``affine`` has the map of each affine node (``precond.network.affine``), ``absolute`` the same
with |L| and |b|, and ``deviation`` has as L and b bounds of what the true ones differ by, where
they are no floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from precond.network.affine import (
    Added,
    AffineLast,
    AffineOperator,
    Convolution,
    ElementScale,
    Summed,
)
from precond.network.deviation import deviation
from precond.network.graph import Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    MaxPool2d,
    Reshape,
    Scale,
    Select,
    Shape,
    Sum,
)
from precond.network.moves import Concatenated, Reshaped, Selected


def affine_operator(
    layer: Layer,
    inputs: Sequence[Shape],
    output: Shape,
    device: torch.device,
    dtype: torch.dtype,
) -> AffineOperator | None:
    """The operator of an affine layer, None for the others."""

    def tensor(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    match layer:
        case Affine():
            return AffineLast(inputs, output, tensor(layer.weight), bias=tensor(layer.bias))
        case Conv2d():
            return Convolution(
                inputs, output, layer, weight=tensor(layer.weight), bias=tensor(layer.bias)
            )
        case Scale():
            return ElementScale(
                output,
                tensor(np.broadcast_to(layer.factor, output)),
                tensor(np.broadcast_to(layer.shift, output)),
            )
        case Reshape():
            return Reshaped(inputs, output)
        case Select():
            index = torch.tensor(layer.index, device=device)
            return Selected(inputs, output, index, fill=tensor(np.array(layer.fill)))
        case Sum():
            return Summed(inputs, output, layer)
        case Add():
            return Added(inputs, output, layer)
        case Concat():
            return Concatenated(inputs, output, layer)
        case _:
            return None


@dataclass(frozen=True, eq=False)
class Operators:
    """All affine operators and max-pool windows of a network on one device."""

    network: Network
    device: torch.device
    dtype: torch.dtype
    affine: dict[str, AffineOperator]
    absolute: dict[str, AffineOperator]
    deviation: dict[str, AffineOperator]  # of nodes whose constants no float holds
    windows: dict[str, Tensor]


@lru_cache(maxsize=16)
def operators(network: Network, device: str, dtype: torch.dtype) -> Operators:
    """Operators of ``network``, built once per device and number type."""
    place = torch.device(device)
    affine: dict[str, AffineOperator] = {}
    deviations: dict[str, AffineOperator] = {}
    windows: dict[str, Tensor] = {}
    for node in network.nodes:
        shapes = [network.shapes[source] for source in node.inputs]
        built = affine_operator(
            node.layer, shapes, network.shapes[node.name], device=place, dtype=dtype
        )
        if built is not None:
            affine[node.name] = built
            if (away := deviation(node.layer)) is not None:
                found = affine_operator(
                    away, shapes, network.shapes[node.name], device=place, dtype=dtype
                )
                assert found is not None
                deviations[node.name] = found
        elif isinstance(node.layer, MaxPool2d):
            windows[node.name] = torch.tensor(node.layer.windows(shapes[0]), device=place)
    absolute = {name: operator.absolute() for name, operator in affine.items()}
    return Operators(
        network,
        place,
        dtype,
        affine=affine,
        absolute=absolute,
        deviation=deviations,
        windows=windows,
    )
