"""Core-guided relaxation: known answers, the duality of violators and needed literals, and the
same end point as one proof a neuron."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from clocks import slow_but
from known import UNIT, affine, at_least, box, phases

from precond.mine.input_preconditions.core_guided import Order, multipliers
from precond.mine.input_preconditions.relax import Method, input_precondition
from precond.mine.violators import Violators, hunt
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.plans import search_stages
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.trace import InputSplit, Leaf
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

pytest.importorskip("highspy")

# z_i = x_i − 1/4 for four inputs in [0, 1]; y = Σ relu(z_i).
STEPS = Network(
    (
        affine("z", np.eye(4).tolist(), [-0.25] * 4, INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0] * 4], [0.0], "a"),
    ),
    (4,),
)
FOUR = box(*[UNIT] * 4)
CENTRE = np.full(4, 0.1)  # all off


@pytest.fixture(autouse=True)
def as_if_inputs_were_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few inputs are relaxed another way (``few_inputs``)."""
    monkeypatch.setattr("precond.mine.input_preconditions.relax.few_inputs", lambda question: False)


def pool() -> Violators:
    """For y ≤ 1/2 around CENTRE."""
    claim = Claim(STEPS, FOUR, phases([], range(4)), at_least(-0.5, -1.0))
    return Violators(claim, Literals.of(STEPS, claim.pattern))


def test_violators_by_hand() -> None:
    """Points with y > 1/2 count; what they miss are the neurons that are on."""
    found = pool()
    ends = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0.5, 0], [0.5, 0, 0, 0], [1, 2, 0, 0]])
    assert found.add(ends) == 2  # the third has y = 1/4, the last lies outside
    assert found.missed.tolist() == [[True, False, False, False], [True, True, True, False]]
    every = np.ones(4, dtype=bool)
    assert found.critical(every).tolist() == [True, False, False, False]
    assert not found.refutes(every)
    assert found.refutes(np.array([False, True, True, True]))
    without_first_two = np.array([False, False, True, True])
    assert found.refutes(without_first_two) and found.critical(without_first_two)[2]
    assert found.add(np.array([[0.9, 0, 0, 0]])) == 0  # misses what the first one does
    assert found.forcing(every, 0).tolist() == [[1.0, 0, 0, 0]]
    found.require(np.array([False, True, False, False]))  # the second is kept for good
    assert found.points.tolist() == [[1.0, 0, 0, 0]]


def test_nearer_points_miss_fewer() -> None:
    """From 0.1 to (1, 0.28, …): the second neuron comes on at 0.833 of the way only, and y is
    above 1/2 from x₀ = 3/4 on, which is at 0.722 of it."""
    found = pool()
    found.add(np.array([[1.0, 0.28, 0.1, 0.1]]))
    assert found.critical(np.ones(4, dtype=bool)).sum() == 0
    found.nearer(CENTRE)
    assert found.critical(np.ones(4, dtype=bool)).tolist() == [True, False, False, False]


def test_the_hunt_reaches_each_single_drop() -> None:
    """Without literal i there is a violator with only neuron i on: x_i > 3/4."""
    found = pool()
    kept = ~np.eye(4, dtype=bool)
    starts = CENTRE + 0.3 * np.eye(4)  # where the neuron is on: else no gradient reaches x
    assert hunt(found, kept, starts, CENTRE, Deadline.after(600.0)) == 4
    assert found.critical(np.ones(4, dtype=bool)).all()


def test_all_four_are_needed_and_one_proof_says_so() -> None:
    """y ≤ 1/2 fails as soon as one neuron is free: all four stay, each with its witness."""
    prop = at_least(-0.5, -1.0)
    result = input_precondition(STEPS, CENTRE, prop, FOUR)
    assert result.pattern == phases([], range(4)) and result.minimal and result.proofs == 1
    assert set(result.witnesses) == {("a", i) for i in range(4)}
    for (_, index), x in result.witnesses.items():
        assert x[index] > 0.75 and (np.delete(x, index) <= 0.25).all()
        assert not prop.holds(outputs(STEPS, x[None]))[0]
    single = input_precondition(STEPS, CENTRE, prop, FOUR, method=Method.SINGLE)
    assert single.pattern == result.pattern and single.proofs > result.proofs


