"""Bisection inside a polytope: its steps against scipy's linear programs, its answers against
exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known import ANY, MAXIMUM, POOLED, SUM_AT_LEAST_3, UNIT, at_least, box
from scipy.optimize import linprog
from test_contraction import random_network

from precond.network.evaluate import outputs
from precond.proof.bounds.polytope import lifted, shrunk
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.input_split.polytope import PolytopeSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.replay import replay
from precond.proof.restate.closed_pattern import around_pattern
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

SOON = Deadline.after(1e6)


def test_a_diagonal_shrinks_a_square() -> None:
    """x + y ≤ 1/2 on [0, 1]²: [0, 1/2]²; x + y ≤ −1: nothing."""
    square = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    rows = torch.ones(1, 2, dtype=torch.float64)
    low, high, empty = shrunk(*square, rows, torch.tensor([0.5], dtype=torch.float64))
    assert torch.allclose(high, torch.full((1, 2), 0.5, dtype=torch.float64)) and not empty.any()
    assert (low == 0).all() and (high >= 0.5).all()
    assert shrunk(*square, rows, torch.tensor([-1.0], dtype=torch.float64))[2].all()


@pytest.mark.parametrize("seed", range(8))
def test_steps_lie_between_the_box_and_the_linear_program(seed: int) -> None:
    """Shrinking keeps every point; lifting gives no more than the LP's optimum, no less than
    the box's corner, and its form has the same bound over the box alone."""
    rng = np.random.default_rng(seed)
    rows, limits = rng.normal(size=(6, 3)), rng.uniform(0.1, 1.0, size=6)
    lower = rng.uniform(-1.5, -0.5, size=(4, 3))
    upper = lower + rng.uniform(0.5, 2.0, size=(4, 3))
    form, constant = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2))
    tensors = [torch.tensor(a) for a in (lower, upper, rows, limits)]
    low, high, empty = shrunk(*tensors)
    for g in range(4):
        points = Box(lower[g], upper[g]).sample(4000, rng)
        points = points[(points @ rows.T <= limits).all(1)]
        assert not (len(points) and empty[g])
        assert ((points >= low[g].numpy()) & (points <= high[g].numpy())).all()
    forms, constants = torch.tensor(form), torch.tensor(constant)
    value, bent = lifted(forms, constants, *tensors)
    gained = 0
    for g in range(4):
        for r in range(2):
            corner = np.minimum(form[g, r] * lower[g], form[g, r] * upper[g]).sum()
            plain = corner + constant[g, r]
            sides = np.stack([lower[g], upper[g]], axis=1)
            best = linprog(form[g, r], A_ub=rows, b_ub=limits, bounds=sides)
            assert float(value[g, r]) >= plain - 1e-9
            gained += float(value[g, r]) > plain + 1e-6
            if best.status == 0:
                assert float(value[g, r]) <= best.fun + constant[g, r] + 1e-9
            assert bent[g, r].shape == (3,)
    assert gained or not (len(limits) and not empty.all())


def test_what_it_cannot_take() -> None:
    engine = PolytopeSplitEngine()
    plain = Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(0.0, 1.0))
    assert str(engine.unsupported(plain.problem)) == "the region has no half-spaces"
    half = Claim(POOLED, box(*[UNIT] * 4), ANY, at_least(0.25, 1.0), SUM_AT_LEAST_3)
    (answer,) = engine.solve(half.problem, SOON)
    assert answer.outcome is Outcome.INFEASIBLE and answer.rigorous
    (late,) = engine.solve(half.problem, Deadline.after(0.0))
    assert late.outcome is Outcome.UNDECIDED and late.note == "out of time"


def test_a_corner_that_only_the_half_space_cuts_off() -> None:
    """max(x₀, x₁) ≤ 0.7 where x₀ + x₁ ≤ 0.6; not where x₀ + x₁ ≤ 1."""
    prop = at_least(-0.7, -1.0)
    for limit, outcome in ((0.6, Outcome.INFEASIBLE), (1.0, Outcome.WITNESS)):
        half = HalfSpaces(np.array([[1.0, 1.0]]), np.array([limit]))
        claim = Claim(MAXIMUM, box(UNIT, UNIT), ANY, prop, half)
        (answer,) = PolytopeSplitEngine().solve(claim.problem, SOON)
        assert answer.outcome is outcome
        if answer.witness is not None:
            assert replay(claim, answer.witness).counts


@pytest.mark.parametrize("seed", range(12))
def test_exact_arithmetic_agrees(seed: int) -> None:
    pytest.importorskip("z3")
    pytest.importorskip("highspy")
    network = random_network(seed)
    domain = Box.uniform(3, -1.0, 1.0)
    x = domain.sample(1, np.random.default_rng(seed))
    pattern = DecisionPattern.of_row(record(network, x), 0).only(["a0", "a1"][: 1 + seed % 2])
    prop = Property.argmax(int(outputs(network, x).argmax()), 2)
    claim = around_pattern(Claim(network, domain, pattern, prop), SOON).claim
    engine = PolytopeSplitEngine()
    if engine.unsupported(claim.problem):
        return
    (answer,) = engine.solve(claim.problem, Deadline.after(600.0))
    (truth,) = Z3Engine().solve(claim.problem, Deadline.after(600.0))
    assert truth.outcome is not Outcome.UNDECIDED
    assert answer.outcome is truth.outcome
    if answer.witness is not None:
        assert replay(claim, answer.witness).counts
