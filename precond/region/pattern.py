"""``DecisionPattern``: some neurons on, some off, the rest unconstrained.

A neuron is ``(layer name, flat index)``.  On data, on means pre-activation z > 0 and off
means z ≤ 0.  A proof uses the closure: on is z ≥ 0 and off is z ≤ 0, the larger region.
A pattern may also bound pre-activations by values (``above``: z > t on data, z ≥ t in proofs;
``below``: z ≤ t); on is the case t = 0.  So it is one interval for each pre-activation.

Source: Gopinath, Converse, Pasareanu, Taly 2019, section 2 (≺-closed patterns).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import described, whole
from precond.basics.notebook import NotebookLine
from precond.basics.plain import FOREIGN, plain_number, plain_whole
from precond.errors import ArgumentError, QueryError
from precond.network.graph import Network
from precond.network.layers import LeakyReLU, MaxPool2d, ReLU
from precond.printable import printable
from precond.region.signature import Signatures

Neuron = tuple[str, int]
Threshold = tuple[str, int, float]
Array = NDArray[np.float64]


def _thresholds(given: Any) -> frozenset[Threshold]:
    return frozenset((_name(n), plain_whole(i), plain_number(t)) for n, i, t in given)


def _name(layer: object) -> str:
    """A layer's name in a file, as networks have it."""
    return printable(str(layer))


