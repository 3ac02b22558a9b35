"""NaN and infinity are errors of attribution that say where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attribution.distributions import ClassConditional, Custom, Empirical, Gaussian, LinearPath
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.slices import Slice
from attribution.uses import bugs
from attribution.uses.experts import Ranking, class_expert
from attribution.uses.profiles import influences
from attribution.uses.removal import class_removal, instance_removal
from precond.errors import DataError

torch.manual_seed(0)
MODEL = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
CUT = Slice(MODEL, "1")
X = np.random.default_rng(0).normal(size=(6, 4))
LABELS = np.array([0, 1, 2, 0, 1, 2])
RANKING = np.random.default_rng(1).normal(size=(6, 5))
ENTRIES: dict[str, Callable[[np.ndarray], Any]] = {
    "gauss": lambda x: integrated_gradients(MODEL, x, 0.0, 0),
    "secant": lambda x: integrated_gradients(MODEL, x, 0.0, 0, method="secant"),
    "exact": lambda x: integrated_gradients(MODEL, x, 0.0, 0, method="exact"),
    "steps until good": lambda x: integrated_gradients(MODEL, x, steps="auto"),
    "at a layer": lambda x: integrated_gradients(CUT, x, 0.0, 0),
    "baseline": lambda x: integrated_gradients(MODEL, X, x, 0),
    "influence": lambda x: influence(CUT, 0, None, x),
    "on a line": lambda x: influence(CUT, 0, LinearPath(), x),
    "with noise": lambda x: influence(CUT, 0, Gaussian(0.1), x),
    "over data": lambda x: influence(CUT, 0, Empirical(x)),
    "over batches": lambda x: influence(CUT, 0, Empirical([x])),
    "over a class": lambda x: influence(CUT, 0, ClassConditional(x, LABELS, 0)),
    "own points": lambda x: influence(MODEL, 0, Custom(x), X),
    "expert": lambda x: class_expert(CUT, x, LABELS, 0, 0.5),
    "expert by activation": lambda x: class_expert(
        CUT, x, LABELS, 0, 0.5, ranking=Ranking.ACTIVATION
    ),
    "profiles": lambda x: influences(CUT, x),
    "removal": lambda x: instance_removal(CUT, x, RANKING, LABELS),
    "concentrated": lambda x: bugs.concentrated(x, LABELS),
    "without influence": bugs.without_influence,
    "exchanged": lambda x: bugs.replaced_subject(Slice(MODEL), x, X, count=1),
}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("entry", ENTRIES)
def test_row_and_column_are_named(entry: str, number: float) -> None:
    bad = X.copy()
    bad[3, 2] = number
    with pytest.raises(DataError, match=r"row 3, column 2 \(counted from 0\): .* finite"):
        ENTRIES[entry](bad)


def test_a_number_beyond_the_models_type() -> None:
    bad = X.copy()
    bad[3, 2] = 1e39
    with pytest.raises(DataError, match=r"row 3, column 2 .* inf in float32"):
        integrated_gradients(MODEL, bad, 0.0, 0)


@pytest.mark.parametrize("part", ["ranking", "fill"])
def test_what_removal_ranks_and_fills_by(part: str) -> None:
    ranking, fill = RANKING[0].copy(), 0.0
    if part == "ranking":
        ranking[2] = np.nan
    else:
        fill = np.nan
    with pytest.raises(DataError, match=f"{part}, row 0"):
        class_removal(CUT, X, ranking, LABELS, fill=fill)


def test_a_mask_beside_the_input_may_hold_infinities() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return torch.softmax(x + mask, 1) * x

    mask = np.where(np.arange(4) < 3, 0.0, -np.inf) * np.ones((6, 1))
    model = nn.Sequential()
    model.add_module("inner", Masked())
    inner = model.inner
    assert isinstance(inner, nn.Module)
    with pytest.raises(DataError, match=r"input\[1\], row 0, column 3"):
        integrated_gradients(inner, (X, mask), 0.0, 0)
    assert np.isfinite(influence(inner, 0, None, (X, mask)).parts[0]).all()
