"""Why a wrong input was predicted as it was: attributions beside those of right inputs.

Comparative integrated gradients say which inputs speak for the predicted class *rather than*
the true one (positive: for the predicted one).  The influence profile sets the influences of
one hidden layer's units on the predicted class beside what is usual for that class and for
the true class; how far the input departs from the usual is a rank distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.methods.integrated import integrated_gradients
from attribution.quantities import comparative
from attribution.slices import Slice
from attribution.uses.profiles import (
    Distance,
    Influences,
    class_profiles,
    deviations,
    influences,
)
from precond.network.graph import Network
from precond.network.parts import of_scores
from precond.proof.deadline import FOREVER, Deadline

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
STEPS = 64
TOGETHER = 2 << 20  # activations that are computed between two looks at the time
MOST = 5000  # right inputs that profiles are built on


@dataclass(frozen=True, eq=False)
class Profile:
    """Influences (units,) of ``layer``'s units on the predicted class: of the ``input``, and the
    mean over right inputs of the ``predicted`` and of the ``true`` class (None where no input
    of that class was predicted right).  ``further_than``: the share of the predicted class's
    right inputs that depart less from its profile than this input does.
    """

    layer: str
    input: Array
    predicted: Array
    true: Array | None
    further_than: float


def comparative_gradients(
    network: Network,
    inputs: NDArray[np.floating],
    predicted: Rows,
    true: Rows,
    baseline: float | Array,
    device: str = "cpu",
    deadline: Deadline = FOREVER,
) -> Array:
    """Integrated gradients of y_predicted − y_true for every row, (N, n); of one logit z, of ±z.
    Of the first rows, one or more, where time is up before."""
    scores, found, shape = of_scores(network), [], network.input_shape
    size = max(1, TOGETHER // (STEPS * network.neurons))
    for start in range(0, len(inputs), size):
        part = slice(start, start + size)
        values = integrated_gradients(
            scores,
            inputs=np.asarray(inputs[part], dtype=np.float64).reshape(-1, *network.input_shape),
            baseline=baseline if isinstance(baseline, float) else baseline.reshape(shape),
            quantity=comparative(predicted[part], true[part]),
            steps=STEPS,
            device=device,
        ).values
        found.append(values.reshape(len(values), -1))
        if deadline.passed:
            break
    return np.concatenate(found)


def profile_layer(network: Network) -> str:
    """The last decision layer that another one follows; the only one where there is no other.

    After the last one the network is affine: its units' influence is the same for all inputs.
    """
    layers = network.decision_layers
    return layers[-2] if len(layers) > 1 else layers[-1]


def profiles(
    network: Network,
    inputs: NDArray[np.floating],
    labels: Rows,
    right: Rows,
    wrong: Rows,
    *,
    seed: int = 0,
    deadline: Deadline = FOREVER,
) -> tuple[list[Profile | None], int | None]:
    """One profile for each row of ``wrong``; None where its predicted class has no right input.

    ``right``: rows predicted as they are labelled, of which at most ``MOST`` are used.  The
    second value says how many were, where time was up before all.
    """
    layer = profile_layer(network)
    if len(right) > MOST:
        right = np.sort(np.random.default_rng(seed).choice(right, MOST, replace=False))
    cut = Slice(of_scores(network), layer)
    own = influences_until(network, cut, inputs, rows=wrong, deadline=FOREVER)
    usually = influences_until(network, cut, inputs, rows=right, deadline=deadline)
    late = len(usually.values) if len(usually.values) < len(right) else None
    right = right[: len(usually.values)]
    rows = np.concatenate([right, wrong])
    found = Influences(
        np.concatenate([usually.values, own.values]), np.concatenate([usually.outputs, own.outputs])
    )
    usual = class_profiles(cut, found, labels[rows])
    known = np.asarray(~np.isnan(usual.means).any(axis=1))
    useful = known[found.predicted]
    far = np.full(len(rows), np.nan)
    kept = np.flatnonzero(useful)
    if len(kept):
        part = type(found)(found.values[kept], found.outputs[kept])
        far[kept] = deviations(usual, part, Distance.RANK)
    ordinary, result = far[: len(right)], list[Profile | None]()
    for position, row in enumerate(wrong.tolist(), start=len(right)):
        said, label = int(found.predicted[position]), int(labels[row])
        if not known[said]:
            result.append(None)
            continue
        same = ordinary[found.predicted[: len(right)] == said]
        result.append(
            Profile(
                layer,
                input=found.values[position],
                predicted=usual.means[said],
                true=usual.means[label] if known[label] else None,
                further_than=float((same < far[position]).mean()),
            )
        )
    return result, late


def influences_until(
    network: Network, cut: Slice, inputs: NDArray[np.floating], rows: Rows, deadline: Deadline
) -> Influences:
    """Of the first of ``rows``, one or more, until the deadline."""
    size, parts = max(1, TOGETHER // network.neurons), []
    for start in range(0, max(len(rows), 1), size):
        part = np.asarray(inputs[rows[start : start + size]], dtype=np.float64)
        parts.append(influences(cut, part.reshape(-1, *network.input_shape)))
        if deadline.passed:
            break
    return Influences(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.outputs for part in parts]),
    )
