"""What a concept does to a prediction: by intervention, and by comparison (Goyal et al. 2019).

With f_k(x) the probability of class k (softmax of the scores), the causal concept effect is

    CaCE(k) = E[f_k(x) | do(C = 1)] − E[f_k(x) | do(C = 0)]

do(C = c) makes the same picture anew with the concept set to c and all else as it was.  The pairs
come from a generator: an exact one (``bars.py``, ``coloured.py``) or a learned one
(``generator.py``).  The conditional effect only compares inputs that have the concept with others:

    ConExp(k) = E[f_k(x) | C = 1] − E[f_k(x) | C = 0]

Where the concept goes with the class in the data, ConExp is large for every network that is right,
whether it looks at the concept or not.  A network that is always right on classes 0 and 1 of equal
share, with shares a and b of the concept, has for class 0

    ConExp = a / (a + b) − (1 − a) / (2 − a − b)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from attribution.evaluate import outputs
from attribution.inputs import count_rows
from attribution.slices import Slice
from precond.errors import DataError
from precond.network.classes import Classes
from precond.network.graph import Network

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConceptEffect:
    """``effect`` (K,): change of the K probabilities with the concept; ``error`` (K,): its standard
    error; ``inputs``: with and without the concept."""

    effect: Array
    error: Array
    inputs: tuple[int, int]


def class_probabilities(model: nn.Module | Network, inputs: Any) -> Array:
    """Softmax of the class scores, (N, K); a module's outputs are taken for its scores."""
    from scipy.special import softmax

    network = model.logits if isinstance(model, Network) else model
    scores = outputs(Slice(network), inputs)
    classes = network.classes if isinstance(network, Network) else Classes(scores.shape[1])
    return np.asarray(softmax(classes.scores(scores), axis=1))


def causal_effect(model: nn.Module | Network, without: Any, having: Any) -> ConceptEffect:
    """CaCE from pairs: row i of ``having`` is row i of ``without`` with the concept."""
    count = count_rows(having)
    if not count or count_rows(without) != count:
        raise DataError(
            "pairs of inputs with and without a concept",
            expected="as many of both, one or more",
            got=f"{count} and {count_rows(without)}",
        )
    change = class_probabilities(model, having) - class_probabilities(model, without)
    error = (
        change.std(0, ddof=1) / np.sqrt(count) if count > 1 else np.full(change.shape[1], np.nan)
    )
    return ConceptEffect(change.mean(0), error, inputs=(count, count))


def conditional_effect(
    model: nn.Module | Network, inputs: Any, has: NDArray[np.bool_]
) -> ConceptEffect:
    """ConExp: ``has`` (N,) says which of ``inputs`` (N, …) have the concept."""
    if has.shape != (count_rows(inputs),) or has.dtype != np.bool_:
        raise DataError(
            "concept",
            expected=f"a truth value for each of {count_rows(inputs)} inputs",
            got=f"{has.dtype} of shape {has.shape}",
        )
    if has.all() or not has.any():
        raise DataError(
            "concept",
            expected="inputs with and without it",
            got=f"{int(has.sum())} of {len(has)} with it",
        )
    probabilities = class_probabilities(model, inputs)
    groups = probabilities[has], probabilities[~has]
    variance = sum(group.var(0, ddof=min(1, len(group) - 1)) / len(group) for group in groups)
    return ConceptEffect(
        groups[0].mean(0) - groups[1].mean(0),
        np.asarray(np.sqrt(variance)),
        inputs=(len(groups[0]), len(groups[1])),
    )
