"""Traces as one split tree, with what the certificate needs to know of every node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import Linear, Statement, region
from precond.network.graph import Network
from precond.proof.trace import InputSplit, Leaf, PhaseSplit, Tightened, Trace

Array = NDArray[np.float64]
Split = tuple[int, float]


@dataclass(frozen=True, eq=False)
class BoundStep:
    """Of a round: bound 2 · neuron + side, its record's number, weights of the inequalities."""

    bound: int
    record: int
    weights: Array


@dataclass(eq=False)
class Branch:
    """A node: its region ``state`` (2, coordinates) as lower bounds of v and −v, and either a
    split with two children or a leaf with one ``Leaf`` for each conjunct.

    ``record``: per conjunct the number of a record, −1 for default multipliers.  ``frame``:
    layer bounds are derived here.  ``refine``: records of single neurons' bounds of a frame.
    ``size``: leaves below.  ``rounds`` of steps that tighten bounds here, with the numbers of their
    records; such a node is a frame, and ``outer`` is the nearest of them above.
    """

    state: Array
    leaf: dict[int, Leaf] = field(default_factory=dict)
    split: Split | None = None
    below: Branch | None = None
    above: Branch | None = None
    record: dict[int, int] = field(default_factory=dict)
    frame: bool = False
    refine: dict[int, int] = field(default_factory=dict)
    size: int = 1
    rounds: list[list[BoundStep]] = field(default_factory=list)
    outer: Branch | None = None
    patience: int = 2  # splits before better multipliers are looked for
    whole: bool = False  # weights are meant to the last digit

    @property
    def children(self) -> tuple[Branch, ...]:
        return () if self.below is None or self.above is None else (self.below, self.above)

    def cut(self, split: Split) -> tuple[Branch, Branch]:
        """The children a split makes, with this node's multipliers; β stay in use, slopes that
        were good for the whole are forgotten until the default ones fail."""
        coordinate, value = split
        self.split = split
        halves = []
        for side, limit in ((1, -value), (0, value)):
            state = self.state.copy()
            state[side, coordinate] = max(state[side, coordinate], limit)
            beta = {c for c, leaf in self.leaf.items() if has_beta(leaf)}
            record = {c: r for c, r in self.record.items() if c in beta}
            outer = self if self.rounds else self.outer
            half = Branch(state, dict(self.leaf), record=record, outer=outer)
            half.patience = self.patience - 1
            halves.append(half)
        self.below, self.above = halves
        self.size = 2
        return halves[0], halves[1]

    def preorder(self) -> Iterator[Branch]:
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def leaves(self) -> list[Branch]:
        return [node for node in self.preorder() if node.split is None]

    def own_leaves(self) -> list[Branch]:
        """Those below that no frame with steps lies around, nearer than this node."""
        if not self.rounds:
            return self.leaves()
        within = [leaf for leaf in self.leaves() if leaf is not self and not leaf.rounds]
        return [*([self] if self.split is None else []), *(n for n in within if n.outer is self)]


Failing: TypeAlias = dict[int, dict[Branch, dict[int, float]]]


Put = Callable[[Leaf], tuple[int, Array]]


def grow(
    network: Network, state: Array, traces: Mapping[int, Trace], put: Put | None = None
) -> Branch | None:
    """One tree that follows the traces of several conjuncts; None where they split otherwise, or
    where ``put``, which gives a step's record and weights, is wanted and not there."""
    offsets: dict[str, int] = {}
    for layer in network.decision_layers:
        offsets[layer] = network.input_size + sum(network.width(k) for k in offsets)
    root = Branch(state)
    stack: list[tuple[Branch, Mapping[int, Trace]]] = [(root, traces)]
    while stack:
        node, given = stack.pop()
        if any(isinstance(trace, Tightened) for trace in given.values()):
            if put is None or len(given) > 1:
                return None
            ((c, trace),) = given.items()
            assert isinstance(trace, Tightened)
            node.rounds, given = (
                _rounds(trace, offsets, network.input_size, put=put),
                {c: trace.inner},
            )
        node.leaf = {c: trace for c, trace in given.items() if isinstance(trace, Leaf)}
        splits = {c: (_split(t, offsets), t) for c, t in given.items() if not isinstance(t, Leaf)}
        if not splits:
            continue
        kinds = {split for split, _ in splits.values()}
        if len(kinds) > 1:
            return None
        first, second = node.cut(kinds.pop())
        for child, side in ((first, 0), (second, 1)):
            parts = {c: _child(trace, side) for c, (_, trace) in splits.items()}
            stack.append((child, {**node.leaf, **parts}))
        node.leaf = {}
    count(root)
    for leaf in root.leaves():
        leaf.patience = Branch.patience
    return root


