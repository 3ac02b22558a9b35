"""``Steps``: bounds that hold wherever a way to fail does, made in rounds from those before.

Who wants to show that a property cannot fail may take for granted that it does: that the
inequalities g_j ≥ 0 of the way to fail hold.  Then for any weights w ≥ 0

    ±z ≥ ±z − Σ w_j g_j ≥ v,

where v is the number that a backward pass gives for the right-hand side.  So v is a bound of ±z in
the part of the region that matters.  A step names a pre-activation's bound, w, and the
multipliers of the pass.  It states no number: whoever checks it works v out.

All steps of a round start from the bounds that were known before it, so none can lean on itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Round:
    """(steps,) each: the bound 2 · neuron (z ≥) or 2 · neuron + 1 (z ≤), its record, −1 for default
    multipliers; ``weights`` (steps, inequalities)."""

    bound: Index
    record: Index
    weights: NDArray[np.floating[Any]]

    def layers(self, first: dict[str, int], most: int) -> Iterator[tuple[str, Round]]:
        """The steps of each layer, at most so many at a time, bounds counted from the layer's own
        first neuron; ``first``: the number of each layer's first neuron among all."""
        starts = [2 * k for k in first.values()]
        owner = np.searchsorted(starts, self.bound, side="right") - 1
        for k, layer in enumerate(first):
            own = np.flatnonzero(owner == k)
            for begin in range(0, len(own), most):
                some = own[begin : begin + most]
                bound = self.bound[some].astype(np.int64) - starts[k]
                yield layer, Round(bound, self.record[some], self.weights[some])


@dataclass(frozen=True, eq=False, kw_only=True)
class Steps:
    """In the frame at node ``node`` of tree ``tree``, in round ``round`` (from 0), the bound
    ``bound`` by the record ``record``, (many,) each, in this order; ``weights`` (many,
    inequalities), 0 beyond those of the tree's one way to fail."""

    tree: Index
    node: Index
    round: Index
    bound: Index
    record: Index
    weights: NDArray[np.floating[Any]]

    @classmethod
    def none(cls) -> Steps:
        none = np.zeros(0, np.int64)
        nothing = np.zeros((0, 0))
        return cls(tree=none, node=none, round=none, bound=none, record=none, weights=nothing)

    def __len__(self) -> int:
        return len(self.tree)

    def of(self, tree: int, node: int) -> list[Round]:
        """The rounds of a frame."""
        place = (tree << 32) + node
        begin, end = np.searchsorted(self._places, [place, place + 1]).tolist()
        cuts = begin + 1 + np.flatnonzero(np.diff(self.round[begin:end]))
        places = [begin, *cuts.tolist(), end] if end > begin else []
        return [
            Round(self.bound[a:b], self.record[a:b], self.weights[a:b]) for a, b in pairwise(places)
        ]

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        return (self.tree.astype(np.int64) << 32) + self.node

    def disorder(self) -> str:
        """Why they do not stand in the one order, each once; empty if they do."""
        keys = (self.tree, self.node, self.round, self.bound)
        rising = np.zeros(max(len(self) - 1, 0), np.bool_)  # in the keys so far, from the last
        for key in reversed(keys):
            rising = (key[1:] > key[:-1]) | (key[1:] == key[:-1]) & rising
        if not rising.all():
            return "a step is out of order, or stands twice"
        same = (self.tree[1:] == self.tree[:-1]) & (self.node[1:] == self.node[:-1])
        due = np.where(same, self.round[:-1] + 1, 0)
        again = same & (self.round[1:] == self.round[:-1])
        if (self.round[:1] != 0).any() or not (again | (self.round[1:] == due)).all():
            return "a round of steps is missing"
        return ""
