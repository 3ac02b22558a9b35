"""Units of dropping: literals of a signature that are dropped together.

A convolutional layer has tens of thousands of literals, so they are dropped by the layer, then by
the channel, then by the square patch of a channel, then one by one (``Size``).  A layer that is
no picture has no channels and no patches: it counts as one of each.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.region.literals import Literals

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
PATCH = 4  # neurons of a patch's side


class Size(Enum):
    """How much is dropped at a time; ``value`` is the plural."""

    LAYER = "layers"
    CHANNEL = "channels"
    PATCH = "patches"
    NEURON = "neurons"


def units(network: Network, literals: Literals, kept: Flags, size: Size) -> list[Rows]:
    """The ``kept`` (T,) literals in units of ``size``, by index; empty ones are left out."""
    found: list[Rows] = []
    for layer in literals.layers:
        part = literals.part[layer]
        owner = _owners(network.shapes[layer], size)
        here = np.flatnonzero(kept[part])
        if not len(here):
            continue
        order = here[np.argsort(owner[here], kind="stable")]
        ends = np.flatnonzero(np.diff(owner[order])) + 1
        found += [rows + part.start for rows in np.split(order, ends)]
    return found


def _owners(shape: tuple[int, ...], size: Size) -> Rows:
    """The number of the unit that each neuron of a layer belongs to, (m,)."""
    count = int(np.prod(shape))
    if size is Size.NEURON:
        return np.arange(count)
    if size is Size.LAYER or len(shape) != 3:
        return np.zeros(count, dtype=np.int64)
    channel, y, x = (axis.reshape(-1) for axis in np.indices(shape))
    if size is Size.CHANNEL:
        return np.asarray(channel)
    down, across = (-(-side // PATCH) for side in shape[1:])
    return np.asarray((channel * down + y // PATCH) * across + x // PATCH)
