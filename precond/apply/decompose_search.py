"""The search for an interpolant: boxes that cover A, and patterns σ_k over the layer.

A is cut in halves until, for every part, the values that its inputs can have at the layer
(rigorous bounds, Z) lie in a box V of activations over which B is known to hold.  A V is

- given: a lemma that was proved before;
- or mined for a part: the values that inputs sampled in it have, S ⊆ V ⊆ Z.  V = Z is tried
  first.  Where B does not follow from Z the literals are tightened towards S; the part's halves
  then have only to reach V.  Where B does not follow from S itself, no pattern of the layer
  will do for the part, and its halves get patterns of their own.

A V found is widened while B still follows, all literals alike and then those dropped that
matter least, so that few patterns serve many parts.  At the end a small set of them is
chosen, and halves that satisfy the same one are joined again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.decompose_bounds import HeadBounds, TailBounds
from precond.network.evaluate import outputs
from precond.proof.deadline import Deadline
from precond.region.box import Box

Array = NDArray[np.float64]
BATCH = 128  # parts looked at together
SAMPLES = 24  # inputs of a part that its pattern is mined from
WIDER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015)  # shares of the way from V to all that is reachable
ROOM = 1e-6  # V is wider than what it is made from by this share of what is reachable


@dataclass(frozen=True, eq=False)
class Part:
    """A box of inputs that satisfies pattern number ``pattern``."""

    box: Box
    pattern: int


@dataclass(frozen=True, eq=False)
class Cover:
    """``parts`` with the boxes of activations they reach; ``left`` is the share of A, by
    volume, that is in none.  ``splits``: boxes that were cut in two; ``mined``: patterns that
    were found before some were chosen."""

    parts: tuple[Part, ...]
    values: tuple[Box, ...]
    left: float
    splits: int
    mined: int


@dataclass(eq=False)
class _Found:
    """A closed part: its path in the tree of halves, box, and values."""

    path: int
    lower: Array
    upper: Array
    low: Array
    high: Array


class Search:
    """``box`` is A; ``reach``: all activations the layer can have over A; ``given``: values
    over which B is known already."""

    def __init__(
        self,
        box: Box,
        reach: Box,
        head: HeadBounds,
        tail: TailBounds,
        given: Sequence[Box] = (),
        seed: int = 0,
    ) -> None:
        self.box, self.reach, self.head, self.tail = box, reach, head, tail
        self.lows = [values.lower for values in given]
        self.highs = [values.upper for values in given]
        self.rng = np.random.default_rng(seed)
        self.found: list[_Found] = []
        self.splits = 0

    def run(self, deadline: Deadline) -> Cover:
        """Until A is covered or time is up."""
        waiting = [(1, self.box.lower, self.box.upper)]
        while waiting and not deadline.passed:
            batch, waiting = waiting[-BATCH:], waiting[:-BATCH]
            waiting += self._look(batch, deadline)
        left = float(sum(0.5 ** (path.bit_length() - 1) for path, _, _ in waiting))
        parts, values = self._chosen()
        return Cover(parts, values, left, self.splits, len(self.lows))

    def _look(
        self, batch: list[tuple[int, Array, Array]], deadline: Deadline
    ) -> list[tuple[int, Array, Array]]:
        """Close the parts of ``batch`` that can be; the halves of the others."""
        paths = [path for path, _, _ in batch]
        lower, upper = np.stack([b[1] for b in batch]), np.stack([b[2] for b in batch])
        below, above, moved = self.head(lower, upper)
        low = np.clip(np.maximum(below, 0.0), self.reach.lower, self.reach.upper)
        high = np.clip(np.maximum(above, 0.0), low, self.reach.upper)
        closed = self._known(low, high)
        rest = np.flatnonzero(~closed)
        weight = np.ones_like(low)
        if len(rest):
            wide_low, wide_high = self._roomy(low[rest], high[rest])
            bound, slope = self.tail(wide_low, wide_high, deadline)
            weight[rest] = slope
            for row in np.argsort(-bound):
                k = rest[row]
                if bound[row] <= 0:
                    continue
                if not self._known(low[k : k + 1], high[k : k + 1])[0]:
                    self._keep(wide_low[row], wide_high[row], slope[row], deadline)
                closed[k] = True
            self._mine(lower, upper, low, high, rest[bound <= 0], weight, deadline)
        for k in np.flatnonzero(closed):
            self.found.append(_Found(paths[k], lower[k], upper[k], low[k], high[k]))
        return self._halves(paths, lower, upper, moved * (above > 0)[..., None], weight, ~closed)

    def _known(self, low: Array, high: Array) -> NDArray[np.bool_]:
        """Which boxes of activations (G, m) lie in one over which B is known."""
        inside = np.zeros(len(low), dtype=np.bool_)
        for below, above in zip(self.lows, self.highs, strict=True):
            inside |= ((low >= below) & (high <= above)).all(1)
        return inside

    def _roomy(self, low: Array, high: Array) -> tuple[Array, Array]:
        room = ROOM * self.reach.width
        return (
            np.maximum(low - room, self.reach.lower),
            np.minimum(high + room, self.reach.upper),
        )

    def _mine(
        self,
        lower: Array,
        upper: Array,
        low: Array,
        high: Array,
        rows: NDArray[np.int64],
        weight: Array,
        deadline: Deadline,
    ) -> None:
        """Patterns between what samples of a part show and what bounds allow."""
        if not len(rows) or deadline.passed:
            return
        n = lower.shape[1]
        share = self.rng.random((len(rows), SAMPLES, n))
        share[:, ::2] = share[:, ::2].round()  # every other one a corner
        points = lower[rows, None] + share * (upper - lower)[rows, None]
        seen = np.maximum(outputs(self.head.network, points.reshape(-1, n)), 0.0)
        seen = seen.reshape(len(rows), SAMPLES, -1)
        shown_low, shown_high = seen.min(1), seen.max(1)
        tries_low, tries_high = self._roomy(
            (3 * shown_low + low[rows]) / 4, (3 * shown_high + high[rows]) / 4
        )
        tries_low = np.minimum(tries_low, tries_high)
        bound, slope = self.tail(tries_low, tries_high, deadline)
        for row in np.argsort(-bound):
            if bound[row] <= 0:
                return
            if not self._known(tries_low[row][None], tries_high[row][None])[0]:
                self._keep(tries_low[row], tries_high[row], slope[row], deadline)

    def _keep(self, low: Array, high: Array, slope: Array, deadline: Deadline) -> None:
        """Remember a box over which B holds, widened."""
        low, high = self._widened(low, high, slope, deadline)
        self.lows.append(low)
        self.highs.append(high)

    def _widened(
        self, low: Array, high: Array, slope: Array, deadline: Deadline
    ) -> tuple[Array, Array]:
        reach = self.reach
        share = np.array(WIDER)[:, None]
        lows = low + share * (reach.lower - low)
        highs = high + share * (reach.upper - high)
        low, high = self._widest(low, high, lows, highs, deadline)
        loss = slope * ((reach.upper - high) + (low - reach.lower))
        order = np.argsort(loss)
        counts = [len(order) * k // 8 for k in range(7, 0, -1)]
        free = np.zeros((len(counts), len(order)), dtype=np.bool_)
        for row, count in enumerate(counts):
            free[row, order[:count]] = True
        return self._widest(
            low, high, np.where(free, reach.lower, low), np.where(free, reach.upper, high), deadline
        )

    def _widest(
        self, low: Array, high: Array, lows: Array, highs: Array, deadline: Deadline
    ) -> tuple[Array, Array]:
        """The first of ``lows``, ``highs`` over which B follows; ``low``, ``high`` if none."""
        bound, _ = self.tail(lows, highs, deadline)
        fine = np.flatnonzero(bound > 0)
        return (lows[fine[0]], highs[fine[0]]) if len(fine) else (low, high)

    def _halves(
        self,
        paths: list[int],
        lower: Array,
        upper: Array,
        moved: Array,
        weight: Array,
        open_: NDArray[np.bool_],
    ) -> list[tuple[int, Array, Array]]:
        """Both halves of open parts, along the input that moves most what B depends on."""
        score = (moved * weight[..., None]).sum(1)
        halves = []
        for k in np.flatnonzero(open_):
            room = upper[k] > lower[k]
            axis = int(np.where(room, score[k] + 1e-300, -1.0).argmax())
            middle = (lower[k, axis] + upper[k, axis]) / 2
            first, second = upper[k].copy(), lower[k].copy()
            first[axis] = second[axis] = middle
            halves += [(2 * paths[k], lower[k], first), (2 * paths[k] + 1, second, upper[k])]
            self.splits += 1
        return halves

    def _chosen(self) -> tuple[tuple[Part, ...], tuple[Box, ...]]:
        """A small set of patterns that every closed part satisfies one of; halves joined."""
        if not self.found:
            return (), ()
        low, high = (np.stack([getattr(f, name) for f in self.found]) for name in ("low", "high"))
        table = np.stack(
            [
                ((low >= below) & (high <= above)).all(1)
                for below, above in zip(self.lows, self.highs, strict=True)
            ],
            1,
        )
        chosen: list[int] = []
        open_ = np.ones(len(table), dtype=np.bool_)
        while open_.any():
            best = int(table[open_].sum(0).argmax())
            chosen.append(best)
            open_ &= ~table[:, best]
        nodes = {
            found.path: (Box(found.lower, found.upper), frozenset(np.flatnonzero(row).tolist()))
            for found, row in zip(self.found, table[:, chosen], strict=True)
        }
        for path in sorted(nodes, key=int.bit_length, reverse=True):
            _join(nodes, path)
        parts = tuple(Part(box, min(fit)) for box, fit in nodes.values())
        used = sorted({part.pattern for part in parts})
        number = {old: new for new, old in enumerate(used)}
        parts = tuple(Part(part.box, number[part.pattern]) for part in parts)
        return parts, tuple(Box(self.lows[chosen[k]], self.highs[chosen[k]]) for k in used)


def _join(nodes: dict[int, tuple[Box, frozenset[int]]], path: int) -> None:
    """Join ``path`` with its other half, and what comes of it, while one pattern fits both."""
    while path > 1 and path in nodes and path ^ 1 in nodes:
        (box, fit), (other, fit_other) = nodes[path], nodes[path ^ 1]
        if not fit & fit_other:
            return
        del nodes[path], nodes[path ^ 1]
        path >>= 1
        whole = Box(np.minimum(box.lower, other.lower), np.maximum(box.upper, other.upper))
        nodes[path] = (whole, fit & fit_other)
