"""Verdicts and certificates of networks that end in an activation."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from precond.apply.certification.answers import BallOutcome
from precond.apply.certification.certify import robustness
from precond.apply.certification.settings import RobustnessSettings
from precond.apply.decomposition.halves import decompose
from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.errors import QueryError
from precond.logit_property import with_threshold
from precond.mine.input_preconditions.relax import input_precondition
from precond.network.activation import OutputActivation
from precond.network.constants import Range
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU, Scale
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.restate.logits import violates
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

UNIT = Box(np.full(2, -1.0), np.full(2, 1.0))


def network(size: int, activation: OutputActivation) -> Network:
    rng = np.random.default_rng(3)
    layers = (
        Node("h", Affine(rng.normal(size=(4, 2)), rng.normal(size=4)), ("input",)),
        Node("r", ReLU(), ("h",)),
        Node("z", Affine(rng.normal(size=(size, 4)), rng.normal(size=size)), ("r",)),
    )
    return Network(layers, (2,), "m.onnx", activation)


def at_least(output: int, bound: float, sign: float = 1.0) -> Property:
    return Property(((Inequality(((output, sign),), sign * bound),),))


def ask(net: Network, property: Property, exact: bool = False) -> Claim:
    return Claim(net, UNIT, DecisionPattern(), property)


def ends(net: Network) -> tuple[float, float]:
    """Smallest and largest first output on a grid."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 101)] * 2), -1).reshape(-1, 2)
    y = net.output_activation.of(outputs(net, grid))[:, 0]
    return float(y.min()), float(y.max())


@pytest.mark.parametrize(
    ("activation", "size"),
    [
        (OutputActivation.SIGMOID, 1),
        (OutputActivation.SOFTMAX, 2),
        (OutputActivation.LOG_SOFTMAX, 2),
    ],
)
def test_bounds_of_an_output(activation: OutputActivation, size: int) -> None:
    net = network(size, activation)
    low, high = ends(net)
    gap = 0.02 * (high - low)
    for bound, sign, status in (
        (low - gap, 1.0, Status.PROVED),
        (low + gap, 1.0, Status.REFUTED),
        (high + gap, -1.0, Status.PROVED),
        (high - gap, -1.0, Status.REFUTED),
        (2.0, -1.0, Status.PROVED),
        (2.0, 1.0, Status.REFUTED),
    ):
        verdict = prove(ask(net, at_least(0, bound, sign)), budget=20, exact=True)
        assert verdict.status is status
        if verdict.witness is not None:
            y = activation.of(outputs(net, verdict.witness[None]))[0, 0]
            assert sign * y < sign * bound
        else:
            assert verdict.certificate is not None
            statement = str(verdict.certificate.statement)
            assert f"m.onnx, logits before the last {activation.value}" in statement


def test_a_softmax_of_three_is_bounded_one_way() -> None:
    """Implied bounds prove; a witness against them counts only if it is one against the claim."""
    net = network(3, OutputActivation.SOFTMAX)
    low, high = ends(net)
    assert prove(ask(net, at_least(0, 0.5 * low)), budget=20).status is Status.PROVED
    assert prove(ask(net, at_least(0, high, 1.0)), budget=20).status is Status.REFUTED
    near = prove(ask(net, at_least(0, low - 1e-3 * low)), budget=20)
    assert near.status is Status.UNKNOWN and near.witness is None
    assert "has the property itself" in near.reason
    assert prove(ask(net, Property.argmax(0, 3)), budget=20).status is not Status.UNKNOWN
    with pytest.raises(QueryError, match=r"m\.onnx ends in softmax"):
        prove(ask(net, Property(((Inequality(((0, 1.0), (1, 1.0)), 0.3),),))), budget=5)


def test_engines_see_only_what_the_activation_keeps() -> None:
    net = network(2, OutputActivation.SOFTMAX)
    claim = ask(net, at_least(0, 5.0))
    with pytest.raises(QueryError, match=r"ends in softmax"):
        _ = claim.problem
    assert len(ask(net, Property.argmax(0, 2)).problem.conjuncts) == 1
    assert replace(claim, network=net.logits).problem.conjuncts


