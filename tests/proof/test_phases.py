"""The program whose literals' rows come when they bind says what the whole program says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_networks import mixed, random_net

from precond.network.evaluate import values_at
from precond.network.graph import Network
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.linear.encode import encode, interval_bounds
from precond.proof.linear.phases import PhaseProgram
from precond.proof.linear.programs import Program
from precond.proof.linear.solver import State
from precond.proof.linear.system import LinearSystem
from precond.proof.linear.tighten import narrowed
from precond.proof.replay import in_region
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

pytest.importorskip("highspy")
SOON = Deadline.after(3600)


def many_literals(seed: int, share: float = 0.7) -> Claim:
    """Most decisions of one input, over a box in which most of them can change."""
    rng = np.random.default_rng(seed)
    network = random_net(rng, 6, 16, 12, 3) if seed % 4 else mixed(rng)
    size = network.input_size
    centre = rng.uniform(-0.5, 0.5, size)
    full = DecisionPattern.of_row(record(network, centre[None]), 0)
    kept = frozenset(n for n in sorted(full.on | full.off) if rng.random() < share)
    pattern = DecisionPattern(full.on & kept, full.off & kept)
    goal = Property.argmax(0, network.output_size)
    return Claim(network, Box.uniform(size, -1.0, 1.0), pattern, goal)


def system_of(problem: Problem) -> LinearSystem:
    system = encode(problem, interval_bounds(problem))
    assert system.empty is None
    return system


def literal_rows(system: LinearSystem) -> int:
    return sum(int((part.row >= 0).sum()) for part in system.layers.values())


@pytest.mark.parametrize("seed", range(24))
def test_it_agrees_with_the_program_of_all_rows(seed: int) -> None:
    problem = many_literals(seed).problem
    system = system_of(problem)
    rng = np.random.default_rng(seed)
    lazy = PhaseProgram(system)
    for turn in range(6):
        choice = np.zeros(len(lazy.neurons), dtype=np.int8)
        if turn:
            choice[rng.random(len(choice)) < 0.3] = rng.choice([-1, 1])
        lazy.decide(choice)
        whole = Program(lazy.now)
        for key, conjunct in enumerate(problem.conjuncts):
            form = system.margins(problem, conjunct)
            best = whole.largest(form, SOON)
            state, bound = best.state, best.bound
            found = lazy.largest(form, SOON, key)
            if state is State.INFEASIBLE:
                assert found.value < 0  # fewer rows may do to close it
                continue
            assert found.state is State.OPTIMAL and found.value >= bound - 1e-5
            if found.value > 0:
                assert found.value == pytest.approx(bound, abs=1e-5)
                assert found.solution is not None
                rows = system.matrix @ found.solution
                assert (rows >= system.row_lower - 1e-6).all()
                assert (rows <= system.row_upper + 1e-6).all()
            else:
                assert found.bound >= bound - 1e-5  # weaker, and still below zero


def test_few_literals_are_taken_up() -> None:
    taken = every = 0
    for seed in range(1, 24):
        problem = many_literals(seed, share=0.9).problem
        program = PhaseProgram(system_of(problem))
        for key, conjunct in enumerate(problem.conjuncts):
            program.largest(program.system.margins(problem, conjunct), SOON, key)
        every += literal_rows(program.system)
        taken += sum(int(used.sum()) for used in program.literals.values())
    assert 0 < taken < every


@pytest.mark.parametrize("seed", range(12))
def test_a_system_with_fewer_literals_is_a_larger_region(seed: int) -> None:
    problem = many_literals(seed).problem
    system = system_of(problem)
    rng = np.random.default_rng(seed)
    present = {name: rng.random(len(part.row)) < 0.5 for name, part in system.layers.items()}
    fewer = system.with_literals(present)
    for name, part in system.layers.items():
        kept = fewer.layers[name]
        assert ((kept.row >= 0) == ((part.row >= 0) & present[name])).all()
        for before, after in ((part.row, kept.row), (part.triangle, kept.triangle)):
            at = after >= 0
            assert (system.matrix[before[at]] != fewer.matrix[after[at]]).nnz == 0
            assert (system.row_upper[before[at]] == fewer.row_upper[after[at]]).all()
    for before, after in zip(system.pools, fewer.pools, strict=True):
        assert (system.matrix[before.rows] != fewer.matrix[after.rows]).nnz == 0
    form = system.margins(problem, problem.conjuncts[0])
    all_rows, few_rows = (Program(s).largest(form, SOON).bound for s in (system, fewer))
    assert few_rows >= all_rows - 1e-7


def inside(network: Network, problem: Problem) -> np.ndarray:
    x = problem.box.sample(200_000, np.random.default_rng(0))
    return np.asarray(x[in_region(problem, x)])


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 6, 7])
def test_bounds_narrowed_over_fewer_literals_hold(seed: int) -> None:
    claim = many_literals(seed, share=0.4)
    problem = claim.problem
    bounds = interval_bounds(problem)
    none = {n: np.zeros(claim.network.width(n), dtype=bool) for n in claim.network.decision_layers}
    found = narrowed(problem, bounds, SOON, none)
    best = narrowed(problem, bounds, SOON)
    assert found is not None and best is not None
    x = inside(claim.network, replace(problem, bounds=None))
    assert len(x)
    for layer in claim.network.decision_layers[1:]:
        z = values_at(claim.network, x, claim.network.pre_activation(layer))
        low, high = found[layer]
        assert (z >= low - 1e-9).all() and (z <= high + 1e-9).all()
        assert (high - low).sum() >= (best[layer][1] - best[layer][0]).sum() - 1e-6
