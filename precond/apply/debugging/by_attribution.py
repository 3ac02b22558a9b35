"""Conditions that attributions suggest: parts of the input on which wrong attributions agree, and
units of a hidden layer that are used in the same unusual way.

A *region* is a square of pixels, or one column of a table.  It is worth trying where it is
among the three of its size that speak most for the predicted class rather than the label
(integrated gradients), for two errors or more.

An input's *influences* are those of one hidden layer's units on the predicted class; how they
depart from the class's usual ones (the mean over right inputs) can be compared across classes.
A ball around an error's departure, reaching as far as one of the nearest other errors, is a
cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.slices import Slice
from attribution.uses.profiles import class_profiles
from precond.apply.debugging.by_rules import candidates_of
from precond.apply.debugging.cases import Cases, Flags
from precond.apply.debugging.conditions import AlikeInfluences, Condition, UsualRegion
from precond.apply.debugging.cover import LEAST, PossibleCause
from precond.apply.debugging.profiles import influences_until, profile_layer
from precond.data.dataset import input_name
from precond.network.graph import Network
from precond.network.parts import of_scores
from precond.proof.deadline import FOREVER, Deadline

Array = NDArray[np.float64]
LEADING = 3  # regions of one size that an error speaks for
PARTS = (7, 4, 3)  # a side of a square is the picture's, divided by these
NEIGHBOURS = 12  # nearest other errors that a cluster may reach to


def agreed_regions(gradients: Array, sizes: Sequence[Sequence[UsualRegion]]) -> list[UsualRegion]:
    """Of the regions of each size those for which two errors or more speak; ``gradients`` (E, n)
    for what was predicted rather than the label."""
    found: list[UsualRegion] = []
    for regions in sizes if len(gradients) else ():
        mass = np.stack([gradients[:, list(r.features)].sum(axis=1) for r in regions], axis=1)
        best = np.argsort(-mass, axis=1, kind="stable")[:, :LEADING]
        speaks = np.take_along_axis(mass, best, axis=1) > 0
        counts = Counter(best[speaks].tolist())
        found += [regions[k] for k, errors in sorted(counts.items()) if errors >= LEAST]
    return found


def regions_of(
    size: int, image_shape: tuple[int, ...] | None, features: Sequence[str] | None
) -> list[list[UsualRegion]]:
    """Regions of each size."""
    if image_shape is None:
        return [[UsualRegion((i,), input_name(i, features)) for i in range(size)]]
    height, width = image_shape[-2:]
    plane = np.arange(size).reshape(-1, height, width)
    found = []
    for part in PARTS:
        side = max(1, min(height, width) // part)
        step = max(1, side // 2)
        found.append(
            [
                UsualRegion(
                    tuple(plane[:, r : r + side, c : c + side].reshape(-1).tolist()),
                    f"the pixels of rows {r}–{r + side - 1}, columns {c}–{c + side - 1}",
                )
                for r in range(0, height - side + 1, step)
                for c in range(0, width - side + 1, step)
            ]
        )
    return found


def influence_candidates(
    network: Network,
    inputs: NDArray[np.floating],
    cases: Cases,
    deadline: Deadline = FOREVER,
) -> tuple[list[PossibleCause], bool]:
    """Clusters of departures from usual influences; whether there was time for all inputs."""
    layer = profile_layer(network)
    cut = Slice(of_scores(network), layer)
    found = influences_until(network, cut, inputs, rows=cases.rows, deadline=deadline)
    if len(found.values) < len(cases.rows):
        return [], False
    usual = class_profiles(cut, found, np.where(cases.finding, cases.labels, -1))
    away = found.values - np.nan_to_num(usual.means)[found.predicted]
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    errors = np.flatnonzero(cases.wrong & cases.finding)
    far = 1 - away[errors] @ away.T
    pairs: list[tuple[Condition, Flags]] = []
    for position, error in enumerate(errors.tolist()):
        others = np.sort(far[position, errors])[1 : NEIGHBOURS + 1]
        for distance in np.nextafter(others, np.inf).tolist():
            inside = far[position] <= distance
            pairs.append((AlikeInfluences(layer, int(cases.rows[error]), distance), inside))
    return candidates_of(pairs, cases, fitted=2), True
