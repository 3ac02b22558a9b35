"""The filter loss against its formula, and an explainer of a network that it can explain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from attribution.diagnosis.explainer_network import ExplainerSettings, explainer_network
from attribution.diagnosis.filter_loss import Templates, filter_loss, masked
from attribution.slices import Slice
from attribution.training import TrainingSchedule
from precond.errors import DataError, QueryError


def slow_loss(maps: np.ndarray, templates: Templates) -> float:
    """Sum over templates and maps, for one filter (B, n, n)."""
    n = templates.side
    every = [-templates.weight * np.ones((n, n))]
    shares = [1 - templates.share]
    for row in range(n):
        for column in range(n):
            gaps = np.abs(np.arange(n) - row)[:, None] + np.abs(np.arange(n) - column)[None]
            every.append(templates.weight * np.maximum(1 - templates.slope * gaps / n, -1))
            shares.append(templates.share / n**2)
    p = np.array([[np.exp((x * t).sum()) for x in maps] for t in every])
    p /= p.sum(1, keepdims=True)
    whole = np.array(shares) @ p
    return -sum(s * (q * np.log(q / whole)).sum() for s, q in zip(shares, p, strict=True))


def test_the_filter_loss_is_the_formula() -> None:
    maps = np.random.default_rng(0).uniform(0, 3, size=(5, 2, 4, 4))
    templates = Templates(4, 0.3)
    expected = np.mean([slow_loss(maps[:, c], templates) for c in range(2)])
    assert float(filter_loss(torch.as_tensor(maps), templates)) == pytest.approx(expected)


def test_maps_that_are_all_alike_say_nothing_and_single_peaks_say_much() -> None:
    templates = Templates(4, 1.0)
    alike = torch.ones(6, 1, 4, 4, dtype=torch.float64)
    assert abs(float(filter_loss(alike, templates))) < 1e-12
    peaks = torch.zeros(4, 1, 4, 4, dtype=torch.float64)
    for k in range(4):
        peaks[k, 0, k, k] = 9.0
    assert float(filter_loss(peaks, templates)) < -0.3


def test_a_mask_keeps_the_surroundings_of_the_peak() -> None:
    maps = torch.ones(1, 1, 5, 5, dtype=torch.float64)
    maps[0, 0, 0, 0] = 2.0
    found = masked(maps, Templates(5, 1.0))[0, 0]
    assert found[0, 0] == 2.0 and found[4, 4] == 0.0
    assert float(found[0, 1]) == pytest.approx(1 - 4 / 5)


def small_performer() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 6), nn.Linear(6, 2)
    )


def test_an_explainer_learns_features_that_follow_from_the_maps() -> None:
    model = small_performer()
    inputs = np.random.default_rng(1).normal(size=(400, 1, 4, 4)).astype(np.float32)
    with torch.no_grad():
        labels = model(torch.as_tensor(inputs)).argmax(1).numpy()
    found = explainer_network(
        Slice(model, "1"),
        Slice(model, "3"),
        inputs,
        labels,
        np.arange(100),
        settings=ExplainerSettings(training=TrainingSchedule(epochs=30, rate=5e-3)),
    )
    assert found.accuracy == 1.0 and found.explained > 0.8 and found.gap < 0.2
    assert 0.5 < found.share < 1.0  # −η log p pulls it up from ½
    assert found.part_maps.shape == found.performer_maps.shape == (100, 3, 4, 4)


def test_bad_questions_are_one_clear_line() -> None:
    with pytest.raises(QueryError, match="explainer: expected weights of 0 or more"):
        ExplainerSettings(eta=-1.0)
    with pytest.raises(DataError, match=r"maps: expected \(B, C, 4, 4\)"):
        filter_loss(torch.zeros(1, 1, 5, 5), Templates.of(4))
    model = small_performer()
    with pytest.raises(DataError, match=r"maps of an explainer: expected \(N, C, n, n\)"):
        explainer_network(
            Slice(model, "3"),
            Slice(model, "3"),
            np.zeros((4, 1, 4, 4), np.float32),
            np.zeros(4, int),
            np.arange(2),
        )
