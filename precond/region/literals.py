"""``Literal``: one neuron on or off; patterns from literals and from masks over a row of them.

``Literals`` are those of one input's full signature, so that a pattern is a mask of the kept
ones.  Value thresholds (``DecisionPattern.above``, ``below``) are no literals in this sense.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Literal(NamedTuple):
    """The decision of neuron number ``neuron`` of a layer."""

    layer: str
    neuron: int
    on: bool


def pattern_of(literals: Iterable[Literal]) -> DecisionPattern:
    """The conjunction of ``literals``."""
    given = set(literals)
    return DecisionPattern(
        frozenset((layer, neuron) for layer, neuron, on in given if on),
        frozenset((layer, neuron) for layer, neuron, on in given if not on),
    )


def literals_of(pattern: DecisionPattern) -> list[Literal]:
    """Sorted, those that are on first."""
    on = [Literal(*neuron, True) for neuron in sorted(pattern.on)]
    return on + [Literal(*neuron, False) for neuron in sorted(pattern.off)]


@dataclass(frozen=True, eq=False)
class Literals:
    """The literals of one input's full signature, in a row: ``phases`` (T,) is +1 (on) or −1
    (off); ``part[layer]`` is that layer's slice.  A pattern is a mask (T,) of the kept ones."""

    layers: tuple[str, ...]
    part: Mapping[str, slice]
    phases: NDArray[np.int8]

    @classmethod
    def of(cls, network: Network, pattern: DecisionPattern) -> Literals:
        """From a pattern that decides every neuron."""
        part, phases, start = {}, [], 0
        for layer in network.decision_layers:
            width = network.width(layer)
            part[layer] = slice(start, start + width)
            phases.append(pattern.phases(layer, width))
            start += width
        return cls(network.decision_layers, part, np.concatenate(phases))

    def first(self, layers: int) -> Flags:
        """Keeps all of the first ``layers`` decision layers."""
        kept = np.zeros(len(self.phases), dtype=np.bool_)
        if layers:
            kept[: self.part[self.layers[layers - 1]].stop] = True
        return kept

    def pattern(self, kept: Flags) -> DecisionPattern:
        return pattern_of(
            Literal(*self.neuron(int(i)), bool(self.phases[i] > 0)) for i in np.flatnonzero(kept)
        )

    def neuron(self, index: int) -> tuple[str, int]:
        layer = next(name for name in self.layers if index < self.part[name].stop)
        return layer, index - self.part[layer].start

    def intervals(self, kept: Flags) -> dict[str, tuple[Array, Array]]:
        """The pattern's interval of each pre-activation, as ``DecisionPattern.intervals``."""
        found = {}
        for layer, part in self.part.items():
            if kept[part].any():
                on, off = kept[part] & (self.phases[part] > 0), kept[part] & (self.phases[part] < 0)
                found[layer] = (np.where(on, 0.0, -np.inf), np.where(off, 0.0, np.inf))
        return found
