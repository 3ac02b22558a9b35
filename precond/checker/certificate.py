"""``Certificate``: what was proved, and the splits and multipliers that prove it.

Plain data, as read from a file that nobody has to trust; ``precond.checker.exact`` says whether it
proves the statement.

A *conjunct* is one way in which the property can fail.  A tree closes some of them.  Its nodes
stand in preorder, so a tree cannot refer to itself.  Node k is a LEAF or a SPLIT: the next two
subtrees are where coordinate ``item[k]`` is ≤ and where it is ≥ the next number of ``at``;
coordinates are the inputs, then the pre-activations of all decision layers.  FRAME is added
where layer bounds are derived by backward passes, within those of the frame around it, and then
by steps (``steps``), for all leaves below.

Leaf k bounds one row for each of its tree's conjuncts: ``weights[k]`` are those of all their
inequalities, ``record[k]`` names the multipliers that each row uses, −1 the default ones.  With
N neurons a record is a sparse row: slopes α of lower lines (N), multipliers β of z ≥ l (N) and
of z ≤ u (N), multipliers of the rows of ``matrix``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.checker.steps import Steps
from precond.network.graph import Network
from precond.printable import quoted

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Index = NDArray[np.integer[Any]]
Terms = tuple[tuple[int, float], ...]
LEAF, SPLIT, FRAME = 0, 1, 2
MANY = 1 << 14  # numbers of half-spaces that a checker takes at once


class Invalid(Exception):
    """Why a certificate is not valid."""


class CheckStopped(Exception):
    """Whoever asked for a check has stopped it."""


@dataclass(frozen=True, slots=True)
class Linear:
    """``Σ outputs · y + Σ inputs · x ≥ bound``, ``>`` if ``strict``."""

    outputs: Terms
    inputs: Terms
    bound: float
    strict: bool

    def negated(self) -> Linear:
        return Linear(
            tuple((i, -v) for i, v in self.outputs),
            tuple((i, -v) for i, v in self.inputs),
            -self.bound,
            strict=not self.strict,
        )

    def __str__(self) -> str:
        pairs = [(v, f"y{i}") for i, v in self.outputs] + [(v, f"x{i}") for i, v in self.inputs]
        return f"{_sum(pairs)} {'>' if self.strict else '≥'} {self.bound!r}"


@dataclass(frozen=True, slots=True)
class PreActivationBound:
    """Pre-activation ``index`` of decision layer ``layer``: z ≥ ``value``, z ≤ if not ``above``."""

    layer: str
    index: int
    above: bool
    value: float

    def __str__(self) -> str:
        sign = "≥" if self.above else "≤"
        return f"pre-activation {quoted(self.layer)}[{self.index}] {sign} {self.value!r}"


@dataclass(frozen=True, slots=True)
class Negated(Sequence[tuple[Linear, ...]]):
    """The negations of clauses, each made when it is asked for."""

    clauses: tuple[tuple[Linear, ...], ...]

    def __len__(self) -> int:
        return len(self.clauses)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return Negated(self.clauses[k])
        return tuple(i.negated() for i in self.clauses[k])


@dataclass(frozen=True, eq=False, kw_only=True)
class Statement:
    """For all x in [lower, upper] (n,) that meet every literal and ``matrix x ≤ bound``, (k, n)
    and (k,): each of ``clauses`` holds of network(x), as one of its inequalities does.

    ``network``: hash of the network; ``origin``: where it came from, for people.
    ``vacuous``: instead, there is no such x.
    """

    network: str
    origin: str
    lower: Array
    upper: Array
    literals: tuple[PreActivationBound, ...]
    clauses: tuple[tuple[Linear, ...], ...]
    matrix: Array
    bound: Array
    vacuous: bool = False

    @property
    def conjuncts(self) -> Sequence[tuple[Linear, ...]]:
        """The ways to fail: all inequalities of one tuple hold.  An empty tuple always does."""
        return ((),) if self.vacuous else Negated(self.clauses)

    def same(self, other: Statement) -> bool:
        """Whether both say the same of the same network; where it came from is no matter."""
        arrays = zip(self._arrays(), other._arrays(), strict=True)
        return self._words() == other._words() and all(np.array_equal(a, b) for a, b in arrays)

    def _words(self) -> tuple[Any, ...]:
        clauses = () if self.vacuous else self.clauses
        return self.network, self.vacuous, frozenset(self.literals), clauses

    def _arrays(self) -> tuple[Array, ...]:
        return self.lower, self.upper, self.matrix, self.bound

    def parts(self) -> list[tuple[int, int]]:
        """First and last row of parts of ``matrix``, none of which has many numbers."""
        step = max(1, MANY // max(1, self.lower.size))
        rows = len(self.bound)
        return [(k, min(k + step, rows)) for k in range(0, rows, step)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The whole statement, its property first; every line but the headings is indented."""
        yield f"network {self.network} ({quoted(self.origin)})"
        if self.vacuous:
            yield from ("there is no input x", "with")
        else:
            yield "the outputs y have"
            yield from (f"  {' or '.join(map(str, clause))}" for clause in self.clauses)
            yield from ("  no property",)[: not self.clauses]
            yield "for all inputs x with"
        yield from (f"  {literal}" for literal in self.literals)
        for row, bound in zip(self.matrix, self.bound.tolist(), strict=True):
            pairs = [(float(row[i]), f"x{i}") for i in np.flatnonzero(row).tolist()]
            yield f"  {_sum(pairs)} ≤ {bound!r}"
        for i, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            yield f"  x{i} in [{float(low)!r}, {float(high)!r}]"

    def length(self) -> int:
        """How many ``lines`` there are."""
        then = 0 if self.vacuous else max(len(self.clauses), 1)
        return 3 + then + len(self.literals) + len(self.bound) + len(self.lower)


