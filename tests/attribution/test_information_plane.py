"""Information that is known in closed form, and bounds that come near it from below."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.diagnosis.information_plane import (
    PlaneData,
    information_plane,
    normal_entropy,
    plane_point,
)
from precond.errors import DataError


def test_normal_inputs_with_noise_of_known_size() -> None:
    """I(x; x + noise) = ½ log det(1 + Σ / σ²); a sign of x1 has log 2 nats of class."""
    generator = np.random.default_rng(0)
    root = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 2.0]])
    x = generator.normal(size=(6000, 3)) @ root.T
    labels = (x[:, 0] > 0).astype(np.int64)
    data = PlaneData(x, labels, entropy=normal_entropy(root @ root.T))

    def noisy(sigma: float) -> np.ndarray:
        return x + sigma * generator.normal(size=x.shape)

    sizes = (2.0, 1.0, 0.1)
    points = information_plane(data, [lambda s=s: noisy(s) for s in sizes])
    for sigma, point in zip(sizes, points, strict=True):
        known = 0.5 * np.linalg.slogdet(np.eye(3) + root @ root.T / sigma**2)[1]
        assert point.is_bound and abs(point.about_inputs - known) < 4 * point.inputs_error
        assert 0 < point.inputs_error < 0.1 and point.about_classes < point.class_entropy
        assert abs(point.class_entropy - np.log(2)) < 5e-3
    assert points[0].about_classes < points[1].about_classes < points[2].about_classes


def test_noise_tells_nothing() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(2000, 2))
    data = PlaneData(x, (x[:, 0] > 0).astype(np.int64), entropy=normal_entropy(np.eye(2)))
    point = plane_point(data, generator.normal(size=(2000, 3)))
    assert abs(point.about_inputs) < 0.05 and abs(point.about_classes) < 0.02


def test_without_the_entropy_it_is_a_gain_and_no_bound() -> None:
    """For normal inputs q(x) is right, so the gain is the information too."""
    generator = np.random.default_rng(2)
    x = generator.normal(size=(4000, 2))
    labels = (x[:, 0] > 0).astype(np.int64)
    values = x + generator.normal(size=x.shape)
    gain = plane_point(PlaneData(x, labels), values)
    assert not gain.is_bound and abs(gain.about_inputs - np.log(2)) < 0.05


def test_normal_entropy_is_the_formula() -> None:
    assert normal_entropy(np.array([[4.0]])) == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 4))


def test_bad_data_are_one_clear_line() -> None:
    x, y = np.zeros((100, 2)), np.arange(100) % 2
    with pytest.raises(DataError, match="labels: expected two classes or more, got one class"):
        PlaneData(x, np.zeros(100, int))
    with pytest.raises(DataError, match="inputs of an information plane: expected 20 or more"):
        PlaneData(x[:30], y[:30])
    with pytest.raises(DataError, match="values of a layer: expected one row for each of 100"):
        plane_point(PlaneData(x, y), x[:50])
