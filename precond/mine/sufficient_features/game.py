"""Which ways to violators, in which shares, stop every large set of free units.

One player mixes ways; the other picks z in [0, 1]^m with as many units as the claim says, so that
the mixed inequality Σ λ g(x + d z) is as small as it can be.  Where the first player wins, the
claim of ``cuts`` is worth a proof.  Each in turn answers what the other has so far: a linear
program gives the best shares against the z met, conditional gradients a worse z, and the worst
corner of that z's set a way more.  Nothing here is a proof.

Source: McMahan, Gordon, Blum 2003 (double oracle); Frank, Wolfe 1956.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linprog

from precond.mine.sufficient_features.corners import Corners, against
from precond.mine.sufficient_features.cuts import Way
from precond.mine.sufficient_features.question import Array, FeatureQuestion

STEPS = 10  # of conditional gradients
SHARES = 64.0  # shares are rounded to so many parts of the largest
SLIGHT = 0.02  # share of the largest, below which a way takes no part
TOGETHER = 4  # ways mixed, at most
MOST = 60  # ways and samples kept


@dataclass(eq=False)
class Game:
    """``ways`` and what each gives at ``samples`` (S, m): ``values`` (S, ways), positive where
    z is stopped."""

    question: FeatureQuestion
    ways: list[Way] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.samples: Array = np.zeros((0, self.question.units.count))
        self.values: Array = np.zeros((0, 0))

    def learn(self, corners: Corners, most: int) -> None:
        """Take the ways of the ``most`` corners with the lowest margin."""
        question = self.question
        known = {(way.row, way.direction.tobytes()) for way in self.ways}
        fresh = []
        for place in np.argsort(corners.margin, kind="stable")[:most]:
            direction = against(question, corners.slope[place]) - question.x
            way = Way(direction, int(corners.row[place]))
            if (key := (way.row, direction.tobytes())) not in known:
                known.add(key)
                fresh.append(way)
        if not fresh:
            return
        columns = np.stack([self._value(way, self.samples) for way in fresh], 1)
        kept = slice(-MOST, None)
        self.values = np.concatenate(
            [self.values.reshape(len(self.samples), len(self.ways)), columns], 1
        )[:, kept]
        self.ways = [*self.ways, *fresh][kept]

    def meet(self, samples: Array) -> None:
        """Take ``samples`` (S, m) of the other player."""
        values = np.stack([self._value(way, samples) for way in self.ways], 1)
        self.samples = np.concatenate([self.samples, samples])[-MOST:]
        self.values = np.concatenate([self.values, values])[-MOST:]

    def mixed(self, size: float) -> tuple[tuple[Way, ...], float]:
        """The best mix of few ways against the samples with ``size`` units or more, and what it
        gives at the worst of them."""
        own = self.values[self.samples.sum(1) >= size - 1e-6]
        if not len(own):
            return (replace(self.ways[0], share=1.0),), np.inf
        shares = _best_shares(own)
        chosen = np.argsort(-shares, kind="stable")[:TOGETHER]
        shares = _best_shares(own[:, chosen])
        shares = np.round(SHARES * shares / shares.max()) / SHARES
        used = np.flatnonzero(shares > SLIGHT)
        ways = [replace(self.ways[chosen[k]], share=float(shares[k])) for k in used]
        return tuple(ways), float((own[:, chosen[used]] @ shares[used]).min())

    def worst(self, ways: tuple[Way, ...], size: int) -> tuple[Array, float]:
        """Points z (S, m) with ``size`` units at which the mix of ``ways`` is small, the smallest
        first, and its value there."""
        count = self.question.units.count
        z = np.full(count, size / count)
        seen: list[Array] = []
        for step in range(STEPS):
            slope = sum((way.share * self._slope(way, z) for way in ways), np.zeros(count))
            corner = np.zeros(count)
            corner[np.argsort(slope, kind="stable")[:size]] = 1.0
            seen += [corner, z]
            z = z + 2 / (step + 2) * (corner - z)
        points = np.unique(np.stack(seen), axis=0)
        points = points[points.sum(1) >= size - 1e-6]
        value = sum((way.share * self._value(way, points) for way in ways), np.zeros(len(points)))
        order = np.argsort(value, kind="stable")
        return points[order], float(value[order[0]])

    def _value(self, way: Way, samples: Array) -> Array:
        question = self.question
        points = question.x + samples[:, question.units.owner] * way.direction
        return np.asarray(-question.margins(points)[:, way.row])

    def _slope(self, way: Way, z: Array) -> Array:
        question = self.question
        point = question.x + z[question.units.owner] * way.direction
        slope = question.slopes(point[None], np.array([way.row]))[1][0]
        return np.asarray(-question.units.sums(slope * way.direction))


def _best_shares(values: Array) -> Array:
    """λ ≥ 0 of sum 1 whose smallest mix of the columns of ``values`` (S, ways) is largest."""
    rows, count = values.shape
    solved = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.hstack([-values, np.ones((rows, 1))]),
        b_ub=np.zeros(rows),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[1.0],
        bounds=[*[(0, 1)] * count, (None, None)],
    )
    if solved.x is None:
        return np.full(count, 1 / count)
    return np.asarray(np.maximum(solved.x[:-1], 0))
