"""The search for an interpolant: boxes that cover A, and patterns σ_k over the layer.

A is cut in halves until, for every part, the values that its inputs can have at the layer
(rigorous bounds, Z) lie in a box V of activations over which B is known to hold.  A V is

- given: a lemma that was proved before;
- or mined for a part: the values that inputs sampled in it have, S ⊆ V ⊆ Z.  V = Z is tried
  first.  Where B does not follow from Z the literals are tightened towards S; the part's halves
  then have only to reach V.  Where B does not follow from S itself, no pattern of the layer
  will do for the part, and its halves get patterns of their own.

The patterns needed are widened while B still follows, all literals alike and then without those
that matter least: one may serve several parts, and later queries.  A small set of them is
chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.decomposition.bounds import HeadBounds, TailBounds
from precond.network.evaluate import outputs
from precond.proof.coverage import Coverage
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.region.box import Box

Array = NDArray[np.float64]
BATCH = 128  # parts looked at together
SAMPLES = 24  # inputs of a part that its pattern is mined from
# Shares of the way from V to all that is reachable.
WIDER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015)
ROOM = 1e-6  # V is wider than what it is made from by this share of what is reachable
LEAST = 1e-300  # of A: what is left is never called nothing while a part is open


def _share(path: int) -> float:
    """Of A, by volume, that the part with this number is."""
    return 0.5 ** (path.bit_length() - 1)


@dataclass(frozen=True, eq=False)
class Part:
    """A box of inputs that satisfies pattern number ``pattern``."""

    box: Box
    pattern: int


@dataclass(frozen=True, eq=False)
class Cover:
    """``parts`` with the boxes of activations they reach; ``uncovered`` is the share of A, by
    volume, that is in none.  ``splits``: boxes that were cut in two; ``mined``: patterns that
    were found before some were chosen."""

    parts: tuple[Part, ...]
    values: tuple[Box, ...]
    uncovered: float
    splits: int
    mined: int


@dataclass(eq=False)
class _ClosedPart:
    """A closed part: its box, and the box of its values."""

    lower: Array
    upper: Array
    low: Array
    high: Array


class CoverSearch:
    """``box`` is A; ``reach``: all activations the layer can have over A; ``lemmas``: values
    over which B is known already."""

    def __init__(
        self,
        box: Box,
        reach: Box,
        head: HeadBounds,
        tail: TailBounds,
        lemmas: Sequence[Box] = (),
        seed: int = 0,
    ) -> None:
        self.box, self.reach, self.head, self.tail = box, reach, head, tail
        self.lows = [values.lower for values in lemmas]
        self.highs = [values.upper for values in lemmas]
        self.slopes: list[Array] = []  # of those mined here
        self.lemmas = len(lemmas)
        self.rng = np.random.default_rng(seed)
        self.closed: list[_ClosedPart] = []
        self.splits = 0
        self.coverage = Coverage(1)

    def run(self, deadline: Deadline) -> Cover:
        """Until A is covered or time is up."""
        waiting = [(1, self.box.lower, self.box.upper)]
        while waiting and not deadline.passed:
            batch, waiting = waiting[-BATCH:], waiting[:-BATCH]
            waiting += self._look(batch, deadline)
        left = float(sum(_share(path) for path, _, _ in waiting))
        fault = self.coverage.fault(0, len(waiting), left)
        if waiting or fault is not None:  # a share may be too small for a float
            left = max(left, abs(float(self.coverage.share[0])), LEAST)
        parts, values = self._chosen(deadline)
        return Cover(parts, values, uncovered=left, splits=self.splits, mined=len(self.slopes))

    def _look(
        self, batch: list[tuple[int, Array, Array]], deadline: Deadline
    ) -> list[tuple[int, Array, Array]]:
        """Close the parts of ``batch`` that can be; the halves of the others."""
        paths = [path for path, _, _ in batch]
        lower, upper = np.stack([b[1] for b in batch]), np.stack([b[2] for b in batch])
        below, above, moved = self.head(lower, upper, deadline)
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
                if not excludes(bound[row]):
                    continue
                if not self._known(low[k : k + 1], high[k : k + 1])[0]:
                    self._keep(wide_low[row], wide_high[row], slope[row])
                closed[k] = True
            self._mine(lower, upper, low, high=high, rows=rest[~excludes(bound)], deadline=deadline)
        for k in np.flatnonzero(closed):
            self.coverage.close(0, _share(paths[k]))
            self.closed.append(_ClosedPart(lower[k], upper[k], low[k], high=high[k]))
        return self._halves(
            paths, lower, upper, moved=moved * (above > 0)[..., None], weight=weight, open_=~closed
        )

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
            if not excludes(bound[row]):
                return
            if not self._known(tries_low[row][None], tries_high[row][None])[0]:
                self._keep(tries_low[row], tries_high[row], slope[row])

    def _keep(self, low: Array, high: Array, slope: Array) -> None:
        """Remember a box over which B holds."""
        self.lows.append(low)
        self.highs.append(high)
        self.slopes.append(slope)

    def _widened(self, numbers: NDArray[np.int64], deadline: Deadline) -> None:
        """Widen the chosen patterns that were mined, while B still follows: all sides alike,
        then without the literals that matter least."""
        mined = numbers[numbers >= self.lemmas]
        if not len(mined):
            return
        reach = self.reach
        low, high = (np.stack([part[k] for k in mined]) for part in (self.lows, self.highs))
        slope = np.stack([self.slopes[k - self.lemmas] for k in mined])
        open_ = np.ones(len(mined), dtype=np.bool_)
        for share in WIDER:
            wider = low + share * (reach.lower - low), high + share * (reach.upper - high)
            self._try(low, high, open_, *wider, deadline)
        loss = slope * ((reach.upper - high) + (low - reach.lower))
        rank = loss.argsort(1).argsort(1)
        open_[:] = True
        for eighths in range(8, 0, -1):
            free = rank < reach.size * eighths / 8
            wider = np.where(free, reach.lower, low), np.where(free, reach.upper, high)
            self._try(low, high, open_, *wider, deadline)
        for row, k in enumerate(mined.tolist()):
            self.lows[k], self.highs[k] = low[row], high[row]

    def _try(
        self,
        low: Array,
        high: Array,
        open_: NDArray[np.bool_],
        wider_low: Array,
        wider_high: Array,
        deadline: Deadline,
    ) -> None:
        """Put the wider boxes in place where B follows; ``open_``: which are still to be tried."""
        rows = np.flatnonzero(open_)
        for at in range(0, len(rows), BATCH):
            if deadline.passed:
                return
            some = rows[at : at + BATCH]
            bound, _ = self.tail(wider_low[some], wider_high[some], deadline)
            fine = some[excludes(bound)]
            low[fine], high[fine] = wider_low[fine], wider_high[fine]
            open_[fine] = False

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
            self.coverage.split(0)
        return halves

    def _chosen(self, deadline: Deadline) -> tuple[tuple[Part, ...], tuple[Box, ...]]:
        """A small set of patterns that every closed part satisfies one of."""
        if not self.closed:
            return (), ()
        self._widened(self._few(), deadline)
        chosen = self._few()
        table = self._table()[:, chosen]
        first = table.argmax(1)
        used = np.unique(first)
        parts = tuple(
            Part(Box(found.lower, found.upper), int(np.searchsorted(used, pattern)))
            for found, pattern in zip(self.closed, first, strict=True)
        )
        return parts, tuple(Box(self.lows[chosen[k]], self.highs[chosen[k]]) for k in used)

    def _table(self) -> NDArray[np.bool_]:
        """Which parts lie in which patterns' boxes, (parts, patterns)."""
        low, high = (np.stack([getattr(f, name) for f in self.closed]) for name in ("low", "high"))
        columns = [
            ((low >= below) & (high <= above)).all(1)
            for below, above in zip(self.lows, self.highs, strict=True)
        ]
        return np.stack(columns, 1)

    def _few(self) -> NDArray[np.int64]:
        """Greedily, patterns that cover all parts."""
        table = self._table()
        chosen: list[int] = []
        open_ = np.ones(len(table), dtype=np.bool_)
        while open_.any():
            chosen.append(int(table[open_].sum(0).argmax()))
            open_ &= ~table[:, chosen[-1]]
        return np.array(chosen, dtype=np.int64)
