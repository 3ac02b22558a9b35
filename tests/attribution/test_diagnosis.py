"""Boundaries, frequencies and hidden parts of networks whose answers are known by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.diagnosis.frequency import frequency_accuracy, frequency_parts
from attribution.diagnosis.margins import joined_margins, subspace_margins
from attribution.diagnosis.patches import Marginal, PatchGaussian, windows_of
from attribution.diagnosis.prediction_difference import Draws, hidden_parts
from attribution.diagnosis.subspaces import Subspace, cosine_bands, whole_space
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node


def linear(weights: np.ndarray, bias: np.ndarray) -> Network:
    return Network((Node("out", Affine(weights, bias), (INPUT,)),), (weights.shape[1],), "linear")


def test_margins_of_groups_are_those_of_all_inputs() -> None:
    network = linear(np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([0.1, 0.0]))
    x = np.random.default_rng(1).normal(size=(5, 2))
    spaces = (whole_space(2), Subspace("first", np.eye(2)[:1]))
    whole = subspace_margins(network, x, spaces)
    groups = [subspace_margins(network, part, spaces) for part in (x[:2], x[2:])]
    joined = joined_margins(groups)
    assert joined.subspaces == whole.subspaces
    assert np.array_equal(joined.predicted, whole.predicted)
    assert np.allclose(joined.sizes, whole.sizes, rtol=1e-9)
    other = subspace_margins(network, x, spaces[:1])
    with pytest.raises(DataError, match="margins to join: expected the same subspaces"):
        joined_margins([whole, other])


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_linear_networks_margin_in_a_subspace(outputs: int) -> None:
    """|w·x + b| / ‖P w‖, whether the two classes have an output each or share one."""
    generator = np.random.default_rng(0)
    w, b = generator.normal(size=16), 0.3
    rows = np.stack([w, np.zeros(16)]) if outputs == 2 else w[None]
    network = linear(rows, np.array([b, 0.0][:outputs]))
    x = generator.normal(size=(20, 16))
    spaces = (whole_space(16), *cosine_bands((4, 4), width=2, count=3))
    found = subspace_margins(network, x, spaces)
    for place, space in enumerate(spaces):
        projected = np.linalg.norm(space.basis.T @ (space.basis @ w))
        np.testing.assert_allclose(found.sizes[place], abs(x @ w + b) / projected, rtol=1e-9)


def test_no_margin_is_found_where_the_network_does_not_look() -> None:
    network = linear(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros(2))
    blind, seen = Subspace("blind", np.array([[0.0, 1]])), Subspace("seen", np.array([[1.0, 0]]))
    found = subspace_margins(network, np.array([[2.0, 5.0]]), (blind, seen))
    assert found.sizes[0, 0] == np.inf
    assert abs(found.sizes[1, 0] - 2) < 1e-9


def test_bands_are_orthonormal_and_the_first_holds_the_mean() -> None:
    bands = cosine_bands((2, 6, 6), width=2, count=3)
    every = np.concatenate([band.basis for band in bands])
    np.testing.assert_allclose(every @ every.T, np.eye(len(every)), atol=1e-12)
    flat = np.ones(72)
    np.testing.assert_allclose(bands[0].basis.T @ (bands[0].basis @ flat), flat, atol=1e-12)


def test_a_basis_that_is_not_orthonormal_is_refused() -> None:
    with pytest.raises(DataError, match="basis of s: expected orthonormal rows"):
        Subspace("s", np.array([[1.0, 1.0]]))


def test_a_band_limited_network_ignores_the_other_band() -> None:
    """Its weights have frequencies up to 2 only: the low part decides alone, the high part says
    nothing, so its answer there is that of the bias."""
    generator = np.random.default_rng(1)
    weights, _ = frequency_parts(generator.normal(size=(3, 8, 8)), 2)
    network = linear(weights.reshape(3, 64), np.array([0.0, 1e-3, 0.0]))
    pictures = generator.normal(size=(60, 64))
    labels = (pictures @ weights.reshape(3, 64).T + [0, 1e-3, 0]).argmax(1)
    found = frequency_accuracy(network, pictures, labels, [2], shape=(8, 8))
    assert found.whole == 1.0 and found.low[0] == 1.0
    assert found.high[0] == (labels == 1).mean()


def test_parts_add_up_and_are_those_of_a_wave() -> None:
    down, across = np.mgrid[:8, :8]
    slow, fast = np.cos(2 * np.pi * across / 8), np.cos(2 * np.pi * 3 * down / 8)
    low, high = frequency_parts(1 + slow + fast, 2)
    np.testing.assert_allclose(low, 1 + slow, atol=1e-12)
    np.testing.assert_allclose(high, fast, atol=1e-12)


class Wide(nn.Module):
    """Logits (w·x, 0): p(class 0) is the sigmoid of w·x."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(1) @ self.w
        return torch.stack([z, torch.zeros_like(z)], 1)


