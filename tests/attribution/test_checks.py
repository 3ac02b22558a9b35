"""Checks of attributions, on networks whose attributions are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.checks.approximations import (
    exact_distance,
    guided_path,
    important_directions,
    riemann_sum,
)
from attribution.checks.curves import removal_curves
from attribution.checks.infidelity import RandomChanges, infidelity
from attribution.checks.random_weights import random_weights, rank_correlation
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import class_score
from precond.errors import DataError, QueryError
from precond.formats.load import load

WEIGHTS = np.array([3.0, -1.0, 0.5, 2.0])


class Linear(nn.Module):
    """Scores (w·x, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.layer.weight[:] = torch.tensor(np.stack([WEIGHTS, 0 * WEIGHTS]))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 2.0, (count, 4))


ZEROS = np.zeros(5, dtype=np.int64)


def test_deletion_and_insertion_by_hand() -> None:
    """One value after another, the largest w x first."""
    x = np.array([[1.0, 1.0, 1.0, 1.0]])
    found = removal_curves(
        Linear(), x, WEIGHTS[None], np.zeros(1, dtype=np.int64), shares=(0, 0.25, 0.5, 0.75, 1)
    )
    p = 1 / (1 + np.exp(-np.array([4.5, 1.5, -0.5, -1.0, 0.0])))
    np.testing.assert_allclose(found.deletion[:, 0], p, atol=1e-12)
    q = 1 / (1 + np.exp(-np.array([0.0, 3.0, 5.0, 5.5, 4.5])))
    np.testing.assert_allclose(found.insertion[:, 0], q, atol=1e-12)
    area = (p[0] / 2 + p[1] + p[2] + p[3] + p[4] / 2) / 4
    np.testing.assert_allclose(found.deletion_area, [area], atol=1e-12)


def test_the_right_ranking_is_better_than_its_reverse() -> None:
    x = rows(5)
    good = removal_curves(Linear(), x, x * WEIGHTS, ZEROS)
    bad = removal_curves(Linear(), x, -x * WEIGHTS, ZEROS)
    assert (good.deletion_area < bad.deletion_area).all()
    assert (good.insertion_area > bad.insertion_area).all()


def test_all_channels_of_a_pixel_go_together() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.flatten(1).sum(1), 0 * x.flatten(1).sum(1)], 1)

    x = np.ones((1, 3, 1, 2))
    ranking = np.array([2.0, 1.0]).reshape(1, 1, 1, 2)
    found = removal_curves(Sum(), x, ranking, np.zeros(1, dtype=np.int64), shares=(0, 0.5, 1))
    np.testing.assert_allclose(found.deletion[:, 0], 1 / (1 + np.exp([-6.0, -3.0, 0.0])))


def test_a_linear_model_is_told_perfectly_by_its_weights() -> None:
    x = rows(5)
    slopes = np.tile(WEIGHTS, (5, 1))
    exact = infidelity(Linear(), x, slopes, ZEROS)
    np.testing.assert_allclose(exact.values, 0, atol=1e-12)
    np.testing.assert_allclose(exact.scales, 1, atol=1e-12)
    np.testing.assert_allclose(infidelity(Linear(), x, 2 * slopes, ZEROS).scales, 0.5, atol=1e-12)
    nothing = infidelity(Linear(), x, 0 * slopes, ZEROS)
    np.testing.assert_array_equal(nothing.values, 1.0)
    wrong = infidelity(Linear(), x, slopes[:, ::-1].copy(), ZEROS)
    assert (wrong.values > 0.1).all() and (wrong.values <= 1 + 1e-12).all()


def test_approximations_of_a_linear_model() -> None:
    """Every path gives w x; IDGI gives w² (w·x) / ‖w‖², which is complete but no IG."""
    x = rows(5)
    for found in (
        riemann_sum(Linear(), x, ZEROS, steps=3),
        guided_path(Linear(), x, ZEROS, steps=4),
    ):
        np.testing.assert_allclose(found, x * WEIGHTS, atol=1e-10)
    found = important_directions(Linear(), x, ZEROS, steps=3)
    expected = np.outer(x @ WEIGHTS, WEIGHTS**2) / (WEIGHTS**2).sum()
    np.testing.assert_allclose(found, expected, atol=1e-10)


