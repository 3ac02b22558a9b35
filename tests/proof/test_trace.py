"""A recorded proof can be replayed: its leaves cover the region, and each closes what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from clocks import slow_but, ticking
from known import KNOWN, Known
from small_networks import random_net
from test_searches import random_claim
from torch import Tensor

from precond.network.evaluate import outputs
from precond.network.layers import LeakyReLU, ReLU
from precond.network.operators import operators
from precond.proof.bounds.backward import Multipliers, Region, lower_bound
from precond.proof.bounds.lines import activation_lines
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.region import Refined, refine
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.limits import limits_of
from precond.proof.prover.prove import Stage, prove
from precond.proof.trace import InputSplit, Leaf, Leaves, PhaseSplit, Recorder, Tightened, Trace
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

LINEAR = HighsEngine(milp_neurons=0)
ENGINES = {
    "bounds": BoundsEngine(steps=30),
    "highs": LINEAR,
    "input-split": InputSplitEngine(batch=16),
    "refine-split": RefineSplitEngine(batch=3, leaf=lambda p, d: LINEAR.solve(p, d)[0]),
    "relu-split": ReluSplitEngine(batch=16, leaf=lambda p, d: LINEAR.solve(p, d)[0]),
}
Bounds = dict[str, tuple[Tensor, Tensor]]


def tensor(values: object) -> Tensor:
    return torch.tensor(np.array(values), dtype=torch.float64)


def pieces(problem: Problem, trace: Trace, known: Bounds) -> Iterator[tuple[Problem, Leaf, Bounds]]:
    """Every leaf with its subdomain as a problem; bounds are refined on the way down."""
    if isinstance(trace, Leaf):
        yield problem, trace, known
        return
    known = refined_bounds(problem, known)
    if isinstance(trace, Tightened):
        yield from pieces(problem, trace.inner, after(problem, trace, known))
    elif isinstance(trace, InputSplit):
        for side, below in ((trace.below, True), (trace.above, False)):
            lower, upper = problem.box.lower.copy(), problem.box.upper.copy()
            (upper if below else lower)[trace.index] = trace.at
            yield from pieces(replace(problem, box=Box(lower, upper)), side, known)
    else:
        for side, on in ((trace.off, False), (trace.on, True)):
            free = np.full(problem.network.width(trace.layer), np.inf)
            low, high = problem.intervals.get(trace.layer, (-free, free))
            low, high = low.copy(), high.copy()
            if on:
                low[trace.index] = max(low[trace.index], 0.0)
            else:
                high[trace.index] = min(high[trace.index], 0.0)
            intervals = {**problem.intervals, trace.layer: (low, high)}
            yield from pieces(replace(problem, intervals=intervals), side, known)


def after(problem: Problem, trace: Tightened, known: Bounds) -> Bounds:
    """Bounds of the whole region after rounds of steps, each bound by a pass of its own."""
    for steps in trace.rounds:
        refined, found = (
            refined_region(problem, known),
            {n: torch.stack(b) for n, b in known.items()},
        )
        for step in steps:
            assert step.leaf.weights is None
            source, sign = problem.network.pre_activation(step.layer), 1 if step.above else -1
            form = torch.zeros(1, 1, problem.network.width(source), dtype=torch.float64)
            form[0, 0, step.index] = sign
            objective = Objective(source, form, form[:, :, 0] * 0)
            value = float(lower_bound(refined.region, objective, multipliers(step.leaf)).value)
            ends = found[step.layer][0 if step.above else 1]
            ends[0, step.index] = sign * max(value, sign * float(ends[0, step.index]))
        known = {name: (ends[0], ends[1]) for name, ends in found.items()}
    return known


def refined_bounds(problem: Problem, known: Bounds) -> Bounds:
    return refined_region(problem, known).bounds


def refined_region(problem: Problem, known: Bounds) -> Refined:
    return refine(
        operators(problem.network, "cpu", torch.float64),
        tensor(problem.box.lower)[None],
        tensor(problem.box.upper)[None],
        limits_of(problem),
        known=known,
    )


def cut_region(root: Refined, problem: Problem) -> Region:
    """The root's layer bounds cut by the literals of a subdomain, as a phase search has them."""
    lines, constraints = dict(root.region.lines), dict(root.region.constraints)
    for name, (low, high) in problem.intervals.items():
        layer = problem.network.node[name].layer
        assert isinstance(layer, ReLU | LeakyReLU)
        below = torch.maximum(root.bounds[name][0], tensor(low))
        above = torch.minimum(root.bounds[name][1], tensor(high))
        lines[name] = activation_lines(layer, below, torch.maximum(below, above))
        constraints[name] = (tensor(low)[None, None], tensor(high)[None, None])
    return replace(root.region, lines=lines, constraints=constraints)


