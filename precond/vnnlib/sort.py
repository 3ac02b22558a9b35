"""The atoms of a conjunction sorted by what they speak of.

Bounds of one input or one pre-activation become intervals; constraints between inputs
stay linear; whatever speaks of outputs is left for the property.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from precond.network.graph import INPUT, Network
from precond.network.layers import ReLU
from precond.vnnlib.formula import Atom

Limit = tuple[Fraction, bool]  # value, strict
Cell = tuple[str, int]  # ("input", index), or (decision layer, index) of a pre-activation


@dataclass
class TightestBounds:
    """Tightest exact bounds seen so far."""

    lower: dict[Cell, Limit] = field(default_factory=dict)
    upper: dict[Cell, Limit] = field(default_factory=dict)

    def at_most(self, cell: Cell, value: Fraction, strict: bool) -> None:
        old = self.upper.get(cell)
        if old is None or value < old[0] or (value == old[0] and strict):
            self.upper[cell] = (value, strict)

    def at_least(self, cell: Cell, value: Fraction, strict: bool) -> None:
        old = self.lower.get(cell)
        if old is None or value > old[0] or (value == old[0] and strict):
            self.lower[cell] = (value, strict)

    def within(self, other: TightestBounds) -> TightestBounds:
        """The tighter of both, cell by cell."""
        result = TightestBounds(dict(other.lower), dict(other.upper))
        for cell, (value, strict) in self.lower.items():
            result.at_least(cell, value, strict)
        for cell, (value, strict) in self.upper.items():
            result.at_most(cell, value, strict)
        return result

    def is_empty(self) -> bool:
        for cell, (low, strict) in self.lower.items():
            if cell in self.upper:
                high, strict_too = self.upper[cell]
                if low > high or (low == high and (strict or strict_too)):
                    return True
        return False

    def beyond(self, base: TightestBounds) -> tuple[frozenset[tuple[Cell, Limit]], ...]:
        """The bounds that differ from those of ``base``, to compare regions by."""
        return (
            frozenset(item for item in self.lower.items() if base.lower.get(item[0]) != item[1]),
            frozenset(item for item in self.upper.items() if base.upper.get(item[0]) != item[1]),
        )


@dataclass
class Parts:
    """A conjunction sorted by what its atoms speak of."""

    intervals: TightestBounds = field(default_factory=TightestBounds)
    linear: list[Atom] = field(default_factory=list)
    rest: list[Atom] = field(default_factory=list)
    false: bool = False


def sort(atoms: Iterable[Atom], network: Network) -> Parts:
    """Bounds of single inputs and pre-activations, linear input constraints, all the rest."""
    parts = Parts()
    for atom in atoms:
        if not atom.terms:
            holds = atom.constant < 0 if atom.strict else atom.constant <= 0
            parts.false |= not holds
        elif all(node == INPUT for (node, _), _ in atom.terms) and len(atom.terms) > 1:
            parts.linear.append(atom)
        elif len(atom.terms) == 1 and _bounded(atom, network, parts):
            continue
        else:
            parts.rest.append(atom)
    return parts


def _bounded(atom: Atom, network: Network, parts: Parts) -> bool:
    """Enter a bound of one input or one pre-activation; False if it is neither."""
    ((node, index), factor), *_ = atom.terms
    if node == network.output and node != INPUT:
        return False
    value = atom.constant if factor == -1 else -atom.constant / factor
    is_upper, strict = factor > 0, atom.strict
    if node == INPUT:
        cell = (INPUT, index)
    else:
        readers = [name for name in network.decision_layers if network.pre_activation(name) == node]
        if readers:
            cell = (readers[0], index)
        elif node in network.node and isinstance(network.node[node].layer, ReLU):
            cell = (node, index)
            if is_upper and (value < 0 or (value == 0 and strict)):
                parts.false = True  # a ReLU is never negative
                return True
            if not is_upper and (value < 0 or (value == 0 and not strict)):
                return True  # always so
        else:
            return False
    if is_upper:
        parts.intervals.at_most(cell, value, strict)
    else:
        parts.intervals.at_least(cell, value, strict)
    return True


def hidden_nodes(atoms: Iterable[Atom], network: Network) -> list[str]:
    """Hidden nodes in atoms that are not bounds of single pre-activations."""
    ends = (INPUT, network.output)
    deep = [atom for atom in atoms if any(node not in ends for (node, _), _ in atom.terms)]
    found: dict[str, None] = {}
    for atom in sort(deep, network).rest:
        for (node, _), _ in atom.terms:
            if node not in ends:
                found[node] = None
    return list(found)