@dataclass(frozen=True)
class DecisionPattern(NotebookLine):
    """A conjunction of literals over neurons; hashable, compared by content."""

    on: frozenset[Neuron] = frozenset()
    off: frozenset[Neuron] = frozenset()
    above: frozenset[Threshold] = field(default=frozenset())
    below: frozenset[Threshold] = field(default=frozenset())

    def __post_init__(self) -> None:
        try:
            for name in ("on", "off"):
                pairs = frozenset((layer, operator.index(i)) for layer, i in getattr(self, name))
                object.__setattr__(self, name, pairs)
            for name in ("above", "below"):
                given = getattr(self, name)
                triples = frozenset((layer, operator.index(i), float(t)) for layer, i, t in given)
                object.__setattr__(self, name, triples)
        except (TypeError, ValueError) as error:
            words = "(layer, index)" if name in ("on", "off") else "(layer, index, value)"
            raise ArgumentError(
                f"literals {name} of a pattern",
                expected=f"a set of {words}",
                got=described(getattr(self, name)) + f": {error}",
            ) from error

    @classmethod
    def of_row(
        cls, signatures: Signatures, row: int, layers: Iterable[str] | None = None
    ) -> DecisionPattern:
        """The full signature of one recorded input over ``layers`` (default: all recorded)."""
        if not 0 <= whole("row", row) < len(signatures):
            raise QueryError("row", expected=f"0 to {len(signatures) - 1}", got=str(row))
        on: list[Neuron] = []
        off: list[Neuron] = []
        for layer in signatures.layers if layers is None else layers:
            bits = signatures.decisions(layer, slice(row, row + 1))[0]
            on.extend((layer, int(i)) for i in np.flatnonzero(bits))
            off.extend((layer, int(i)) for i in np.flatnonzero(~bits))
        return cls(frozenset(on), frozenset(off))

    @classmethod
    def of_phases(cls, layer: str, phases: NDArray[np.integer[Any]]) -> DecisionPattern:
        """From +1 (on), −1 (off), 0 (free) for every neuron of one layer."""
        on = frozenset((layer, int(i)) for i in np.flatnonzero(phases > 0))
        off = frozenset((layer, int(i)) for i in np.flatnonzero(phases < 0))
        return cls(on, off)

    def __len__(self) -> int:
        """Number of literals."""
        return len(self.on) + len(self.off) + len(self.above) + len(self.below)

    def __and__(self, other: DecisionPattern) -> DecisionPattern:
        """Conjunction: the inputs that satisfy both."""
        return DecisionPattern(
            self.on | other.on,
            self.off | other.off,
            self.above | other.above,
            below=self.below | other.below,
        )

    def __sub__(self, other: DecisionPattern) -> DecisionPattern:
        """Without the literals of ``other``."""
        return DecisionPattern(
            self.on - other.on,
            self.off - other.off,
            self.above - other.above,
            below=self.below - other.below,
        )

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the constrained layers, sorted."""
        return tuple(sorted({literal[0] for literal in self._literals()}))

    def _literals(self) -> Iterable[tuple[str, int] | tuple[str, int, float]]:
        yield from sorted(self.on)
        yield from sorted(self.off)
        yield from sorted(self.above)
        yield from sorted(self.below)

    def only(self, layers: Iterable[str]) -> DecisionPattern:
        """The literals over ``layers``."""
        kept = set(layers)
        return DecisionPattern(
            frozenset(n for n in self.on if n[0] in kept),
            frozenset(n for n in self.off if n[0] in kept),
            frozenset(t for t in self.above if t[0] in kept),
            below=frozenset(t for t in self.below if t[0] in kept),
        )

    @cached_property
    def is_contradictory(self) -> bool:
        """Whether two literals exclude each other even in the closure (z ≤ 1 and z ≥ 2).

        On and off at once is z = 0 in the closure: no recorded input has it, but a proof
        still speaks about it.
        """
        lower: dict[Neuron, float] = {neuron: 0.0 for neuron in self.on}
        for layer, index, value in self.above:
            lower[layer, index] = max(value, lower.get((layer, index), value))
        upper: dict[Neuron, float] = {neuron: 0.0 for neuron in self.off}
        for layer, index, value in self.below:
            upper[layer, index] = min(value, upper.get((layer, index), value))
        return any(neuron in upper and upper[neuron] < low for neuron, low in lower.items())

    def check(self, network: Network) -> None:
        """QueryError unless every literal names a neuron of ``network``."""
        widths = {layer: network.width(layer) for layer in network.decision_layers}
        for layer, index, *value in self._literals():
            if layer not in widths:
                raise QueryError(
                    f"pattern literal on layer {layer!r}",
                    expected=f"one of {', '.join(network.decision_layers)}",
                    got="no such decision layer",
                )
            if not 0 <= index < widths[layer]:
                raise QueryError(
                    f"pattern literal on {layer}",
                    expected=f"an index in 0..{network.width(layer) - 1}",
                    got=str(index),
                )
            if value and not np.isfinite(value[0]):
                raise QueryError(
                    f"threshold on {layer}[{index}]", expected="a finite value", got=str(value[0])
                )

    def intervals(self, network: Network) -> dict[str, tuple[Array, Array]]:
        """Per constrained layer, in the network's order, the closed interval of every
        pre-activation, (m,) and (m,)."""
        self.check(network)
        found: dict[str, tuple[Array, Array]] = {}

        def at(layer: str) -> tuple[Array, Array]:
            if layer not in found:
                width = network.width(layer)
                found[layer] = (np.full(width, -np.inf), np.full(width, np.inf))
            return found[layer]

        for layer, index in self.on:
            at(layer)[0][index] = max(at(layer)[0][index], 0.0)
        for layer, index in self.off:
            at(layer)[1][index] = min(at(layer)[1][index], 0.0)
        for layer, index, value in self.above:
            at(layer)[0][index] = max(at(layer)[0][index], value)
        for layer, index, value in self.below:
            at(layer)[1][index] = min(at(layer)[1][index], value)
        return {layer: found[layer] for layer in network.decision_layers if layer in found}

    def phases(self, layer: str, width: int) -> NDArray[np.int8]:
        """+1 for on, −1 for off, 0 for free, (width,)."""
        result = np.zeros(width, dtype=np.int8)
        result[[i for name, i in self.on if name == layer]] = 1
        result[[i for name, i in self.off if name == layer]] = -1
        return result

    def is_closed(self, network: Network) -> bool:
        """Whether every neuron that feeds a constrained one is constrained too (≺-closed).

        Then all constrained pre-activations are affine in the input, so the inputs that
        satisfy the pattern form a convex polytope.  A max-pool before a constrained layer
        chooses among its inputs, so a pattern behind one is not closed.
        """
        self.check(network)
        decided = self.on | self.off
        for layer in self.layers:
            for name in network.ancestors[layer]:
                kind = None if name not in network.node else network.node[name].layer
                if isinstance(kind, MaxPool2d):
                    return False
                if isinstance(kind, ReLU | LeakyReLU) and any(
                    (name, i) not in decided for i in range(network.width(name))
                ):
                    return False
        return True

    def implies(self, other: DecisionPattern) -> bool:
        """Whether every input with this pattern has ``other`` by the literals alone.

        (An implication through the network's weights is a claim to prove, not this.)
        """
        if self.is_contradictory:
            return True

        def lower(layer: str, index: int) -> float:
            values = [t for name, i, t in self.above if (name, i) == (layer, index)]
            return max(values + ([0.0] if (layer, index) in self.on else []), default=-np.inf)

        def upper(layer: str, index: int) -> float:
            values = [t for name, i, t in self.below if (name, i) == (layer, index)]
            return min(values + ([0.0] if (layer, index) in self.off else []), default=np.inf)

        return (
            all(n in self.on or lower(*n) >= 0 for n in other.on)
            and all(n in self.off or upper(*n) <= 0 for n in other.off)
            and all(lower(layer, i) >= t for layer, i, t in other.above)
            and all(upper(layer, i) <= t for layer, i, t in other.below)
        )

    def holds(self, signatures: Signatures) -> NDArray[np.bool_]:
        """Which recorded inputs satisfy the pattern, (N,)."""
        result = np.ones(len(signatures), dtype=np.bool_)
        for layer in self.layers:
            on = [i for name, i in self.on if name == layer]
            off = [i for name, i in self.off if name == layer]
            if on or off:
                result &= signatures.matches(layer, on, off)
            bounds = [(i, t, True) for name, i, t in self.above if name == layer]
            bounds += [(i, t, False) for name, i, t in self.below if name == layer]
            for index, value, is_above in bounds:
                z = signatures.values(layer)[:, index]
                result &= (z > value) if is_above else (z <= value)
        return result

    def support(self, signatures: Signatures) -> int:
        """How many recorded inputs satisfy the pattern."""
        return int(self.holds(signatures).sum())

    def to_json(self) -> dict[str, list[list[Any]]]:
        """Sorted, for ``preconditions.json``; value thresholds only where there are any."""
        result: dict[str, list[list[Any]]] = {
            "on": [list(n) for n in sorted(self.on)],
            "off": [list(n) for n in sorted(self.off)],
        }
        if self.above:
            result["above"] = [list(t) for t in sorted(self.above)]
        if self.below:
            result["below"] = [list(t) for t in sorted(self.below)]
        return result

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DecisionPattern:
        """The inverse of ``to_json``; QueryError on anything else."""
        try:
            return cls(
                frozenset((_name(layer), plain_whole(i)) for layer, i in data["on"]),
                frozenset((_name(layer), plain_whole(i)) for layer, i in data["off"]),
                _thresholds(data.get("above", ())),
                below=_thresholds(data.get("below", ())),
            )
        except FOREIGN as error:
            raise QueryError(
                "pattern", expected='{"on": [[layer, index], …], "off": […]}', got=repr(error)
            ) from error

    def __repr__(self) -> str:
        words = str(self).split(" ∧ ")
        more = f" ∧ … ({len(words)} literals)" if len(words) > 4 else ""
        return f"DecisionPattern({' ∧ '.join(words[:4])}{more})"

    def __str__(self) -> str:
        words = [f"{layer}[{i}] on" for layer, i in sorted(self.on)]
        words += [f"{layer}[{i}] off" for layer, i in sorted(self.off)]
        words += [f"{layer}[{i}] > {t:g}" for layer, i, t in sorted(self.above)]
        words += [f"{layer}[{i}] ≤ {t:g}" for layer, i, t in sorted(self.below)]
        return " ∧ ".join(words) or "true"
