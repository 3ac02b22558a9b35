"""A rule with more literals, so that what counts against it near data no longer has its pattern.

Against a rule stand inputs that support it and whose ball holds a counterexample (or was not
decided).  A literal answers one of them when the input or its counterexample lacks it.  Literals
are added greedily, the one first that answers most per supporting input that is lost:

    answered / (1 + lost)

over on, off, and values at low and high quantiles of the supporting inputs.  What is left is
asked again by the caller: another counterexample may stand behind the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
TAILS = (0.02, 0.05, 0.1)  # shares of the supporting inputs beyond a value
LITERALS = 6  # added to a rule at most


@dataclass(frozen=True, eq=False)
class Against:
    """``values`` (S, width): pre-activations of the supporting inputs at the rule's layer;
    ``rows`` (B,): which of them are against the rule; ``witnesses`` (B, width): those of the
    counterexamples, NaN where none is known."""

    values: Array
    rows: NDArray[np.int64]
    witnesses: Array


@dataclass(frozen=True, eq=False)
class _Addition:
    make: Callable[[], DecisionPattern]
    has: Flags  # (S,) which supporting inputs have the literal
    answers: Flags  # (B,) which cases it answers


def strengthened(
    layer: str, pattern: DecisionPattern, against: Against, minimum: int, *, values: bool = True
) -> DecisionPattern | None:
    """``pattern`` with literals that answer every case in ``against``, while at least ``minimum``
    supporting inputs are left; None where that cannot be.  Without ``values`` by decisions alone.
    """
    additions = list(_additions(layer, against, TAILS if values else ()))
    alive = np.ones(len(against.values), dtype=np.bool_)
    open_ = np.ones(len(against.rows), dtype=np.bool_)
    for _ in range(LITERALS):
        if not open_.any():
            return pattern
        best = max(additions, key=lambda one: _worth(one, alive, open_), default=None)
        if best is None or _worth(best, alive, open_) <= 0:
            return None
        alive &= best.has
        open_ &= ~best.answers
        pattern = pattern & best.make()
        if int(alive.sum()) < minimum:
            return None
    return None if open_.any() else pattern


def _worth(addition: _Addition, alive: Flags, open_: Flags) -> float:
    answered = int((addition.answers & open_).sum())
    return answered / (1 + int((alive & ~addition.has).sum()))


def _additions(layer: str, against: Against, tails: tuple[float, ...]) -> Iterator[_Addition]:
    """Every literal that answers a case."""
    for index in range(against.values.shape[1]):
        z, own, w = (
            against.values[:, index],
            against.values[against.rows, index],
            against.witnesses[:, index],
        )
        lows = {0.0, *(float(f"{t:.3g}") for t in np.quantile(z, tails))}
        highs = {0.0, *(float(f"{t:.3g}") for t in np.quantile(z, [1 - t for t in tails]))}
        for threshold in sorted(lows):
            answers = (own <= threshold) | (w < threshold)  # z ≥ t in proofs
            if answers.any():
                yield _Addition(partial(_above, layer, index, threshold), z > threshold, answers)
        for threshold in sorted(highs):
            answers = (own > threshold) | (w > threshold)
            if answers.any():
                yield _Addition(partial(_below, layer, index, threshold), z <= threshold, answers)


def _above(layer: str, index: int, threshold: float) -> DecisionPattern:
    if threshold == 0:
        return DecisionPattern(on=frozenset({(layer, index)}))
    return DecisionPattern(above=frozenset({(layer, index, threshold)}))


def _below(layer: str, index: int, threshold: float) -> DecisionPattern:
    if threshold == 0:
        return DecisionPattern(off=frozenset({(layer, index)}))
    return DecisionPattern(below=frozenset({(layer, index, threshold)}))
