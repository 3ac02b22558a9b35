"""Finding bugs of models and data sets with attributions.

Five reports, each a list of plain findings: features without influence anywhere (a dead
branch), equal attributions where inputs differ (a feature never reached the model),
attribution that sits on one region across a class (the marker on the x-ray), accuracy that
survives on a few ever-present features, and a subject that a low-attribution feature can
stand for (both over-stability).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.evaluate import outputs
from attribution.inputs import require_finite
from attribution.slices import Slice
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def _rows(attributions: Array, inputs: NDArray[Any] | None = None) -> Array:
    flat = np.asarray(attributions, dtype=np.float64).reshape(len(attributions), -1)
    require_finite("attributions", flat)
    if inputs is not None and len(inputs) != len(flat):
        raise DataError(
            "attributions", expected=f"one row for each of {len(inputs)} inputs", got=str(len(flat))
        )
    return flat


def without_influence(attributions: Array, inputs: NDArray[Any] | None = None) -> Ints:
    """Features (flat) whose attribution is 0 in every row.

    With ``inputs``, only those that do vary: a constant feature has no attribution by rights.
    """
    flat = _rows(attributions, inputs)
    dead = (flat == 0).all(0)
    if inputs is not None:
        values = np.asarray(inputs).reshape(len(inputs), -1)
        dead &= (values != values[:1]).any(0)
    return np.asarray(np.flatnonzero(dead), dtype=np.int64)


@dataclass(frozen=True)
class SameAttribution:
    """Rows with equal attributions though their inputs differ in ``features`` (flat)."""

    rows: tuple[int, ...]
    features: tuple[int, ...]


def identical_attributions(
    attributions: Array, inputs: NDArray[Any], *, tolerance: float = 1e-12
) -> tuple[SameAttribution, ...]:
    """Groups of rows with the same attributions, to ``tolerance`` of the largest magnitude."""
    flat = _rows(attributions, inputs)
    values = np.asarray(inputs).reshape(len(flat), -1)
    unit = tolerance * max(float(np.abs(flat).max(initial=0.0)), np.finfo(np.float64).tiny)
    groups: dict[bytes, list[int]] = {}
    for row, key in enumerate(np.round(flat / unit)):
        groups.setdefault((key + 0.0).tobytes(), []).append(row)
    found = []
    for rows in groups.values():
        differing = (values[rows] != values[rows[:1]]).any(0)
        if len(rows) > 1 and differing.any():
            features = tuple(int(i) for i in np.flatnonzero(differing))
            found.append(SameAttribution(tuple(rows), features))
    return tuple(found)


@dataclass(frozen=True)
class Concentration:
    """Of class ``target``'s attribution mass, ``share`` lies on ``region`` (flat features),
    ``ratio`` times what an even spread would put there, and it leads in ``leads`` of the rows."""

    target: int
    region: tuple[int, ...]
    share: float
    ratio: float
    leads: float


def concentrated(
    attributions: Array,
    labels: NDArray[np.integer],
    regions: Sequence[Sequence[int]] | None = None,
    *,
    ratio: float = 5.0,
    leads: float = 0.5,
) -> tuple[Concentration, ...]:
    """Regions that hold at least ``ratio`` times their even share of a class's mass, and more
    than any other region in at least ``leads`` of its rows.

    ``regions`` None: every feature is one; ``tiles`` makes square ones of an image.  Largest
    share first.
    """
    flat = np.abs(_rows(attributions))
    chosen = [[i] for i in range(flat.shape[1])] if regions is None else [list(r) for r in regions]
    mass = np.stack([flat[:, region].sum(1) for region in chosen], 1)
    total = flat.sum(1, keepdims=True)
    relative = mass / np.where(total == 0, 1.0, total)
    found = []
    for target in np.unique(labels):
        rows = np.asarray(labels) == target
        mean, first = relative[rows].mean(0), relative[rows].argmax(1)
        for i, region in enumerate(chosen):
            even = len(region) / flat.shape[1]
            ahead = float((first == i).mean())
            if mean[i] >= ratio * even and ahead >= leads:
                found.append(
                    Concentration(
                        int(target), tuple(region), float(mean[i]), float(mean[i] / even), ahead
                    )
                )
    return tuple(sorted(found, key=lambda one: -one.share))


def tiles(height: int, width: int, size: int) -> tuple[tuple[int, ...], ...]:
    """Squares of ``size`` pixels that cover an image (H, W), as flat features."""
    plane = np.arange(height * width).reshape(height, width)
    return tuple(
        tuple(int(i) for i in plane[r : r + size, c : c + size].reshape(-1))
        for r in range(0, height, size)
        for c in range(0, width, size)
    )


@dataclass(frozen=True)
class OverStability:
    """Accuracy when only ``features`` (often on top) are left; near ``whole`` means that the
    rest of the input is not read."""

    features: tuple[int, ...]
    alone: float
    whole: float


def over_stability(
    model: Slice,
    inputs: NDArray[np.floating],
    labels: NDArray[np.integer],
    attributions: Array,
    *,
    counts: Sequence[int] = (1, 5, 10, 50),
    top: int = 5,
    fill: float = 0.0,
) -> tuple[OverStability, ...]:
    """Accuracy on inputs whose features are all ``fill`` but those most often among an input's
    ``top`` by magnitude."""
    flat = np.abs(_rows(attributions, inputs))
    if not 0 < top <= flat.shape[1]:
        raise QueryError("top", expected=f"1 to {flat.shape[1]}", got=str(top))
    best = np.argsort(-flat, axis=1, kind="stable")[:, :top]
    often = np.bincount(best.reshape(-1), minlength=flat.shape[1])
    order = np.argsort(-often, kind="stable")
    whole = _accuracy(model, inputs, labels)
    values = np.asarray(inputs).reshape(len(inputs), -1)
    result = []
    for count in counts:
        left = np.full_like(values, fill)
        features = order[:count]
        left[:, features] = values[:, features]
        accuracy = _accuracy(model, left.reshape(np.shape(inputs)), labels)
        result.append(OverStability(tuple(int(i) for i in features), accuracy, whole))
    return tuple(result)


@dataclass(frozen=True, eq=False)
class Replacement:
    """Rows whose prediction stays when the subject's content is exchanged for that of
    features that had little attribution; ``share`` of all."""

    unchanged: Ints
    share: float


def replaced_subject(
    model: Slice,
    inputs: NDArray[np.floating],
    attributions: Array,
    *,
    count: int = 10,
) -> Replacement:
    """Write the values of each input's ``count`` features of least magnitude over its
    ``count`` of largest.  A model that read its subject changes its mind."""
    flat = np.abs(_rows(attributions, inputs))
    if not 0 < 2 * count <= flat.shape[1]:
        raise QueryError("count", expected=f"1 to {flat.shape[1] // 2}", got=str(count))
    order = np.argsort(-flat, axis=1, kind="stable")
    values = np.array(inputs).reshape(len(inputs), -1)
    low = np.take_along_axis(values, order[:, -count:], 1)
    np.put_along_axis(values, order[:, :count], low, 1)
    before = outputs(model, inputs).argmax(1)
    after = outputs(model, values.reshape(np.shape(inputs))).argmax(1)
    unchanged = np.flatnonzero(before == after)
    return Replacement(np.asarray(unchanged, dtype=np.int64), len(unchanged) / len(flat))


def _accuracy(model: Slice, inputs: Any, labels: NDArray[np.integer]) -> float:
    return float((outputs(model, inputs).argmax(1) == np.asarray(labels)).mean())
