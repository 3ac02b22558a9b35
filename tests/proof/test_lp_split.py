"""The search whose subdomains are steps of a linear program agrees with z3, and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clocks import slow_but
from small_networks import below, random_net
from test_searches import random_claim

from precond.checker.exact import check
from precond.network.evaluate import outputs, values_at
from precond.proof.certificates.certify import certify
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.linear.encode import encode, interval_bounds
from precond.proof.linear.phases import PhaseProgram
from precond.proof.linear.solver import State
from precond.proof.prover.plans import Stage
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region, replay
from precond.proof.trace import Leaf, PhaseSplit, Tightened, Trace
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

pytest.importorskip("highspy")


def a_hard_claim() -> Claim:
    """True by a hair over a box where the relaxation is loose."""
    rng = np.random.default_rng(5)
    network = random_net(rng, 3, 8, 6, 2)
    x = rng.uniform(-1.0, 1.0, (50_000, 3))
    largest, least = (float(f(outputs(network, x)[:, 0])) for f in (np.max, np.min))
    limit = largest + 0.02 * (largest - least)
    return Claim(network, Box.uniform(3, -1.0, 1.0), DecisionPattern(), below(0, limit))


@pytest.mark.parametrize("seed", range(40))
def test_it_agrees_with_rational_truth(seed: int) -> None:
    pytest.importorskip("z3")
    claim = random_claim(seed)
    truth = Z3Engine().solve(claim.problem, Deadline.after(600))
    answers = LpSplitEngine().solve(claim.problem, Deadline.after(600))
    decided = 0
    for found, exact in zip(answers, truth, strict=True):
        assert found.outcome in (exact.outcome, Outcome.UNDECIDED)
        decided += found.outcome is not Outcome.UNDECIDED
        if found.outcome is Outcome.WITNESS:
            assert found.witness is not None and replay(claim, found.witness).counts
        elif found.outcome is Outcome.INFEASIBLE:
            assert found.rigorous
    assert decided  # one witness is enough to end it


def test_it_splits_where_the_relaxation_is_not_enough() -> None:
    claim = a_hard_claim()
    linear = HighsEngine(milp_neurons=0).solve(claim.problem, Deadline.after(600))[0]
    assert linear.outcome is Outcome.UNDECIDED
    found = LpSplitEngine().solve(claim.problem, Deadline.after(600))[0]
    assert found.outcome is Outcome.INFEASIBLE and found.rigorous
    assert int(found.note.split()[0]) > 2


def nodes(trace: Trace) -> int:
    if isinstance(trace, Leaf):
        return 1
    if isinstance(trace, Tightened):
        return nodes(trace.inner)
    assert isinstance(trace, PhaseSplit)
    return 1 + nodes(trace.off) + nodes(trace.on)


@pytest.mark.parametrize("seed", slow_but(range(10), range(40)))
def test_what_it_records_makes_a_certificate(seed: int) -> None:
    claim = random_claim(seed)
    stages = (Stage(LpSplitEngine()),)
    plain = prove(claim, budget=600.0, stages=stages)
    exact = prove(claim, budget=600.0, stages=stages, exact=True)
    assert exact.status is plain.status
    if exact.status in (Status.PROVED, Status.VACUOUS):
        assert exact.exact and exact.certificate is not None
        assert check(exact.certificate, claim.network).valid


def test_the_certificate_is_made_of_its_own_tree() -> None:
    """No split is added, so the duals read back are as good as the programs were."""
    claim = a_hard_claim()
    verdict = prove(claim, budget=600.0, stages=(Stage(LpSplitEngine()),), keep_trace=True)
    assert verdict.status is Status.PROVED
    assert nodes(verdict.traces[0]) > 2
    made = certify(claim, verdict)
    assert check(made, claim.network).valid
    assert [len(tree.kind) for tree in made.trees] == [nodes(verdict.traces[0])]


def test_a_violation_that_the_relaxation_hides_is_found() -> None:
    claim = a_hard_claim()
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 1.0, (50_000, 3))
    limit = float(outputs(claim.network, x)[:, 0].max()) - 1e-3
    false = replace(claim, property=below(0, limit))
    found = LpSplitEngine().solve(false.problem, Deadline.after(600))[0]
    assert found.outcome is Outcome.WITNESS and found.witness is not None
    assert replay(false, found.witness).counts


def test_phases_are_given_and_taken_back() -> None:
    """With every phase of an input given the program is exact there; freed, it is as before."""
    claim = a_hard_claim()
    problem = claim.problem
    program = PhaseProgram(encode(problem, interval_bounds(problem)))
    form = program.system.margins(problem, problem.conjuncts[0])
    later = Deadline.after(600)
    free = np.zeros(len(program.neurons), dtype=np.int8)
    loose = program.largest(form, later)
    assert loose.state is State.OPTIMAL and loose.solution is not None and loose.value > 0
    assert loose.cost is not None and loose.cost.max() > 0
    x = program.system.point(loose.solution)
    z = {
        layer: values_at(claim.network, x[None], claim.network.pre_activation(layer))[0]
        for layer in claim.network.decision_layers
    }
    phases = np.array([1 if z[layer][n] > 0 else -1 for layer, n in program.neurons], dtype=np.int8)
    program.decide(phases)
    exact = program.largest(form, later)
    assert exact.state is State.OPTIMAL and exact.value <= loose.value + 1e-9
    assert exact.cost is not None and exact.cost.max() < 1e-6
    on = frozenset(n for n, p in zip(program.neurons, phases, strict=True) if p > 0)
    off = frozenset(n for n, p in zip(program.neurons, phases, strict=True) if p < 0)
    cell = replace(claim, pattern=DecisionPattern(on, off)).problem
    assert exact.solution is not None
    best = program.system.point(exact.solution)
    y = float(outputs(claim.network, best[None])[0, 0])
    inside = claim.box.sample(20_000, np.random.default_rng(1))
    inside = inside[in_region(cell, inside)]
    if len(inside):
        assert float(outputs(claim.network, inside)[:, 0].max()) <= y + 1e-6
    assert exact.value < 0 and exact.bound < 0  # rigorous, with the phases' bounds
    program.decide(free)
    again = program.largest(form, later)
    assert again.value == pytest.approx(loose.value, abs=1e-7)


def test_no_time_is_an_undecided_answer() -> None:
    claim = random_claim(3)
    answers = LpSplitEngine().solve(claim.problem, Deadline.after(0.0))
    assert [a.outcome for a in answers] == [Outcome.UNDECIDED] * len(claim.problem.conjuncts)


def test_what_it_cannot_take_is_said() -> None:
    problem = a_hard_claim().problem
    known = replace(problem, bounds=interval_bounds(problem))
    assert LpSplitEngine().unsupported(known) is None
    refusal = LpSplitEngine(free=2).unsupported(known)
    assert refusal is not None and "free neurons, more than 2" in refusal.reason
    (one,) = problem.conjuncts[0]
    assert isinstance(one, Inequality)
    several = LpSplitEngine().unsupported(problem.only(((one, one),)))
    assert several is not None and "more than one inequality" in several.reason


def test_a_ray_has_no_length() -> None:
    """A leaf without weights has multipliers of at most the network's own size, however long the
    solver's ray is: a common exponent would take digits from other leaves."""
    claim = a_hard_claim()
    problem = replace(claim.problem, keep_trace=True)
    program = PhaseProgram(encode(problem, interval_bounds(problem)))
    form = program.system.margins(problem, problem.conjuncts[0])
    for phase in (1, -1):
        program.decide(np.full(len(program.neurons), phase, np.int8))
        found = program.largest(form, Deadline.after(600))
        if found.shown_empty:
            assert found.duals is not None
            leaves = [
                program.leaf(problem, form, replace(found, duals=scale * found.duals))
                for scale in (1.0, 1e6)
            ]
            for side in ("low", "high"):
                first, second = (getattr(leaf, side) for leaf in leaves)
                assert first.keys() == second.keys()
                for layer in first:
                    assert np.allclose(first[layer], second[layer])
            return
    raise AssertionError("no phases exclude each other")