def multipliers(leaf: Leaf) -> Multipliers:
    """As a pass takes them, (1, 1, m)."""

    def each(values: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: tensor(value)[None, None] for name, value in values.items()}

    half = None if leaf.half is None else tensor(leaf.half)[None, None]
    return Multipliers(each(leaf.alpha), each(leaf.low), each(leaf.high), half)


def closes(problem: Problem, conjunct: int, leaf: Leaf, known: Bounds, root: Refined) -> bool:
    """The leaf's bound, from its multipliers on the subdomain's own layer bounds, or on those it
    was found with: with tighter ones a line may be worse outside its neuron's range."""
    refined = refined_region(problem, known)
    if bool(refined.empty[0]) or leaf.empty:
        return bool(refined.empty[0])
    regions = [refined.region, region_of(problem).region]
    if (tensor(problem.box.lower) == root.region.lower).all() and (
        tensor(problem.box.upper) == root.region.upper
    ).all():
        regions.append(cut_region(root, problem))
    rows = problem.conjuncts[conjunct]
    form, inputs, bound = problem.rows(rows)
    weights = np.eye(len(rows)) if leaf.weights is None else leaf.weights[None]
    assert (weights >= 0).all() and weights.shape[1] == len(rows)
    strict = weights.any() and all(i.strict for i in rows)

    used = multipliers(leaf)
    mixed = tensor(-weights @ form)[None], tensor(weights @ bound)[None]
    for region in regions:
        objective = Objective(problem.network.output, *mixed, tensor(-weights @ inputs)[None])
        found = lower_bound(region, objective, used).value
        if bool((found >= 0).any() if strict else (found > 0).any()):
            return True
    return False


def replayed(claim: Claim, conjunct: int, trace: Trace) -> int:
    """The number of leaves; each of them closes."""
    root = region_of(claim.problem)
    if isinstance(trace, Tightened):
        root = refined_region(claim.problem, after(claim.problem, trace, dict(root.bounds)))
    found = list(pieces(claim.problem, trace, dict(root.bounds)))
    for problem, leaf, bounds in found:
        assert closes(problem, conjunct, leaf, bounds, root)
    if all(problem.intervals is claim.problem.intervals for problem, _, _ in found):
        free = claim.box.width > 0
        volume = sum(float(problem.box.width[free].prod()) for problem, _, _ in found)
        assert volume == pytest.approx(float(claim.box.width[free].prod()), rel=1e-9)
    return len(found)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("known", [pytest.param(k, id=k.name) for k in KNOWN])
def test_known_claims(known: Known, name: str) -> None:
    problem = replace(known.claim.problem, keep_trace=True)
    engine = ENGINES[name]
    if engine.unsupported(problem) is not None:
        pytest.skip("not for this engine")
    for k, answer in enumerate(engine.solve(problem, Deadline.after(600.0))):
        if answer.outcome is not Outcome.INFEASIBLE:
            assert answer.trace is None
        elif answer.trace is not None:
            replayed(known.claim, k, answer.trace)


# Some of the leaves of the later seeds are regions that a linear program finds empty.
@pytest.mark.parametrize(
    "seed", slow_but((0, 1, 2, 102, 268), (*range(25), 102, 104, 147, 268, 387, 406, 4010))
)
@pytest.mark.parametrize("name", ENGINES)
def test_random_claims(name: str, seed: int) -> None:
    """Rigorous answers have a trace, and every trace replays."""
    claim = random_claim(seed)
    problem = replace(claim.problem, keep_trace=True)
    for k, answer in enumerate(ENGINES[name].solve(problem, Deadline.after(600.0))):
        if answer.outcome is Outcome.INFEASIBLE and answer.rigorous:
            assert answer.trace is not None
            replayed(claim, k, answer.trace)


