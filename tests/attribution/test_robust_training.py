"""Robust training and gradients, on models whose gradients are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.concepts.robust_training import (
    Ascent,
    Norm,
    adversarial_training,
    gradient_look,
    large_change,
    maximised,
)
from attribution.training import TrainingSchedule
from precond.errors import DataError, QueryError

SIDE = 4


class Weighted(nn.Module):
    """Scores (w·x, −w·x)."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights))

    def forward(self, x: Tensor) -> Tensor:
        score = (x * self.weights).flatten(1).sum(1)
        return torch.stack([score, -score], 1)


def test_the_gradient_of_a_linear_model_lies_where_its_weights_do() -> None:
    """Loss gradient −c w with one c > 0 for each picture: shares and roughness are those of w."""
    weights = np.zeros((1, SIDE, SIDE))
    weights[0, :2] = 3.0
    weights[0, 2:] = 1.0
    masks = np.zeros((2, SIDE, SIDE), dtype=np.bool_)
    masks[:, :2] = True
    pictures = np.full((2, 1, SIDE, SIDE), 0.1)
    found = gradient_look(Weighted(weights), pictures, np.zeros(2, dtype=np.int64), masks)
    np.testing.assert_allclose(found.inside, 0.75)
    np.testing.assert_allclose(found.area, 0.5)
    np.testing.assert_allclose(found.roughness, 4 * 2 / 32)  # one step of 2 in each of 4 columns


@pytest.mark.parametrize(("norm", "expected"), [(Norm.LARGEST, 0.2), (Norm.EUCLIDEAN, 0.05)])
def test_ascent_reaches_the_end_of_its_ball(norm: Norm, expected: float) -> None:
    """Along w = 1 everywhere: each value moves by ε, or by ε / √16."""
    model = Weighted(np.ones((1, SIDE, SIDE)))
    start = np.full((1, 1, SIDE, SIDE), 0.5)
    moved = maximised(model, start, 0, Ascent(0.2, norm, steps=10))
    np.testing.assert_allclose(moved, 0.5 + expected, atol=1e-6)
    back = large_change(model, start, np.ones(1, dtype=np.int64), Ascent(0.2, norm, steps=10))
    np.testing.assert_allclose(back, 0.5 - expected, atol=1e-6)
    whole = maximised(model, start, 0, Ascent(100.0, norm, steps=10))
    np.testing.assert_allclose(whole, 1.0)  # and never leaves [0, 1]


def test_robust_training_gives_up_what_a_small_change_turns() -> None:
    """Value 0 tells the class by 0.4, with three errors in a hundred; values 1 to 15 by 0.1 each,
    without error.  Changes of 0.1 turn the latter, so a robust network rests on value 0."""
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=600)
    sign = np.where(labels == 0, 1.0, -1.0)
    x = np.zeros((600, 1, SIDE, SIDE), dtype=np.float32)
    x.reshape(600, -1)[:] = 0.5 + 0.05 * sign[:, None]
    x[:, 0, 0, 0] = 0.5 + 0.2 * sign * np.where(generator.random(600) < 0.03, -1, 1)
    shares = []
    for ascent in (None, Ascent(0.1)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 2))
        training = TrainingSchedule(epochs=30, rate=1e-2)
        adversarial_training(model, x, labels, ascent, training=training)
        weights = (model[1].weight[0] - model[1].weight[1]).abs().detach()
        shares.append(float(weights[0] / weights.sum()))
    assert shares[0] < 0.75 and shares[1] > 0.95


def test_bad_input_is_one_clear_line() -> None:
    with pytest.raises(QueryError, match="gradient ascent: expected a finite radius"):
        Ascent(-1.0)
    pictures = np.zeros((2, 1, SIDE, SIDE), dtype=np.float32)
    model = Weighted(np.ones((1, SIDE, SIDE)))
    with pytest.raises(DataError, match=r"pictures and masks: expected \(N, C, H, W\) and"):
        gradient_look(model, pictures, np.zeros(2, int), np.ones((2, 3, 3), dtype=np.bool_))
    with pytest.raises(DataError, match=r"labels: expected \(2,\), got \(3,\)"):
        adversarial_training(model, pictures, np.zeros(3, int), None)
