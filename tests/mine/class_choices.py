"""What the searches over a whole domain are tried on: one class of a small trained network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from blobs import trained

from precond.mine.whole_space.choices import Choices
from precond.network.graph import INPUT
from precond.proof.restate.tail import Tail
from precond.property import Property
from precond.region.box import Box
from precond.region.recording import record
from precond.region.signature import Signatures


def tail_and_class(label: int) -> tuple[Tail, Signatures]:
    """The class's inputs of a network of two layers of ten neurons, over [0, 1]^3."""
    network, data = trained(0, 3, 10, 10, 3)
    every = record(network, data.inputs, values=True)
    flat = np.asarray(data.inputs, dtype=np.float64)
    every = replace(every, pre_activations={**every.pre_activations, INPUT: flat})
    own = every.rows(np.flatnonzero(every.predicted == label))
    return Tail(network, Box.uniform(3, 0.0, 1.0), INPUT), own


def choices(label: int, goal: int | None = None) -> Choices:
    """Of the class's inputs, to imply ``goal`` (their own class unless given)."""
    tail, own = tail_and_class(label)
    return Choices(tail, Property.argmax(label if goal is None else goal, 3), own)
