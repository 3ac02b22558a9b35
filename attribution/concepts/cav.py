"""Concept activation vectors (Kim, Wattenberg, Gilmer, Cai, Wexler, Viegas, Sayres 2018, §3.2).

A concept is given by examples.  At a slice, their activations a are separated from those of
random examples by a linear classifier sign(w·a + b); the vector is v = w / ‖w‖₂, and points from
the random examples to those of the concept.  The separator is scikit-learn's logistic regression
with an ℓ2 penalty, on activations divided by one number (their standard deviation over all), so
that the units of a layer do not change the penalty.

Inputs are sorted by the cosine of a and v (§4.2.1): the first look most like the concept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.evaluate import values_at
from attribution.slices import Slice
from precond.errors import DataError

Array = NDArray[np.float64]
FEWEST = 4
"""Examples of a concept: fewer leave none to measure the separator on."""
HELD_OUT = 4
"""One example in so many is kept to measure the separator on."""


@dataclass(frozen=True, eq=False)
class Cav:
    """``vector`` (d,) of length 1 over the flat values of the slice; ``accuracy`` of the separator
    on examples it was not fitted to (0.5 is chance)."""

    vector: Array
    accuracy: float


def flat_values(cut: Slice, inputs: Any) -> Array:
    """Values at the slice as rows (N, d)."""
    values = values_at(cut, inputs)
    return values.reshape(len(values), -1)


def concept_vector(concept: Array, others: Array, *, seed: int = 0) -> Cav:
    """The vector from ``others`` (M, d) to ``concept`` (N, d), both activations at one slice.

    DataError for fewer than four rows of either, another width, or activations all alike.
    """
    from sklearn.linear_model import LogisticRegression

    require_examples("concept", concept)
    require_examples("random examples", others)
    if concept.shape[1] != others.shape[1]:
        raise DataError(
            "activations of a concept",
            expected=f"{others.shape[1]} units",
            got=str(concept.shape[1]),
        )
    generator = np.random.default_rng(seed)
    fitted, measured = [], []
    for rows in (concept, others):
        order = generator.permutation(len(rows))
        kept = max(1, len(rows) // HELD_OUT)
        measured.append(rows[order[:kept]])
        fitted.append(rows[order[kept:]])
    rows = np.concatenate(fitted)
    scale = float(rows.std())
    if scale == 0:
        raise DataError(
            "activations of a concept and of random examples",
            expected="some that differ",
            got="all alike",
            fix="Choose another layer",
        )
    middle = rows.mean(0)
    separator = LogisticRegression(max_iter=200)
    separator.fit((rows - middle) / scale, _labels(fitted))
    vector = np.asarray(separator.coef_[0], dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise DataError("concept", expected="examples that differ from random ones", got="none")
    held_out = (np.concatenate(measured) - middle) / scale
    accuracy = float((separator.predict(held_out) == _labels(measured)).mean())
    return Cav(vector / length, accuracy)


def _labels(parts: list[Array]) -> NDArray[np.int64]:
    """1 for rows of the concept, 0 for the others."""
    return np.repeat([1, 0], [len(part) for part in parts])


def require_examples(name: str, rows: NDArray[Any]) -> None:
    """DataError for a concept with too few examples."""
    if len(rows) < FEWEST:
        raise DataError(
            f"{name}",
            expected=f"{FEWEST} examples or more",
            got=str(len(rows)) if len(rows) else "none",
        )


def likeness(cav: Cav, activations: Array) -> Array:
    """Cosine (N,) of activations (N, d) and the vector; 0 for activations that are all 0."""
    length = np.linalg.norm(activations, axis=1)
    return np.asarray(activations @ cav.vector / np.where(length > 0, length, 1.0))


def most_like(cav: Cav, activations: Array) -> NDArray[np.int64]:
    """Row numbers, those most like the concept first."""
    return np.argsort(-likeness(cav, activations), kind="stable")
