"""``Certificate``: what was proved, and the splits and multipliers that prove it.

Plain data, as read from a file that nobody has to trust; ``precond.checker`` says whether it
proves the statement.

A *conjunct* is one way in which the property can fail.  A tree closes some of them.  Its nodes
stand in preorder, so a tree cannot refer to itself.  Node k is a LEAF or a SPLIT: the next two
subtrees are where coordinate ``item[k]`` is ≤ and where it is ≥ the next number of ``at``;
coordinates are the inputs, then the pre-activations of all decision layers.  FRAME is added
where layer bounds are derived by backward passes, for all leaves below.

Leaf k bounds one row for each of its tree's conjuncts: ``weights[k]`` are those of all their
inequalities, ``record[k]`` names the multipliers that each row uses, −1 the default ones.  With
N neurons a record is a sparse row: slopes α of lower lines (N), multipliers β of z ≥ l (N) and
of z ≤ u (N), multipliers of the rows of ``matrix``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.network.graph import Network

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Terms = tuple[tuple[int, float], ...]
LEAF, SPLIT, FRAME = 0, 1, 2


@dataclass(frozen=True)
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
            not self.strict,
        )

    def __str__(self) -> str:
        pairs = [(v, f"y{i}") for i, v in self.outputs] + [(v, f"x{i}") for i, v in self.inputs]
        return f"{_sum(pairs)} {'>' if self.strict else '≥'} {self.bound!r}"


@dataclass(frozen=True)
class Literal:
    """Pre-activation ``index`` of decision layer ``layer``: z ≥ ``value``, z ≤ if not ``above``."""

    layer: str
    index: int
    above: bool
    value: float


@dataclass(frozen=True, eq=False)
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
    literals: tuple[Literal, ...]
    clauses: tuple[tuple[Linear, ...], ...]
    matrix: Array
    bound: Array
    vacuous: bool = False

    @property
    def conjuncts(self) -> tuple[tuple[Linear, ...], ...]:
        """The ways to fail: all inequalities of one tuple hold.  An empty tuple always does."""
        if self.vacuous:
            return ((),)
        return tuple(tuple(i.negated() for i in clause) for clause in self.clauses)

    def __str__(self) -> str:
        box = [f"x{i} in [{a!r}, {b!r}]" for i, (a, b) in enumerate(self._ends())]
        signs = {True: "≥", False: "≤"}
        where = [f"{t.layer}[{t.index}] {signs[t.above]} {t.value!r}" for t in self.literals]
        for row, bound in zip(self.matrix.tolist(), self.bound.tolist(), strict=True):
            pairs = [(v, f"x{i}") for i, v in enumerate(row) if v]
            where.append(f"{_sum(pairs)} ≤ {bound!r}")
        then = [f"{' or '.join(map(str, clause))}" for clause in self.clauses]
        claim = "there is no input x" if self.vacuous else "the outputs y have"
        return "\n".join(
            [
                f"network {self.network} ({self.origin})",
                claim,
                *(f"  {line}" for line in ([] if self.vacuous else then)),
                "with" if self.vacuous else "for all inputs x with",
                *(f"  pre-activation {line}" if "[" in line else f"  {line}" for line in where),
                *(f"  {line}" for line in box),
            ]
        )

    def _ends(self) -> list[tuple[float, float]]:
        return list(zip(self.lower.tolist(), self.upper.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Tree:
    """``conjuncts``: which it closes.  ``kind``, ``item`` (nodes,); ``at`` (splits,); ``weights``
    (leaves, inequalities of all its conjuncts); ``record`` (leaves, conjuncts)."""

    conjuncts: tuple[int, ...]
    kind: NDArray[np.uint8]
    item: Index
    at: Array
    weights: Array
    record: Index


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


@dataclass(frozen=True, eq=False)
class Certificate:
    """``bits``: the precision that numbers are kept to.  ``records`` (records, 3 N + k)."""

    statement: Statement
    bits: int
    trees: tuple[Tree, ...]
    records: csr_array
    refinements: Refinements = field(default_factory=Refinements.none)


def _sum(terms: list[tuple[float, str]]) -> str:
    words = []
    for value, name in terms:
        size = "" if abs(value) == 1 else f"{abs(value)!r} "
        words.append(f"{'-' if value < 0 else '+'} {size}{name}")
    return " ".join(words).removeprefix("+ ") or "0"


def malformed(certificate: Certificate) -> str:
    """What of a certificate contradicts itself; empty if nothing does."""
    s, r = certificate.statement, certificate.refinements
    ways, size = s.conjuncts, s.lower.size
    numbers = [t.value for t in s.literals]
    for linear in (i for clause in s.clauses for i in clause):
        numbers += [linear.bound, *(v for _, v in (*linear.outputs, *linear.inputs))]
    if not np.isfinite(
        np.concatenate([s.lower, s.upper, s.matrix.ravel(), s.bound, numbers])
    ).all():
        return "a number of the statement is not finite"
    if s.upper.shape != (size,) or s.matrix.shape != (s.bound.size, size):
        return "the sizes of the statement's box and half-spaces differ"
    for k, tree in enumerate(certificate.trees):
        if not all(0 <= c < len(ways) for c in tree.conjuncts):
            return f"tree {k} closes a way to fail that there is not"
        count, leaves = sum(len(ways[c]) for c in tree.conjuncts), len(tree.weights)
        shapes = tree.kind.shape, tree.item.shape, tree.at.shape
        if shapes != ((tree.kind.size,), (tree.kind.size,), (tree.at.size,)):
            return f"tree {k} has arrays of different lengths"
        if tree.weights.shape != (leaves, count) or not np.isfinite(tree.at).all():
            return f"the weights or splits of tree {k} do not fit its conjuncts"
        if tree.record.shape != (leaves, len(tree.conjuncts)):
            return f"the records of tree {k} do not fit its conjuncts"
    if len({a.shape for a in (r.tree, r.node, r.bound, r.record)}) != 1 or r.tree.ndim != 1:
        return "refinements have arrays of different lengths"
    return ""


def misfit(certificate: Certificate, network: Network) -> str:
    """What of a certificate does not fit a network's sizes; empty if everything does."""
    if problem := malformed(certificate):
        return problem
    s, r, records = certificate.statement, certificate.refinements, certificate.records
    for literal in s.literals:
        if literal.layer not in network.decision_layers:
            return f"there is no decision layer {literal.layer!r}"
    linears = [i for clause in s.clauses for i in clause]
    columns = 3 * network.neurons + len(s.bound)
    sizes = [s.lower.size - network.input_size, s.upper.size - network.input_size]
    for index, limit in (
        ([*sizes, records.shape[1] - columns], 0),
        ([k for i in linears for k, _ in i.outputs], network.output_size - 1),
        ([k for i in linears for k, _ in i.inputs], network.input_size - 1),
        *(([t.index], network.width(t.layer) - 1) for t in s.literals),
        *((tree.record + 1, records.shape[0]) for tree in certificate.trees),
        (r.record + 1, records.shape[0]),
    ):
        values = np.asarray(index)
        if values.size and (values.min() < 0 or values.max() > limit):
            return f"an index or size is outside 0..{limit}, or does not fit the network"
    return ""


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