def test_many_are_dropped_at_once() -> None:
    """y ≤ 2: any one neuron off leaves at most 3 · 3/4 > 2; two off leave 3/2."""
    result = input_precondition(STEPS, CENTRE, at_least(-2.0, -1.0), FOUR)
    assert result.pattern is not None and len(result.pattern) == 2 and result.minimal
    assert result.proofs <= 3
    indexed = input_precondition(STEPS, CENTRE, at_least(-2.0, -1.0), FOUR, order=Order.INDEX)
    assert indexed.pattern == phases([], [2, 3])  # the first go first


def test_multipliers_are_read_from_every_leaf() -> None:
    left = Leaf(low={"a": np.array([0.0, 2.0])})
    right = Leaf(low={"a": np.array([1.0, 1.0])}, high={"a": np.array([0.0, 3.0])})
    assert multipliers([InputSplit(0, 0.5, left, right)], "a", 2).tolist() == [1.0, 3.0]
    assert multipliers([Leaf()], "a", 2).tolist() == [0.0, 0.0]


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    nodes, source, width = [], INPUT, 2
    for k, size in enumerate((8, 8)):
        weight = rng.normal(size=(size, width)) / np.sqrt(width)
        nodes += [
            affine(f"z{k}", weight.tolist(), (0.3 * rng.normal(size=size)).tolist(), source),
            Node(f"a{k}", ReLU(), (f"z{k}",)),
        ]
        source, width = f"a{k}", size
    nodes.append(affine("y", rng.normal(size=(2, width)).tolist(), [0.0, 0.0], source))
    return Network(tuple(nodes), (2,))


@pytest.mark.parametrize("method", [Method.CORE, Method.SINGLE])
@pytest.mark.parametrize("seed", slow_but((0, 2), (0, 2, 3, 4)))
def test_same_end_point_with_complete_engines(seed: int, method: Method) -> None:
    """Oracle: every single drop at the layer, asked alone, is refuted; a grid of the domain has
    no violator of the pattern; each witness replays against its own drop."""
    network = random_network(seed)
    domain = Box.uniform(2, -1.0, 1.0)
    x = domain.sample(1, np.random.default_rng(seed))[0]
    prop = Property.argmax(int(outputs(network, x[None]).argmax()), 2)
    full = DecisionPattern.of_row(record(network, x[None]), 0)
    stages = search_stages(Claim(network, domain, full, prop).problem)
    found = input_precondition(network, x, prop, domain, method=method, stages=stages, each=20.0)
    if found.pattern is None:
        verdict = prove(Claim(network, domain, full, prop), stages=stages)
        assert verdict.status is not Status.PROVED
        return
    assert found.minimal and found.verdict.status is Status.PROVED
    grid = np.array(list(itertools.product(np.linspace(-1, 1, 81), repeat=2)))
    held = found.pattern.holds(record(network, grid))
    assert prop.holds(outputs(network, grid[held])).all()
    if found.layer:
        at_layer = found.pattern.only([found.layer])
        for neuron in at_layer.on | at_layer.off:
            one = DecisionPattern(frozenset({neuron}), frozenset({neuron}))
            weaker = Claim(network, domain, found.pattern - one, prop)
            assert prove(weaker, budget=600.0, stages=stages).status is not Status.PROVED
            if neuron in found.witnesses:
                assert replay(weaker, found.witnesses[neuron]).counts


@pytest.mark.slow
def test_core_asks_less_than_one_by_one() -> None:
    """Proofs summed over random networks: at most half as many."""
    asked = dict.fromkeys(Method, 0)
    for seed in (0, 2, 4):
        network = random_network(seed)
        domain = Box.uniform(2, -1.0, 1.0)
        x = domain.sample(1, np.random.default_rng(seed))[0]
        prop = Property.argmax(int(outputs(network, x[None]).argmax()), 2)
        free = Claim(network, domain, DecisionPattern(), prop).problem
        for method in (Method.CORE, Method.SINGLE):
            stages = search_stages(free)
            found = input_precondition(
                network, x, prop, domain, method=method, stages=stages, each=20.0
            )
            asked[method] += found.proofs
    assert asked[Method.CORE] * 2 <= asked[Method.SINGLE]
