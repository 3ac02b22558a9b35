"""Removal curves: what is left of a quantity when the highest ranked units are taken away.

Ranked by a good attribution, the quantity falls fast.  Units are set to a fill value (0, or
a baseline); the ranking is each input's own (instance ranking) or one for all (class ranking).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.evaluate import outputs
from attribution.inputs import count_rows, require_finite
from attribution.slices import Slice
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RemovalCurve:
    """``fractions`` (F,) of units removed, ``scores`` (F, N) of the target, ``agreement`` (F,) the
    share of inputs still predicted as their target."""

    fractions: Array
    scores: Array
    agreement: Array

    @property
    def area(self) -> float:
        """Mean score over the fractions, as a share of the score with nothing removed
        (trapezoid rule; lower means that the ranking finds what matters)."""
        mean = self.scores.mean(1)
        if mean[0] == 0:
            raise DataError("removal curve", expected="a mean score other than 0", got="0")
        width = np.diff(self.fractions)
        area = float((width * (mean[1:] + mean[:-1]) / 2).sum())
        return area / float(self.fractions[-1] - self.fractions[0]) / float(mean[0])


TWENTIETHS = tuple(part / 20 for part in range(21))


def instance_removal(
    cut: Slice,
    inputs: Any,
    ranking: Array,
    targets: NDArray[np.integer] | Sequence[int],
    *,
    fractions: Sequence[float] = TWENTIETHS,
    fill: float | Array = 0.0,
) -> RemovalCurve:
    """Every input loses its own highest ranked units first: ``ranking`` (N, *slice shape).

    ``targets`` (N,): the class whose score is followed.  ``fill``: a number or (*slice shape).
    """
    count = count_rows(inputs)
    if len(ranking) != count:
        raise DataError("ranking", expected=f"one row for each of {count}", got=f"{len(ranking)}")
    return _curve(
        cut,
        inputs,
        place=_places(ranking.reshape(count, -1)),
        targets=targets,
        fractions=fractions,
        fill=fill,
    )


def class_removal(
    cut: Slice,
    inputs: Any,
    ranking: Array,
    targets: NDArray[np.integer] | Sequence[int],
    *,
    fractions: Sequence[float] = TWENTIETHS,
    fill: float | Array = 0.0,
) -> RemovalCurve:
    """All inputs lose the same units first: ``ranking`` (*slice shape)."""
    place = _places(ranking.reshape(1, -1))
    place = np.broadcast_to(place, (count_rows(inputs), place.shape[1]))
    return _curve(cut, inputs, place, targets=targets, fractions=fractions, fill=fill)


def _places(ranking: Array) -> Ints:
    """Place of every unit in its row's order, 0 for the highest."""
    require_finite("ranking", ranking)
    order = np.argsort(-ranking, axis=1, kind="stable")
    return np.asarray(np.argsort(order, axis=1), dtype=np.int64)


def _curve(
    cut: Slice,
    inputs: Any,
    place: Ints,
    targets: NDArray[np.integer] | Sequence[int],
    fractions: Sequence[float],
    fill: float | Array,
) -> RemovalCurve:
    count, units = place.shape
    chosen = np.asarray(targets, dtype=np.int64)
    share = np.asarray(fractions, dtype=np.float64)
    if len(share) < 2 or share[0] != 0 or (np.diff(share) <= 0).any() or share[-1] > 1:
        raise QueryError("fractions", expected="increasing from 0 to at most 1", got=str(fractions))
    if chosen.shape != (count,):
        raise DataError("targets", expected=f"({count},)", got=str(chosen.shape))
    filling = torch.as_tensor(fill)
    require_finite("fill", filling)
    scores, agreement = [], []
    for part in share:
        limit = round(part * units)

        def change(values: Tensor, rows: slice, limit: int = limit) -> Tensor:
            gone = torch.as_tensor(place[rows] < limit, device=values.device)
            value = filling.to(values.device, values.dtype).expand_as(values)
            return torch.where(gone.reshape(values.shape), value, values)

        found = outputs(cut, inputs, change)
        if not 0 <= chosen.min() <= chosen.max() < found.shape[1]:
            got = f"{chosen.min()} to {chosen.max()}"
            raise DataError("targets", expected=f"classes 0 to {found.shape[1] - 1}", got=got)
        scores.append(found[np.arange(count), chosen])
        agreement.append(float((found.argmax(1) == chosen).mean()))
    return RemovalCurve(share, np.stack(scores), np.array(agreement))