@pytest.mark.parametrize("looks", slow_but(range(0, 2000, 250), range(0, 2000, 50)))
def test_a_trace_wherever_time_ends(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock moves when it is looked at.  One conjunct of this claim closes long before the
    other does, and some of its rows in early steps."""
    ticking(monkeypatch)
    claim = random_claim(21)
    problem = replace(claim.problem, keep_trace=True)
    for k, answer in enumerate(ENGINES["relu-split"].solve(problem, Deadline.after(looks))):
        if answer.outcome is Outcome.INFEASIBLE:
            assert answer.trace is not None
            replayed(claim, k, answer.trace)


def deep_claim() -> Claim:
    """A box that takes many cuts: 0.02 below the least grid value of a 3–12–12–2 network."""
    network = random_net(np.random.default_rng(4), 3, 12, 12, 2)
    axis = np.linspace(-1, 1, 41)
    grid = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    values = outputs(network, grid)
    low = values.min(0) - 0.1 * np.ptp(values, axis=0)
    either = Property.between(0, float(low[0]), 1e3)
    return Claim(network, Box.uniform(3, -1, 1), DecisionPattern(), either)


@pytest.mark.parametrize("name", ["input-split", "relu-split"])
def test_deep_trees(name: str) -> None:
    claim = deep_claim()
    answers = ENGINES[name].solve(replace(claim.problem, keep_trace=True), Deadline.after(600.0))
    leaves = 0
    for k, answer in enumerate(answers):
        assert answer.outcome is Outcome.INFEASIBLE and answer.trace is not None
        leaves += replayed(claim, k, answer.trace)
    assert leaves > 10


def test_a_verdict_carries_traces_only_when_asked() -> None:
    claim = deep_claim()
    assert not prove(claim, budget=600.0).traces
    verdict = prove(claim, budget=600.0, keep_trace=True)
    assert verdict.status is Status.PROVED
    assert sorted(verdict.traces) == list(range(len(claim.problem.conjuncts)))
    assert "traces" not in verdict.to_json()
    vague = prove(claim, budget=600.0, keep_trace=True, stages=[Stage(LINEAR)])
    assert vague.status is Status.UNKNOWN and len(vague.traces) < len(claim.problem.conjuncts)


def test_a_recorder_that_is_full_gives_no_trace() -> None:
    recorder = Recorder(limit=1_000)
    one, two = np.array([0]), np.array([1, 2])
    recorder.cut(one, np.array([3]), np.array([0.5]), 1)
    recorder.close(Leaves(two, np.array([7, 7]), np.array([[0.25, 0.75], [1.0, 0.0]])))
    tree = recorder.trace(7)
    assert isinstance(tree, InputSplit) and (tree.index, tree.at) == (3, 0.5)
    assert isinstance(tree.below, Leaf) and list(tree.below.weights) == [0.25, 0.75]
    assert recorder.trace(6) is None
    recorder.fix(np.array([5, 6]), ["a", "b"], np.array([0, 1]), 7)
    assert recorder.full and recorder.trace(7) is None


def test_a_leaf_of_its_own_counts_with_all_it_holds() -> None:
    recorder = Recorder(limit=10_000)
    recorder.graft(0, 0, Leaf(np.ones(1)))
    assert recorder.trace(0) is not None
    recorder.graft(0, 1, Leaf(np.ones(1), {"relu": np.zeros(2_000)}))
    assert recorder.full and recorder.trace(0) is None


def test_phases_are_the_right_way_round() -> None:
    recorder = Recorder()
    recorder.fix(np.array([4]), ["relu"], np.array([2]), 5)
    recorder.close(Leaves(np.array([5]), np.array([0]), empty=True))
    recorder.graft(6, 0, Leaf())
    tree = recorder.trace(0, root=4)
    assert isinstance(tree, PhaseSplit) and (tree.layer, tree.index) == ("relu", 2)
    assert isinstance(tree.off, Leaf) and tree.off.empty
    assert isinstance(tree.on, Leaf) and not tree.on.empty
