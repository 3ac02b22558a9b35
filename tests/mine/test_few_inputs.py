"""Relaxation by sections and bisection: known answers, grids as oracles, every literal needed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from clocks import slow_but
from known import ABSOLUTE, BUMP, affine, at_least, box, phases
from test_core import CENTRE, FOUR, STEPS, random_network

from precond.mine.input_preconditions.bisection import Bisection
from precond.mine.input_preconditions.few_inputs import MOST_INPUTS
from precond.mine.input_preconditions.relax import Order, input_precondition
from precond.mine.input_preconditions.section import Section
from precond.network.evaluate import outputs, values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Node, ReLU
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.plans import search_stages
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

pytest.importorskip("highspy")
SOON = Deadline.after(1e6)


def whole(network: Network, domain: Box, x: np.ndarray, prop: Property) -> Claim:
    return Claim(network, domain, DecisionPattern.of_row(record(network, x[None]), 0), prop)


def test_all_four_half_spaces_are_forced() -> None:
    """y = Σ relu(x_i − 1/4) ≤ 1/2: without "i off" x_i = 1 alone gives 3/4."""
    claim = whole(STEPS, FOUR, CENTRE, at_least(-0.5, -1.0))
    section = Section.of(claim, Literals.of(STEPS, claim.pattern), 1, SOON)
    assert section is not None and len(section.limits) == 0
    assert section.slopes.tolist() == np.eye(4).tolist()  # off: x_i ≤ 1/4
    assert section.offsets.tolist() == [0.25] * 4
    search = Bisection(section, claim.property, CENTRE, np.arange(4))
    assert search.run(SOON, 60.0) is Status.PROVED and search.settled
    assert search.kept.all() and not search.needed.any()
    for index in range(4):
        for point in search.forcing(index):
            assert point[index] > 0.25 and (np.delete(point, index) <= 0.25).all()
            assert np.maximum(point - 0.25, 0).sum() > 0.5


def test_cover_and_forced_by_hand() -> None:
    """Violators that miss {0}, {0, 1}, {1, 2}, {2, 3}: 0 is forced, and 2 excludes most of the
    rest; of {0, 1, 2} only 1 can go, of {0, 1, 3} nothing."""
    claim = whole(STEPS, FOUR, CENTRE, at_least(-0.5, -1.0))
    section = Section.of(claim, Literals.of(STEPS, claim.pattern), 1, SOON)
    assert section is not None
    search = Bisection(section, claim.property, CENTRE, np.arange(4))
    ends = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=np.float64)
    assert search.take(ends) == 4 and search.take(ends) == 0  # none is new the second time
    assert search.take(np.full((1, 4), 0.3)) == 0  # y = 1/5 is no violator
    assert search.cover(np.zeros(4, dtype=bool)).tolist() == [True, False, True, False]
    assert search.forced(np.array([1, 1, 1, 0], dtype=bool)).tolist() == [1, 0, 1, 0]
    assert search.forced(np.array([1, 1, 0, 1], dtype=bool)).tolist() == [1, 1, 0, 1]
    search.needed[1] = True
    assert search.forced(np.array([1, 1, 1, 0], dtype=bool)).tolist() == [1, 1, 1, 0]


def test_a_violator_with_every_literal_ends_it() -> None:
    """bump(1) = 1 > 0.6 has the signature of 0.25 (0 on; 1 and 2 off, to within closure)."""
    prop = at_least(-0.6, -1.0)
    found = input_precondition(BUMP, [0.25], prop, box((-1, 3)))
    assert found.pattern is None and found.verdict.status is Status.REFUTED
    assert found.verdict.exact and found.proofs <= 1
    witness = found.verdict.witness
    assert witness is not None and 0.6 < witness[0] <= 1
    assert replay(whole(BUMP, box((-1, 3)), np.array([0.25]), prop), witness).counts


def test_nothing_to_constrain() -> None:
    """|x| ≥ x − 1/8 everywhere."""
    free = input_precondition(ABSOLUTE, [1.0], at_least(-0.125, 1, inputs=[-1.0]), box((-2, 2)))
    assert free.pattern == DecisionPattern() and free.layer == "" and free.minimal


@pytest.mark.parametrize("order", Order)
def test_two_of_four_are_left(order: Order) -> None:
    """y ≤ 2 holds with any two neurons off, and with no fewer."""
    found = input_precondition(STEPS, CENTRE, at_least(-2.0, -1.0), FOUR, order=order)
    assert found.pattern is not None and len(found.pattern) == 2 and found.minimal
    assert found.pattern.off and not found.pattern.on
    assert found.verdict.is_proved and len(found.witnesses) == 2


def test_the_section_is_the_network_there() -> None:
    """At the second layer, with the first one's phases fixed: the same outputs where they hold,
    and half-spaces that say what the signature says."""
    network = random_network(3)
    domain = Box.uniform(2, -1.0, 1.0)
    rng = np.random.default_rng(0)
    x = domain.sample(1, rng)[0]
    claim = whole(network, domain, x, Property.argmax(0, 2))
    literals = Literals.of(network, claim.pattern)
    section = Section.of(claim, literals, 2, SOON)
    assert section is not None and section.layer == "a1"
    near = np.concatenate([x[None] + 0.2 * rng.normal(size=(2000, 2)), domain.sample(2000, rng)])
    near = near[domain.contains(near)]
    held = near[claim.pattern.only(["a0"]).holds(record(network, near))]
    assert len(held) > 50
    assert np.abs(outputs(section.network, held) - outputs(network, held)).max() < 1e-12
    assert section.box.contains(held).all()
    assert (held @ section.rows.T <= section.limits).all()
    z = values_at(network, held, "z1")
    says = held @ section.slopes.T <= section.offsets
    assert (says == (z * section.phases >= 0)).all()


def test_a_network_that_cannot_be_cut_is_relaxed_the_other_way() -> None:
    """y = relu(x) + x goes round the layer: no section, but the same answer."""
    skip = Network(
        (
            affine("z", [[1.0]], [0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            Node("y", Add((1.0, 1.0)), ("a", INPUT)),
        ),
        (1,),
    )
    claim = whole(skip, box((-1, 1)), np.array([0.5]), at_least(-0.125, 1.0))
    assert Section.of(claim, Literals.of(skip, claim.pattern), 1, SOON) is None
    found = input_precondition(skip, [0.5], at_least(-0.125, 1.0), box((-1, 1)))
    assert found.pattern == phases([0]) and found.verdict.is_proved


@pytest.mark.parametrize("seed", slow_but((0, 2, 3), range(10)))
def test_random_networks_against_a_grid(seed: int) -> None:
    """The pattern is proved, no point of a grid with it violates, every literal at the stopping
    layer has a violator that replays or does not prove without, and one layer less fails."""
    network = random_network(seed)
    domain = Box.uniform(2, -1.0, 1.0)
    x = domain.sample(1, np.random.default_rng(seed))[0]
    prop = Property.argmax(int(outputs(network, x[None]).argmax()), 2)
    claim = whole(network, domain, x, prop)
    stages = search_stages(claim.problem)
    found = input_precondition(network, x, prop, domain, stages=stages)
    if found.pattern is None:
        assert prove(claim, stages=stages).status is not Status.PROVED
        return
    assert found.minimal and found.verdict.is_proved and found.pattern.is_closed(network)
    grid = np.array(list(itertools.product(np.linspace(-1, 1, 121), repeat=2)))
    held = found.pattern.holds(record(network, grid))
    assert prop.holds(outputs(network, grid[held])).all()
    layers = list(network.decision_layers)
    if not found.layer:
        return
    earlier = claim.pattern.only(layers[: layers.index(found.layer)])
    fewer = Claim(network, domain, earlier, prop)
    assert prove(fewer, budget=600.0, stages=stages).status is not Status.PROVED
    at_layer = found.pattern.only([found.layer])
    for neuron in at_layer.on | at_layer.off:
        one = DecisionPattern(frozenset({neuron}), frozenset({neuron}))
        weaker = Claim(network, domain, found.pattern - one, prop)
        if neuron in found.witnesses:
            assert replay(weaker, found.witnesses[neuron]).counts
        else:
            assert prove(weaker, budget=600.0, stages=stages).status is not Status.PROVED


def test_many_inputs_go_the_other_way() -> None:
    """With more inputs than MOST_INPUTS the proofs' own search is used, with the same result."""
    count = MOST_INPUTS + 1
    network = Network(
        (
            affine("z", np.eye(count).tolist(), [-0.25] * count, INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0] * count], [0.0], "a"),
        ),
        (count,),
    )
    found = input_precondition(
        network, np.full(count, 0.1), at_least(-0.5, -1.0), Box.uniform(count, 0.0, 1.0)
    )
    assert found.pattern == phases([], range(count)) and found.minimal
