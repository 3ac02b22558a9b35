"""Traces as one split tree, with what the certificate needs to know of every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import FRAME, SPLIT, Tree
from precond.network.graph import Network
from precond.proof.trace import InputSplit, Leaf, PhaseSplit, Trace

Array = NDArray[np.float64]
Split = tuple[int, float]


@dataclass(eq=False)
class Branch:
    """A node: its region ``state`` (2, coordinates) as lower bounds of v and −v, and either a
    split with two children or a leaf with one ``Leaf`` for each conjunct.

    ``record``: per conjunct the number of a record, −1 for default multipliers.  ``frame``:
    layer bounds are derived here.  ``refine``: records of single neurons' bounds of a frame.
    ``size``: leaves below.
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
    patience: int = 2  # splits before better multipliers are looked for

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
            half = Branch(state, dict(self.leaf), record=record)
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


Failing: TypeAlias = dict[int, dict[Branch, dict[int, float]]]


def grow(network: Network, state: Array, traces: Mapping[int, Trace]) -> Branch | None:
    """One tree that follows the traces of several conjuncts; None where they split otherwise."""
    offsets: dict[str, int] = {}
    for layer in network.decision_layers:
        offsets[layer] = network.input_size + sum(network.width(k) for k in offsets)
    root = Branch(state)
    stack: list[tuple[Branch, Mapping[int, Trace]]] = [(root, traces)]
    while stack:
        node, given = stack.pop()
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


def has_beta(leaf: Leaf) -> bool:
    """Whether default multipliers are sure to be weaker."""
    parts = [*leaf.low.values(), *leaf.high.values()]
    return any((v > 0).any() for v in parts) or (leaf.half is not None and bool(leaf.half.any()))


def count(root: Branch) -> None:
    """Enter the sizes of all nodes."""
    for node in reversed(list(root.preorder())):
        node.size = sum(child.size for child in node.children) or 1


def tree_of(
    root: Branch,
    conjuncts: tuple[int, ...],
    rows: Mapping[int, int],
    records: Mapping[int, int],
) -> Tree:
    """The certificate's tree; ``rows``: inequalities of each conjunct; ``records``: their
    numbers in the certificate."""
    nodes = list(root.preorder())
    leaves = [node for node in nodes if node.split is None]
    splits = [node.split for node in nodes if node.split is not None]
    kind = [SPLIT * (n.split is not None) + FRAME * n.frame for n in nodes]
    total = sum(rows[c] for c in conjuncts)
    weights = np.array([weights_of(leaf, conjuncts, rows) for leaf in leaves])
    return Tree(
        conjuncts,
        np.array(kind, dtype=np.uint8),
        np.array([-1 if n.split is None else n.split[0] for n in nodes], dtype=np.int64),
        at=np.array([at for _, at in splits], dtype=np.float64),
        weights=weights.reshape(len(leaves), total),
        record=np.array(
            [[records.get(leaf.record.get(c, -1), -1) for c in conjuncts] for leaf in leaves],
            dtype=np.int64,
        ),
    )


def weights_of(leaf: Branch, conjuncts: tuple[int, ...], rows: Mapping[int, int]) -> Array:
    """Weights of all inequalities of the conjuncts."""
    parts = [np.zeros(0)]
    for c in conjuncts:
        given = leaf.leaf[c].weights if c in leaf.leaf else None
        if given is None or len(given) != rows[c]:  # a way to fail without inequalities: vacuous
            given = np.ones(rows[c])
        weights = np.asarray(given, dtype=np.float64)
        top = weights.max(initial=0.0)
        # Few digits are enough: any weights ≥ 0 are sound.
        parts.append(np.round(np.maximum(weights, 0.0) / (top or 1.0) * 256) / 256)
    return np.concatenate(parts)


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
