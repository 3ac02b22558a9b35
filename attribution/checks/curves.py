"""Deletion and insertion (Petsiuk, Das, Saenko 2018, §4.2).

The places of an input are ranked by an attribution, the highest first.  *Deletion* puts a fill
value into a growing share of them; *insertion* begins with the fill everywhere and puts the input's
own values back.  The curves are the probability of a class against the share; an area is the mean
height (trapezoid rule).  A good ranking has a small deletion area and a large insertion area.

Inputs with a part missing look like no data, so an area also holds what the network makes of such
inputs.  Compare areas of methods on one network, or with a random ranking, not across networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from attribution.concepts.effects import class_probabilities
from attribution.inputs import require_finite
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]
TWENTIETHS = tuple(part / 20 for part in range(21))


@dataclass(frozen=True, eq=False)
class RemovalCurves:
    """``shares`` (F,) of places; ``deletion`` and ``insertion`` (F, N): probability of each input's
    class with that share deleted, or inserted."""

    shares: Array
    deletion: Array
    insertion: Array

    @property
    def deletion_area(self) -> Array:
        """(N,): lower is better."""
        return _area(self.shares, self.deletion)

    @property
    def insertion_area(self) -> Array:
        """(N,): higher is better."""
        return _area(self.shares, self.insertion)


def _area(shares: Array, curve: Array) -> Array:
    width = np.diff(shares)[:, None]
    return np.asarray((width * (curve[1:] + curve[:-1]) / 2).sum(0) / (shares[-1] - shares[0]))


def removal_curves(
    model: nn.Module | Network,
    inputs: NDArray[np.floating],
    ranking: Array,
    targets: NDArray[np.integer],
    *,
    fill: float | Array = 0.0,
    shares: Sequence[float] = TWENTIETHS,
) -> RemovalCurves:
    """Both curves for ``inputs`` (N, *shape) and attributions ``ranking`` of the same shape.

    A ranking (N, 1, H, W) ranks the pixels of (N, C, H, W): all channels go together.  ``fill``: a
    number, or values that fit the inputs.
    """
    count = len(inputs)
    places = _places(inputs, ranking)
    share = np.asarray(shares, dtype=np.float64)
    if len(share) < 2 or share[0] < 0 or (np.diff(share) <= 0).any() or share[-1] > 1:
        raise QueryError("shares", expected="increasing, from 0 to at most 1", got=str(shares))
    if targets.shape != (count,):
        raise DataError("targets", expected=f"({count},)", got=str(targets.shape))
    filling = np.broadcast_to(np.asarray(fill, dtype=inputs.dtype), inputs.shape)
    require_finite("fill", np.asarray(fill))
    size = ranking[0].size
    curves: tuple[list[Any], list[Any]] = ([], [])
    for part in share:
        first = np.broadcast_to(places < round(part * size), inputs.shape)
        for curve, gone in zip(curves, (first, ~first), strict=True):
            found = class_probabilities(model, np.where(gone, filling, inputs))
            curve.append(found[np.arange(count), targets])
    return RemovalCurves(share, np.stack(curves[0]), insertion=np.stack(curves[1]))


def _places(inputs: NDArray[Any], ranking: Array) -> NDArray[np.int64]:
    """Place of every value in its input's ranking, 0 for the highest; shaped like ``ranking``."""
    fits = ranking.ndim == inputs.ndim and len(ranking) == len(inputs)
    pairs = zip(ranking.shape[1:], inputs.shape[1:], strict=True) if fits else ()
    if not len(inputs) or not fits or any(one not in (1, whole) for one, whole in pairs):
        raise DataError(
            "ranking", expected=f"one for inputs of shape {inputs.shape}", got=str(ranking.shape)
        )
    require_finite("ranking", ranking)
    order = np.argsort(-ranking.reshape(len(ranking), -1), axis=1, kind="stable")
    return np.asarray(np.argsort(order, axis=1).reshape(ranking.shape))
