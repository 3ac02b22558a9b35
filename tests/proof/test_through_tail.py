"""Claims that fix most of a layer: asked through the tail first, and of the whole network else."""

from __future__ import annotations

import numpy as np
from known import at_least, box

from precond.network.graph import INPUT, Network, Node
from precond.network.layers import Affine, ReLU
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.restate.through_tail import cut_of, through_tail
from precond.proof.verdict import Status
from precond.region.pattern import DecisionPattern


def network(output: list[float]) -> Network:
    """Twelve neurons on x ∈ [0, 1]: two are x, the others x − 1/2; the output weighs them."""
    bias = np.array([0.0, 0.0, *[-0.5] * 10])
    return Network(
        (
            Node("z", Affine(np.ones((12, 1)), bias), (INPUT,)),
            Node("a", ReLU(), ("z",)),
            Node("y", Affine(np.array([output]), np.zeros(1)), ("a",)),
        ),
        (1,),
        "twelve",
    )


REST_OFF = DecisionPattern(frozenset(), frozenset(("a", i) for i in range(2, 12)))


def test_the_tail_alone_proves_what_does_not_need_the_input() -> None:
    # With the ten off, y = x + x ≥ 0; with them on it could be −3.
    claim = Claim(network([1, 1, *[-1] * 10]), box((0, 1)), REST_OFF, at_least(-0.1, 1.0))
    assert cut_of(claim) == "a" and through_tail(claim, "a") is not None
    verdict = prove(claim)
    assert verdict.status is Status.PROVED
    assert verdict.attempts[0].engine == "tail after a"


def test_what_the_tail_cannot_prove_is_asked_of_the_network() -> None:
    # y = x − x = 0, but the tail lets the two copies differ.
    claim = Claim(network([1, -1, *[0] * 10]), box((0, 1)), REST_OFF, at_least(-0.1, 1.0))
    verdict = prove(claim)
    assert verdict.status is Status.PROVED
    assert verdict.attempts[0].note.startswith("no proof")


def test_a_witness_of_the_tail_is_never_the_network_s() -> None:
    # y = x is below 1/4 at x = 0, one input; the witness must be that input.
    claim = Claim(network([1, *[0] * 11]), box((0, 1)), REST_OFF, at_least(0.25, 1.0))
    verdict = prove(claim)
    assert verdict.status is Status.REFUTED
    assert verdict.witness is not None and verdict.witness.shape == (1,)
    assert verdict.witness[0] < 0.25


def test_patterns_that_leave_a_layer_free_have_no_tail() -> None:
    few = DecisionPattern(frozenset(), frozenset(("a", i) for i in range(2, 6)))
    assert cut_of(Claim(network([1] * 12), box((0, 1)), few, at_least(-1, 1.0))) is None
