"""A reduced claim says the same as the claim it was made from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from blobs import chain
from known import KNOWN, Known, affine, at_least, box, phases

from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

SETTLED = {Status.PROVED, Status.REFUTED, Status.VACUOUS}


def random_claim(seed: int) -> Claim:
    """A chain of two or three hidden layers, some inputs fixed at 0, some literals of a point
    of the box at every layer."""
    rng = np.random.default_rng(seed)
    hidden = [5, 6] if seed % 2 else [5, 4, 5]
    widths = [4, *hidden, 3]
    network = chain(
        [(rng.normal(size=(m, n)), 0.4 * rng.normal(size=m)) for n, m in pairwise(widths)]
    )
    upper = rng.random(4) * (rng.random(4) < 0.7)
    region = Box(np.zeros(4), upper)
    x = upper * rng.random(4)
    on: set[tuple[str, int]] = set()
    off: set[tuple[str, int]] = set()
    value = x
    for k, width in enumerate(hidden, 1):
        layer = network.node[f"fc{k}"].layer
        assert isinstance(layer, Affine)
        value = layer.weight @ value + layer.bias
        for index in np.flatnonzero(rng.random(width) < 0.5):
            (on if value[index] > 0 else off).add((f"relu{k}", int(index)))
        value = np.maximum(value, 0)
    last = network.node[network.output].layer
    assert isinstance(last, Affine)
    label = int((last.weight @ value).argmax())
    pattern = DecisionPattern(frozenset(on), frozenset(off))
    return Claim(network, region, pattern, Property.argmax(label, 3))


@pytest.mark.parametrize("seed", range(24))
def test_the_region_and_the_outputs_are_the_same(seed: int) -> None:
    claim = random_claim(seed)
    small = without_fixed_neurons(claim)
    rng = np.random.default_rng(seed)
    x = claim.box.sample(4000, rng)
    inside = in_region(claim.problem, x)
    assert inside.any()
    assert (in_region(small.claim.problem, small.shrink(x)) == inside).all()
    np.testing.assert_allclose(
        outputs(small.claim.network, small.shrink(x[inside])),
        outputs(claim.network, x[inside]),
        atol=1e-12,
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_answer_is_the_same(seed: int) -> None:
    claim = random_claim(seed)
    small = without_fixed_neurons(claim)
    before, after = prove(claim, budget=600), prove(small.claim, budget=600)
    assert before.status in SETTLED
    assert before.status is after.status
    if after.witness is not None:
        assert not claim.property.holds(outputs(claim.network, small.restore(after.witness[None])))


@pytest.mark.parametrize("seed", range(6))
def test_restore_and_shrink_are_inverses(seed: int) -> None:
    claim = random_claim(seed)
    small = without_fixed_neurons(claim)
    rng = np.random.default_rng(seed)
    x = claim.box.sample(50, rng)
    assert (small.restore(small.shrink(x)) == x).all()
    z = small.claim.box.sample(50, rng)
    assert (small.shrink(small.restore(z)) == z).all()
    assert claim.box.contains(small.restore(z)).all()


def test_inputs_fixed_at_zero_and_neurons_that_are_off_are_gone() -> None:
    # z = (x0, −x0 − x1 − 1/2, x1 − 1); x1 = 0 in the box, so neurons 1 and 2 are off.
    network = Network(
        (
            affine("z", [[1, 0], [-1, -1], [0, 1]], [0, -0.5, -1], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1, 5, 7]], [0], "a"),
        ),
        (2,),
    )
    claim = Claim(network, box((0, 1), (0, 0)), phases(), at_least(-1.0, -1.0))
    small = without_fixed_neurons(claim)
    assert small.claim.box.size == 1
    assert small.restore(np.array([[0.5]])).tolist() == [[0.5, 0.0]]
    assert small.claim.network.width("a") == 1
    last = small.claim.network.node["y"].layer
    assert isinstance(last, Affine) and last.weight.tolist() == [[1.0]]


def test_a_first_layer_literal_becomes_a_half_space() -> None:
    # Neuron 0 reads x0 − x1; off is x0 − x1 ≤ 0.
    network = Network(
        (
            affine("z", [[1, -1], [0, 1]], [0, 0.5], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1, 1]], [0], "a"),
        ),
        (2,),
    )
    small = without_fixed_neurons(
        Claim(network, box((0, 1), (0, 1)), phases(off=[0]), at_least(0.0, 1.0))
    )
    assert small.claim.network.width("a") == 1
    assert small.claim.halfspaces is not None
    assert small.claim.halfspaces.matrix.tolist() == [[1.0, -1.0]]
    assert small.claim.halfspaces.bound.tolist() == [0.0]


def test_a_later_literal_stays_though_its_neuron_gives_nothing() -> None:
    # b = relu(a − 1/2) with a = relu(x): b off is x ≤ 1/2, so y = a ≤ 1/2 there.
    network = Network(
        (
            affine("z", [[1]], [0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("w", [[1], [1]], [-0.5, 0], "a"),
            Node("b", ReLU(), ("w",)),
            affine("y", [[0, 1]], [0], "b"),
        ),
        (1,),
    )
    claim = Claim(network, box((0, 1)), phases(off=[0], layer="b"), at_least(-0.625, -1.0))
    assert prove(claim).status is Status.PROVED
    assert prove(without_fixed_neurons(claim).claim).status is Status.PROVED


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.name)
def test_known_answers_stay(known: Known) -> None:
    """Networks of every kind; those that are no chain are left as they are."""
    verdict = prove(without_fixed_neurons(known.claim).claim, budget=600)
    assert verdict.status is known.status
