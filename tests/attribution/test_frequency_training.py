"""Frequencies that networks learn, where the right answer is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.diagnosis.band_training import (
    LabelledPictures,
    band_training,
    kernel_roughness,
)
from attribution.diagnosis.spectral_bias import (
    Sinusoids,
    WeightNoise,
    spectral_bias,
    weight_noise,
)
from attribution.training import TrainingSchedule
from precond.errors import DataError, QueryError


def test_roughness_of_kernels_that_one_can_see() -> None:
    down, across = np.mgrid[:3, :3]
    checks = (-1.0) ** (down + across)
    stripes = (-1.0) ** across  # alternates across (2) and is constant down (0)
    kernels = np.stack([np.ones((3, 3)), checks, stripes, np.zeros((3, 3))])[:, None]
    np.testing.assert_allclose(kernel_roughness(kernels), [0, 2, 1, 0])
    rough = kernel_roughness(np.random.default_rng(0).normal(size=(400, 8, 3, 3))).mean()
    assert abs(rough - 1) < 0.02


def test_classes_that_only_fine_waves_tell_are_learned_from_the_high_part_alone() -> None:
    """Pictures of noise in slow waves; class 1 has a fast wave, class 0 its negative."""
    generator = np.random.default_rng(0)
    down, across = np.mgrid[:8, :8]
    slow, fast = np.cos(2 * np.pi * across / 8), np.cos(2 * np.pi * 3 * down / 8)

    def pictures(count: int) -> LabelledPictures:
        labels = np.arange(count) % 2
        size = generator.normal(size=(count, 1, 1))
        return LabelledPictures(size * slow + (2 * labels[:, None, None] - 1) * fast, labels)

    found = band_training(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)),
        pictures(200),
        pictures(100),
        [2],
        training=TrainingSchedule(epochs=5, rate=1e-2),
    )
    assert found.whole == found.high[0] == found.high_on_whole[0] == 1.0
    assert 0.3 < found.low[0] < 0.7
    assert np.isnan(found.roughness).all() and len(found.roughness) == 3


class Fourier(nn.Module):
    """Σ w_k sin(2π k z), k = 1, 2, 3."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        k = torch.arange(1, 4, dtype=torch.float64)
        return torch.sin(2 * torch.pi * z * k) @ self.w[:, None]


def test_shares_of_a_sum_of_waves_are_its_weights() -> None:
    waves = Sinusoids((1, 2, 3), (2.0, 1.0, 4.0), (0.0, 0.0, 0.0), samples=32)
    np.testing.assert_allclose(waves.shares(waves.values), 1, atol=1e-12)
    values = Fourier([1.0, 0.0, 1.0])(torch.as_tensor(waves.points)[:, None]).detach().numpy()
    np.testing.assert_allclose(waves.shares(values[:, 0]), [0.5, 0, 0.25], atol=1e-12)


def test_noise_moves_the_weights_it_is_told_to() -> None:
    """Of one wave with weight w, noise δ gives |w + δ w n / |n|| = w (1 ± δ)."""
    waves = Sinusoids((1, 2, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), samples=32)
    module = Fourier([1.0, 1.0, 1.0])
    assert np.allclose(weight_noise(module, waves, WeightNoise((0.0,), draws=2)), 1)
    found = weight_noise(module, waves, WeightNoise((0.1,), draws=1, seed=3))
    assert np.linalg.norm(found - 1) == pytest.approx(0.1 * np.sqrt(3))


def test_a_relu_network_learns_slow_waves_first() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        ).double()

    found = spectral_bias(
        build,
        Sinusoids((1, 6), samples=64),
        training=TrainingSchedule(epochs=300, rate=3e-3, batch=64),
        every=10,
    )
    slow, fast = found.first(0.8)
    assert slow < fast and found.learned.shape == (30, 2)


def test_bad_questions_are_one_clear_line() -> None:
    with pytest.raises(QueryError, match="sinusoids: expected frequencies from 1 to below 16"):
        Sinusoids((20,), samples=32)
    with pytest.raises(DataError, match="kernels: expected"):
        kernel_roughness(np.zeros((3, 3)))
    with pytest.raises(DataError, match="labelled pictures: expected"):
        LabelledPictures(np.zeros((3, 4, 4)), np.zeros(2, int))
    with pytest.raises(QueryError, match="looks: expected every 1 to 5 epochs, got 10"):
        spectral_bias(
            lambda: Fourier([1.0] * 3), Sinusoids(), training=TrainingSchedule(epochs=5), every=10
        )