def small_network() -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    return nn.Sequential(*layers).double()


def test_riemann_sums_come_near_the_exact_integral_and_important_directions_are_complete() -> None:
    x = rows(5)
    network = load(small_network(), (4,))
    targets = np.arange(5) % 3
    exact = integrated_gradients(network, x, 0.0, class_score(targets), method="exact").values
    far, near = (
        exact_distance(riemann_sum(network, x, targets, steps=steps), exact).distance.mean()
        for steps in (4, 400)
    )
    assert near < far / 10 and near < 0.02
    found = important_directions(network, x, targets, steps=50)
    np.testing.assert_allclose(found.sum(1), exact.sum(1), atol=1e-10)
    same = exact_distance(exact, exact)
    assert same.distance.max() == 0 and abs(same.correlation - 1) < 1e-12


class Smooth(nn.Module):
    """Scores (x0 x1 + x2 x3, 0): no kinks."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        score = self.scale * (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3])
        return torch.stack([score, 0 * score], 1)


def test_a_guided_path_is_complete_without_kinks_and_not_with_them() -> None:
    x = rows(5)
    change = x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3]
    errors = [
        np.abs(guided_path(Smooth(), x, ZEROS, steps=steps).sum(1) - change).max()
        for steps in (100, 1000)
    ]
    assert errors[1] < errors[0] / 5 and errors[1] < 0.01
    targets, network = np.arange(5) % 3, load(small_network(), (4,))
    exact = integrated_gradients(network, x, 0.0, class_score(targets), method="exact").values
    found = guided_path(network, x, targets, steps=1000)
    assert np.abs(found.sum(1) - exact.sum(1)).max() > 0.02


def test_random_weights_change_a_gradient_and_not_a_method_that_ignores_the_model() -> None:
    x = np.random.default_rng(2).normal(size=(5, 30))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 2)).double()
    before = [parameter.clone() for parameter in model.parameters()]

    def gradient(module: nn.Module) -> np.ndarray:
        leaf = torch.tensor(x, requires_grad=True)
        (found,) = torch.autograd.grad(module(leaf)[:, 0].sum(), leaf)
        return found.numpy()

    found = random_weights(model, gradient)
    assert found.layers == ("2", "0")
    assert np.abs(found.signed).max() < 0.7 and abs(found.signed[-1]) < 0.35
    ignorant = random_weights(model, lambda _: x)
    np.testing.assert_allclose([ignorant.magnitudes, ignorant.signed], 1.0, atol=1e-12)
    for one, other in zip(before, model.parameters(), strict=True):
        assert torch.equal(one, other)  # the model itself is as it was


def test_rank_correlation_agrees_with_scipy() -> None:
    from scipy.stats import spearmanr

    first, second = np.random.default_rng(3).normal(size=(2, 1, 40))
    assert abs(rank_correlation(first, second) - spearmanr(first[0], second[0])[0]) < 1e-12
    assert rank_correlation(first, np.ones_like(first)) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: removal_curves(Linear(), rows(5), rows(5)[:, :3], ZEROS),
            r"ranking: expected one for inputs of shape \(5, 4\), got \(5, 3\)",
        ),
        (
            lambda: infidelity(Linear(), rows(5), rows(4), ZEROS),
            r"slopes and targets: expected \(5, 4\)",
        ),
        (lambda: RandomChanges(samples=1), "changes of inputs: expected 2 samples or more"),
        (lambda: riemann_sum(Linear(), rows(5), ZEROS, steps=0), "steps: expected 1 or more"),
        (lambda: exact_distance(rows(4), rows(5)), r"attributions: expected \(5, 4\), got \(4, 4"),
    ],
)
def test_bad_input_is_one_clear_line(call: object, message: str) -> None:
    with pytest.raises((DataError, QueryError), match=message) as error:
        call()  # type: ignore[operator]  # a lambda of the list above
    assert "\n" not in str(error.value)
