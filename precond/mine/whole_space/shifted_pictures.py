"""Pictures moved by one pixel: inputs that a class may well have, though no data set holds them.

A literal that all training inputs share costs nothing among them, yet some unseen input may
violate it.  Moved pictures of the same answer say which literals those are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import INPUT
from precond.proof.restate.tail import Tail
from precond.property import Property
from precond.region.recording import record
from precond.region.signature import Signatures

Array = NDArray[np.float64]
MOVES = ((0, 1), (0, -1), (1, 0), (-1, 0))


def shifted(inputs: Array, shape: tuple[int, ...]) -> Array:
    """Pictures (N, n) of ``shape`` (…, H, W), each moved by a pixel in four directions: (4 N, n).
    The edge that comes in repeats the one that was there."""
    pictures = inputs.reshape(len(inputs), *shape)
    sides = [(0, 0)] * (pictures.ndim - 2) + [(1, 1), (1, 1)]
    wide = np.pad(pictures, sides, mode="edge")
    height, width = shape[-2:]
    parts = [wide[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in MOVES]
    return np.concatenate(parts).reshape(-1, inputs.shape[1])


def alike(
    tail: Tail, property: Property, signatures: Signatures, shape: tuple[int, ...]
) -> Signatures:
    """Of the inputs that ``signatures`` has at ``INPUT``, moved: those in the tail's box with the
    property, recorded in the same layers."""
    moved = shifted(signatures.values(INPUT), shape)
    moved = moved[tail.box.contains(moved)]
    network = tail.network
    found = record(network, moved.reshape(-1, *network.input_shape), signatures.layers)
    holds = property.holds(found.outputs, moved)
    kept = found.rows(holds)
    return replace(kept, pre_activations={INPUT: moved[holds]})