@dataclass(frozen=True, eq=False)
class Tree:
    """``conjuncts``: which it closes.  ``kind``, ``item`` (nodes,); ``at`` (splits,); ``weights``
    (leaves, inequalities of all its conjuncts); ``record`` (leaves, conjuncts)."""

    conjuncts: tuple[int, ...]
    kind: NDArray[np.uint8]
    item: Index
    at: Floats
    weights: Floats
    record: Index

    @property
    def leaves(self) -> int:
        return len(self.record)


@dataclass(frozen=True, eq=False)
class Refinements:
    """Bounds of single neurons that use a record, (many,) each: in the frame at node ``node`` of
    tree ``tree`` the bound 2 · neuron (lower) or 2 · neuron + 1 (upper)."""

    tree: Index
    node: Index
    bound: Index
    record: Index

    @classmethod
    def none(cls) -> Refinements:
        return cls(*(np.zeros(0, np.int64) for _ in range(4)))

    def of(self, tree: int, node: int) -> dict[int, int]:
        """The records of a frame, by bound."""
        keys, order = self._sorted
        first, last = np.searchsorted(keys, [_place(tree, node), _place(tree, node + 1)]).tolist()
        some = order[first:last]
        return dict(zip(self.bound[some].tolist(), self.record[some].tolist(), strict=True))

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        keys = _place(self.tree.astype(np.int64), self.node)
        order = np.argsort(keys, kind="stable")
        return keys[order], order


@dataclass(frozen=True, eq=False, kw_only=True)
class Certificate:
    """``bits``: the precision that numbers are kept to.  ``records`` (records, 3 N + k)."""

    statement: Statement
    bits: int
    trees: tuple[Tree, ...]
    records: csr_array
    refinements: Refinements = field(default_factory=Refinements.none)
    steps: Steps = field(default_factory=Steps.none)


def _place(tree: Any, node: Any) -> Any:
    return (tree << 32) + node


def _sum(terms: list[tuple[float, str]]) -> str:
    words = []
    for value, name in terms:
        size = "" if abs(value) == 1 else f"{abs(value)!r} "
        words.append(f"{'-' if value < 0 else '+'} {size}{name}")
    return " ".join(words).removeprefix("+ ") or "0"


def region(statement: Statement, network: Network) -> Array:
    """Box and literals as lower bounds of every coordinate and its negative, (2, coordinates);
    a coordinate is an input, or a pre-activation of a decision layer."""
    size, layers = network.input_size, network.decision_layers
    bounds = np.full((2, size + network.neurons), -np.inf)
    bounds[:, :size] = statement.lower, -statement.upper
    for t in statement.literals:
        before = layers[: layers.index(t.layer)]
        k = size + sum(network.width(layer) for layer in before) + t.index
        side, value = (0, t.value) if t.above else (1, -t.value)
        bounds[side, k] = max(bounds[side, k], value)
    return bounds