def groups(
    network: Network, statement: Statement, traces: Mapping[int, Trace]
) -> list[dict[int, Trace]]:
    """The conjuncts that one tree each may close, with their traces, a leaf where there is none:
    all that need no split, and those of one tree of splits, or each by itself."""
    if statement.vacuous:  # any conjunct's splits may show that there is no input
        traces = dict(enumerate(list(traces.values())[:1]))
    given = {c: traces.get(c, Leaf(varying(way))) for c, way in enumerate(statement.conjuncts)}
    closed: dict[int, Trace] = {c: t for c, t in given.items() if isinstance(t, Leaf)}
    split = {c: t for c, t in given.items() if c not in closed}
    together = grow(network, region(statement, network), split) is not None
    apart: list[dict[int, Trace]] = [{c: t} for c, t in split.items()]
    return [group for group in [closed, *([split] if together else apart)] if group]


def _rounds(
    trace: Tightened, offsets: Mapping[str, int], inputs: int, put: Put
) -> list[list[BoundStep]]:
    rounds = []
    for steps in trace.rounds:
        numbers = [2 * (offsets[s.layer] - inputs + s.index) + (not s.above) for s in steps]
        found = [
            BoundStep(bound, *put(step.leaf)) for bound, step in zip(numbers, steps, strict=True)
        ]
        rounds.append(sorted(found, key=lambda step: step.bound))
    return rounds


def few_digits(weights: Array | None, *, scaled: bool) -> Array:
    """Any weights ≥ 0 are sound, so few digits are enough; ``scaled``: the largest is 1 then."""
    given = np.maximum(np.zeros(0) if weights is None else np.asarray(weights, np.float64), 0.0)
    if scaled:
        return np.asarray(np.round(given / (given.max(initial=0.0) or 1.0) * 256) / 256)
    mantissa, power = np.frexp(given)
    return np.ldexp(np.round(mantissa * 65536) / 65536, power)


def has_beta(leaf: Leaf) -> bool:
    """Whether default multipliers are sure to be weaker."""
    parts = [*leaf.low.values(), *leaf.high.values()]
    return any((v > 0).any() for v in parts) or (leaf.half is not None and bool(leaf.half.any()))


def count(root: Branch) -> None:
    """Enter the sizes of all nodes."""
    for node in reversed(list(root.preorder())):
        node.size = sum(child.size for child in node.children) or 1


def weights_of(leaf: Branch, conjuncts: tuple[int, ...], rows: Mapping[int, int]) -> Array:
    """Weights of all inequalities of the conjuncts."""
    parts = [np.zeros(0)]
    for c in conjuncts:
        given = leaf.leaf[c].weights if c in leaf.leaf else None
        if given is None or len(given) != rows[c]:  # a way to fail without inequalities: vacuous
            given = np.ones(rows[c])
        parts.append(given if leaf.whole else few_digits(given, scaled=True))
    return np.concatenate(parts)


def varying(way: tuple[Linear, ...]) -> Array:
    """Weight 1 for every inequality that is not between numbers alone, or for all."""
    varies = np.array([bool(i.outputs or i.inputs) for i in way], dtype=np.float64)
    return varies if varies.any() else np.ones(len(way))


def _split(trace: Trace, offsets: Mapping[str, int]) -> Split:
    if isinstance(trace, PhaseSplit):
        return offsets[trace.layer] + trace.index, 0.0
    assert isinstance(trace, InputSplit)
    return trace.index, trace.at


def _child(trace: Trace, side: int) -> Trace:
    if isinstance(trace, PhaseSplit):
        return (trace.off, trace.on)[side]
    assert isinstance(trace, InputSplit)
    return (trace.below, trace.above)[side]
