"""Iterative relaxation: what it returns is proved, and no neuron of its layer can go."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE, BUMP, UNIT, XOR, affine, at_least, box

from precond.mine.input_preconditions.relax import Method, Order, candidates, input_precondition
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import default_stages, prove, quick_stages
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

pytest.importorskip("highspy")


def test_one_literal_is_kept_by_hand() -> None:
    """y = |x| ≥ x − 1/8 on [−2, 2] needs no literal; y ≤ x + 1/8 at x = 1 needs x ≥ 0, which
    either "0 on" or "1 off" says: one of them goes, the other stays."""
    free = input_precondition(ABSOLUTE, [1.0], at_least(-0.125, 1, inputs=[-1.0]), box((-2, 2)))
    assert free.pattern == DecisionPattern() and free.layer == "" and free.minimal
    tight = at_least(-0.125, -1, inputs=[1])
    claim = Claim(ABSOLUTE, box((-2, 2)), DecisionPattern(), tight)
    stages = default_stages(claim.problem)
    needed = input_precondition(ABSOLUTE, [1.0], tight, claim.box, stages=stages)
    assert needed.verdict.status is Status.PROVED and needed.minimal and needed.layer == "a"
    assert needed.pattern in (
        DecisionPattern(on=frozenset({("a", 0)})),
        DecisionPattern(off=frozenset({("a", 1)})),
    )


def test_order_decides_which_literal_stays() -> None:
    """bump ≤ 0.6 at x = 0.25 (0 on; 1, 2 off) fails even with all literals, as they allow x = 1;
    bump ≤ x + 1/8 needs nothing.  bump ≥ x − 1/8 needs x ≤ 1 or nearly: "1 off" alone."""
    prop = at_least(-0.125, 1.0, inputs=[-1.0])
    for order in Order:
        for method in (Method.CORE, Method.SINGLE):
            found = input_precondition(BUMP, [0.25], prop, box((-1, 3)), order=order, method=method)
            assert found.pattern == DecisionPattern(off=frozenset({("a", 1)}))


@pytest.mark.parametrize("method", [Method.CORE, Method.SINGLE])
def test_a_signature_that_does_not_imply_it(method: Method) -> None:
    """x = 1 has the signature of 0.25 and bump(1) = 1 > 0.6: at most one proof is asked."""
    refuted = at_least(-0.6, -1.0)
    none = input_precondition(BUMP, [0.25], refuted, box((-1, 3)), method=method)
    assert none.pattern is None and none.verdict.status is Status.REFUTED
    assert not none.minimal and none.proofs <= 1
    witness = none.verdict.witness
    assert witness is not None and not refuted.holds(outputs(BUMP, witness[None]))[0]
    assert 0.6 < witness[0] <= 1


def deep(seed: int) -> Network:
    rng = np.random.default_rng(seed)

    def layer(name: str, m: int, n: int, source: str) -> Node:
        return affine(name, rng.normal(size=(m, n)).tolist(), rng.normal(size=m).tolist(), source)

    return Network(
        (
            layer("z0", 5, 2, INPUT),
            Node("a0", ReLU(), ("z0",)),
            layer("z1", 4, 5, "a0"),
            Node("a1", ReLU(), ("z1",)),
            layer("y", 2, 4, "a1"),
        ),
        (2,),
    )


@pytest.mark.parametrize("method", [Method.CORE, Method.SINGLE])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks_proved_and_minimal(seed: int, method: Method) -> None:
    """The full prover agrees that the pattern implies the class; its points of a grid do; the
    pattern holds at X, is closed, and each single drop at the layer is refuted or unproved."""
    network = deep(seed)
    rng = np.random.default_rng(seed)
    domain = Box.uniform(2, -1.0, 1.0)
    x = domain.sample(1, rng)[0]
    label = int(outputs(network, x[None]).argmax())
    prop = Property.argmax(label, 2)
    found = input_precondition(network, x, prop, domain, budget=600.0, method=method)
    if found.pattern is None:
        signature = DecisionPattern.of_row(record(network, x[None]), 0)
        assert prove(Claim(network, domain, signature, prop)).status is not Status.PROVED
        return
    assert found.pattern.is_closed(network)
    grid = np.array(list(itertools.product(np.linspace(-1, 1, 101), repeat=2)))
    signatures = record(network, np.concatenate([x[None], grid]))
    held = found.pattern.holds(signatures)
    assert held[0]
    assert (signatures.predicted[held] == label).all()
    assert prove(Claim(network, domain, found.pattern, prop)).status is Status.PROVED
    if found.minimal and found.layer:
        for literal in found.pattern.only([found.layer]).on | found.pattern.only([found.layer]).off:
            one = DecisionPattern(frozenset({literal}), frozenset({literal}))
            weaker = Claim(network, domain, found.pattern - one, prop)
            again = prove(weaker, budget=600.0, stages=quick_stages())
            assert again.status is not Status.PROVED


def test_no_time_says_so() -> None:
    found = input_precondition(XOR, [0.1, 0.2], at_least(-0.5, -1.0), box(UNIT, UNIT), budget=0.0)
    assert found.pattern is None or not found.minimal


def test_the_ledger_saves_proofs(tmp_path: Path) -> None:
    prop = at_least(-0.125, -1, inputs=[1.0])
    with Ledger(tmp_path / "l") as ledger:
        first = input_precondition(ABSOLUTE, [1.0], prop, box((-2, 2)), ledger=ledger)
        written = len(ledger)
        assert 0 < written <= first.proofs  # a bisection is no entry
        again = input_precondition(ABSOLUTE, [1.0], prop, box((-2, 2)), ledger=ledger)
        assert again.pattern == first.pattern and len(ledger) == written


def test_candidates_are_the_surest_of_the_class() -> None:
    """Outputs (x, −x): class 0 for x > 0, margin 2 x."""
    network = Network((affine("y", [[1.0], [-1.0]], [0.0, 0.0], INPUT),), (1,))
    x = np.array([[0.5], [-1.0], [2.0], [1.0]])
    assert candidates(network, x, 0).tolist() == [2, 3, 0]
    assert candidates(network, x, 1).tolist() == [1]
    labels = np.array([0, 0, 1, 0])
    assert candidates(network, x, 0, labels=labels).tolist() == [3, 0]
    assert candidates(network, x, 0, score=lambda y: -y[:, 0]).tolist() == [0, 3, 2]
