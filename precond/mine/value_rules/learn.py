"""Rules with values over the last decision layer that imply a class for every input.

    l_i ≤ z_i ≤ u_i for some neurons i  ⇒  the network says the class

The rest of the network is affine, so whether such a box implies the class does not depend on how
its activations hang together.  Boxes are fitted (``fit``), their sides rounded inward, sides that
every input keeps are left out, and of what is left the boxes are chosen greedily by the training
inputs that they add.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.mine.value_rules.affine_tail import AffineTail
from precond.mine.value_rules.fit import fitted
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
MORE = 1.5  # times as many boxes are fitted as are chosen
DIGITS = 3  # that sides are rounded to


@dataclass(frozen=True, eq=False)
class ValueRule:
    """``pattern`` implies ``label``; ``inside`` says which of the given inputs have it."""

    label: int
    pattern: DecisionPattern
    inside: Flags


def value_rules(
    tail: AffineTail,
    label: int,
    values: Array,
    *,
    scale: Array,
    most: int = 20,
    seed: int = 0,
    deadline: Deadline,
) -> list[ValueRule]:
    """At most ``most`` candidates for rules of a class, those first that add most.

    ``values`` (N, m): pre-activations of training inputs that the network gives the class;
    ``scale`` (m,): how far activations of all inputs spread (``spread_of``).
    """
    low, high = fitted(
        np.maximum(values, 0.0),
        tail.margins(label),
        tail.reach.upper,
        scale=scale,
        boxes=int(MORE * most),
        seed=seed,
        deadline=deadline,
    )
    low, high = _inward(low, high, tail)
    sure = (low <= high).all(axis=1) & excludes(tail.least(label, low, high))
    candidates = [
        _rule(tail, label, values, *sides) for sides in zip(low[sure], high[sure], strict=True)
    ]
    chosen: list[ValueRule] = []
    left = np.ones(len(values), dtype=np.bool_)
    while candidates and len(chosen) < most:
        gains = [int((one.inside & left).sum()) for one in candidates]
        best = int(np.argmax(gains))
        if not gains[best]:
            break
        chosen.append(candidates.pop(best))
        left &= ~chosen[-1].inside
    return chosen


def spread_of(values: Array) -> Array:
    """The unit of each activation: its standard deviation, and a little for one that never
    changes."""
    activations = np.maximum(values, 0.0)
    return np.asarray(activations.std(axis=0) + 1e-6 * max(float(activations.std()), 1e-9))


def _inward(low: Array, high: Array, tail: AffineTail) -> tuple[Array, Array]:
    """Sides of few digits, inside the given ones; sides beyond what is reached, at its ends."""
    place = np.floor(np.log10(np.maximum(np.abs(high), 1e-12))) - (DIGITS - 1)
    unit = np.asarray(10.0**place, dtype=np.float64)
    free = (high >= tail.reach.upper) | (high <= 0)
    rounded = np.where(free, np.clip(high, 0.0, tail.reach.upper), np.floor(high / unit) * unit)
    low = np.where(low <= tail.reach.lower, tail.reach.lower, np.ceil(low / unit) * unit)
    return low, np.asarray(rounded, dtype=np.float64)


def _rule(tail: AffineTail, label: int, values: Array, low: Array, high: Array) -> ValueRule:
    """The pattern of one box of activations, over pre-activations: an activation of at most 0 is
    a neuron that is off."""
    above = [i for i in range(len(low)) if low[i] > tail.reach.lower[i]]
    below = [i for i in range(len(high)) if 0 < high[i] < tail.reach.upper[i]]
    off = [i for i in range(len(high)) if high[i] <= 0]
    pattern = DecisionPattern(
        off=frozenset((tail.layer, i) for i in off),
        above=frozenset((tail.layer, i, float(low[i])) for i in above),
        below=frozenset((tail.layer, i, float(high[i])) for i in below),
    )
    high_enough = (values[:, above] > low[above]).all(axis=1)
    low_enough = (values[:, below] <= high[below]).all(axis=1)
    inside = high_enough & low_enough & (values[:, off] <= 0).all(axis=1)
    return ValueRule(label, pattern, np.asarray(inside))
