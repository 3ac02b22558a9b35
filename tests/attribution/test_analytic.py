"""Influence and integrated gradients where the answer is known by hand, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.distributions import (
    ClassConditional,
    Custom,
    Empirical,
    Gaussian,
    LinearPath,
    Point,
)
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import class_score, comparative, margin, max_class, unit
from attribution.slices import Slice

F64 = torch.float64


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def linear(weight, bias=None) -> nn.Linear:
    weight = torch.tensor(weight, dtype=F64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=F64)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=F64)
    return layer


def rows(*values) -> Tensor:
    return torch.tensor(values, dtype=F64)


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 4)
    ).double()


@pytest.mark.parametrize(
    "distribution",
    [Point(), LinearPath(1.0, steps=3), Gaussian(2.0, 5), Custom(rows([9.0, 9.0], [0.0, 1.0]))],
)
def test_linear_agreement(distribution) -> None:
    """For y = W x the influence of the inputs is W's row, whatever the distribution."""
    model = nn.Sequential(linear([[2.0, -3.0], [5.0, 7.0]], [1.0, 1.0]))
    found = influence(Slice(model), class_score(0), distribution, rows([1.0, 4.0]))
    np.testing.assert_allclose(found.values, [[2.0, -3.0]], rtol=0, atol=1e-14)
    assert any("row of weights" in note for note in found.notes)


def test_linear_agreement_over_data() -> None:
    model = nn.Sequential(linear([[2.0, -3.0]]))
    data = rows([1.0, 4.0], [2.0, 2.0], [5.0, 0.0])
    found = influence(Slice(model), class_score(0), Empirical(data, weights=[1.0, 2.0, 5.0]))
    np.testing.assert_allclose(found.values, [[2.0, -3.0]], atol=1e-14)


@pytest.mark.parametrize("method", ["gauss", "trapezoid", "midpoint"])
def test_saturation(method) -> None:
    """1 − ReLU(1 − x) from 0 to 2: the gradient at 2 is 0, integrated gradients are 1."""
    model = Apply(lambda x: 1 - torch.relu(1 - x))
    x = rows([2.0])
    assert influence(Slice(model), class_score(0), Point(), x).values.item() == 0.0
    found = integrated_gradients(model, x, 0.0, class_score(0), method=method, steps=101)
    assert found.values.item() == pytest.approx(1.0, abs=2e-2)


def test_maximum_of_two() -> None:
    """max(x₁, x₂) from (0, 1) to (2, 0): equal at t = 1/3, so (2·2/3, −1·1/3)."""
    model = Apply(lambda x: x.amax(1, keepdim=True))
    found = integrated_gradients(
        model, rows([2.0, 0.0]), rows([0.0, 1.0]), class_score(0), method="midpoint", steps=3000
    )
    # The meeting point is an end of a cell, so that the rule is exact.
    np.testing.assert_allclose(found.values, [[4 / 3, -1 / 3]], atol=1e-12)
    assert found.completeness is not None and found.completeness.max() < 1e-12


def test_distribution_of_interest() -> None:
    """3·ReLU(x − 1) cut at z = x − 1, x uniform on {0, 2, 4, 6}: 3 on three of four, 2.25."""
    model = nn.Sequential(linear([[1.0]], [-1.0]), nn.ReLU(), linear([[3.0]]))
    found = influence(
        Slice(model, "0"), class_score(0), Empirical(rows([0.0], [2.0], [4.0], [6.0]))
    )
    assert found.values.item() == pytest.approx(2.25, abs=1e-14)
    assert found.evaluated == 4


def test_distribution_linearity() -> None:
    """χ under ¼P + ¾Q is ¼χ(P) + ¾χ(Q)."""
    model, cut_at = small(), "1"
    first, second = torch.randn(5, 6, dtype=F64), torch.randn(5, 6, dtype=F64)
    cut = Slice(model, cut_at)
    one, other = (influence(cut, class_score(2), Empirical(d)).values for d in (first, second))
    mixed = influence(
        cut, class_score(2), Empirical(torch.cat([first, second]), weights=[0.25] * 5 + [0.75] * 5)
    )
    np.testing.assert_allclose(mixed.values, 0.25 * one + 0.75 * other, atol=1e-14)


def test_marginality() -> None:
    """Two models with the same partial derivative in x₁ give x₁ the same influence."""
    first = Apply(lambda x: x[:, :1] ** 2 + x[:, 1:].sin())
    second = Apply(lambda x: x[:, :1] ** 2 - 5 * x[:, 1:] ** 3)
    data = Empirical(torch.randn(20, 2, dtype=F64))
    values = [influence(Slice(m), class_score(0), data).values[0, 0] for m in (first, second)]
    assert values[0] == pytest.approx(values[1], abs=1e-14)


