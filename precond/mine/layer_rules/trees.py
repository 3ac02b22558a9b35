"""Candidate rules: paths of randomised decision trees.

Each tree (scikit-learn, CART) is grown on a sample of inputs and, but for the first, sees a
random part of the neurons at every split, so that the trees differ and their rules cover
more together than one tree's do.  A path ends at its first node whose inputs — all of them,
counted by bit sets, not the sample — are pure enough; what is below needs no more literals.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from precond.mine.layer_rules.literals import LiteralTable, Words
from precond.mine.layer_rules.shortlist import Candidate

LEAF = -1
Judge = Callable[[frozenset[int], Words], Candidate | None]


def grow(
    codes: NDArray[np.float32], labels: NDArray[np.int64], *, leaf: int, seed: int, plain: bool
) -> Any:
    """One fitted tree (scikit-learn's ``tree_``) over ``codes`` (N, width)."""
    width = codes.shape[1]
    part = min(width, max(16, ceil(sqrt(width))))
    model = DecisionTreeClassifier(
        max_features=None if plain else part, min_samples_leaf=leaf, random_state=seed
    )
    return model.fit(codes, labels).tree_


def paths(tree: Any, table: LiteralTable, judge: Judge, minimum_support: int) -> list[Candidate]:
    """The first node on every path that ``judge`` accepts.

    ``judge`` takes the literals of a node and the bit set of its inputs.  Branches of fewer
    than ``minimum_support`` inputs are not followed.
    """
    first, features, thresholds = table.features.first, tree.feature, tree.threshold
    left, right = tree.children_left, tree.children_right
    accepted = []
    stack = [(0, frozenset[int](), table.valid)]
    while stack:
        node, literals, inside = stack.pop()
        if int(np.bitwise_count(inside).sum()) < minimum_support:
            continue
        candidate = judge(literals, inside) if literals else None
        if candidate is not None:
            accepted.append(candidate)
            continue
        if left[node] == LEAF:
            continue
        feature = int(first[features[node]]) + floor(thresholds[node])
        above = table.bits[feature]
        stack.append((left[node], literals | {2 * feature + 1}, inside & ~above))
        stack.append((right[node], literals | {2 * feature}, inside & above))
    return accepted
