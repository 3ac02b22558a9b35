"""Exact evaluation: fractions, against hand values and against float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from known import BUMP, LEAKY, POOLED, affine

from precond.network.evaluate import forward
from precond.network.exact import ExactArray, exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)
from precond.network.operators import operators


@pytest.mark.parametrize(
    "values",
    [
        [0.1, -0.3, 1e300, 5e-324, -2.2250738585072014e-308, 0.0, -0.0],
        [1.7976931348623157e308, 1.0, 2.0**-1074],
        [0.0, 0.0],
        [3.0, -4.0, 2.0**60],
    ],
)
def test_dyadic_holds_floats_exactly(values: list[float]) -> None:
    assert ExactArray.of(values).fractions() == [Fraction(v) for v in values]


def test_sums_and_products_are_exact() -> None:
    a, b = [1e300, 1e-300, 0.1], [1.0, 1e300, -0.3]
    total, product = (
        ExactArray.of(a).plus(ExactArray.of(b)),
        ExactArray.of(a).times(ExactArray.of(b)),
    )
    pairs = [(Fraction(x), Fraction(y)) for x, y in zip(a, b, strict=True)]
    assert total.fractions() == [x + y for x, y in pairs]
    assert product.fractions() == [x * y for x, y in pairs]


def test_what_float64_loses() -> None:
    """(x + 1e−20) − x is 1e−20 (as a float) exactly; float64 says 0."""
    network = Network(
        (
            affine("z", [[1.0], [1.0]], [1e-20, 0.0], INPUT),
            affine("y", [[1.0, -1.0]], [0.0], "z"),
        ),
        (1,),
    )
    assert exact_values(network, [1.0])["y"].fractions() == [Fraction(1e-20)]


def test_known_networks_by_hand() -> None:
    for x, y in ((-1.0, 0.0), (0.25, 0.25), (1.0, 1.0), (1.5, 0.5), (7.0, 0.0)):
        assert exact_values(BUMP, [x])["y"].fractions() == [Fraction(y)]
    assert exact_values(LEAKY, [-3.0])["y"].fractions() == [Fraction(-3, 4)]
    assert exact_values(POOLED, [0.5, 0.75, 0.0, 0.25])["y"].fractions() == [Fraction(1, 2)]
    assert exact_values(POOLED, [0.5, 0.25, 0.0, 0.25])["y"].fractions() == [Fraction(0)]


def test_every_layer_kind_agrees_with_float64() -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(-1, 2 * 36, size=20)
    network = Network(
        (
            Node(
                "conv",
                Conv2d(
                    rng.normal(size=(4, 1, 2, 3)),
                    rng.normal(size=4),
                    (1, 2),
                    (1, 2, 0, 1),
                    (2, 1),
                    2,
                ),
                (INPUT,),
            ),
            Node("scale", Scale(rng.normal(size=(4, 1, 1)), rng.normal(size=(1,))), ("conv",)),
            Node("leaky", LeakyReLU(0.3), ("scale",)),
            Node("pool", MaxPool2d((2, 3), (2, 1), (1, 0, 0, 2), (1, 2), True), ("leaky",)),
            Node("mean", Sum((1, 2), False, 0.2), ("pool",)),
            Node("kept", Sum((0,), True), ("pool",)),
            Node("taken", Select(index, (4, 5), -0.7), (INPUT,)),
            Node("rows", Affine(rng.normal(size=(3, 5)), rng.normal(size=3)), ("taken",)),
            Node("relu", ReLU(), ("rows",)),
            Node("flat", Reshape((12,)), ("relu",)),
            Node("both", Concat(0), ("flat", "mean")),
            Node("y", Add((1.0, -0.5, 2.0)), ("both", "both", "both")),
        ),
        (2, 6, 6),
    )
    ops = operators(network, "cpu", torch.float64)
    x = rng.normal(size=(1, 2, 6, 6))
    names = [n.name for n in network.nodes]
    floats = forward(ops, {INPUT: torch.tensor(x)}, names)
    exact = exact_values(network, x)
    for name in names:
        assert exact[name].numbers.shape == network.shapes[name]
        found = [float(v) for v in exact[name].fractions()]
        np.testing.assert_allclose(found, floats[name].flatten().numpy(), rtol=1e-12, atol=1e-12)


def test_values_beside_bounds_as_fractions_say() -> None:
    """Thirds and eighths against bounds at, above and below them; infinite ones bound nothing."""
    numbers = [Fraction(n, d) for d in (3, 8) for n in range(-4, 5)]
    values = ExactArray.rational(np.array(numbers))
    for k, value in enumerate(numbers):
        one = values.like(values.numbers[k : k + 1])
        for bound in (-0.375, 0.0, 0.125):
            assert one.any_below(np.array([bound])) == (value < Fraction(bound))
            assert one.any_above(np.array([bound])) == (value > Fraction(bound))
        for none in (-np.inf, np.inf):
            assert not one.any_below(np.array([none])) and not one.any_above(np.array([none]))
