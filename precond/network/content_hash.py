"""The hash of what a network computes; not of where it came from."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from precond.network.activation import OutputActivation
from precond.network.constants import Range
from precond.network.layers import Node, Shape


def content_hash(
    input_shape: Shape, nodes: Sequence[Node], activations: Mapping[str, OutputActivation]
) -> str:
    """SHA-256 (hex) of layers, numbers, what they stand for where no float holds that, names,
    wiring, and of the ``activations`` that there are."""
    digest = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(repr(value).encode())
        digest.update(b"\0")

    add(input_shape)
    for node in nodes:
        add(node.name)
        add(node.inputs)
        add(type(node.layer).__name__)
        for item in dataclasses.fields(node.layer):
            value = getattr(node.layer, item.name)
            if value is None:  # the floats are the constants
                continue
            add(item.name)
            if isinstance(value, Range):
                add([str(x) for x in (*value.low.flat, *value.high.flat)])
            else:
                add(value)
    for name, activation in activations.items():
        if activation is not OutputActivation.NONE:
            add(name)
            add(activation.value)
    return digest.hexdigest()