def test_slice_invariance() -> None:
    """Influence at z depends on g and the distribution of z, not on how h makes z."""
    g = nn.Sequential(nn.ReLU(), linear([[1.0, -2.0], [0.5, 3.0]]))
    plain = nn.Sequential(linear([[1.0, 1.0], [1.0, -1.0]]), g)
    # The same z with its two inputs exchanged and rescaled before h.
    other = nn.Sequential(linear([[0.5, 0.25], [-0.5, 0.25]]), g)
    data = torch.randn(30, 2, dtype=F64)
    swapped = torch.stack([2 * data[:, 1], 4 * data[:, 0]], 1)
    one = influence(Slice(plain, "0"), class_score(1), Empirical(data))
    two = influence(Slice(other, "0"), class_score(1), Empirical(swapped))
    np.testing.assert_allclose(one.values, two.values, atol=1e-14)


def test_preprocessing() -> None:
    """A model that standardises first: its input's influence is that of z divided by σ."""
    model = small()
    sigma = torch.arange(1.0, 7.0, dtype=F64)
    whole = nn.Sequential(Apply(lambda x: (x - 3.0) / sigma), model)
    data = torch.randn(8, 6, dtype=F64)
    raw = influence(Slice(whole), class_score(0), Empirical(3.0 + sigma * data)).values
    np.testing.assert_allclose(
        raw,
        influence(Slice(model), class_score(0), Empirical(data)).values / sigma.numpy(),
        atol=1e-14,
    )


def test_insensitivity_and_symmetry() -> None:
    model = nn.Sequential(
        linear([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]], [-0.5, -1.0]), nn.ReLU(), linear([[1.0, -0.7]])
    )
    found = integrated_gradients(model, rows([0.8, 0.8, 3.0]), 0.0, class_score(0)).values[0]
    assert found[2] == 0.0
    assert found[0] == pytest.approx(found[1], abs=1e-15)


def test_implementation_invariance() -> None:
    """pool∘ReLU and ReLU∘pool are the same function and get the same attributions."""
    torch.manual_seed(1)
    conv = nn.Conv2d(1, 3, 3, padding=1, dtype=F64)
    tail = [nn.Flatten(), nn.Linear(3 * 9, 2, dtype=F64)]
    one = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), *tail)
    two = nn.Sequential(conv, nn.MaxPool2d(2), nn.ReLU(), *tail)
    x = torch.rand(3, 1, 6, 6, dtype=F64)
    values = [integrated_gradients(m, x, 0.1, class_score(1), steps=40).values for m in (one, two)]
    np.testing.assert_allclose(*values, atol=1e-14)


@pytest.mark.parametrize("method", ["gauss", "trapezoid", "midpoint"])
@pytest.mark.parametrize("factor", [True, False])
def test_chunks_agree(method, factor) -> None:
    model, x = small(), torch.randn(5, 6, dtype=F64)
    quantities = [class_score(0), comparative(1, 2), max_class(), margin(3), unit("2", 4)]
    every = [
        integrated_gradients(
            model, x, 0.0, quantities, method=method, steps=20, chunk=chunk, factor=factor
        )
        for chunk in (1, 7, None)
    ]
    for other in every[1:]:
        np.testing.assert_allclose(every[0].values, other.values, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "distribution",
    [
        Point(),
        LinearPath(0.5, steps=9),
        Gaussian(0.3, 11, seed=4),
        # More points than are drawn at once.
        Gaussian(0.3, 70, seed=4, at="0"),
        Empirical(torch.linspace(-2, 2, 78, dtype=F64).reshape(13, 6)),
    ],
)
def test_influence_chunks_agree(distribution) -> None:
    model, x = small(), torch.randn(5, 6, dtype=F64)
    given = None if isinstance(distribution, Empirical) else x
    every = [
        influence(Slice(model, "2"), [0, 3], distribution, given, chunk=chunk).values
        for chunk in (1, 7, None)
    ]
    for other in every[1:]:
        np.testing.assert_allclose(every[0], other, rtol=1e-12, atol=1e-13)


def test_factoring_changes_nothing() -> None:
    model, x = small(), torch.randn(4, 6, dtype=F64)
    one, two = (
        integrated_gradients(model, x, 0.3, class_score(1), steps=30, factor=f)
        for f in (True, False)
    )
    np.testing.assert_allclose(one.values, two.values, atol=1e-13)
    assert any("factored" in note for note in one.notes)
    assert not any("factored" in note for note in two.notes)


def test_a_second_path_of_the_input_forbids_factoring() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3, dtype=F64)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.fc(x)) * (x > 0.2) + 0.0

    torch.manual_seed(0)
    model, x = Skip(), torch.rand(2, 3, dtype=F64)
    one, two = (
        integrated_gradients(model, x, 0.0, class_score(1), steps=30, factor=f)
        for f in (True, False)
    )
    assert not any("factored" in note for note in one.notes)
    np.testing.assert_array_equal(one.values, two.values)


