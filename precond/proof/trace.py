"""``Trace``: how a search closed a conjunct, so that a proof can be checked without the engine.

A trace is a binary tree.  Inner nodes split the region in two that cover it: at an input's
value, or by a ReLU's phase; or they tighten bounds where the conjunct holds.  Each leaf is closed
by one linear bound (``Leaf``), or has no input at all.  Recording one is optional and cheap; the
multipliers are those of ``precond.proof.bounds.backward`` and any values of them are sound, so a
checker may round.

A search numbers its subdomains as it makes them and tells a ``Recorder``; only conjuncts
that end up without a solution are made into trees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A subdomain closed by one bound.

    ``weights`` (inequalities of the conjunct,) ≥ 0: the mix of rows that was bounded; None:
    any one row.  Per decision layer, (m,): ``alpha`` slopes of lower lines, ``low``/``high``
    multipliers β ≥ 0 of ``z ≥ t`` and ``z ≤ t``.  ``half`` (k,): multipliers of the input
    constraints.  ``empty``: layer bounds alone show that no input is inside.
    """

    weights: Array | None = None
    alpha: Mapping[str, Array] = field(default_factory=dict)
    low: Mapping[str, Array] = field(default_factory=dict)
    high: Mapping[str, Array] = field(default_factory=dict)
    half: Array | None = None
    empty: bool = False

    @property
    def bytes(self) -> int:
        return _bytes(self)


@dataclass(frozen=True, eq=False)
class InputSplit:
    """``x[index] ≤ at`` is covered by ``below``, ``x[index] ≥ at`` by ``above``."""

    index: int
    at: float
    below: Trace
    above: Trace


@dataclass(frozen=True, eq=False)
class PhaseSplit:
    """Pre-activation ``index`` of decision layer ``layer``: ≤ 0 in ``off``, ≥ 0 in ``on``."""

    layer: str
    index: int
    off: Trace
    on: Trace


@dataclass(frozen=True, eq=False)
class TighteningStep:
    """A bound of pre-activation ``index`` of decision layer ``layer`` where the conjunct holds, or
    everywhere where no inequality has weight: ``z ≥`` where ``above``, else ``z ≤``; by the
    multipliers ``leaf``."""

    layer: str
    index: int
    above: bool
    leaf: Leaf


@dataclass(frozen=True, eq=False)
class Tightened:
    """``inner`` closes what ``rounds`` leave: the steps of a round all start from the bounds that
    were known before it, and have each neuron's bound once."""

    rounds: tuple[tuple[TighteningStep, ...], ...]
    inner: Trace

    @classmethod
    def around(cls, rounds: Iterable[Sequence[TighteningStep]], inner: Trace) -> Trace:
        """Rounds before those of ``inner``; ``inner`` itself where there is no step."""
        steps = tuple(tuple(each) for each in rounds if each)
        if steps and isinstance(inner, Tightened):
            return cls((*steps, *inner.rounds), inner.inner)
        return cls(steps, inner) if steps else inner


Trace: TypeAlias = "Leaf | InputSplit | PhaseSplit | Tightened"
SPLIT_BYTES = 400  # of a recorded split, roughly


def parts_of(trace: Trace) -> tuple[Trace, ...]:
    """What a trace consists of; nothing for a leaf."""
    match trace:
        case InputSplit():
            return trace.below, trace.above
        case PhaseSplit():
            return trace.off, trace.on
        case Tightened():
            return (trace.inner,)
    return ()


