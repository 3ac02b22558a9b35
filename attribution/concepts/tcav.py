"""TCAV: how often a concept would raise a class score (Kim et al. 2018, §3.3 to §3.5).

With f the network up to a slice, h_k the score of class k from there and v the vector of a
concept (``cav.py``), the conceptual sensitivity of an input is S(x) = ∇h_k(f(x)) · v.  The TCAV
score of a concept and a class is the share of that class's inputs with S(x) > 0.

One vector may be luck.  So the concept is set against R random sets of inputs, which gives R
scores, and every random set against every other one, which gives the scores of chance.  A concept
is *significant* for a class where two two-sided tests reject that it is a random set, both at
p ≤ α / tests (Bonferroni, over all concepts and classes asked about):

- Welch's t-test of its R scores against those of chance, as published;
- the t-test of one case against a sample (Crawford, Howell 1998): its mean sensitivity, over the
  class's inputs and all its vectors, against those m of the R random sets, t = (mean − m̄) /
  (s √(1 + 1/R)) with R − 1 degrees of freedom.

The second is needed because the R scores of a concept share its examples.  They are not
independent, and the first test alone calls random sets significant far too often.  It is about
sensitivities because a score counts signs only: single random sets easily reach scores near 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.concepts.cav import (
    FEWEST,
    Array,
    Cav,
    concept_vector,
    flat_values,
    require_examples,
)
from attribution.concepts.sensitivity import sensitivities
from attribution.concepts.significance import one_case, welch
from attribution.inputs import count_rows
from attribution.slices import Slice
from precond.errors import DataError, QueryError

Ints = NDArray[np.int64]
FEWEST_SETS = 5


@dataclass(frozen=True)
class TcavSettings:
    """``random_sets``: R, how many sets of random inputs; ``alpha``: α, before the correction."""

    random_sets: int = 20
    alpha: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.random_sets < FEWEST_SETS:
            raise QueryError(
                "TCAV",
                expected=f"0 < α < 1 and {FEWEST_SETS} random sets or more",
                got=f"α = {self.alpha:g} and {self.random_sets}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class ConceptScore:
    """One concept and one class.  ``scores`` (R,): a TCAV score for each random set; ``usual``: the
    mean of chance, with ``spread``, the standard deviation of random sets' means; ``slope``: mean
    sensitivity; ``p_scores`` and ``p_case``: of the two tests, before the correction for
    ``tests``."""

    concept: str
    label: int
    scores: Array
    usual: float
    spread: float
    slope: float
    p_scores: float
    p_case: float
    tests: int
    alpha: float

    @property
    def score(self) -> float:
        """Mean of the TCAV scores."""
        return float(self.scores.mean())

    @property
    def corrected(self) -> float:
        """The larger p of both tests, times the number of tests."""
        return min(1.0, self.tests * max(self.p_scores, self.p_case))

    @property
    def significant(self) -> bool:
        return self.corrected <= self.alpha


@dataclass(frozen=True, eq=False)
class Tcav:
    """All concepts and classes, and the first vector of each concept with its accuracy, the mean
    over all random sets."""

    table: tuple[ConceptScore, ...]
    vectors: Mapping[str, Cav]


def concept_scores(
    cut: Slice,
    inputs: Any,
    labels: Ints,
    concepts: Mapping[str, Any],
    *,
    settings: TcavSettings | None = None,
    done: Callable[[], None] = lambda: None,
) -> Tcav:
    """TCAV scores of every concept (name → example inputs) for every class of ``labels`` (N,).

    Random sets are drawn from ``inputs`` (N, …) so that no two share an input, each as large as the
    smallest concept, at most N / R; every fit takes as many examples of a concept, drawn anew.
    ``done`` is called after each concept.
    """
    settings = settings or TcavSettings()
    _require(concepts, inputs, labels, settings=settings)
    random_sets, alpha, seed = settings.random_sets, settings.alpha, settings.seed
    activations = flat_values(cut, inputs)
    generator = np.random.default_rng(seed)
    examples = {name: flat_values(cut, given) for name, given in concepts.items()}
    size = min(len(activations) // random_sets, *(len(one) for one in examples.values()))
    order = generator.permutation(len(activations))[: size * random_sets]
    sets = [activations[rows] for rows in order.reshape(random_sets, size)]
    pairs = [(i, j) for i in range(random_sets) for j in range(i)]
    cavs = [concept_vector(sets[i], sets[j], seed=seed) for i, j in pairs]
    own: dict[str, list[Cav]] = {}
    for name, rows in examples.items():
        own[name] = []
        for other in sets:
            part = rows[generator.choice(len(rows), size, replace=False)]
            own[name].append(concept_vector(part, other, seed=seed))
        done()
    vectors = np.stack([cav.vector for group in (cavs, *own.values()) for cav in group])
    slopes = sensitivities(cut, inputs, labels, vectors=vectors)
    tests = len(concepts) * len(np.unique(labels))
    table = []
    for label in np.unique(labels):
        here = slopes[labels == label]
        chance, usual = _among(pairs, here[:, : len(pairs)], random_sets)
        for place, name in enumerate(concepts):
            first = len(pairs) + place * random_sets
            own_slopes = here[:, first : first + random_sets]
            scores = (own_slopes > 0).mean(0)
            mean = chance.mean(1)
            table.append(
                ConceptScore(
                    concept=name,
                    label=int(label),
                    scores=scores,
                    usual=float(mean.mean()),
                    spread=float(mean.std(ddof=1)),
                    slope=float(own_slopes.mean()),
                    p_scores=welch(scores, chance.reshape(-1)),
                    p_case=one_case(float(own_slopes.mean()), usual),
                    tests=tests,
                    alpha=alpha,
                )
            )
    return Tcav(tuple(table), {name: _one(group) for name, group in own.items()})


def _one(group: list[Cav]) -> Cav:
    """The mean direction of a concept's vectors, and the mean accuracy."""
    mean = np.mean([cav.vector for cav in group], axis=0)
    length = float(np.linalg.norm(mean)) or 1.0
    return Cav(mean / length, float(np.mean([cav.accuracy for cav in group])))


def _among(pairs: list[tuple[int, int]], slopes: Array, sets: int) -> tuple[Array, Array]:
    """Scores (sets, sets − 1) of every random set against every other one, and its mean
    sensitivity (sets,)."""
    scores: list[list[float]] = [[] for _ in range(sets)]
    means = np.zeros(sets)
    for place, (i, j) in enumerate(pairs):
        scores[i].append(float((slopes[:, place] > 0).mean()))
        scores[j].append(float((slopes[:, place] < 0).mean()))
        means[i] += slopes[:, place].mean() / (sets - 1)
        means[j] -= slopes[:, place].mean() / (sets - 1)
    return np.array(scores), means


def _require(
    concepts: Mapping[str, Any], inputs: Any, labels: Ints, settings: TcavSettings
) -> None:
    if not concepts:
        raise DataError("concepts", expected="one or more", got="none")
    for name, examples in concepts.items():
        require_examples(f"concept {name}", examples)
    count = count_rows(inputs)
    random_sets = settings.random_sets
    if count < random_sets * FEWEST:
        raise DataError(
            f"inputs for {random_sets} random sets",
            expected=f"{random_sets * FEWEST} or more",
            got=str(count),
            fix="Give more inputs, or fewer random sets",
        )
    if labels.shape != (count,):
        raise DataError("labels", expected=f"one for each of {count} inputs", got=str(labels.shape))
    if len(np.unique(labels)) < 2:
        raise DataError("labels", expected="two classes or more", got="one class")
