"""Prediction difference analysis (Zintgraf, Cohen, Adel, Welling 2017; Robnik-Šikonja, Kononenko
2008): what a prediction loses where a part of the input is unknown.

A part x_i is hidden by averaging over what could stand there (``patches.py`` draws it):

    p(c | x∖i) = mean over draws x_i' of p(c | x with x_i' in place of x_i)

    weight of evidence   log₂ odds(c | x) − log₂ odds(c | x∖i),   odds = p / (1 − p)
    difference           p(c | x) − p(c | x∖i)

Positive: the part speaks for the class.  Before the odds, p becomes (p N + 1) / (N + K), with N
inputs of data and K classes, so that none is 0 or infinite (Laplace's correction).  Parts may
overlap; a value gets the mean over the parts that hold it.  At a hidden slice the parts are units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.diagnosis.patches import Ints, Sampler
from attribution.evaluate import outputs, outputs_from, values_at
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.classes import Classes
from precond.network.graph import Network

Array = NDArray[np.float64]
BATCH = 2048
"""Rows of one pass, about: draws of several parts together."""


@dataclass(frozen=True)
class Draws:
    """``instances``: N of the correction; ``samples`` for each part, None for all that a
    ``Marginal`` has."""

    instances: int
    samples: int | None = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.instances < 1 or (self.samples is not None and self.samples < 1):
            raise QueryError(
                "draws of hidden parts",
                expected="1 instance and 1 sample, or more",
                got=f"{self.instances} and {self.samples}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionDifference:
    """Of one input and class: ``evidence`` and ``difference`` (P,), one for each of the ``parts``;
    ``probability`` of the class with nothing hidden; ``size`` of the slice."""

    target: int
    probability: float
    parts: tuple[Ints, ...]
    evidence: Array
    difference: Array
    size: int

    def spread(self, values: Array) -> Array:
        """One number per part (P,) → one for each value at the slice (n,): the mean over the parts
        that hold it, 0 where none does."""
        total, times = np.zeros(self.size), np.zeros(self.size)
        for part, value in zip(self.parts, values, strict=True):
            total[part] += value
            times[part] += 1
        return total / np.maximum(times, 1)


def hidden_parts(
    cut: Slice,
    row: NDArray[np.floating],
    target: int,
    parts: Sequence[Ints],
    sampler: Sampler,
    *,
    draws: Draws,
    done: Callable[[], None] = lambda: None,
) -> PredictionDifference:
    """What hiding each of ``parts`` (places in the flat values at the slice) does to ``row``
    (1, …)."""
    if len(row) != 1:
        raise DataError("input to explain", expected="one row", got=str(len(row)))
    if not parts:
        raise QueryError("parts to hide", expected="one or more", got="none")
    if isinstance(cut.model, Network):
        cut = Slice(cut.model.logits, cut.layer, cut.pre, call=cut.call)
    values = values_at(cut, row)
    flat = values.reshape(-1)
    whole = _probabilities(cut, row, values)[0]
    if not 0 <= target < len(whole):
        raise QueryError("class", expected=f"0 to {len(whole) - 1}", got=str(target))
    generator = np.random.default_rng(draws.seed)
    hidden: list[float] = []
    waiting: list[Array] = []

    def look() -> None:
        rows = np.concatenate(waiting).reshape(-1, *values.shape[1:])
        p = _probabilities(cut, row, rows)[:, target]
        ends = np.cumsum([len(one) for one in waiting])[:-1]
        hidden.extend(float(one.mean()) for one in np.split(p, ends))
        waiting.clear()
        done()

    for part in parts:
        drawn = sampler.draw(flat, part, draws.samples, generator)
        changed = np.repeat(flat[None], len(drawn), axis=0)
        changed[:, part] = drawn
        waiting.append(changed)
        if sum(map(len, waiting)) >= BATCH:
            look()
    if waiting:
        look()
    known, unknown = float(whole[target]), np.array(hidden)

    def odds(p: NDArray[np.floating] | float) -> Array:
        corrected = (np.asarray(p) * draws.instances + 1) / (draws.instances + len(whole))
        return np.asarray(np.log2(corrected) - np.log2(1 - corrected))

    return PredictionDifference(
        target=target,
        probability=known,
        parts=tuple(parts),
        evidence=odds(known) - odds(unknown),
        difference=known - unknown,
        size=flat.size,
    )


def _probabilities(cut: Slice, row: NDArray[np.floating], values: Array) -> Array:
    """Softmax of the class scores (R, K) from values at the slice."""
    from scipy.special import softmax

    if cut.sites:
        rows = np.repeat(row, len(values), axis=0)
        logits = outputs_from(cut, rows, values)
    else:
        logits = outputs(cut, values)
    model = cut.model
    classes = model.classes if isinstance(model, Network) else Classes(logits.shape[1])
    return np.asarray(softmax(classes.scores(logits), axis=1))