def test_data_streams_and_classes() -> None:
    """Batches from a generator, and the rows of a class, equal the mean over those rows."""
    model, data = small(), torch.randn(40, 6, dtype=F64)
    y = np.arange(40) % 3
    cut = Slice(model, "0")
    whole = influence(cut, class_score(0), Empirical(data)).values
    streamed = influence(cut, class_score(0), Empirical(lambda: iter(data.split(7)))).values
    np.testing.assert_allclose(whole, streamed, atol=1e-14)
    own = influence(cut, class_score(0), ClassConditional(data, y, 1)).values
    mean = influence(cut, class_score(0), Point(), data[y == 1]).values.mean(0, keepdims=True)
    np.testing.assert_allclose(own, mean, atol=1e-14)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("layer", [None, "0", "1"])
def test_means_behind_an_affine_layer(skip, layer) -> None:
    """Data influence is averaged behind the affine layer after the slice where that is the only
    way on; each row's own gradients, averaged, say the same."""
    torch.manual_seed(3)
    head = nn.Sequential(nn.Linear(6, 5, dtype=F64), nn.ReLU())
    tail = nn.Sequential(nn.Linear(5, 4, dtype=F64), nn.ReLU(), nn.Linear(4, 3, dtype=F64))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.tail = head, tail

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.head(x)
            return self.tail(h) + (h[:, :3].tanh() if skip else 0.0)

    x = torch.randn(9, 6, dtype=F64)
    weights = np.arange(1.0, 10.0)
    cut = Slice(Model(), None if layer is None else f"head.{layer}")
    for quantity in (class_score(1), margin(0)):
        every = influence(cut, quantity, Point(), x).values
        found = influence(cut, quantity, Empirical(x, weights)).values[0]
        np.testing.assert_allclose(found, weights @ every / 45, atol=1e-14)
        found = influence(cut, quantity, Empirical(x), chunk=4).values[0]
        np.testing.assert_allclose(found, every.mean(0), atol=1e-14)


def test_cut_of_the_distribution_at_another_layer() -> None:
    """Points on the line at layer 0, influence at layer 2, against a loop."""
    model, x = small(), torch.randn(1, 6, dtype=F64)
    found = influence(
        Slice(model, "2"),
        class_score(0),
        LinearPath(0.0, rule="midpoint", steps=10, at="0"),
        x,
    ).values[0]
    z = model[0](x).detach()
    total = torch.zeros(7, dtype=F64)
    for i in range(10):
        inner = model[2](model[1](z * (i + 0.5) / 10)).detach().requires_grad_()
        model[4](model[3](inner))[0, 0].backward()
        total += inner.grad[0] / 10
    np.testing.assert_allclose(found, total.numpy(), atol=1e-14)


def test_steps_auto_meets_its_tolerance() -> None:
    model, x = small(), 3 * torch.randn(6, 6, dtype=F64)
    found = integrated_gradients(
        model, x, 0.0, class_score(0), steps="auto", tolerance=1e-3, method="midpoint"
    )
    assert (found.completeness <= 1e-3 * np.maximum(np.abs(found.change), 1e-6)).all()
    fixed = integrated_gradients(model, x, 0.0, class_score(0), steps=8, method="midpoint")
    assert found.evaluated > fixed.evaluated == 48


def test_targets_and_baselines_per_row() -> None:
    model, x = small(), torch.randn(3, 6, dtype=F64)
    start = torch.randn(3, 6, dtype=F64)
    together = integrated_gradients(model, x, start, class_score([2, 0, 1]), steps=12).values
    for targets in (np.array([2, 0, 1]), torch.tensor([2, 0, 1])):
        same = integrated_gradients(model, x, start, targets, steps=12).values
        np.testing.assert_array_equal(same, together)
    for row, target in enumerate([2, 0, 1]):
        alone = integrated_gradients(
            model, x[row : row + 1], start[row : row + 1], class_score(target), steps=12
        )
        np.testing.assert_allclose(together[row], alone.values[0], atol=1e-13)


def test_batched_products_are_the_same(monkeypatch) -> None:
    """On a GPU all quantities' products are one batch; also where an operator has none."""
    model, x = small(), torch.randn(5, 6, dtype=F64)
    quantities = [class_score(0), class_score(3), comparative(1, 2)]
    single = influence(Slice(model, "2"), quantities, Point(), x).values
    monkeypatch.setattr("attribution.gradients._batches", lambda y: True)
    batched = influence(Slice(model, "2"), quantities, Point(), x).values
    np.testing.assert_allclose(batched, single, rtol=1e-12, atol=1e-14)
    assert np.abs(single).max() > 0.01


def test_custom_points_with_weights() -> None:
    """y = x²: the gradient 2x at 1 and 3, weighted ¼ and ¾, is 5."""
    model = nn.Sequential()
    model.forward = lambda x: x**2  # type: ignore[method-assign]  # this instance's own
    points = Custom(torch.tensor([[1.0], [3.0]], dtype=F64), weights=[0.25, 0.75])
    found = influence(Slice(model), 0, points, torch.zeros(1, 1, dtype=F64))
    assert found.values[0, 0] == 5.0
