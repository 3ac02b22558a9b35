"""Through a tail: what is proved of it holds of the whole network."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import chain
from known import ABSOLUTE, LEAKY, POOLED, RESIDUAL, UNIT, XOR, at_least, box, phases
from test_reduce import random_claim

from precond.errors import QueryError
from precond.network.evaluate import values_at
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region
from precond.proof.restate.tail import Tail, tail_cuts
from precond.proof.verdict import Status


def test_values_of_the_cut_layer_by_hand() -> None:
    # |x| = relu(x) + relu(−x) on [−1, 2]; neuron 1 off is x ≥ 0.
    tail = Tail(ABSOLUTE, box((-1, 2)), "a")
    free = tail.values(phases())
    assert free is not None
    np.testing.assert_allclose(free.upper, [2, 1], atol=1e-9)
    assert free.lower.tolist() == [0, 0]
    off = tail.values(phases(off=[1]))
    assert off is not None and off.upper[1] == 0


def test_no_value_is_possible_in_an_empty_region() -> None:
    # xor's neuron 1 is on for x0 + x1 ≥ 1, which this box does not reach.
    tail = Tail(XOR, box((0, 0.25), (0, 0.25)), "a")
    assert tail.values(phases(on=[1])) is None
    claim = Claim(XOR, tail.box, phases(on=[1]), at_least(9.0, 1.0))
    assert tail.restated(claim) is None and tail.claim(claim.pattern, claim.property) is None


def test_a_tail_may_be_refuted_where_the_claim_holds() -> None:
    # Neurons x and −x of |x| are never both above 1/2, which the tail does not know.
    tail = Tail(ABSOLUTE, box((-1, 1)), "a")
    claim = Claim(ABSOLUTE, tail.box, phases(), at_least(-1.5, -1.0))
    asked = tail.claim(claim.pattern, claim.property)
    assert asked is not None
    assert prove(claim).status is Status.PROVED
    assert prove(asked).status is Status.REFUTED


@pytest.mark.parametrize("seed", range(20))
def test_values_hold_for_every_point_of_the_region(seed: int) -> None:
    claim = random_claim(seed)
    rng = np.random.default_rng(seed)
    x = claim.box.sample(3000, rng)
    x = x[in_region(claim.problem, x)]
    assert len(x)
    for cut in tail_cuts(claim.network):
        tail = Tail(claim.network, claim.box, cut)
        asked = tail.claim(claim.pattern, claim.property)
        assert asked is not None
        middle = values_at(claim.network, x, cut)
        assert (middle >= asked.box.lower - 1e-12).all()
        assert (middle <= asked.box.upper + 1e-12).all()
        later = asked.pattern.intervals(asked.network)
        for layer, (low, high) in later.items():
            z = values_at(asked.network, middle, asked.network.pre_activation(layer))
            assert (z >= low - 1e-9).all() and (z <= high + 1e-9).all()


@pytest.mark.slow
def test_a_proof_of_the_tail_is_a_proof_of_the_claim() -> None:
    proved = 0
    for seed in range(40):
        claim = random_claim(seed)
        for cut in tail_cuts(claim.network):
            tail = Tail(claim.network, claim.box, cut)
            asked = tail.claim(claim.pattern, claim.property)
            assert asked is not None
            if prove(asked, budget=600).is_proved:
                proved += 1
                assert prove(claim, budget=600).status is Status.PROVED, (seed, cut)
    assert proved >= 10


def test_what_cannot_be_cut_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match=r"residual at a.*one of input, got a"):
        Tail(RESIDUAL, box((-1, 1)), "a")
    with pytest.raises(QueryError, match="leaky at a"):
        Tail(LEAKY, box((-1, 1)), "a")
    with pytest.raises(QueryError, match=r"conv and max-pool at pool.*one of input, a"):
        Tail(POOLED, box(*[UNIT] * 4), "pool")


def test_claims_about_inputs_are_refused() -> None:
    tail = Tail(ABSOLUTE, box((-1, 1)), "a")
    with pytest.raises(QueryError, match="speaks of inputs"):
        tail.restated(Claim(ABSOLUTE, tail.box, phases(), at_least(0.0, 1.0, inputs=[1.0])))
    half = HalfSpaces(np.array([[1.0]]), np.array([0.5]))
    with pytest.raises(QueryError, match="speaks of inputs"):
        tail.restated(Claim(ABSOLUTE, tail.box, phases(), at_least(0.0, 1.0), half))


def test_cuts_of_a_chain() -> None:
    rng = np.random.default_rng(0)
    sizes = ((2, 3), (3, 3), (3, 2))
    network = chain([(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in sizes])
    assert tail_cuts(network) == ("relu1", "relu2")
