"""The gradient attack: what it returns satisfies everything in float64."""

from __future__ import annotations

import time

import numpy as np
import pytest
from clocks import HANG
from known import ABSOLUTE, ANY, KNOWN, MAXIMUM, UNIT, XOR, Known, at_least, box, phases

from precond.network.evaluate import outputs
from precond.proof.attack import AttackEffort, attack
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.deadline import Deadline
from precond.proof.replay import in_region, replay
from precond.proof.verdict import Status

REFUTABLE = [pytest.param(k, id=k.name) for k in KNOWN if k.status is Status.REFUTED]


@pytest.mark.parametrize("known", REFUTABLE)
def test_finds_the_witnesses_of_known_claims(known: Known) -> None:
    found = [
        attack(known.claim.problem, c, Deadline.after(600.0)) for c in known.claim.problem.conjuncts
    ]
    points = [x for x in found if x is not None]
    if "off" not in known.name:  # a region of one point is not met by chance
        assert points
    for x in points:
        assert in_region(known.claim.problem, x[None])[0]
        assert not known.claim.property.holds(outputs(known.claim.network, x[None]), x[None])[0]


@pytest.mark.parametrize("status", [Status.PROVED, Status.VACUOUS])
def test_finds_none_where_there_is_none(status: Status) -> None:
    for known in KNOWN:
        if known.status is status:
            for conjunct in known.claim.problem.conjuncts:
                point = attack(
                    known.claim.problem,
                    conjunct,
                    Deadline.after(600.0),
                    effort=AttackEffort(steps=10),
                )
                assert point is None


def test_margin_asks_for_more() -> None:
    """|x| ≥ 1 on [−2, 2] can hold by 1 and not by more."""
    claim = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-1.0, -1.0))
    (conjunct,) = claim.problem.conjuncts
    point = attack(claim.problem, conjunct, Deadline.after(600.0), effort=AttackEffort(margin=0.9))
    assert point is not None and abs(point[0]) >= 1.9
    assert (
        attack(claim.problem, conjunct, Deadline.after(600.0), effort=AttackEffort(margin=1.1))
        is None
    )


def test_an_empty_conjunct_asks_for_a_point_of_the_region() -> None:
    """0.9 ≤ x₀ + x₁ ≤ 1 (half-space and neuron 1 off): a thin strip of the unit square."""
    half = HalfSpaces(np.array([[-1.0, -1.0]]), np.array([-0.9]))
    claim = Claim(XOR, box(UNIT, UNIT), phases([], [1]), at_least(9.0, 1.0), half)
    point = attack(claim.problem, (), Deadline.after(600.0))
    assert point is not None and replay(claim, point).in_region


def test_given_starts_come_first() -> None:
    claim = Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(0.5, 1.0))
    (conjunct,) = claim.problem.conjuncts
    start = np.array([0.25, 0.125])
    point = attack(claim.problem, conjunct, Deadline.after(600.0), starts=[start])
    assert point is not None and (point == start).all()


def test_stops_at_the_deadline() -> None:
    claim = Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(-2.0, -1.0))
    (conjunct,) = claim.problem.conjuncts
    begun = time.monotonic()
    assert (
        attack(claim.problem, conjunct, Deadline.after(0.0), effort=AttackEffort(steps=10**9))
        is None
    )
    assert time.monotonic() - begun < HANG
