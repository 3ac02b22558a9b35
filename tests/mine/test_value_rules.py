"""Layer rules with values: on a network whose margins are plain, and on one that was trained.

z = (x, −x), y = (relu(x) − relu(−x), 1/4): class 0 is said where x > 1/4, so that z₀ > t implies
class 0 for every input exactly where t ≥ 1/4 and neuron 1 is off or small.
"""

from __future__ import annotations

import numpy as np
import pytest
from blobs import chain, trained

from precond.mine.value_rules.affine_tail import AffineTail
from precond.mine.value_rules.learn import spread_of, value_rules
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, MaxPool2d, Node, ReLU, Reshape
from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER
from precond.proof.prover.prove import prove
from precond.proof.restate.through_tail import cut_of
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

NETWORK = chain(
    [
        (np.array([[1.0], [-1.0]]), np.zeros(2)),
        (np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([0.0, 0.25])),
    ]
)
RANGE = Box.uniform(1, -1.0, 1.0)


def test_margins_after_the_last_layer_are_affine() -> None:
    tail = AffineTail.of(NETWORK, RANGE)
    assert tail is not None and tail.layer == "relu1"
    assert np.array_equal(tail.weight, [[1.0, -1.0], [0.0, 0.0]])
    assert np.array_equal(tail.bias, [0.0, 0.25])
    assert tail.reach.upper == pytest.approx([1.0, 1.0])
    low, high = np.array([[0.5, 0.0]]), np.array([[1.0, 0.125]])
    assert tail.least(0, low, high) == pytest.approx(0.5 - 0.125 - 0.25)
    assert tail.least(1, low, high) == pytest.approx(0.25 - 1.0)


def test_a_max_pool_after_the_last_relu_has_no_affine_tail() -> None:
    network = Network(
        (
            Node("z", Affine(np.eye(4), np.zeros(4)), (INPUT,)),
            Node("relu", ReLU(), ("z",)),
            Node("square", Reshape((1, 2, 2)), ("relu",)),
            Node("pool", MaxPool2d((2, 2), (2, 2)), ("square",)),
        ),
        (4,),
    )
    assert AffineTail.of(network, Box.uniform(4, -1.0, 1.0)) is None


def test_rules_of_the_plain_network_hold_for_every_input() -> None:
    tail = AffineTail.of(NETWORK, RANGE)
    assert tail is not None
    x = np.linspace(-1, 1, 81)[:, None]
    signatures = record(NETWORK, x, values=True)
    own = signatures.values("relu1")[signatures.predicted == 0]
    rules = value_rules(tail, 0, own, scale=spread_of(signatures.values("relu1")), deadline=FOREVER)
    assert rules and len(rules) <= 20
    covered = np.zeros(81, dtype=np.bool_)
    for rule in rules:
        verdict = prove(Claim(NETWORK, RANGE, rule.pattern, Property.argmax(0, 2)), budget=20)
        assert verdict.status is Status.PROVED
        inside = rule.pattern.holds(signatures)
        assert (x[inside, 0] > 0.25).all()
        covered |= inside
    assert covered.sum() >= 0.8 * (x > 0.25).sum()


def test_rules_of_a_trained_network_are_proved_and_fit_inputs_they_were_not_made_from() -> None:
    network, data = trained(3, 4, 12, 8, 3)
    domain = Box.uniform(4, 0.0, 1.0)
    tail = AffineTail.of(network, domain)
    assert tail is not None
    signatures = record(network, data.inputs, values=True)
    z = signatures.values("relu2")
    rng = np.random.default_rng(0)
    points = record(network, domain.sample(4000, rng), values=True)
    explained = np.zeros(len(z), dtype=np.bool_)
    for label in range(3):
        rows = data.train[signatures.predicted[data.train] == label]
        rules = value_rules(tail, label, z[rows], scale=spread_of(z), most=6, deadline=FOREVER)
        assert len(rules) <= 6
        gains = [int(rule.inside.sum()) for rule in rules]
        assert gains[0] == max(gains)
        for rule in rules:
            assert np.array_equal(rule.inside, rule.pattern.holds(signatures)[rows])
            claim = Claim(network, domain, rule.pattern, Property.argmax(label, 3))
            assert cut_of(claim) == "relu2"
            assert prove(claim, budget=20).status is Status.PROVED
            assert (points.predicted[rule.pattern.holds(points)] == label).all()
            explained |= rule.pattern.holds(signatures)
    assert explained[data.held_out].mean() > 0.5


def test_values_on_another_layer_are_not_asked_through_the_last_cut() -> None:
    network, _ = trained(3, 4, 12, 8, 3)
    first = DecisionPattern(above=frozenset({("relu1", 0, 0.5)}))
    both = first & DecisionPattern(below=frozenset({("relu2", 0, 0.5)}))
    for pattern in (first, both, DecisionPattern(on=frozenset({("relu2", 0)}))):
        claim = Claim(network, Box.uniform(4, 0.0, 1.0), pattern, Property.argmax(0, 3))
        assert cut_of(claim) is None