def test_a_certificate_is_about_the_logits_and_says_so() -> None:
    """Of a file that ends in softmax 'y0 >= -100' is proved of logits, never of its outputs, nor
    of a file that ends before the softmax; a statement with the file's own hash is refused."""
    whole = network(2, OutputActivation.SOFTMAX)
    plain = replace(whole, output_activation=OutputActivation.NONE)
    made = prove(ask(whole.logits, at_least(0, -100.0)), budget=20, exact=True).certificate
    assert made is not None
    assert "logits" in str(made.statement)
    forged = replace(made, statement=replace(made.statement, network=whole.hash))
    for judge in (check, check_fast):
        assert judge(made, whole.logits).valid
        assert "another network" in judge(made, plain).where
        assert "logits" in judge(made, whole).where
        assert "logits" in judge(forged, whole).where
        assert not judge(forged, whole.logits).valid


def test_a_class_of_one_output_is_claimed_of_its_logit() -> None:
    """'y0 > 0' of a sigmoid always holds; of its logit it is class 1."""
    net = network(1, OutputActivation.SIGMOID)
    with pytest.raises(QueryError, match=r"Give network\.logits"):
        Property.of_class(1, net)
    (clause,) = Property.of_class(1, net.logits).clauses
    assert clause == (Inequality(((0, 1.0),), 0.0, strict=True),)
    (clause,) = Property.of_class(0, replace(net.logits, threshold=(1.5, 2.0))).clauses
    assert clause == (Inequality(((0, -1.0),), -1.5, strict=True),)
    points = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    middle = float(np.median(outputs(net, points)))
    net = replace(net, threshold=(middle, middle))
    whole, logits = (
        robustness(one, points, RobustnessSettings(radii=(0.05, 0.5), budget=60.0))
        for one in (net, net.logits)
    )
    for first, second in zip(whole.balls, logits.balls, strict=True):
        assert [b.outcome for b in first] == [b.outcome for b in second]
    assert whole.count(1, BallOutcome.ATTACKED) and whole.count(0, BallOutcome.CERTIFIED)
    assert set(whole.classes.tolist()) == {0, 1}


def test_searches_refuse_what_the_activation_changes() -> None:
    net = network(2, OutputActivation.SOFTMAX)
    x = np.zeros(2)
    with pytest.raises(QueryError, match=r"m\.onnx ends in softmax"):
        input_precondition(net, x, at_least(0, 0.01), UNIT, budget=5.0)
    with pytest.raises(QueryError, match=r"m\.onnx ends in softmax"):
        decompose(ask(net, at_least(0, 0.01)), "r")
    label = int(outputs(net, x[None]).argmax())
    box = Box(x - 1e-3, x + 1e-3)
    found = input_precondition(net, x, Property.argmax(label, 2), box, budget=20.0)
    assert found.verdict.status is Status.PROVED


@pytest.mark.parametrize("share", [0.7, 0.9, 0.5000000000000001])
def test_thresholds_are_told_apart_to_the_last_bit(share: float) -> None:
    """sigmoid(z) ≤ t with z up to the floats on both sides of logit t, which is none."""
    relu = (
        Node("h", Affine(np.ones((1, 1)), np.zeros(1)), ("input",)),
        Node("r", ReLU(), ("h",)),
        Node("z", Affine(np.ones((1, 1)), np.zeros(1)), ("r",)),
    )
    net = Network(relu, (1,), "m.onnx", OutputActivation.SIGMOID)
    low, high = with_threshold(net, share).threshold
    for top, status in ((low, Status.PROVED), (high, Status.REFUTED)):
        claim = Claim(net, Box([0.0], [top]), DecisionPattern(), at_least(0, share, -1.0))
        assert prove(claim, budget=20, exact=True).status is status


def test_a_witness_counts_only_for_every_value_of_its_constants() -> None:
    """y = sigmoid(c x) with c within 1e-12 of 2, at x = 1: 0.880797…, give or take 1e-13."""
    low, high = Fraction(2) - Fraction(1, 10**12), Fraction(2) + Fraction(1, 10**12)
    factor = np.array([2.0])
    near = Range(factor, np.array([low], dtype=object), np.array([high], dtype=object))
    layer = Scale(factor, np.zeros(1), factor_range=near)
    network = Network((Node("y", layer, ("input",)),), (1,), "m", OutputActivation.SIGMOID)
    share = 1.0 / (1.0 + math.exp(-2.0))
    for bound, surely in ((share + 1e-9, True), (share + 1e-15, False), (share - 1e-9, False)):
        asked = Property(((Inequality({0: 1.0}, bound),),))
        assert violates(asked, network, np.ones(1)) is surely