def sigmoid(z: float) -> float:
    return float(1 / (1 + np.exp(-z)))


def test_prediction_difference_with_known_marginals() -> None:
    """All of {0, 1}³ is the data, so a hidden feature is 0 or 1 with probability ½."""
    weights = [2.0, -1.0, 0.0]
    data = np.array(list(product([0.0, 1.0], repeat=3)))
    parts = [np.array([i]) for i in range(3)]
    row = np.array([[1.0, 1.0, 1.0]])
    found = hidden_parts(
        Slice(Wide(weights)), row, 0, parts, Marginal(data), draws=Draws(8, samples=None)
    )
    p = sigmoid(1.0)
    hidden = [(sigmoid(1.0) + sigmoid(1.0 - w)) / 2 for w in weights]
    np.testing.assert_allclose(found.difference, [p - q for q in hidden], atol=1e-12)

    def odds(q: float) -> float:
        corrected = (q * 8 + 1) / 10
        return float(np.log2(corrected / (1 - corrected)))

    np.testing.assert_allclose(found.evidence, [odds(p) - odds(q) for q in hidden], atol=1e-12)
    assert found.evidence[0] > 0 > found.evidence[1] and found.evidence[2] == 0
    assert found.probability == pytest.approx(p)


def test_hidden_units_of_a_slice() -> None:
    """Units (x0, 2·x0) of a layer: hiding the second one changes w·h by its own part alone."""
    first = Node("h", Affine(np.array([[1.0], [2.0]]), np.zeros(2)), (INPUT,))
    last = Node("out", Affine(np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros(2)), ("h",))
    network = Network((first, last), (1,), "two layers")
    found = hidden_parts(
        Slice(network, "h"),
        np.array([[1.0]]),
        0,
        [np.array([1])],
        Marginal(np.array([[0.0, 0.0], [1.0, 2.0]])),
        draws=Draws(2, samples=None),
    )
    expected = sigmoid(3.0) - (sigmoid(1.0) + sigmoid(3.0)) / 2
    assert abs(found.difference[0] - expected) < 1e-12


def test_a_pixel_that_its_neighbours_tell_makes_no_difference() -> None:
    """In pictures of one grey each, a hidden pixel is known from the others: given them nothing is
    lost, while a draw from other pictures loses something."""
    generator = np.random.default_rng(2)
    pictures = np.repeat(generator.uniform(0, 1, size=200), 16).reshape(200, 1, 4, 4)
    row, parts = pictures[:1], windows_of((4, 4), 1)
    gaussian = PatchGaussian.fit(pictures, 3)
    cut = Slice(Wide([1.0] * 16))
    told = hidden_parts(cut, row, 0, parts, gaussian, draws=Draws(200))
    drawn = hidden_parts(cut, row, 0, parts, Marginal(pictures.reshape(200, 16)), draws=Draws(200))
    assert np.abs(told.difference).max() < 1e-6
    assert np.abs(drawn.difference).max() > 1e-3


def test_a_gaussian_given_the_rest_is_the_formula() -> None:
    """Two pixels of variance 1 and correlation 0.8: mean 0.8·x, variance 1 − 0.64."""
    gaussian = PatchGaussian(
        shape=(1, 1, 2),
        side=2,
        mean=np.zeros(2),
        covariance=np.array([[1.0, 0.8], [0.8, 1.0]]),
        natural=(-9.0, 9.0),
    )
    gain, root = gaussian.given(np.array([0]))
    np.testing.assert_allclose(gain, [[0.8]], atol=1e-12)
    np.testing.assert_allclose(root @ root.T, [[0.36]], atol=1e-12)


def test_windows_share_out_what_they_found() -> None:
    """Two windows over three pixels: the middle one has the mean of both."""
    found = hidden_parts(
        Slice(Wide([1.0, 1.0, 1.0])),
        np.zeros((1, 3)),
        0,
        [np.array([0, 1]), np.array([1, 2])],
        Marginal(np.ones((1, 3))),
        draws=Draws(1, samples=None),
    )
    np.testing.assert_allclose(found.spread(np.array([1.0, 3.0])), [1, 2, 3])


def test_bad_questions_are_one_clear_line() -> None:
    with pytest.raises(QueryError, match="window: expected 1 to 4 pixels, got 5"):
        windows_of((4, 4), 5)
    with pytest.raises(QueryError, match="bands: expected a width of 1 to 4"):
        cosine_bands((4, 4), width=5, count=2)
    with pytest.raises(DataError, match="shape of a picture: expected"):
        frequency_accuracy(Wide([1.0] * 4), np.zeros((2, 4)), np.zeros(2, int), [1], shape=(3, 3))
