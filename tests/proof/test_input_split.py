"""Bisection covers the whole box: what it calls decided is decided everywhere."""

from __future__ import annotations

import time

import numpy as np
import pytest
from clocks import HANG
from known import ANY, BUMP, MAXIMUM, POOLED, SUM_AT_LEAST_3, UNIT, affine, at_least, box

from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.input_split.search import FEW_INPUTS, InputSplitEngine
from precond.proof.replay import replay
from precond.property import Property


@pytest.mark.parametrize("place", [-0.99, -0.3, 0.0, 1 / 3, 0.5, 0.77, 0.999])
def test_a_needle_is_found_wherever_it_is(place: float) -> None:
    """A triangle of height 1 and half-width 1e−4 at ``place``: y ≤ 0.5 fails only there."""
    steep = 1e4
    network = Network(
        (
            affine(
                "z", [[steep]] * 3, [1 - steep * place, -steep * place, -1 - steep * place], INPUT
            ),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0, -2.0, 1.0]], [0.0], "a"),
        ),
        (1,),
    )
    claim = Claim(network, box((-1, 1)), ANY, at_least(-0.5, -1.0))
    (answer,) = InputSplitEngine(batch=4).solve(claim.problem, Deadline.after(600.0))
    assert answer.outcome is Outcome.WITNESS and answer.witness is not None
    assert replay(claim, answer.witness).counts
    higher = Claim(network, box((-1, 1)), ANY, at_least(-1.0001, -1.0))
    (answer,) = InputSplitEngine(batch=4).solve(higher.problem, Deadline.after(600.0))
    assert answer.outcome is Outcome.INFEASIBLE and answer.rigorous


def test_each_conjunct_gets_its_own_answer() -> None:
    """0.2 ≤ max ≤ 1.1 on [0, 1]²: only the lower side fails."""
    claim = Claim(MAXIMUM, box(UNIT, UNIT), ANY, Property.between(0, 0.2, 1.1))
    below, above = InputSplitEngine().solve(claim.problem, Deadline.after(600.0))
    assert below.outcome is Outcome.WITNESS
    assert above.outcome is Outcome.INFEASIBLE


def test_half_spaces_empty_the_boxes_outside() -> None:
    claim = Claim(POOLED, box(*[UNIT] * 4), ANY, at_least(0.25, 1.0), SUM_AT_LEAST_3)
    (answer,) = InputSplitEngine().solve(claim.problem, Deadline.after(600.0))
    assert answer.outcome is Outcome.INFEASIBLE


def test_out_of_time_is_undecided() -> None:
    """y ≥ 0 on the flat part of the bump is an equality: no finite bisection proves it."""
    claim = Claim(BUMP, box((-1, 3)), ANY, at_least(0.0, 1.0))
    start = time.monotonic()
    (answer,) = InputSplitEngine().solve(claim.problem, Deadline.after(0.5))
    assert time.monotonic() - start < HANG
    assert answer.outcome is Outcome.UNDECIDED and "decided" in answer.note
    (late,) = InputSplitEngine().solve(claim.problem, Deadline.after(0.0))
    assert late.outcome is Outcome.UNDECIDED


def test_one_point_is_not_split() -> None:
    """A box of one point that a bound cannot decide ends as undecided, not in a loop."""
    claim = Claim(BUMP, box((0.5, 0.5)), ANY, at_least(0.5, 1.0))
    (answer,) = InputSplitEngine().solve(claim.problem, Deadline.after(600.0))
    assert answer.outcome is not Outcome.WITNESS
    (wrong,) = InputSplitEngine().solve(
        Claim(BUMP, box((0.5, 0.5)), ANY, at_least(0.75, 1.0)).problem, Deadline.after(600.0)
    )
    assert wrong.outcome is Outcome.WITNESS


def test_many_inputs_are_refused() -> None:
    size = FEW_INPUTS + 1
    network = Network((affine("y", np.ones((1, size)).tolist(), [0.0], INPUT),), (size,))
    claim = Claim(network, box(*[UNIT] * size), ANY, at_least(0.0, 1.0))
    reason = InputSplitEngine().unsupported(claim.problem)
    assert reason is not None and f"{size} inputs vary" in reason.reason
