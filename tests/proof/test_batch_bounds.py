"""Many patterns in one propagation: the same bounds as one by one, and true ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blobs import chain
from known import XOR, at_least, box, phases
from test_reduce import random_claim

from precond.network.evaluate import outputs
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.replay import in_region
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern


def related(seed: int) -> list[Problem]:
    """A claim, the same with fewer literals, with none, and over a smaller box."""
    claim = random_claim(seed)
    literals = sorted(claim.pattern.on)[::2]
    fewer = claim.pattern - DecisionPattern(frozenset(literals))
    smaller = Box(claim.box.lower, 0.5 * claim.box.upper)
    return [
        claim.problem,
        replace(claim, pattern=fewer).problem,
        replace(claim, pattern=DecisionPattern()).problem,
        replace(claim, box=smaller).problem,
    ]


@pytest.mark.parametrize("seed", range(8))
def test_together_as_one_by_one(seed: int) -> None:
    """A batch also tightens neurons whose sign only some of its problems leave open, so it may
    be a little better, never worse."""
    problems = related(seed)
    together = pattern_bounds(problems, steps=10)
    alone = np.array([pattern_bounds([problem], steps=10)[0] for problem in problems])
    assert (together >= alone - 1e-6).all()
    assert np.isclose(together, alone, rtol=1e-6, atol=1e-6).sum() >= 3


@pytest.mark.parametrize("seed", range(8))
def test_as_the_engine_bounds_them(seed: int) -> None:
    """Alone and without steps it is the plain backward pass of the bounds engine."""
    for problem in related(seed):
        answers = BoundsEngine(steps=0).solve(problem, Deadline.after(600))
        least = min(np.inf if a.bound is None else a.bound for a in answers)
        assert pattern_bounds([problem], steps=0)[0] == pytest.approx(least, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_no_point_of_the_region_is_below(seed: int) -> None:
    problems = related(seed)
    rng = np.random.default_rng(seed)
    for bound, problem in zip(pattern_bounds(problems), problems, strict=True):
        x = problem.box.sample(2000, rng)
        y = outputs(problem.network, x[in_region(problem, x)])
        for conjunct in problem.conjuncts:
            for inequality in conjunct:
                if len(y):
                    assert bound <= (-inequality.margin(y)).min() + 1e-9


def test_an_empty_region_is_infinitely_far() -> None:
    # Neuron 1 of xor is on for x0 + x1 ≥ 1.
    small = Claim(XOR, box((0, 0.25), (0, 0.25)), phases(on=[1]), at_least(9.0, 1.0)).problem
    whole = Claim(XOR, box((0, 1), (0, 1)), phases(on=[1]), at_least(9.0, 1.0)).problem
    first, second = pattern_bounds([small, whole])
    assert first == np.inf
    assert second < 0


def test_literals_of_different_layers_go_together() -> None:
    rng = np.random.default_rng(3)
    network = chain(
        [(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in ((2, 4), (4, 4), (4, 2))]
    )
    region, wanted = Box.uniform(2, 0.0, 1.0), Property.argmax(0, 2)
    problems = [
        Claim(network, region, pattern, wanted).problem
        for pattern in (phases(on=[0], layer="relu1"), phases(on=[1], layer="relu2"), phases())
    ]
    together = pattern_bounds(problems, steps=5)
    alone = [pattern_bounds([problem], steps=5)[0] for problem in problems]
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)
