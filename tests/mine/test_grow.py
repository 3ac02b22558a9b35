"""Growth of a proved pattern: it holds for more inputs than it began with, and still proves."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import trained

from precond.mine.grow import Growth, Rung
from precond.network.evaluate import outputs
from precond.network.graph import INPUT
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prove import prove
from precond.proof.replay import in_region
from precond.proof.tail import Tail
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures, record


def set_up(label: int) -> tuple[Tail, Property, Signatures]:
    """The class's inputs of a network of two layers of ten neurons."""
    network, data = trained(0, 3, 10, 10, 3)
    every = record(network, data.inputs, values=True)
    own = every.rows(np.flatnonzero(every.predicted == label))
    box = Box.uniform(3, 0.0, 1.0)
    return Tail(network, box, INPUT), Property.argmax(label, 3), own


def grown(tail: Tail, goal: Property, own: Signatures, begin: Rung | None = None) -> Rung | None:
    return Growth(
        tail,
        goal,
        own,
        np.arange(len(own)),
        each=5.0,
        deadline=Deadline.after(60.0),
        share=0.5,
        device="cpu",
        note=lambda text: None,
    ).run(begin)


@pytest.mark.parametrize("label", range(2))
def test_it_takes_in_more_than_one_signature_and_stays_true(label: int) -> None:
    tail, goal, own = set_up(label)
    found = grown(tail, goal, own)
    assert found is not None and found.verdict.status is Status.PROVED
    whole = sum(len(own.decisions(layer)[0]) for layer in tail.layers)
    assert len(found.pattern) < whole
    assert found.inside.sum() > 1
    assert np.array_equal(found.inside, found.pattern.holds(own))
    claim = Claim(tail.network, tail.box, found.pattern, goal)
    assert prove(claim, budget=20.0).status is Status.PROVED
    x = tail.box.sample(50_000, np.random.default_rng(0))
    x = x[in_region(claim.problem, x)]
    assert len(x) and goal.holds(outputs(tail.network, x)).all()


def test_it_goes_on_from_a_pattern() -> None:
    tail, goal, own = set_up(0)
    first = DecisionPattern.of_row(own, 0)
    verdict = prove(Claim(tail.network, tail.box, first, goal), budget=20.0)
    assert verdict.is_proved
    inside = first.holds(own)
    begin = Rung(first, verdict, inside, 1, 1.0, np.zeros((0, 3)))
    found = grown(tail, goal, own, begin)
    assert found is not None and found.verdict.is_proved
    assert (found.inside | ~inside).all() and found.inside.sum() > inside.sum()
    assert found.proofs > 1 and found.seconds > 1.0
    assert set(found.pattern.on) <= set(first.on) and set(found.pattern.off) <= set(first.off)


def test_where_no_signature_proves_there_is_nothing() -> None:
    tail, _, own = set_up(0)
    assert grown(tail, Property.argmax(1, 3), own) is None
