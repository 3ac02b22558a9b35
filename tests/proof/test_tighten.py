"""Bounds under a conjunct hold wherever it does, and the search on them agrees with z3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_networks import ABSOLUTE, below, mixed, random_net
from test_searches import random_claim

from precond.network.evaluate import outputs, values_at
from precond.network.graph import Network
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.linear.encode import interval_bounds
from precond.proof.linear.tighten import tightened
from precond.proof.replay import replay
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

pytest.importorskip("highspy")
LINEAR = HighsEngine(milp_neurons=0)
SOON = Deadline.after(3600)


def violations(problem: Problem, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random inputs of the box at which the first conjunct holds."""
    x = rng.uniform(problem.box.lower, problem.box.upper, (count, problem.box.size))
    y = outputs(problem.network, x)
    c, e, d = problem.rows(problem.conjuncts[0])
    return np.asarray(x[((y @ c.T + x @ e.T - d) >= 0).all(1)])


def a_claim(network: Network, rng: np.random.Generator, share: float) -> Claim:
    """The first output stays below what ``share`` of the box's inputs give."""
    box = Box.uniform(network.input_size, -1.0, 1.0)
    x = rng.uniform(-1.0, 1.0, (2000, network.input_size))
    limit = float(np.quantile(outputs(network, x)[:, 0], share))
    return Claim(network, box, DecisionPattern(), below(0, limit))


@pytest.mark.parametrize("seed", range(12))
def test_bounds_hold_for_every_violation_and_get_narrower(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = mixed(rng) if seed % 3 == 0 else random_net(rng, 3, 6, 5, 2)
    problem = a_claim(network, rng, 0.99).problem
    bounds = interval_bounds(problem)
    start = {name: high - low for name, (low, high) in bounds.items()}
    x = violations(problem, 40_000, rng)
    assert len(x) > 100
    for _ in range(2):
        found = tightened(problem, problem.conjuncts[0], bounds, SOON)
        assert found is not None
        bounds = found
        for layer in network.decision_layers:
            low, high = bounds[layer]
            z = values_at(network, x, network.pre_activation(layer))
            assert (z >= low - 1e-9).all() and (z <= high + 1e-9).all()
    width = {name: high - low for name, (low, high) in bounds.items()}
    assert all((width[name] <= start[name] + 1e-9).all() for name in width)
    if seed:  # where every neuron's range is reached by a violation, nothing gets narrower
        assert any((width[name] < 0.95 * start[name]).any() for name in width)


def test_a_region_without_violations_is_seen() -> None:
    problem = Claim(ABSOLUTE, Box.uniform(1, -1.0, 1.0), DecisionPattern(), below(0, 2.5)).problem
    bounds = interval_bounds(problem)
    assert tightened(problem, problem.conjuncts[0], bounds, SOON) is None


def test_the_conjunct_fixes_a_phase() -> None:
    """|x| ≥ 0.9 over [−0.5, 1]: with x = p − q the triangle p/2 + q ≤ 1/2 leaves p ≥ 0.8 and
    x ≥ 0.7, so that both phases are known; what is fixed is not made narrower."""
    box = Box(np.array([-0.5]), np.array([1.0]))
    problem = Claim(ABSOLUTE, box, DecisionPattern(), below(0, 0.9)).problem
    bounds = interval_bounds(problem)
    for _ in range(3):
        found = tightened(problem, problem.conjuncts[0], bounds, SOON)
        assert found is not None
        bounds = found
    low, high = bounds[ABSOLUTE.decision_layers[0]]
    assert low[0] > 0 and high[1] < 0
    assert 0.69 < low[0] <= 0.7


def test_past_the_deadline_bounds_stay() -> None:
    rng = np.random.default_rng(1)
    problem = a_claim(random_net(rng, 3, 6, 5, 2), rng, 0.9).problem
    bounds = interval_bounds(problem)
    found = tightened(problem, problem.conjuncts[0], bounds, Deadline.after(0.0))
    assert found is not None
    for name, (low, high) in found.items():
        assert (low >= bounds[name][0]).all() and (high <= bounds[name][1]).all()


@pytest.mark.parametrize("seed", range(25))
def test_the_search_agrees_with_rational_truth(seed: int) -> None:
    pytest.importorskip("z3")
    claim = random_claim(seed)
    truth = Z3Engine().solve(claim.problem, Deadline.after(600))
    for finish in (ReluSplitEngine(steps=2, batch=4), LINEAR):
        engine = TightenSplitEngine(finish)
        answers = engine.solve(claim.problem, Deadline.after(600))
        for found, exact in zip(answers, truth, strict=True):
            assert found.outcome in (exact.outcome, Outcome.UNDECIDED)
            if found.outcome is Outcome.WITNESS:
                assert found.witness is not None
                assert replay(claim, found.witness).counts
            elif found.outcome is Outcome.INFEASIBLE:
                assert found.rigorous


def test_it_splits_where_the_relaxation_is_not_enough() -> None:
    """Closes by splits alone what no relaxation of the whole region closes."""
    rng = np.random.default_rng(5)
    network = random_net(rng, 3, 8, 6, 2)
    box = Box.uniform(3, -1.0, 1.0)
    x = rng.uniform(-1.0, 1.0, (50_000, 3))
    largest = float(outputs(network, x)[:, 0].max())
    span = largest - float(outputs(network, x)[:, 0].min())
    claim = Claim(network, box, DecisionPattern(), below(0, largest + 0.02 * span))
    assert LINEAR.solve(claim.problem, Deadline.after(600))[0].outcome is Outcome.UNDECIDED
    found = TightenSplitEngine(LINEAR).solve(claim.problem, Deadline.after(600))[0]
    assert found.outcome is Outcome.INFEASIBLE and found.rigorous


def test_a_budget_is_kept_and_the_rest_said() -> None:
    claim = random_claim(3)
    answers = TightenSplitEngine(LINEAR).solve(claim.problem, Deadline.after(0.0))
    assert [a.outcome for a in answers] == [Outcome.UNDECIDED] * len(claim.problem.conjuncts)
    assert all(a.done == 0.0 for a in answers)


def test_too_many_free_neurons_are_refused() -> None:
    rng = np.random.default_rng(5)
    problem = a_claim(random_net(rng, 3, 8, 6, 2), rng, 0.9).problem
    known = replace(problem, bounds=interval_bounds(problem))
    assert TightenSplitEngine(LINEAR).unsupported(known) is None
    refusal = TightenSplitEngine(LINEAR, free=2).unsupported(known)
    assert refusal is not None and "free neurons, more than 2" in refusal.reason
