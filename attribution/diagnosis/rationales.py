"""A tree of rationales (Zhang, Yang, Ma, Wu 2019, "Interpreting CNNs via decision trees").

Behind a convolution layer with values x, a network of ReLU layers is affine around each input:

    y = g · x + b,   g = ∂y/∂x,   b = y − g · x

g is the *rationale* of the input: what each unit (of feature maps: each filter, summed over its
places) counts for the score y of a class.  Inputs with like rationales are one *mode* of deciding.
Modes are merged upwards, those of the most alike directions g/‖g‖ first (average linkage by
cosine; the published tree merges what lowers a likelihood least), into a tree whose root explains
all inputs by one formula and whose leaves explain one each.  A mode predicts

    ŷ = ḡ · x + c,   ḡ the mean rationale of its inputs, c such that the errors have mean 0

Where the tree is cut, two figures say how faithful its modes are:

- *error*: mean |ŷ − y| / (max y − min y);
- *likeness* of contributions: mean over inputs of Σ min(|c|, |ĉ|) / Σ max(|c|, |ĉ|), where
  c = g ∘ x are an input's own contributions and ĉ = ḡ ∘ x those its mode states, and a unit of
  opposite signs adds nothing above the line.

An input's g follows from the decisions of the ReLU behind the layer.  So a mode of rationales is
near a *decision pattern*, one set of such decisions; ``pattern_agreement`` says how near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.distributions import Point
from attribution.evaluate import outputs, values_at
from attribution.methods.influence import influence
from attribution.quantities import class_score
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rationales:
    """``gradients`` and ``values`` (N, units) at the slice, ``bias`` and ``scores`` (N,); places of
    feature maps are units of their own here."""

    gradients: Array
    values: Array
    bias: Array
    scores: Array
    filters: int

    @property
    def contributions(self) -> Array:
        """g ∘ x, of maps summed over the places of each filter (N, filters)."""
        return self._by_filter(self.gradients * self.values)

    def _by_filter(self, values: Array) -> Array:
        return np.asarray(values.reshape(len(values), self.filters, -1).sum(2))


@dataclass(frozen=True)
class Fidelity:
    """Of the tree cut into ``modes`` modes: ``error``, ``likeness``, and ``depth``: the most merges
    between the root and one of these modes."""

    modes: int
    error: float
    likeness: float
    depth: int


@dataclass(frozen=True, eq=False)
class RationaleTree:
    """``merges`` (N − 1, 4): two nodes, their distance 1 − cos, the inputs below (as scipy's
    linkage; node N + k is what merge k makes)."""

    rationales: Rationales
    merges: Array

    def modes(self, count: int) -> Ints:
        """The mode (0, 1, …) of each input where the tree is cut into ``count`` of them."""
        from scipy.cluster.hierarchy import cut_tree

        _require_count(count, len(self.rationales.scores))
        return np.asarray(cut_tree(self.merges, n_clusters=count)[:, 0], dtype=np.int64)

    def fidelity(self, counts: Sequence[int]) -> tuple[Fidelity, ...]:
        """How faithful the modes are, for each number of them."""
        return tuple(self._fidelity(count) for count in counts)

    def _fidelity(self, count: int) -> Fidelity:
        every, modes = self.rationales, self.modes(count)
        stated = np.zeros_like(every.gradients)
        predicted = np.zeros_like(every.scores)
        for mode in range(count):
            rows = modes == mode
            mean = every.gradients[rows].mean(0)
            stated[rows] = mean * every.values[rows]
            along = every.values[rows] @ mean
            predicted[rows] = along + (every.scores[rows] - along).mean()
        spread = float(np.ptp(every.scores)) or 1.0
        return Fidelity(
            modes=count,
            error=float(np.abs(predicted - every.scores).mean()) / spread,
            likeness=_likeness(every.contributions, every._by_filter(stated)),
            depth=self._depth(count),
        )

    def _depth(self, count: int) -> int:
        """Merges on the longest way from the root down to a mode."""
        leaves = len(self.rationales.scores)
        depth = {leaves + len(self.merges) - 1: 0}
        deepest = 0
        for k in range(len(self.merges) - 1, len(self.merges) - count, -1):
            below = depth[leaves + k] + 1
            depth.update({int(node): below for node in self.merges[k, :2]})
            deepest = max(deepest, below)
        return deepest


def _require_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise QueryError("modes", expected=f"1 to {most}", got=str(count))


def _directions(gradients: Array) -> Array:
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients / np.where(lengths > 0, lengths, 1.0)


def _likeness(own: Array, stated: Array) -> float:
    low = np.minimum(np.abs(own), np.abs(stated)) * (own * stated > 0)
    high = np.maximum(np.abs(own), np.abs(stated)).sum(1)
    return float(np.where(high > 0, low.sum(1) / np.where(high > 0, high, 1.0), 1.0).mean())


def rationales(cut: Slice, inputs: Any, target: int) -> Rationales:
    """g, x, b and y of the score of class ``target`` for each of ``inputs`` (N, …)."""
    if not cut.sites:
        raise QueryError("slice of rationales", expected="a hidden layer", got=str(cut))
    if isinstance(cut.model, Network):
        cut = Slice(cut.model.logits, cut.layer, cut.pre, call=cut.call)
    values = values_at(cut, inputs)
    found = influence(cut, class_score(target), Point(), inputs=inputs)
    gradients = found.parts[0].reshape(len(values), -1)
    scores = outputs(Slice(cut.model), inputs)[:, target]
    flat = values.reshape(len(values), -1)
    bias = scores - (gradients * flat).sum(1)
    return Rationales(gradients, flat, bias, scores=scores, filters=values.shape[1])


def rationale_tree(every: Rationales) -> RationaleTree:
    """The tree of all rationales, merged upwards."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import pdist

    if len(every.scores) < 2:
        raise DataError("inputs of a tree", expected="2 or more", got=str(len(every.scores)))
    distances = pdist(_directions(every.gradients), "sqeuclidean") / 2
    return RationaleTree(every, np.asarray(linkage(distances, "average")))


def pattern_agreement(modes: Ints, patterns: NDArray[np.bool_]) -> tuple[float, float]:
    """How near modes (N,) are to decision patterns (N, neurons), as adjusted mutual information:
    1 is the same grouping, 0 what chance gives.  First with groups of equal patterns, then with as
    many groups of like patterns as there are modes (average linkage by the number of decisions that
    differ)."""
    from scipy.cluster.hierarchy import cut_tree, linkage
    from scipy.spatial.distance import pdist
    from sklearn.metrics import adjusted_mutual_info_score as information

    if len(patterns) != len(modes) or patterns.ndim != 2:
        raise DataError(
            "decision patterns", expected=f"({len(modes)}, neurons)", got=str(patterns.shape)
        )
    _, equal = np.unique(patterns, axis=0, return_inverse=True)
    merges = linkage(pdist(patterns.astype(np.float64), "cityblock"), "average")
    count = len(np.unique(modes))
    like = cut_tree(merges, n_clusters=count)[:, 0]
    return float(information(modes, equal.reshape(-1))), float(information(modes, like))
