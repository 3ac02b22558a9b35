"""A claim asked in place of another: the way back, and what an answer says of the first claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known import ABSOLUTE, affine, at_least, box, phases

from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.restate.restatement import NO_PROOF, Restatement, ask, same
from precond.proof.restate.tail import NOT_REACHED, Tail
from precond.proof.restate.with_room import with_room
from precond.proof.verdict import Status, Verdict

# a = relu(x0, −x0 − x1 − 1/2, x1 + 1); y = a0 + 5 a1 + a2, since no a is negative.
DEEP = Network(
    (
        affine("z", [[1, 0], [-1, -1], [0, 1]], [0, -0.5, 1], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("w", [[1, 0, 0], [0, 5, 0], [0, 0, 1]], [0, 0, 0], "a"),
        Node("b", ReLU(), ("w",)),
        affine("y", [[1, 1, 1]], [0], "b"),
    ),
    (2,),
)


def at(value: float) -> Restatement:
    """|x| ≤ value on [−1, 2], asked of x ↦ |x| on [−2, 4]: points are twice as large."""
    original = Claim(ABSOLUTE, box((-1, 2)), phases(), at_least(-value, -1.0))
    asked = Claim(ABSOLUTE, box((-2, 4)), phases(), at_least(-2 * value, -1.0))
    return Restatement(
        original=original,
        claim=asked,
        restore=lambda points: points / 2,
        shrink=lambda points: points * 2,
    )


def doubled(claim: Claim) -> Restatement:
    """Once more, whatever the claim: only points move."""
    return Restatement(
        original=claim,
        claim=replace(claim),
        restore=lambda points: points - 1,
        shrink=lambda points: points + 1,
    )


def test_the_way_back_of_two_is_the_second_s_and_then_the_first_s() -> None:
    both = at(3.0).then(doubled)
    assert both.restore(np.array([[7.0]])).tolist() == [[3.0]]  # (7 − 1) / 2
    assert both.shrink(np.array([[3.0]])).tolist() == [[7.0]]
    assert both.proves and both.refutes and both.changes


def test_a_witness_comes_back_as_an_input_of_the_claim_that_was_given() -> None:
    restated = at(1.5)
    verdict = ask(restated, prove)
    assert verdict.status is Status.REFUTED and verdict.witness is not None
    assert 1.5 < verdict.witness[0] <= 2 and replay(restated.original, verdict.witness).counts
    assert ask(at(2.0), prove).is_proved


def test_a_tail_without_its_fixed_neurons_by_hand() -> None:
    """On [0, 1]², neuron 1 is off: the tail after "a" has values (a0, 0, a2) ∈ [0, 1] × 0 × [1, 2],
    and of these the fixed one is left out."""
    claim = Claim(DEEP, box((0, 1), (0, 1)), phases(), at_least(0.5, 1.0))
    tail = Tail(DEEP, claim.box, "a").restated(claim)
    assert tail is not None and tail.claim.box.size == 3
    chain = tail.then(without_fixed_neurons)
    assert chain.original is claim and chain.claim.box.size == 2
    assert chain.restore(np.array([[0.25, 1.5]])).tolist() == [[0.25, 0.0, 1.5]]
    assert chain.shrink(np.array([[0.25, 0.0, 1.5]])).tolist() == [[0.25, 1.5]]
    assert chain.proves and not chain.refutes
    assert ask(chain, prove).is_proved  # y = a0 + a2 ≥ 1


def test_a_counterexample_of_a_tail_says_nothing_and_a_smaller_network_s_does() -> None:
    """Neurons x and −x of |x| are never both above 1/2, which the tail does not know."""
    claim = Claim(ABSOLUTE, box((-1, 1)), phases(), at_least(-1.5, -1.0))
    tail = Tail(ABSOLUTE, claim.box, "a").restated(claim)
    assert tail is not None
    assert prove(tail.claim).status is Status.REFUTED
    for chain in (tail, tail.then(same), tail.then(without_fixed_neurons)):
        verdict = ask(chain, prove)
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, NOT_REACHED)
        assert verdict.witness is None
    values = ask(without_fixed_neurons(tail.claim), prove)  # asked about the tail itself
    assert values.status is Status.REFUTED and values.witness is not None
    assert values.witness.shape == (2,) and values.witness.sum() > 1.5


def test_the_input_is_a_cut_that_forgets_nothing() -> None:
    claim = Claim(ABSOLUTE, box((-1, 1)), phases(), at_least(-0.5, -1.0))
    whole = Tail(ABSOLUTE, claim.box, INPUT).restated(claim)
    assert whole is not None and not whole.changes
    verdict = ask(whole.then(without_fixed_neurons), prove)
    assert verdict.status is Status.REFUTED and verdict.witness is not None
    assert replay(claim, verdict.witness).counts


@pytest.mark.parametrize("status", [Status.PROVED, Status.VACUOUS])
def test_a_claim_with_room_proves_nothing(status: Status) -> None:
    """|x| ≤ 1 fails on [−1, 1 + 2⁻²⁰]; with a room of 2⁻¹⁰ no counterexample is left."""
    claim = Claim(ABSOLUTE, box((-1, 1 + 2.0**-20)), phases(), at_least(-1.0, -1.0))
    assert prove(claim).status is Status.REFUTED
    roomy = with_room(claim, 2.0**-10)
    assert prove(roomy.claim).is_proved
    verdict = ask(roomy, prove)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, NO_PROOF)
    assert roomy.then(same).answer(Verdict(status)).status is Status.UNKNOWN
    assert same(claim).then(lambda c: with_room(c, 0.1)).answer(Verdict(status)).status is (
        Status.UNKNOWN
    )


def test_a_point_may_be_confirmed_where_not_every_one_counts() -> None:
    """The last activation's case: the witness itself is looked at again, at each step back."""
    claim = Claim(ABSOLUTE, box((-2, 2)), phases(), at_least(-1.0, -1.0))
    some = Restatement(
        original=claim, claim=claim, refutes=False, confirms=lambda x: bool(x[0] > 0), reason="left"
    )
    right, left = (Verdict(Status.REFUTED, witness=np.array([x])) for x in (1.5, -1.5))
    moved = some.then(doubled)  # its points are one larger
    assert some.answer(right).witness == 1.5 and some.answer(left).reason == "left"
    assert moved.answer(right).witness == 0.5
    assert moved.answer(Verdict(Status.REFUTED, witness=np.array([0.5]))).status is Status.UNKNOWN
    assert some.answer(Verdict(Status.PROVED)).is_proved
