"""Deadlines reach into the work: what is counted is passes and steps, not seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from looks import Looks
from small_networks import below, random_net

from precond.apply.certification.batch import margin_bounds
from precond.proof.bounds import region
from precond.proof.claim import Claim
from precond.proof.engines.base import Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.linear import leaf
from precond.proof.prover.plans import known_bounds
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

NETWORK = random_net(np.random.default_rng(3), 6, 60, 60, 60, 3)
BOX = Box.uniform(6, -1.0, 1.0)


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[None]:
    """One entry for each call of a module's function."""
    calls: list[None] = []
    plain: Callable[..., object] = getattr(module, name)

    def counting(*arguments: object, **named: object) -> object:
        calls.append(None)
        return plain(*arguments, **named)

    monkeypatch.setattr(module, name, counting)
    return calls


def test_layer_bounds_stop_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region, "CACHE_BYTES", 8 * 60 * 10)  # ten rows a pass
    passes = counted(monkeypatch, region, "lower_bound")
    problem = Claim(NETWORK, BOX, DecisionPattern(), below(0, 1e9)).problem
    BoundsEngine(steps=0).solve(problem, Looks(1000))
    whole = len(passes)
    passes.clear()
    (answer,) = BoundsEngine(steps=0).solve(problem, Looks(5))
    assert len(passes) < 5 < whole
    assert answer.outcome is Outcome.INFEASIBLE, "bounds of intervals are bounds too"


def test_margins_of_balls_stop_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region, "CACHE_BYTES", 8 * 60 * 10)
    passes = counted(monkeypatch, region, "lower_bound")
    points = BOX.sample(20, np.random.default_rng(0))
    classes = np.zeros(20, dtype=np.int64)
    bounds = [
        margin_bounds(NETWORK, points - 0.2, points + 0.2, classes, steps=2, deadline=Looks(looks))
        for looks in (8, 100_000)
    ]
    assert len(passes) > 100
    assert np.isfinite(bounds[0]).all(), "what was begun is finished, with weaker bounds"
    assert (bounds[0] <= bounds[1]).all()
    passes.clear()
    margin_bounds(NETWORK, points - 0.2, points + 0.2, classes, steps=2, deadline=Looks(8))
    assert len(passes) < 8


def test_a_program_s_multipliers_are_not_mended_past_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("highspy")
    problem = Claim(NETWORK, BOX, DecisionPattern(), below(0, 2e5)).problem
    given: list[object] = []

    def closing(*_: object, deadline: object, **__: object) -> None:
        given.append(deadline)

    monkeypatch.setattr(leaf, "closing_leaf", closing)
    looks = Looks(100_000)
    HighsEngine(known_bounds, milp_neurons=0).solve(replace(problem, keep_trace=True), looks)
    assert given and all(deadline is looks for deadline in given)
