"""A witness made small: drawn towards a real input while it still refutes the claim.

With a the real input and w the witness, three steps, each a bisection and each keeping the
violation (and the claim's pattern, where it has one):

1. *scale*: the least s with a + s (w − a) violating;
2. *clip*: the least e with a + clip(w − a, −e, e) violating (L∞ size);
3. *restore*: as many of the least changed values as possible back to a's (fewest changed),
   then *scale* again.

A violation only counts with a margin, so that it survives rounding to float32.  All witnesses
move together: one bisection step is one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.deadline import FOREVER, Deadline
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

Array = NDArray[np.float64]
MARGIN = 1e-3  # of the spread of a witness's outputs
STEPS = 14


@dataclass(frozen=True, eq=False)
class WitnessTarget:
    """What a witness is drawn to: training row ``anchor`` of class ``label``, without leaving
    ``pattern`` (None: nowhere to stay in)."""

    anchor: int
    label: int
    pattern: DecisionPattern | None


def minimise(
    network: Network,
    witnesses: Array,
    anchors: Array,
    targets: Sequence[WitnessTarget],
    *,
    device: str = "cpu",
    deadline: Deadline = FOREVER,
) -> Array:
    """Small violating points (M, n) from ``witnesses`` (M, n) and real inputs ``anchors``.

    A witness that does not violate with the margin comes back as it is.  Past the deadline they
    are made no smaller.
    """
    classes = np.array([t.label for t in targets], dtype=np.int64)
    patterned = [k for k, t in enumerate(targets) if t.pattern is not None]
    layers = sorted({layer for t in targets if t.pattern for layer in t.pattern.layers})

    def still(points: Array) -> NDArray[np.bool_]:
        y = network.classes.scores(outputs(network, points, device=device))
        own = y[np.arange(len(y)), classes]
        rival = np.where(np.arange(y.shape[1]) == classes[:, None], -np.inf, y).max(axis=1)
        result = np.asarray(rival - own > MARGIN * (y.max(axis=1) - y.min(axis=1)))
        if patterned:
            seen = record(network, points[patterned], layers, device=device)
            for place, k in enumerate(patterned):
                pattern = targets[k].pattern or DecisionPattern()
                result[k] &= bool(pattern.holds(seen.rows(np.array([place])))[0])
        return result

    x = np.asarray(witnesses, dtype=np.float64)
    for make in (_scaled, _clipped, _restored, _scaled):
        x = _bisected(make(x, anchors), x, still, deadline)
    return x


Still = Callable[[Array], NDArray[np.bool_]]
Make = Callable[[Array], Array]


def _bisected(make: Make, x: Array, still: Still, deadline: Deadline) -> Array:
    """The point of the least share in (0, 1] found that still violates, share 1 being ``x``."""
    low, high = np.zeros(len(x)), np.ones(len(x))
    best = x
    for _ in range(STEPS):
        if deadline.passed:
            break
        middle = (low + high) / 2
        tried = make(middle)
        good = still(tried)
        best = np.where(good[:, None], tried, best)
        high, low = np.where(good, middle, high), np.where(good, low, middle)
    return best


def _scaled(x: Array, anchors: Array) -> Make:
    return lambda share: anchors + share[:, None] * (x - anchors)


def _clipped(x: Array, anchors: Array) -> Make:
    change = x - anchors
    largest = np.abs(change).max(axis=1)

    def make(share: Array) -> Array:
        limit = (share * largest)[:, None]
        return np.asarray(anchors + np.clip(change, -limit, limit))

    return make


def _restored(x: Array, anchors: Array) -> Make:
    """Keeps the share of values that changed most, the others back at the anchor's."""
    change = np.abs(x - anchors)
    rank = np.argsort(np.argsort(-change, axis=1, kind="stable"), axis=1)
    moved = (change > 0).sum(axis=1)

    def make(share: Array) -> Array:
        kept = rank < np.ceil(share * moved)[:, None]
        return np.asarray(np.where(kept, x, anchors))

    return make
