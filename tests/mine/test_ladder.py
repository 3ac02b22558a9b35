"""Patterns over the whole network, one group of inputs after another."""

from __future__ import annotations

import numpy as np
import pytest
from class_choices import tail_and_class

from precond.mine.whole_space.by_proof import ladder
from precond.mine.whole_space.settings import Search
from precond.mine.whole_space.task import PatternTask
from precond.network.evaluate import outputs
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region
from precond.proof.verdict import Status
from precond.property import Property

pytest.importorskip("highspy")


def climbed(label: int, goal: int, patterns: int = 4, seconds: float = 15.0) -> list:
    tail, own = tail_and_class(label)
    return ladder(
        PatternTask(tail, Property.argmax(goal, 3), Search(patterns=patterns, least=2, each=60.0)),
        own,
        deadline=Deadline.after(seconds),
    )


@pytest.mark.parametrize("label", range(2))
def test_its_patterns_are_true_and_hold_for_most_of_the_class(label: int) -> None:
    tail, own = tail_and_class(label)
    goal = Property.argmax(label, 3)
    found = climbed(label, label)
    covered = np.zeros(len(own), dtype=np.bool_)
    x = tail.box.sample(50_000, np.random.default_rng(0))
    for rung in found:
        assert np.array_equal(rung.inside, rung.pattern.holds(own))
        assert (rung.inside & ~covered).sum() >= 2
        covered |= rung.inside
        assert rung.verdict.is_proved and rung.proofs >= 1
        claim = Claim(tail.network, tail.box, rung.pattern, goal)
        assert prove(claim, budget=600.0).status is Status.PROVED
        inside = x[in_region(claim.problem, x)]
        assert goal.holds(outputs(tail.network, inside)).all()
    assert covered.mean() > 0.8
    assert found[0].inside.sum() == max(rung.inside.sum() for rung in found)


def test_a_false_property_has_no_pattern() -> None:
    assert climbed(0, 1) == []


def test_it_keeps_to_the_number_and_to_the_time() -> None:
    assert len(climbed(0, 0, patterns=1)) == 1
    assert climbed(0, 0, seconds=0.0) == []
