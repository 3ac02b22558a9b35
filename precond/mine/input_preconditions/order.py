"""``Order``: in which order relaxation tries to drop the literals of a layer."""

from __future__ import annotations

from enum import Enum


class Order(Enum):
    """In which order the neurons of the stopping layer are tried."""

    INDEX = "index"
    PREACTIVATION = "preactivation"
    """Smallest |pre-activation| first: the literals nearest to X."""
    INFLUENCE = "influence"
    """Smallest gradient of the property's margin by the neuron's activation at X first."""
    MULTIPLIER = "multiplier"
    """Smallest multiplier in the proof of the whole layer first; ties by influence."""
