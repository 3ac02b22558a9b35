"""Effects of concepts whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.concepts.bars import Bars, BarStyle, render_bars
from attribution.concepts.captions import SIGNS, caption_noise, write_captions
from attribution.concepts.coloured import MEANS, colour_digits
from attribution.concepts.effects import causal_effect, class_probabilities, conditional_effect
from attribution.concepts.generator import (
    GeneratorSettings,
    decoded_effect,
    encoded_effect,
    train_generator,
)
from attribution.training import TrainingSchedule
from precond.errors import DataError, QueryError


class Greenness(nn.Module):
    """Scores (s, 0) with s = weight · (mean green − mean red)."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        apart = x[:, 1].mean((1, 2)) - x[:, 0].mean((1, 2))
        return torch.stack([self.weight * apart, torch.zeros_like(apart)], 1)


class Direction(nn.Module):
    """Right about every picture of bars, whatever the colour: sure of class 0 where a row has more
    in it than a column."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1e4, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        grey = x.sum(1)
        apart = (grey.sum(2) ** 2).sum(1) - (grey.sum(1) ** 2).sum(1)
        return torch.stack([self.scale * apart, torch.zeros_like(apart)], 1)


def test_the_effect_is_the_mean_change_of_the_probability_by_hand() -> None:
    """Two inputs, one value each: softmax (s, 0) has 1 / (1 + e^−s)."""
    without = np.zeros((2, 3, 1, 1))
    having = without.copy()
    having[:, 1] = np.array([1.0, 3.0])[:, None, None]
    found = causal_effect(Greenness(2.0), without, having)
    own = np.array([1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-6.0))]) - 0.5
    np.testing.assert_allclose(found.effect, [own.mean(), -own.mean()], atol=1e-12)
    np.testing.assert_allclose(found.error, own.std(ddof=1) / np.sqrt(2), atol=1e-12)
    assert found.inputs == (2, 2)


def test_the_conditional_effect_by_hand() -> None:
    inputs = np.zeros((4, 3, 1, 1))
    inputs[:, 1, 0, 0] = [1.0, 2.0, 0.0, 5.0]
    has = np.array([True, True, False, False])
    p = 1 / (1 + np.exp(-inputs[:, 1, 0, 0]))
    found = conditional_effect(Greenness(1.0), inputs, has)
    np.testing.assert_allclose(found.effect[0], p[:2].mean() - p[2:].mean(), atol=1e-12)
    assert found.inputs == (2, 2)


@pytest.mark.parametrize("shares", [(0.6, 0.4), (0.99, 0.01), (0.98, 0.02), (0.99, 0.5)])
def test_comparison_misleads_where_data_is_confounded_and_intervention_does_not(
    shares: tuple[float, float],
) -> None:
    """A classifier that sees directions alone: CaCE 0, ConExp as the formula says."""
    bars = render_bars(400, shares, style=BarStyle(noise=0.0), seed=1)
    model = Direction()
    assert (class_probabilities(model, bars.pictures).argmax(1) == bars.labels).all()
    assert np.abs(causal_effect(model, bars.do(False), bars.do(True)).effect).max() < 1e-6
    a, b = (float(bars.green[bars.labels == k].mean()) for k in (0, 1))
    expected = a / (a + b) - (1 - a) / (2 - a - b)
    found = conditional_effect(model, bars.pictures, bars.green).effect[0]
    assert abs(found - expected) < 1e-6


def test_do_changes_the_colour_and_nothing_else() -> None:
    bars = render_bars(20, (1.0, 0.0), seed=2)
    np.testing.assert_array_equal(bars.green, bars.labels == 0)
    green, red = bars.do(True), bars.do(False)
    own = np.where((bars.labels == 0)[:, None, None, None], green, red)
    np.testing.assert_array_equal(bars.pictures, own)
    quiet = Bars(bars.marks, np.zeros_like(bars.noise), bars.labels, bars.green)
    np.testing.assert_allclose(quiet.do(True)[:, [1, 0, 2]], quiet.do(False), atol=1e-7)


def test_coloured_digits_are_their_grey_times_their_colour() -> None:
    grey = np.random.default_rng(0).random((30, 4, 4)).astype(np.float32)
    digits = colour_digits(grey, np.arange(30) % 10, 0.0)
    np.testing.assert_array_equal(digits.concepts, digits.labels)
    np.testing.assert_allclose(digits.pictures[3], grey[3] * MEANS[3][:, None, None], atol=1e-6)
    np.testing.assert_allclose(digits.do(np.ones(3))[5], np.stack([grey[5]] * 3), atol=1e-6)


def test_a_learned_generator_finds_the_sign_and_size_of_a_known_effect() -> None:
    """The picture is the concept: one value, 0.1 without and 0.9 with it; the class is free."""
    generator = np.random.default_rng(3)
    concept, labels = generator.integers(2, size=(2, 600))
    pictures = np.zeros((600, 3, 2, 2), dtype=np.float32)
    pictures[:, 1] = np.where(concept, 0.9, 0.1)[:, None, None]
    training = TrainingSchedule(epochs=30, rate=1e-2)
    settings = GeneratorSettings(latent=2, hidden=16, training=training)
    learned = train_generator(pictures, labels, concept, settings=settings)
    assert learned.losses[-1] < learned.losses[0]
    exact = 1 / (1 + np.exp(-0.9)) - 1 / (1 + np.exp(-0.1))
    for found in (
        decoded_effect(Greenness(1.0), learned, labels),
        encoded_effect(Greenness(1.0), learned, pictures, labels, concept),
    ):
        assert abs(found.effect[0] - exact) < 0.02


def test_captions_name_the_class_but_for_the_noise() -> None:
    labels = np.arange(200) % 4
    pictures = np.full((200, 3, 12, 12), 0.5, dtype=np.float32)
    for noise, low, high in ((0.0, 1.0, 1.0), (0.5, 0.5, 0.75), (1.0, 0.1, 0.4)):
        found = caption_noise(pictures, labels, noise)
        assert low <= (found.captions == labels).mean() <= high
    one = write_captions(pictures[:1], np.array([7]))[0]
    np.testing.assert_array_equal(one[:, -6:-1, 1:4], np.stack([1.0 - SIGNS[7]] * 3))
    assert (one[:, :5] == 0.5).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: conditional_effect(
                Greenness(1.0), np.zeros((3, 3, 1, 1)), np.ones(3, dtype=np.bool_)
            ),
            "concept: expected inputs with and without it, got 3 of 3 with it",
        ),
        (
            lambda: causal_effect(Greenness(1.0), np.zeros((2, 3, 1, 1)), np.zeros((3, 3, 1, 1))),
            "pairs of inputs .*: expected as many of both, one or more, got 3 and 2",
        ),
        (lambda: render_bars(10, (1.2, 0.0)), "pictures of bars: expected 2 or more, and shares"),
        (
            lambda: colour_digits(np.zeros((2, 4, 4), dtype=np.float32), np.array([0, 10]), 0.1),
            "labels of digits: expected 0 to 9, got 0 to 10",
        ),
        (
            lambda: train_generator(
                np.zeros((4, 2), dtype=np.float32), np.arange(4) % 2, np.zeros(4, dtype=np.int64)
            ),
            "concept for a generator: expected two values or more, got one",
        ),
        (
            lambda: write_captions(np.zeros((1, 3, 5, 5), dtype=np.float32), np.zeros(1, int)),
            r"pictures: expected \(N, C, H, W\), 7 × 5 or more",
        ),
    ],
)
def test_bad_input_is_one_clear_line(call: object, message: str) -> None:
    with pytest.raises((DataError, QueryError), match=message) as error:
        call()  # type: ignore[operator]  # a lambda of the list above
    assert "\n" not in str(error.value)
