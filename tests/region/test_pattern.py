"""Patterns: literals, closure, implication, matching on data."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from known import ABSOLUTE, POOLED, affine, phases

from precond.errors import QueryError
from precond.network.evaluate import values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Node, ReLU
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

DEEP = Network(
    (
        affine("z0", [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], INPUT),
        Node("a0", ReLU(), ("z0",)),
        affine("z1", [[1.0, -1.0]], [0.0], "a0"),
        Node("a1", ReLU(), ("z1",)),
        affine("y", [[1.0], [2.0]], [0.0, 0.0], "a1"),
    ),
    (2,),
)


def test_closed_means_everything_before_is_decided() -> None:
    first = phases([0], [1], "a0")
    assert first.is_closed(DEEP)
    assert phases([0], [], "a0").is_closed(DEEP)  # nothing feeds the first layer
    assert (first & phases([0], [], "a1")).is_closed(DEEP)
    assert not phases([0], [], "a1").is_closed(DEEP)
    assert not (phases([0], [], "a0") & phases([0], [], "a1")).is_closed(DEEP)
    assert DecisionPattern().is_closed(DEEP)


def test_a_skip_connection_feeds_too() -> None:
    skip = Network(
        (
            *DEEP.nodes[:4],
            affine("wide", [[1.0, 0.0]], [0.0], "a0"),
            Node("sum", Add((1.0, 1.0)), ("a1", "wide")),
            Node("a2", ReLU(), ("sum",)),
        ),
        (2,),
    )
    early = phases([0], [1], "a0") & phases([0], [], "a1")
    assert (early & phases([0], [], "a2")).is_closed(skip)
    assert not (phases([0], [1], "a0") & phases([0], [], "a2")).is_closed(skip)


def test_behind_a_max_pool_nothing_is_closed() -> None:
    behind = Network((*POOLED.nodes, Node("last", ReLU(), ("y",))), POOLED.input_shape)
    before = phases(range(4), [], "a")
    assert before.is_closed(behind)
    assert not (before & phases([0], [], "last")).is_closed(behind)


def test_contradiction_is_by_the_closure() -> None:
    both = phases([0], [0])
    assert not both.is_contradictory  # z = 0
    above = DecisionPattern(above=frozenset({("a", 0, 1.0)}))
    below = DecisionPattern(below=frozenset({("a", 0, 0.5)}))
    assert (above & below).is_contradictory
    assert (above & phases([], [0])).is_contradictory
    assert not (above & phases([0])).is_contradictory


def test_implication_against_enumeration() -> None:
    """Over one neuron: p implies q iff every z on a fine grid (0 and limits included) that
    satisfies p satisfies q, by the data meaning of literals."""
    literals = [
        phases([0]),
        phases([], [0]),
        *(DecisionPattern(above=frozenset({("a", 0, t)})) for t in (-1.0, 0.0, 1.0)),
        *(DecisionPattern(below=frozenset({("a", 0, t)})) for t in (-1.0, 0.0, 1.0)),
    ]
    patterns = [DecisionPattern(), *literals]
    patterns += [a & b for a, b in itertools.combinations(literals, 2)]
    grid = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])

    def satisfied(pattern: DecisionPattern) -> np.ndarray:
        result = np.ones(len(grid), dtype=bool)
        result &= (grid > 0) if pattern.on else True
        result &= (grid <= 0) if pattern.off else True
        for _, _, t in pattern.above:
            result &= grid > t
        for _, _, t in pattern.below:
            result &= grid <= t
        return result

    for p, q in itertools.product(patterns, patterns):
        if satisfied(p).any():
            assert p.implies(q) == bool((satisfied(q) | ~satisfied(p)).all()), (str(p), str(q))


def test_intervals_are_the_closure() -> None:
    pattern = phases([0], [1]) & DecisionPattern(
        above=frozenset({("a", 0, 0.5)}), below=frozenset({("a", 1, 2.0)})
    )
    low, high = pattern.intervals(ABSOLUTE)["a"]
    assert low.tolist() == [0.5, -np.inf] and high.tolist() == [np.inf, 0.0]


def test_holds_against_values() -> None:
    """Matching on packed bits agrees with comparing pre-activations one by one."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(19, 3))
    network = Network(
        (affine("z", weight.tolist(), [0.0] * 19, INPUT), Node("a", ReLU(), ("z",))), (3,)
    )
    x = np.concatenate([rng.normal(size=(300, 3)), np.zeros((1, 3))])
    z = values_at(network, x, "z")
    signatures = record(network, x, values=True)
    for _ in range(30):
        on = {int(i) for i in rng.choice(19, 2)}
        off = {int(i) for i in rng.choice(19, 2)}
        above = frozenset({("a", int(rng.integers(19)), float(rng.normal()))})
        pattern = phases(on, off) & DecisionPattern(above=above)
        expected = (z[:, list(on)] > 0).all(1) & (z[:, list(off)] <= 0).all(1)
        for _, i, t in above:
            expected &= z[:, i] > t
        assert (pattern.holds(signatures) == expected).all()
        assert pattern.support(signatures) == expected.sum()


def test_of_row_is_satisfied_by_its_row() -> None:
    x = np.random.default_rng(1).normal(size=(50, 2))
    signatures = record(DEEP, x)
    for row in range(50):
        pattern = DecisionPattern.of_row(signatures, row)
        assert len(pattern) == 3 and pattern.holds(signatures)[row]


def test_minus_only_and_and() -> None:
    pattern = phases([0], [1], "a0") & phases([0], [], "a1")
    assert pattern - phases([0], [], "a1") == phases([0], [1], "a0")
    assert pattern.only(["a1"]) == phases([0], [], "a1")
    assert pattern.layers == ("a0", "a1") and len(pattern) == 3


def test_json_round_trip() -> None:
    pattern = phases([0], [1], "a0") & DecisionPattern(above=frozenset({("a1", 0, 0.1)}))
    assert DecisionPattern.from_json(json.loads(json.dumps(pattern.to_json()))) == pattern
    with pytest.raises(QueryError, match="pattern: expected"):
        DecisionPattern.from_json({"on": [["a", "x"]], "off": []})
    with pytest.raises(QueryError, match="pattern: expected"):
        DecisionPattern.from_json({"on": []})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (phases([0], [], "b"), "layer 'b': expected one of a0, a1"),
        (phases([2], [], "a0"), r"expected an index in 0\.\.1, got 2"),
        (phases([-1], [], "a0"), r"expected an index in 0\.\.1, got -1"),
        (DecisionPattern(above=frozenset({("a0", 0, float("nan"))})), "expected a finite value"),
    ],
)
def test_literals_must_name_neurons(pattern: DecisionPattern, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        pattern.check(DEEP)


def test_layers_have_one_order() -> None:
    """Sets of names have another order in every process; what is made of them has not."""
    width = 2
    nodes, before = [], INPUT
    for k in range(6):
        nodes += [affine(f"z{k}", np.eye(width), np.zeros(width), before)]
        nodes += [Node(f"a{k}", ReLU(), (f"z{k}",))]
        before = f"a{k}"
    network = Network((*nodes, affine("y", np.eye(width), np.zeros(width), before)), (width,))
    every = frozenset((f"a{k}", 0) for k in range(6))
    pattern = DecisionPattern(every)
    assert list(pattern.intervals(network)) == [f"a{k}" for k in range(6)]
    assert pattern.layers == tuple(f"a{k}" for k in range(6))
