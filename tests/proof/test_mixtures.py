"""Mixtures of inequalities: what is bounded is the mean that the weights say, and no other."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from small_networks import layered

from precond.network.graph import Network
from precond.proof.bounds.mixtures import coarse, without_rounding
from precond.proof.claim import Claim
from precond.proof.rows import Rows, stack_rows
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern


def network() -> Network:
    return layered((np.eye(2).tolist(), [0.0, 0.0]), (np.eye(2), [0.0, 0.0]))


def rows(factors: tuple[float, ...], constant: float) -> Rows:
    """A conjunct of an inequality for each factor: factor · y0 + y1 beyond the constant."""
    clause = tuple(Inequality(((0, factor), (1, 1.0)), constant, strict=True) for factor in factors)
    claim = Claim(network(), Box.uniform(2, 0.0, 1.0), DecisionPattern(), Property((clause,)))
    return stack_rows(claim.problem, "cpu")


def test_a_mean_that_floats_hold_is_kept() -> None:
    own, weights = rows((1.0, -0.5), 1.0), torch.tensor([[0.25, 0.75]], dtype=torch.float64)
    kept, made = without_rounding(own, weights)
    assert torch.equal(kept, weights)
    assert torch.equal(made.form, weights @ own.form)


def test_of_a_mean_that_is_rounded_the_largest_inequality_is_left() -> None:
    own = rows((0.1, 0.3, 1.0), 1.0)
    weights = torch.tensor([[0.25, 0.6875, 0.0625]], dtype=torch.float64)
    kept, made = without_rounding(own, weights)
    assert kept.tolist() == [[0.0, 1.0, 0.0]]
    assert torch.equal(made.form, own.form[1:2])


@pytest.mark.parametrize("seed", range(20))
def test_constants_are_rounded_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = replace(rows((1.0, -1.0, 2.0), 1.0), constant=torch.tensor(rng.normal(size=3)))
    weights = torch.tensor(rng.integers(1, 4096, (1, 3)) / 4096)
    kept, made = without_rounding(own, weights)
    exact = sum(
        Fraction(w) * Fraction(c)
        for w, c in zip(kept[0].tolist(), own.constant.tolist(), strict=True)
    )
    assert Fraction(float(made.constant)) <= exact
    assert float(exact) - float(made.constant) <= 4e-16 * max(1.0, abs(float(exact)))


def test_weights_too_small_for_a_digit_leave_the_largest_inequality() -> None:
    """Nothing mixed would be 0 ≥ 0, and a strict one would exclude everything."""
    weights = torch.full((1, 10_000), 1e-4, dtype=torch.float64)
    weights[0, 17] = 1.1e-4
    few = coarse(weights)
    assert few.nonzero().tolist() == [[0, 17]]
    assert not coarse(torch.full((1, 3), torch.nan)).isnan().any()
