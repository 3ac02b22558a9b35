"""Replay is exact: a witness counts by rational arithmetic, not by rounding."""

from __future__ import annotations

import numpy as np
import pytest
from known import ABSOLUTE, ANY, KNOWN, MAXIMUM, UNIT, Known, affine, at_least, box, phases

from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.replay import in_region, replay
from precond.proof.verdict import Status


def test_counts_only_inside_box_pattern_and_half_space() -> None:
    """|x| ≤ 0.5 under x ≤ 0: violated at −1 only of the points tried."""
    half = HalfSpaces(np.array([[-1.0]]), np.array([1.5]))  # x ≥ −1.5
    claim = Claim(ABSOLUTE, box((-2, 2)), phases([], [0]), at_least(-0.5, -1.0), half)
    expected = {-1.0: (True, True), 1.0: (False, False), -0.5: (True, False)}
    expected |= {-3.0: (False, False), -1.75: (False, False), -1.5: (True, True)}
    for x, (inside, counts) in expected.items():
        found = replay(claim, np.array([x]))
        assert (found.in_region, found.counts) == (inside, counts)


@pytest.mark.parametrize("point", [[np.nan], [np.inf], [0.0, 0.0], []])
def test_what_is_no_point_never_counts(point: list[float]) -> None:
    claim = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(9.0, 1.0))
    assert not replay(claim, np.array(point)).counts


def test_a_float_violation_that_is_none_exactly() -> None:
    """y = (x + 2⁻⁶⁰) − x is 2⁻⁶⁰ > 0, but float64 computes 1 + 2⁻⁶⁰ as 1 and gets y = 0."""
    network = Network(
        (
            affine("z", [[1.0], [1.0]], [2.0**-60, 0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0, -1.0]], [0.0], "a"),
        ),
        (1,),
    )
    claim = Claim(network, box((1, 2)), ANY, at_least(2.0**-61, 1.0))
    found = replay(claim, np.array([1.0]))
    assert found.in_region and not found.violates
    assert found.in_float32  # float32 shows a violation that is not there


def test_a_violation_that_float32_does_not_show() -> None:
    """y = x and the claim y ≤ 1: 1 + 2⁻⁴⁰ violates it, but not once rounded to float32."""
    network = Network((affine("y", [[1.0]], [0.0], INPUT),), (1,))
    claim = Claim(network, box((0, 2)), ANY, at_least(-1.0, -1.0))
    found = replay(claim, np.array([1 + 2.0**-40]))
    assert found.counts and not found.in_float32


def test_closure_counts_borders_in() -> None:
    """x = 0 is on the border of on and of off; both closures hold it, half an ulp away none."""
    for pattern in (phases([0]), phases([], [0]), phases([0], [0])):
        claim = Claim(ABSOLUTE, box((-1, 1)), pattern, at_least(0.25, 1.0))
        assert replay(claim, np.array([0.0])).counts
    claim = Claim(ABSOLUTE, box((-1, 1)), phases([0], [0]), at_least(0.25, 1.0))
    assert not replay(claim, np.array([5e-324])).in_region
    assert not replay(claim, np.array([-5e-324])).in_region


def test_in_region_agrees_with_replay_away_from_borders() -> None:
    rng = np.random.default_rng(0)
    half = HalfSpaces(np.array([[1.0, 2.0]]), np.array([1.5]))
    claim = Claim(MAXIMUM, box(UNIT, UNIT), phases([0], [2]), at_least(0.0, 1.0), half)
    points = rng.uniform(-0.2, 1.2, size=(200, 2))
    expected = (points >= 0).all(1) & (points <= 1).all(1) & (points[:, 0] >= points[:, 1])
    expected &= points @ np.array([1.0, 2.0]) <= 1.5
    assert (in_region(claim.problem, points) == expected).all()
    assert [replay(claim, x).in_region for x in points] == expected.tolist()
    assert 20 < expected.sum() < 180


@pytest.mark.parametrize("known", [pytest.param(k, id=k.name) for k in KNOWN])
def test_no_sampled_point_refutes_what_is_proved(known: Known) -> None:
    points = known.claim.box.sample(40, np.random.default_rng(0))
    counted = [replay(known.claim, x) for x in points]
    if known.status is not Status.REFUTED:
        assert not any(r.counts for r in counted)
    if known.status is Status.VACUOUS:
        assert not any(r.in_region for r in counted)
