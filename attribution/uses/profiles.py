"""Influence profiles: how a class usually uses a slice, and how far one input departs from it.

The profile of a class is its mean influence over inputs that were predicted right; its units
are ordered by it.  An input's deviation is a distance between its influences and the profile
of the class it was predicted as.  Large deviations should go with wrong predictions; how well
they tell them is an AUROC, always set beside that of 1 − max softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from attribution.distributions import Point
from attribution.evaluate import outputs
from attribution.methods.influence import influence
from attribution.quantities import class_score
from attribution.slices import Slice
from precond.errors import DataError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Distance(Enum):
    """Between an input's influences and its class profile; ties share their mean rank."""

    RANK = "rank"
    """1 − Spearman's rank correlation."""
    COSINE = "cosine"
    """1 − cosine."""
    MANHATTAN = "manhattan"
    """L1 after each is divided by its L1 norm."""
    EUCLIDEAN = "euclidean"
    """L2 after each is divided by its L2 norm."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """``means`` (K, units): influence by class; classes without inputs are NaN."""

    cut: Slice
    means: Array

    def order(self, c: int) -> Ints:
        """Units of class ``c``, most positive first."""
        return np.asarray(np.argsort(-self.means[c], kind="stable"), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Influences:
    """Influence (N, units) of every input on its predicted class, with the outputs (N, K)."""

    values: Array
    outputs: Array

    @property
    def predicted(self) -> Ints:
        return np.asarray(self.outputs.argmax(1), dtype=np.int64)


def influences(cut: Slice, inputs: Any) -> Influences:
    """Of every input on the score of the class it is predicted as."""
    y = outputs(cut, inputs)
    influences = influence(cut, class_score(y.argmax(1)), Point(), inputs).values
    return Influences(influences.reshape(len(influences), -1), y)


def class_profiles(cut: Slice, influences: Influences, labels: NDArray[np.integer]) -> Profiles:
    """Mean influence of each class over the inputs that were predicted right."""
    labels, predicted = np.asarray(labels), influences.predicted
    means = np.full((influences.outputs.shape[1], influences.values.shape[1]), np.nan)
    for c in range(len(means)):
        rows = (predicted == c) & (labels == c)
        if rows.any():
            means[c] = influences.values[rows].mean(0)
    return Profiles(cut, means)


def deviations(profiles: Profiles, influences: Influences, distance: Distance) -> Array:
    """Distance of every input (N,) from the profile of its predicted class.

    An input whose influences are all 0 has no direction: it is as far as an unrelated one.
    """
    profile = profiles.means[influences.predicted]
    if np.isnan(profile).any():
        missing = sorted(set(influences.predicted[np.isnan(profile).any(1)].tolist()))
        raise DataError(
            "class profiles",
            expected="one for every predicted class",
            got=f"none for {missing}",
            fix="Build them on more inputs",
        )
    values = influences.values
    if distance is Distance.RANK:
        values, profile = rankdata(values, axis=1), rankdata(profile, axis=1)
        middle = (values.shape[1] + 1) / 2
        values, profile = values - middle, profile - middle
    if distance in (Distance.RANK, Distance.COSINE):
        size = np.linalg.norm(values, axis=1) * np.linalg.norm(profile, axis=1)
        return np.asarray(1 - (values * profile).sum(1) / np.where(size == 0, np.inf, size))
    power = 1 if distance is Distance.MANHATTAN else 2
    scaled = [_scaled(part, power) for part in (values, profile)]
    return np.asarray(np.linalg.norm(scaled[0] - scaled[1], ord=power, axis=1))


def _scaled(values: Array, power: int) -> Array:
    size = np.linalg.norm(values, ord=power, axis=1, keepdims=True)
    return np.asarray(values / np.where(size == 0, 1.0, size))


def auroc(scores: Array, positive: NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        raise DataError("AUROC", expected="both right and wrong predictions", got="one kind")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))


def softmax_doubt(y: Array) -> Array:
    """1 − max softmax of outputs (N, K)."""
    shifted = np.exp(y - y.max(1, keepdims=True))
    return np.asarray(1 - 1 / shifted.sum(1))


@dataclass(frozen=True)
class ErrorDetection:
    """AUROC for telling wrong predictions, by each distance and by 1 − max softmax."""

    distances: dict[Distance, float]
    softmax: float
    wrong: int
    total: int


def error_detection(
    profiles: Profiles, influences: Influences, labels: NDArray[np.integer]
) -> ErrorDetection:
    """How well deviation tells wrong predictions, on inputs the profiles were not built on."""
    wrong = influences.predicted != np.asarray(labels)
    return ErrorDetection(
        {d: auroc(deviations(profiles, influences, d), wrong) for d in Distance},
        auroc(softmax_doubt(influences.outputs), wrong),
        int(wrong.sum()),
        len(wrong),
    )


@dataclass(frozen=True, eq=False)
class ProfileGrid:
    """Rows are inputs predicted as one class, columns its units in profile order.

    The ``correct`` first rows were predicted right, the others wrong; every row is divided by
    its largest magnitude.
    """

    values: Array
    correct: int
    target: int


def profile_grid(
    profiles: Profiles,
    influences: Influences,
    labels: NDArray[np.integer],
    target: int,
    *,
    rows: int = 40,
    units: int = 200,
) -> ProfileGrid:
    """The grid of class ``target``: up to ``rows`` right and wrong inputs each; of many units
    the ones at both ends of the order."""
    predicted, labels = influences.predicted, np.asarray(labels)
    order = profiles.order(target)
    if len(order) > units:
        order = np.concatenate([order[: units // 2], order[-(units - units // 2) :]])
    right = np.flatnonzero((predicted == target) & (labels == target))[:rows]
    wrong = np.flatnonzero((predicted == target) & (labels != target))[:rows]
    values = influences.values[np.concatenate([right, wrong])]
    largest = np.abs(values).max(1, keepdims=True)
    scaled = (values / np.where(largest == 0, 1.0, largest))[:, order]
    return ProfileGrid(np.asarray(scaled), len(right), target)
