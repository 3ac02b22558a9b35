"""Rationales of a network whose two ways of deciding are written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.diagnosis.rationales import pattern_agreement, rationale_tree, rationales
from attribution.slices import Slice
from precond.errors import DataError, QueryError


class TwoWays(nn.Module):
    """h = x; y = relu(3·h0 + h1) − relu(−(h0 + 2·h2)): for h0 > 0, all h ≥ 0 the gradient is
    (3, 1, 0), for h0 < 0 that is large (1, 0, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.h = nn.Identity()
        self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        h = self.h(x) * self.scale
        first = torch.relu(3 * h[:, 0] + h[:, 1])
        second = torch.relu(-(h[:, 0] + 2 * h[:, 2]))
        return torch.stack([first - second, torch.zeros_like(first)], 1)


def inputs() -> np.ndarray:
    generator = np.random.default_rng(0)
    x = generator.uniform(0.1, 1, size=(40, 3))
    x[20:, 0] = -5 - generator.uniform(size=20)
    return x


def test_rationales_are_the_formula() -> None:
    found = rationales(Slice(TwoWays(), "h"), inputs(), 0)
    np.testing.assert_allclose(found.gradients[:20], np.tile([3.0, 1, 0], (20, 1)))
    np.testing.assert_allclose(found.gradients[20:], np.tile([1.0, 0, 2], (20, 1)))
    np.testing.assert_allclose(found.bias, 0, atol=1e-12)


def test_two_modes_explain_all_and_are_the_two_patterns() -> None:
    x = inputs()
    tree = rationale_tree(rationales(Slice(TwoWays(), "h"), x, 0))
    one, two = tree.fidelity([1, 2])
    assert two.error < 1e-12 and two.likeness > 1 - 1e-12 and two.depth == 1
    assert one.error > 0.01 and one.likeness < 0.9 and one.depth == 0
    modes = tree.modes(2)
    patterns = np.stack([3 * x[:, 0] + x[:, 1] > 0, x[:, 0] + 2 * x[:, 2] < 0], 1)
    assert pattern_agreement(modes, patterns) == (1.0, 1.0)
    shuffled = np.random.default_rng(1).permutation(patterns)
    assert max(pattern_agreement(modes, shuffled)) < 0.2


def test_filters_of_maps_are_summed_over_their_places() -> None:
    module = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(8, 2).double())
    x = np.random.default_rng(2).normal(size=(6, 2, 2, 2))
    found = rationales(Slice(module, "0"), x, 1)
    weights = module[2].weight[1].detach().numpy().reshape(2, 2, 2)
    np.testing.assert_allclose(found.contributions, (x * weights).sum((2, 3)), atol=1e-12)
    assert rationale_tree(found).fidelity([1])[0].error < 1e-12


def test_bad_questions_are_one_clear_line() -> None:
    found = rationales(Slice(TwoWays(), "h"), inputs(), 0)
    with pytest.raises(QueryError, match="modes: expected 1 to 40, got 41"):
        rationale_tree(found).modes(41)
    with pytest.raises(QueryError, match="slice of rationales: expected a hidden layer"):
        rationales(Slice(TwoWays()), inputs(), 0)
    with pytest.raises(DataError, match=r"decision patterns: expected \(40, neurons\)"):
        pattern_agreement(np.zeros(40, int), np.zeros((3, 2), bool))
