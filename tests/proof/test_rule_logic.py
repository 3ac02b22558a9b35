"""Rules that imply, overlap, contradict each other: by hand, and against z3 written plainly."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import z3
from known import ABSOLUTE, ANY, MAXIMUM, POOLED, XOR, at_least, box, phases
from small_networks import random_net

from precond.errors import QueryError
from precond.network.evaluate import values_at
from precond.network.graph import Network
from precond.network.layers import Affine
from precond.network.rational import rational_values
from precond.proof.prover.rule_logic import (
    BoxedRule,
    Truth,
    complete,
    contradicts,
    equivalent,
    implies,
    overlaps,
)
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

LINE = box((-2, 2))
YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN


def on_line(*sides: tuple[float, float], on: list[int] = [], off: list[int] = []) -> BoxedRule:  # noqa: B006
    return BoxedRule(box(*(sides or ((-2, 2),))), phases(on, off))


def test_by_hand_on_a_line() -> None:
    """|x|: neuron 0 is on for x > 0, neuron 1 for x < 0; at 0 both are off."""
    right, left, middle = on_line(on=[0]), on_line(on=[1]), on_line(off=[0, 1])
    not_left = on_line(off=[1])
    assert implies(ABSOLUTE, right, not_left).truth is YES
    found = implies(ABSOLUTE, not_left, right)
    assert found.truth is NO and found.point == (0,)
    assert overlaps(ABSOLUTE, right, left).truth is NO
    found = overlaps(ABSOLUTE, right, not_left)
    assert found.truth is YES and found.point is not None and found.point[0] > 0
    assert equivalent(ABSOLUTE, right, on_line(on=[0], off=[1])).truth is YES
    found = equivalent(ABSOLUTE, right, not_left)
    assert (found.truth, found.point) == (NO, (0,))
    assert complete(ABSOLUTE, [right, left, middle], LINE).truth is YES
    found = complete(ABSOLUTE, [right, left], LINE)
    assert (found.truth, found.point) == (NO, (0,))
    assert complete(ABSOLUTE, [right], box((1, 2))).truth is YES
    assert complete(ABSOLUTE, [], LINE).truth is NO


def test_boxes_take_part() -> None:
    small, large = on_line((0.5, 1.0), on=[0]), on_line((0.0, 1.0), on=[0])
    assert implies(ABSOLUTE, small, large).truth is YES
    found = implies(ABSOLUTE, large, small)
    assert found.truth is NO and found.point is not None and 0 < found.point[0] < 0.5
    assert implies(ABSOLUTE, on_line((0.5, 1.0)), large).truth is YES  # it is on all over there
    assert overlaps(ABSOLUTE, on_line((-2, -1)), on_line((1, 2))).truth is NO
    halves = [on_line((-2, 0)), on_line((0, 2))]
    assert complete(ABSOLUTE, halves, LINE).truth is YES
    assert complete(ABSOLUTE, [on_line((-2, 0)), on_line((0.25, 2))], LINE).truth is NO


def test_thresholds_and_a_point_no_float_has() -> None:
    """3 x is 1 only at a third: z ≤ 1 and z > 1 − 2^-60 leave a sliver around there."""
    third = Network((*random_net(np.random.default_rng(0), 1, 1, 1).nodes,), (1,))
    weight = Affine(np.array([[3.0]]), np.array([0.0]))
    nodes = tuple(n if n.name != "z0" else type(n)("z0", weight, n.inputs) for n in third.nodes)
    network = Network(nodes, (1,))
    low = DecisionPattern(above=frozenset([("relu0", 0, 1.0 - 2.0**-53)]))
    high = DecisionPattern(below=frozenset([("relu0", 0, 1.0)]))
    found = overlaps(network, BoxedRule(LINE, low), BoxedRule(LINE, high))
    assert found.truth is YES and found.point is not None
    x = found.point[0]
    assert 1 - Fraction(1, 2**53) < 3 * x <= 1
    assert complete(network, [BoxedRule(LINE, high), BoxedRule(LINE, low)], LINE).truth is YES
    assert rational_values(network, (Fraction(1, 3),), ["z0"]) == {"z0": [1]}


def test_a_neuron_that_reads_zero() -> None:
    """z = 0 everywhere: never on, always off."""
    never = DecisionPattern(above=frozenset([("a", 0, 5.0)]))  # |x| ≤ 2
    assert overlaps(ABSOLUTE, BoxedRule(LINE, never), on_line()).truth is NO
    nothing = BoxedRule(LINE, never)
    assert implies(ABSOLUTE, nothing, on_line(on=[1])).truth is YES  # of nothing, all


def test_contradictions() -> None:
    def rule(sides: tuple[float, float], prop: Property | None) -> BoxedRule:
        return BoxedRule(box(sides), ANY, prop)

    more, less = at_least(1.0, 1.0), at_least(-0.5, -1.0)  # y ≥ 1 and y ≤ 0.5
    found = contradicts(ABSOLUTE, rule((0, 2), more), rule((1, 2), less))
    assert found.truth is YES and found.point is not None and 1 <= found.point[0] <= 2
    assert contradicts(ABSOLUTE, rule((0, 1), more), rule((1.5, 2), less)).truth is NO
    assert contradicts(ABSOLUTE, rule((0, 2), more), rule((0, 2), more)).truth is NO
    tie = contradicts(
        MAXIMUM,
        BoxedRule(box((0, 1), (0, 1)), ANY, Property.between(0, 0.0, 1.0)),
        BoxedRule(box((0, 1), (0, 1)), ANY, Property.between(0, 1.0, 2.0)),
    )
    assert tie.truth is NO  # both allow 1
    with pytest.raises(QueryError, match="expected two properties"):
        contradicts(ABSOLUTE, rule((0, 2), more), rule((0, 2), None))


def test_rules_behind_convolution_and_over_two_inputs() -> None:
    square = box((0, 1), (0, 1), (0, 1), (0, 1))
    one = BoxedRule(square, phases([0], layer="a"))
    other = BoxedRule(square, phases([0, 3], layer="a"))
    assert implies(POOLED, other, one).truth is YES
    assert implies(POOLED, one, other).truth is NO
    # XOR: neuron 1 is on for x₀ + x₁ > 1, neuron 0 for x₀ + x₁ > 0.
    plane = box((-1, 1), (-1, 1))
    assert implies(XOR, BoxedRule(plane, phases([1])), BoxedRule(plane, phases([0]))).truth is YES
    assert implies(XOR, BoxedRule(plane, phases([0])), BoxedRule(plane, phases([1]))).truth is NO


def test_errors() -> None:
    with pytest.raises(QueryError, match=r"expected an index in 0\.\.1"):
        implies(ABSOLUTE, on_line(on=[7]), on_line())
    with pytest.raises(QueryError, match="box of a rule: expected 1 inputs, got 2"):
        overlaps(ABSOLUTE, BoxedRule(box((0, 1), (0, 1)), ANY), BoxedRule(box((0, 1), (0, 1)), ANY))


def test_time_runs_out() -> None:
    """A question over many free neurons, and next to no time: unknown, and soon."""
    stream = np.random.default_rng(3)
    network = random_net(stream, 8, 60, 60, 2)
    wide = Box.uniform(8, -1, 1)
    rules = [
        BoxedRule(wide, DecisionPattern(frozenset([("relu1", i)]), frozenset([("relu1", i + 1)])))
        for i in range(20)
    ]
    found = [implies(network, a, b, budget=0.02) for a, b in pairwise(rules)]
    assert all(f.truth in (NO, UNKNOWN) for f in found)


# -- against the network written down for z3 as it stands ------------------------------


def oracle(network: Network, x: list[z3.ArithRef], layer: str) -> list[z3.ArithRef]:
    """Pre-activations of a layer of a ``layered`` network, with ``If`` for every neuron."""
    value = list(x)
    for k in range(int(layer.removeprefix("relu")) + 1):
        affine = network.node[f"z{k}"].layer
        assert isinstance(affine, Affine)
        z = [
            z3.Sum([z3.RealVal(str(Fraction(w))) * v for w, v in zip(row, value, strict=True)])
            + z3.RealVal(str(Fraction(b)))
            for row, b in zip(affine.weight.tolist(), affine.bias.tolist(), strict=True)
        ]
        value = [z3.If(t > 0, t, z3.RealVal(0)) for t in z]
    return z


def member(network: Network, rule: BoxedRule, x: list[z3.ArithRef]) -> z3.BoolRef:
    parts = [
        v >= z3.RealVal(str(Fraction(a))) for v, a in zip(x, rule.box.lower.tolist(), strict=True)
    ]
    parts += [
        v <= z3.RealVal(str(Fraction(b))) for v, b in zip(x, rule.box.upper.tolist(), strict=True)
    ]
    for layer, index in rule.pattern.on:
        parts.append(oracle(network, x, layer)[index] > 0)
    for layer, index in rule.pattern.off:
        parts.append(oracle(network, x, layer)[index] <= 0)
    return z3.And(parts)


def exists(network: Network, inside: list[BoxedRule], outside: list[BoxedRule]) -> bool:
    x = [z3.Real(f"x{i}") for i in range(network.input_size)]
    solver = z3.Solver()
    solver.add([member(network, rule, x) for rule in inside])
    solver.add([z3.Not(member(network, rule, x)) for rule in outside])
    return bool(solver.check() == z3.sat)


def random_rule(network: Network, stream: np.random.Generator) -> BoxedRule:
    centre = stream.normal(size=(1, network.input_size)) / 2
    literals = []
    for layer in network.decision_layers:
        z = values_at(network, centre, network.pre_activation(layer))[0]
        for i in stream.permutation(len(z))[: stream.integers(0, 3)]:
            literals.append((layer, int(i), (z[i] > 0) ^ (stream.random() < 0.1)))
    pattern = DecisionPattern(
        frozenset((n, i) for n, i, up in literals if up),
        frozenset((n, i) for n, i, up in literals if not up),
    )
    return BoxedRule(Box.ball(centre, float(stream.choice([0.25, 1.0, 4.0]))), pattern)


@pytest.mark.parametrize("seed", range(10))
def test_against_the_oracle(seed: int) -> None:
    stream = np.random.default_rng(seed)
    network = random_net(stream, 2, 4, 3, 2)
    a, b, c = (random_rule(network, stream) for _ in range(3))
    # Sampling answers what is easy; switched off, z3 has to.
    for x, y in ((a, b), (b, c), (c, a)):
        found = implies(network, x, y)
        assert found.truth is (NO if exists(network, [x], [y]) else YES)
        assert overlaps(network, x, y).truth is (YES if exists(network, [x, y], []) else NO)
        same = not exists(network, [x], [y]) and not exists(network, [y], [x])
        assert equivalent(network, x, y).truth is (YES if same else NO)
    square = Box.ball(np.zeros(2), 0.5)
    everything = BoxedRule(square, ANY)
    covered = not exists(network, [everything], [a, b, c])
    assert complete(network, [a, b, c], square).truth is (YES if covered else NO)


@pytest.mark.parametrize("seed", range(4))
def test_without_sampling(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precond.proof.prover.rule_logic._sampled", lambda *_, **__: None)
    test_against_the_oracle(seed + 100)