@dataclass(frozen=True, eq=False)
class Leaves:
    """``Leaf`` for k pairs of subdomain and conjunct at once: each array has a first axis k, and
    may be of a smaller number type."""

    nodes: Index
    conjuncts: Index
    weights: Array | None = None
    alpha: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    low: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    high: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    half: Array | None = None
    empty: bool = False

    @property
    def bytes(self) -> int:
        return _bytes(self) + 64 * len(self.nodes)

    def leaf(self, row: int) -> Leaf:
        def own(values: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
            return {
                name: np.asarray(value[row], dtype=np.float64) for name, value in values.items()
            }

        return Leaf(
            None if self.weights is None else self.weights[row],
            own(self.alpha),
            own(self.low),
            high=own(self.high),
            half=None if self.half is None else self.half[row],
            empty=self.empty,
        )


def _bytes(held: Leaf | Leaves) -> int:
    arrays: list[NDArray[Any]] = [*held.alpha.values(), *held.low.values(), *held.high.values()]
    arrays += [a for a in (held.weights, held.half) if a is not None]
    return sum(a.nbytes for a in arrays)


class _Split(NamedTuple):
    """``layer`` is empty for a cut of the input ``entry``; ``first`` is below, or off."""

    layer: str
    entry: int
    at: float
    first: int
    second: int


class Recorder:
    """Splits and leaves as a search makes them.

    Children have larger numbers than their parent.  Past ``limit`` bytes everything is
    forgotten, and no trace is given.
    """

    def __init__(self, limit: float = float("inf")) -> None:
        self.limit = limit
        self.full = False
        self._bytes = 0
        self._splits: dict[int, _Split] = {}
        self._leaves: dict[tuple[int, int], tuple[Leaves, int] | Trace] = {}

    def cut(self, nodes: Index, axis: Index, at: Array, first: int) -> None:
        """Node ``nodes[i]`` is cut at ``x[axis[i]] = at[i]``: ``first + i`` is below, and
        ``first + len(nodes) + i`` above."""
        for i, split in enumerate(zip(nodes.tolist(), axis.tolist(), at.tolist(), strict=True)):
            self._split(split[0], _Split("", *split[1:], first + i, first + len(nodes) + i))

    def fix(self, nodes: Index, layers: Sequence[str], index: Index, first: int) -> None:
        """ReLU ``index[i]`` of ``layers[i]`` is fixed: ``first + i`` is off, and
        ``first + len(nodes) + i`` on."""
        for i, split in enumerate(zip(nodes.tolist(), layers, index.tolist(), strict=True)):
            self._split(split[0], _Split(*split[1:], 0.0, first + i, first + len(nodes) + i))

    def _split(self, node: int, split: _Split) -> None:
        if not self.full:
            self._splits[node] = split
            self._count(SPLIT_BYTES)

    def close(self, leaves: Leaves) -> None:
        """Each pair is closed by its own leaf."""
        if not self.full:
            pairs = zip(leaves.nodes.tolist(), leaves.conjuncts.tolist(), strict=True)
            self._leaves.update((pair, (leaves, row)) for row, pair in enumerate(pairs))
            self._count(leaves.bytes)

    def graft(self, node: int, conjunct: int, trace: Trace) -> None:
        """A pair is closed by a tree that something else has grown."""
        if not self.full:
            self._leaves[node, conjunct] = trace
            self._count(SPLIT_BYTES + (trace.bytes if isinstance(trace, Leaf) else 0))

    def _count(self, more: int) -> None:
        self._bytes += more
        if self._bytes > self.limit:
            self.full = True
            self._splits.clear()
            self._leaves.clear()

    def trace(self, conjunct: int, root: int = 0) -> Trace | None:
        """The tree of a conjunct below ``root``; None where some of it is not known."""
        if self.full:
            return None
        wanted, order = [root], []
        while wanted:  # parents come before children; deep trees must not recurse
            node = wanted.pop()
            order.append(node)
            if (node, conjunct) not in self._leaves:
                if node not in self._splits:
                    return None
                wanted.extend((self._splits[node].first, self._splits[node].second))
        built: dict[int, Trace] = {}
        for node in reversed(order):
            closed = self._leaves.get((node, conjunct))
            if closed is None:
                split = self._splits[node]
                first, second = built.pop(split.first), built.pop(split.second)
                if split.layer:
                    built[node] = PhaseSplit(split.layer, split.entry, first, on=second)
                else:
                    built[node] = InputSplit(split.entry, split.at, first, above=second)
            else:
                built[node] = closed[0].leaf(closed[1]) if isinstance(closed, tuple) else closed
        return built[root]
