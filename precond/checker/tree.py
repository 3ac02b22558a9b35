"""Walking a split tree: the region of every leaf, and of the frame it lies in.

A region is the root's, cut by the splits on the way down.  A split at ``t`` of coordinate i has
a child with i ≤ t and one with i ≥ t, so the leaves cover the root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import FRAME, SPLIT, CheckStopped, Tree

Array = NDArray[Any]
DEPTH = 2_000  # of a split tree
NESTED = 64  # frames with steps in one another, whose bounds a check keeps at once
BLOCK = 1 << 16  # nodes that are looked at together


@dataclass(frozen=True, slots=True)
class Cut:
    """A side of a split, below ``above`` (None: below the root)."""

    above: Cut | None
    side: int
    item: int
    limit: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A node where bounds are derived, the way to it, and the frame around it."""

    node: int
    cut: Cut | None
    outer: Frame | None

    def region(self, root: Array) -> Array:
        """(2, coordinates)"""
        return _cut(root, self.cut)


Placed = tuple[int, Array, Frame | None, Array]


def never() -> bool:
    """Nobody stops."""
    return False


def leaves(tree: Tree, root: Array, stopped: Callable[[], bool] = never) -> Iterator[Placed]:
    """Number and region (2, coordinates) of every leaf; its frame and that one's region, which is
    the leaf's own array where the leaf is a frame (the root's where there is none).
    ``tree``'s nodes cover ``root``.  CheckStopped where ``stopped`` says so, at a leaf.

    What is kept in between is a few words for each node on the way.
    """
    stack: list[tuple[Cut | None, Frame | None]] = [(None, None)]
    number, splits, around = 0, 0, root
    last: Frame | None = None
    for node in range(len(tree.kind)):
        kind, (cut, frame) = int(tree.kind[node]), stack.pop()
        if kind & FRAME:
            frame = Frame(node, cut, frame)
        if not kind & SPLIT:
            if stopped():
                raise CheckStopped(f"stopped at leaf {number}")
            state = _cut(root, cut)
            if kind & FRAME:
                around = state
            elif frame is not last:
                around = root if frame is None else frame.region(root)
            last = frame
            yield number, state, frame, around
            number += 1
            continue
        item, value = int(tree.item[node]), float(tree.at[splits])
        splits += 1
        for side, limit in ((0, value), (1, -value)):  # ≤ comes first, as it is pushed last
            stack.append((Cut(cut, side, item, limit=limit), frame))


def _cut(root: Array, cut: Cut | None) -> Array:
    limits: dict[tuple[int, int], float] = {}
    while cut is not None:
        place = cut.side, cut.item
        limits[place] = max(limits.get(place, cut.limit), cut.limit)
        cut = cut.above
    state = root.copy()
    for place, limit in limits.items():
        state[place] = max(state[place], limit)
    return state


def misshapen(kind: NDArray[np.uint8]) -> str:
    """Why nodes of these kinds, in preorder, are no tree; empty if they are one."""
    due = 1  # nodes that are still to come
    for begin in range(0, len(kind), BLOCK):
        change = np.where(kind[begin : begin + BLOCK] & SPLIT, np.int8(1), np.int8(-1))
        following = due + change.cumsum(dtype=np.int64)
        if due < 1 or (following[:-1] < 1).any():
            return "a tree goes on after its last leaf"
        due = int(following[-1])
    return "a tree ends before it covers the region" if due else _depth(kind)


def _depth(kind: NDArray[np.uint8]) -> str:
    stack = [0]  # splits above the nodes that are to come
    for code in kind:
        depth = stack.pop()
        if code & SPLIT:
            if depth == DEPTH:
                return f"a tree is deeper than {DEPTH} splits"
            stack += (depth + 1, depth + 1)
    return ""


def nests(kind: NDArray[np.uint8], chosen: set[int]) -> int:
    """How many of the nodes ``chosen`` lie in one another, at most."""
    stack, most = [0], 0
    for node, code in enumerate(kind):
        depth = stack.pop() + (node in chosen)
        most = max(most, depth)
        if code & SPLIT:
            stack += (depth, depth)
    return most
