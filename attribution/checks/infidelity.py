"""Infidelity (Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019, §2).

An attribution Φ is taken for a linear model of what a change I of the input does:

    INFD(Φ) = E_I [ (I · Φ − (f(x) − f(x − I)))² ]

with f the score of a class.  The scale of Φ does not matter here: Φ is first multiplied by the
number β = E[(I·Φ) d] / E[(I·Φ)²], d = f(x) − f(x − I), which makes INFD smallest (§2.3).  What is
returned is divided by E[d²], so 0 is a perfect linear model and 1 is what Φ = 0 has.

Changes are I = x − x̃, where x̃ is x with the places of a random square replaced by a fill value
(pictures), or with each value replaced with probability ½ (other inputs).  So Φ is what the values
of x contribute per unit: gradients and slopes as they are, and attributions that sum to a
difference of f (integrated gradients) divided by x − fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from attribution.evaluate import outputs
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RandomChanges:
    """``samples`` for each input; ``window``: side of the squares, None for half the places."""

    samples: int = 200
    window: int | None = None
    fill: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2 or (self.window is not None and self.window < 1):
            raise QueryError(
                "changes of inputs",
                expected="2 samples or more, and a window of 1 or more",
                got=f"{self.samples} and {self.window}",
            )


@dataclass(frozen=True, eq=False)
class Infidelity:
    """``values`` (N,): 0 for a perfect linear model; ``scales`` (N,): β; NaN where no change of an
    input moves its score."""

    values: Array
    scales: Array


def infidelity(
    model: nn.Module | Network,
    inputs: NDArray[np.floating],
    slopes: Array,
    targets: NDArray[np.integer],
    *,
    changes: RandomChanges | None = None,
) -> Infidelity:
    """Of attributions per unit ``slopes`` (N, *shape) of the scores of ``targets`` (N,)."""
    changes = changes or RandomChanges()
    if slopes.shape != inputs.shape or targets.shape != inputs.shape[:1] or not len(inputs):
        raise DataError(
            "slopes and targets",
            expected=f"{inputs.shape} and ({len(inputs)},)",
            got=f"{slopes.shape} and {targets.shape}",
        )
    cut = Slice(model.logits if isinstance(model, Network) else model)
    generator = np.random.default_rng(changes.seed)
    values, scales = [], []
    for x, slope, target in zip(inputs, slopes, targets, strict=True):
        gone = _hidden(x.shape, changes, generator)
        changed = np.where(gone, np.asarray(changes.fill, dtype=x.dtype), x)
        scores = outputs(cut, np.concatenate([x[None], changed]))[:, target]
        moved = scores[0] - scores[1:]
        told = ((x - changed) * slope).reshape(len(changed), -1).sum(1)
        square = float((told**2).mean())
        scale = float((told * moved).mean()) / square if square > 0 else 0.0
        size = float((moved**2).mean())
        values.append(float(((scale * told - moved) ** 2).mean()) / size if size > 0 else np.nan)
        scales.append(scale)
    return Infidelity(np.array(values), np.array(scales))


def _hidden(
    shape: tuple[int, ...], changes: RandomChanges, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """(samples, *shape): the places that are replaced."""
    if changes.window is None:
        return np.asarray(generator.random((changes.samples, *shape)) < 0.5)
    side = changes.window
    if len(shape) < 2 or side > min(shape[-2:]):
        raise QueryError("window", expected=f"at most a picture of {shape}", got=str(side))
    hidden: NDArray[Any] = np.zeros((changes.samples, *shape), dtype=np.bool_)
    for one in hidden:
        down, across = (int(generator.integers(length - side + 1)) for length in shape[-2:])
        one[..., down : down + side, across : across + side] = True
    return hidden
