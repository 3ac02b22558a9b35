"""Phase splitting over layer bounds of each subdomain's own: its parts, and its proofs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from looks import Looks
from small_networks import below, layered, random_net

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.operators import operators
from precond.proof.bounds.backward import NO_MULTIPLIERS
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.bounds.row_multipliers import RowMultipliers
from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.refine_split.estimates import Estimator
from precond.proof.engines.relu_split import search as relu_search
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.prover.plans import MANY, default_stages
from precond.proof.prover.prove import Stage, prove
from precond.proof.rows import stack_rows
from precond.proof.trace import Leaf, PhaseSplit
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

ANY = DecisionPattern()


def hard_claim(seed: int, true: bool = True) -> Claim:
    """Output 0 of a 30–12–12–12–2 network stays below a limit a little above (or below) the largest
    value of a sample, which one pass of bounds does not show."""
    rng = np.random.default_rng(seed)
    network, box = random_net(rng, 30, 12, 12, 12, 2, size=0.4), Box.uniform(30, -0.15, 0.15)
    corners = np.where(rng.random((20_000, 30)) < 0.5, box.lower, box.upper)
    largest = float(outputs(network, corners)[:, 0].max())
    claim = Claim(network, box, ANY, below(0, 0.0))
    rows = stack_rows(claim.problem, "cpu")
    region = region_of(claim.problem).region
    bound = -float(row_bounds(region, rows).value)  # of output 0, from above
    limit = largest + (0.45 * (bound - largest) if true else -1e-3)
    return replace(claim, property=below(0, limit))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_proofs_get_a_certificate(seed: int) -> None:
    claim = hard_claim(seed)
    (answer,) = RefineSplitEngine().solve(replace(claim.problem, keep_trace=True), FOREVER)
    assert answer.outcome is Outcome.INFEASIBLE and answer.rigorous
    assert isinstance(answer.trace, PhaseSplit), "one pass of bounds is not enough"
    verdict = prove(claim, budget=600, exact=True, stages=[Stage(RefineSplitEngine())])
    assert verdict.status is Status.PROVED and verdict.exact


@pytest.mark.parametrize("looks", [8, 17, 35, 120])
def test_false_claims_are_never_closed(looks: int) -> None:
    claim = hard_claim(3, true=False)
    for batch in (1, 4):
        (answer,) = RefineSplitEngine(batch=batch).solve(claim.problem, Looks(looks))
        assert answer.outcome is not Outcome.INFEASIBLE
        assert "internal error" not in answer.note


def test_inequalities_that_hold_apart_are_excluded_together() -> None:
    """y0 = x and y1 = −x: one of them may be 0.5, never both, and their mean is 0."""
    network = layered(([[1.0], [-1.0]], [2.0, 2.0]), (np.eye(2), [-2.0, -2.0]))
    both = tuple(Inequality(((k, -1.0),), -0.5, strict=True) for k in range(2))
    claim = Claim(network, Box.uniform(1, -1.0, 1.0), ANY, Property((both,)))
    assert [len(conjunct) for conjunct in claim.problem.conjuncts] == [2]
    (answer,) = RefineSplitEngine().solve(replace(claim.problem, keep_trace=True), FOREVER)
    assert answer.outcome is Outcome.INFEASIBLE
    assert isinstance(answer.trace, Leaf) and answer.trace.weights is not None
    assert (answer.trace.weights > 0.3).all()
    verdict = prove(claim, budget=600, exact=True, stages=[Stage(RefineSplitEngine())])
    assert verdict.status is Status.PROVED and verdict.exact


def network_and_region() -> tuple[Network, Claim]:
    network = random_net(np.random.default_rng(5), 6, 8, 8, 8, 1)
    return network, Claim(network, Box.uniform(6, -0.5, 0.5), ANY, below(0, 0.0))


def test_gains_are_derivatives_of_the_whole_chain() -> None:
    network, claim = network_and_region()
    refined = region_of(claim.problem)
    rows = Objective.of(stack_rows(claim.problem, "cpu"), network.output)
    ops = operators(network, "cpu", torch.float64)
    box = refined.region.lower, refined.region.upper
    estimator = Estimator(ops, *box, multipliers=RowMultipliers())
    with torch.enable_grad():
        seen = estimator.of(refined.bounds, rows, NO_MULTIPLIERS)
        gains = seen.gains(seen.value.sum(), network.decision_layers)[0, :8]
    first = network.decision_layers[0]
    low, high = refined.bounds[first]
    for neuron in range(8):
        if not (low[0, neuron] < 0 < high[0, neuron]):
            assert gains[neuron] == 0
            continue
        expected = 0.0
        for side in (0, 1):
            moved = [low.clone(), high.clone()]
            step = -1e-6 * float(moved[side][0, neuron])
            moved[side][0, neuron] += step
            known = {**refined.bounds, first: (moved[0], moved[1])}
            value = estimator.of(known, rows, NO_MULTIPLIERS)
            expected += float((value.value - seen.value).detach().sum()) * 1e6
        assert float(gains[neuron]) == pytest.approx(max(expected, 0.0), rel=1e-3, abs=1e-6)


def test_kept_slopes_give_the_bounds_they_were_found_for() -> None:
    network, claim = network_and_region()
    kept = RowMultipliers()
    best = region_of(claim.problem, passes=LayerPasses(steps=10, multipliers=kept)).bounds
    again = region_of(claim.problem, passes=LayerPasses(multipliers=kept)).bounds
    plain = region_of(claim.problem).bounds
    last = network.decision_layers[-1]
    for side in (0, 1):
        torch.testing.assert_close(again[last][side], best[last][side], rtol=1e-4, atol=1e-4)
    width = [float((b[last][1] - b[last][0]).sum()) for b in (best, plain)]
    assert width[0] < 0.99 * width[1]


def test_it_is_asked_where_layer_bounds_leave_many_neurons_free() -> None:
    claim, engine = hard_claim(0), RefineSplitEngine()
    asked = prove(claim, budget=600, stages=[Stage(engine, beyond=5)])
    assert asked.status is Status.PROVED and asked.engine == engine.name
    passed_over = prove(claim, budget=600, stages=[Stage(engine, beyond=MANY)])
    assert passed_over.status is Status.UNKNOWN
    assert engine.name not in {attempt.engine for attempt in passed_over.attempts}
    for free, there in ((MANY, False), (MANY + 1, True)):
        stages = [stage for stage in default_stages(claim.problem) if stage.suits(free)]
        assert (engine.name in {stage.engine.name for stage in stages}) is there


def test_a_trial_ends_unless_most_phases_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is over at once, when nothing is decided; where that is enough, it goes on."""
    problem = hard_claim(0).problem
    engine = ReluSplitEngine(trial=0.0)
    (ended,) = engine.solve(problem, Deadline.after(600.0))
    assert ended.outcome is Outcome.UNDECIDED and ended.done == 0.0
    monkeypatch.setattr(relu_search, "PROMISE", 1.0)
    (gone_on,) = engine.solve(problem, Deadline.after(600.0))
    assert gone_on.outcome is Outcome.INFEASIBLE
