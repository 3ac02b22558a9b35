"""The literals a class's pattern may be made of, and what each costs in recall.

A literal is a candidate if at least a share 1−δ of the class's inputs satisfy it.  Its cost
is the inputs it shuts out that no other chosen literal shuts out already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.region.literals import Literal, pattern_of
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Flags = NDArray[np.bool_]
Depths = NDArray[np.float32] | NDArray[np.float64]
PRICE = 0.05  # of a literal, in inputs shut out


@dataclass(frozen=True, eq=False)
class LiteralPool:
    """Candidate literals over some inputs of one class.

    ``literals`` (C).  ``violated`` (C, N): which of the N
    inputs do not satisfy each.  ``scale`` (C): the size (root mean square) of the literal's
    pre-activation over the inputs, what a depth is measured by.
    """

    literals: tuple[Literal, ...]
    violated: Flags
    scale: NDArray[np.float64]

    @classmethod
    def of(
        cls, signatures: Signatures, layers: Sequence[str], worst: float | Mapping[str, float]
    ) -> LiteralPool:
        """Literals over ``layers`` that at most a share ``worst`` (δ, one number or one for
        each layer) of the inputs of ``signatures`` violate.  Pre-activations are needed."""
        literals: list[Literal] = []
        violated: list[Flags] = []
        scale: list[float] = []
        count = max(len(signatures), 1)
        for layer in layers:
            on = signatures.decisions(layer)
            share = on.sum(0) / count
            size = np.sqrt((signatures.values(layer) ** 2).mean(0)) + 1e-12
            limit = worst if isinstance(worst, float) else worst[layer]
            for index in np.flatnonzero(share <= limit):
                literals.append(Literal(layer, int(index), on=False))
                violated.append(on[:, index])
                scale.append(float(size[index]))
            for index in np.flatnonzero((share >= 1 - limit) & (share > limit)):
                literals.append(Literal(layer, int(index), on=True))
                violated.append(~on[:, index])
                scale.append(float(size[index]))
        table = np.array(violated, dtype=np.bool_).reshape(len(literals), len(signatures))
        return cls(tuple(literals), table, np.array(scale))

    def __len__(self) -> int:
        return len(self.literals)

    @property
    def cost(self) -> NDArray[np.int64]:
        """Inputs each literal shuts out by itself, (C,)."""
        return np.asarray(self.violated.sum(1), dtype=np.int64)

    def at(self, layer: str) -> Flags:
        """Which candidates are over ``layer``, (C,)."""
        return np.array([name == layer for name, _, _ in self.literals], dtype=np.bool_)

    def pattern(self, chosen: Flags) -> DecisionPattern:
        """The pattern of the chosen candidates (C,)."""
        return pattern_of(self.literals[k] for k in np.flatnonzero(chosen))

    def shut_out(self, chosen: Flags) -> Flags:
        """Inputs (N,) that violate a chosen literal."""
        return np.asarray(self.violated[chosen].any(0), dtype=np.bool_)

    def depths(self, pre_activations: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """How deep each point lies outside each literal, (points, C), in [0, 1]: 0 where the
        literal holds, 1 where it is missed by its scale or more.

        ``pre_activations``: the points' values (points, m) at each layer; a layer without
        values excludes nothing.  A proof reads a literal as its closure, so 0 is allowed by
        both phases.
        """
        count = len(next(iter(pre_activations.values())))
        table = np.zeros((count, len(self)))
        for column, (layer, index, on) in enumerate(self.literals):
            if layer in pre_activations:
                z = pre_activations[layer][:, index]
                table[:, column] = np.maximum(-z if on else z, 0.0) / self.scale[column]
        return np.minimum(table, 1.0)


def affordable(pool: LiteralPool, recall: float, start: Flags | None = None) -> Flags:
    """``start`` (C,) and further literals, the fewest new inputs lost first, while a share
    ``recall`` of the inputs is left."""
    count = pool.violated.shape[1]
    chosen = np.zeros(len(pool), dtype=np.bool_) if start is None else start.copy()
    out = pool.shut_out(chosen) if chosen.any() else np.zeros(count, dtype=np.bool_)
    most = int(np.floor((1.0 - recall) * count + 1e-9))
    while not chosen.all():
        loss = (pool.violated & ~out).sum(1)
        loss[chosen] = count + 1
        least = int(loss.min())
        if least == 0:
            chosen |= loss == 0
            continue
        if out.sum() + least > most:
            break
        best = int(loss.argmin())
        chosen[best] = True
        out |= pool.violated[best]
    return chosen


def cheapest_cover(depths: Depths, pool: LiteralPool, base: Flags) -> Flags | None:
    """A cheap set of candidates, ``base`` (C,) included, that excludes every point.

    ``depths`` (points, C) as ``LiteralPool.depths`` gives them.  Greedy: the most depth for the
    least loss, where loss is the inputs newly shut out plus ``PRICE`` for each literal: a
    literal that a point misses by a hair would be got round by its neighbours.  None if a
    point cannot be excluded.
    """
    excluded = depths > 0
    chosen = base.copy()
    open_ = ~excluded[:, chosen].any(1)
    out = pool.shut_out(chosen)
    while open_.any():
        gain = depths[open_].sum(0)
        loss = (pool.violated & ~out).sum(1) + PRICE
        score = np.where(chosen, 0.0, gain / loss)
        best = int(score.argmax()) if len(score) else 0
        if not len(score) or score[best] <= 0:
            return None
        chosen[best] = True
        open_ &= ~excluded[:, best]
        out |= pool.violated[best]
    return _without_needless(excluded, pool, base, chosen=chosen)


def _without_needless(excluded: Flags, pool: LiteralPool, base: Flags, chosen: Flags) -> Flags:
    """``chosen`` without literals whose points others exclude too, dearest first."""
    kept = chosen.copy()
    added = np.flatnonzero(chosen & ~base)
    for index in added[np.argsort(-pool.cost[added], kind="stable")]:
        kept[index] = False
        if not excluded[:, kept].any(1).all():
            kept[index] = True
    return kept
