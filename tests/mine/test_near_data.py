"""Rules near data, on a network of one input whose answers are plain.

z = (x, −x), y = (relu(x) − relu(−x), 1/4): class 0 is said where x > 1/4.  The rule "neuron 0 on
(x > 0) implies class 0" is false between 0 and 1/4.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from blobs import chain, trained

from precond.data.datasets import Dataset
from precond.errors import QueryError
from precond.mine.near_data.balls import LADDER, DataBalls
from precond.mine.near_data.claims import (
    NearClaims,
    NearRule,
    ProofLimits,
    chosen_radius,
    counted,
    largest_radii,
)
from precond.mine.near_data.strengthen import Against, strengthened
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.near_data import NearData
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record
from precond.workers.pool import InProcess

NETWORK = chain(
    [
        (np.array([[1.0], [-1.0]]), np.zeros(2)),
        (np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([0.0, 0.25])),
    ]
)
RANGE = Box.uniform(1, -1.0, 1.0)
INPUTS = np.array([[0.3], [0.5], [0.9], [-0.5]])
ON = DecisionPattern(on=frozenset({("relu1", 0)}))
CLASS_0 = Property.argmax(0, 2)
RULE = NearRule(ON, CLASS_0, np.array([0, 1, 2]))


BALLS = DataBalls(INPUTS, RANGE, np.array([1.0]))


def claims() -> NearClaims:
    return NearClaims(NETWORK, BALLS, ProofLimits())


def test_bounds_prove_the_balls_that_stay_in_the_class() -> None:
    near = claims()
    assert near.by_bounds([RULE], 0.04, FOREVER) == {(0, 0), (0, 1), (0, 2)}
    assert near.by_bounds([RULE], 0.1, FOREVER) == {(0, 1), (0, 2)}  # 0.3 − 0.1 < 1/4


def test_a_pattern_proves_what_its_ball_alone_does_not() -> None:
    above = NearRule(DecisionPattern(above=frozenset({("relu1", 0, 0.26)})), CLASS_0, RULE.rows)
    near = claims()
    assert near.whole_balls(CLASS_0, [0, 1, 2], 0.3, FOREVER) == {2}
    assert near.by_bounds([above], 0.3, FOREVER) == {(0, 0), (0, 1), (0, 2)}


def test_what_bounds_leave_open_is_answered_by_prove() -> None:
    verdicts = claims().by_engines([RULE], [(0, 0), (0, 1)], 0.1, InProcess(), FOREVER)
    assert verdicts[0, 0].status is Status.REFUTED
    assert verdicts[0, 1].status is Status.PROVED
    witness = verdicts[0, 0].witness
    assert witness is not None and 0.199 <= witness[0] <= 0.25


def test_the_largest_radius_of_the_ladder_is_that_of_the_nearest_input() -> None:
    far = NearRule(ON, CLASS_0, np.array([1, 2]))
    assert largest_radii(claims(), [RULE, far], FOREVER) == [0.03, 0.2]
    assert chosen_radius(claims(), [far], FOREVER) == 0.2


def test_nothing_is_proved_when_time_is_up() -> None:
    over = Deadline.after(-1.0)
    assert claims().by_bounds([RULE], 0.01, over) == set()
    assert claims().by_engines([RULE], [(0, 0)], 0.1, InProcess(), over) == {}
    assert chosen_radius(claims(), [RULE], over) is None


def test_answers_are_counted() -> None:
    verdicts = claims().by_engines([RULE], [(0, 0)], 0.1, InProcess(), FOREVER)
    answers = {row: v for (_, row), v in verdicts.items()}
    found = counted(RULE, BALLS, 0.1, proved={1, 2}, verdicts=answers, largest=0.03)
    assert (found.proved, found.refuted, found.undecided) == (2, 1, 0)
    assert not found.is_proved and found.largest == Radius(0.03)
    assert str(found) == "proved within 0.1 of 2 of its 3 inputs, refuted near 1"
    every = counted(RULE, BALLS, 0.04, proved={0, 1, 2}, verdicts={}, largest=0.03)
    assert every.is_proved and every.largest == Radius(0.04)
    assert NearData.from_json(every.to_json()) == every
    shares = replace(BALLS, columns=True)
    table = counted(RULE, shares, 0.04, proved={0, 1, 2}, verdicts={}, largest=0.03)
    assert str(table) == "proved within 4 % of each column's range around 3 of its 3 inputs"
    assert NearData.from_json(table.to_json()) == table


def test_more_answers_than_inputs_are_refused() -> None:
    with pytest.raises(QueryError, match="no more answers than inputs"):
        NearData(radius=Radius(0.1), inputs=1, proved=1, refuted=1)


def test_radii_are_shares_of_a_columns_range() -> None:
    table = Dataset(
        "table",
        np.array([[0.0, 5.0], [1.0, 1005.0], [0.5, 5.0]]),
        parts=(np.arange(2), np.arange(2, 3)),
    )
    anywhere = Box.uniform(2, -1e6, 1e6)
    box = DataBalls.of(table, anywhere).around(2, 0.1)
    assert np.allclose(box.lower, [0.4, -95.0]) and np.allclose(box.upper, [0.6, 105.0])
    box = DataBalls.of(table, anywhere, of_range=False).around(2, 0.25)
    assert box.lower.tolist() == [0.25, 4.75] and box.upper.tolist() == [0.75, 5.25]


@pytest.mark.parametrize("high", [0.1234567, 2.7182818, 255.0])
def test_a_radius_is_what_is_said_of_it(high: float) -> None:
    """Of pictures a radius is said in six digits of their units: the ball has it, no less."""
    picture = Dataset(
        "pictures",
        np.zeros((3, 1, 2)),
        image_shape=(1, 2),
        natural=(0.0, high),
        parts=(np.arange(2), np.arange(2, 3)),
    )
    balls = DataBalls.of(picture, Box.uniform(2, -1e6, 1e6))
    for size in LADDER:
        assert balls.around(0, size).upper.tolist() == [balls.radius(size).size] * 2


def test_a_literal_answers_a_counterexample_at_least_loss() -> None:
    values = np.array([[0.3, 1.0], [0.5, 1.0], [0.9, -1.0], [0.8, -1.0]])
    against = Against(values, np.array([0]), np.array([[0.2, -1.0]]))
    # Neuron 1 on answers the counterexample too, but loses two inputs.
    found = strengthened("relu1", ON, against, minimum=1)
    assert found is not None and found.on == ON.on
    ((layer, index, threshold),) = found.above
    assert (layer, index) == ("relu1", 0) and 0.2 < threshold < 0.5
    by_decisions = strengthened("relu1", ON, against, minimum=1, values=False)
    assert by_decisions == ON & DecisionPattern(on=frozenset({("relu1", 1)}))
    assert strengthened("relu1", ON, against, minimum=3, values=False) is None


def test_a_rule_against_which_nothing_can_be_done_stays() -> None:
    same = np.array([[0.3, 1.0], [0.3, 1.0]])
    against = Against(same, np.array([0, 1]), np.full((2, 2), math.nan))
    assert strengthened("relu1", ON, against, minimum=1) is None


def test_what_bounds_prove_agrees_with_prove_and_with_points_of_the_balls() -> None:
    network, data = trained(3, 4, 8, 8, 3)
    signatures = record(network, data.inputs)
    label = int(np.bincount(signatures.predicted).argmax())
    pattern = DecisionPattern.of_row(
        signatures, int(np.flatnonzero(signatures.predicted == label)[0]), ["relu2"]
    )
    rows = np.flatnonzero(pattern.holds(signatures) & (signatures.predicted == label))[:12]
    rule = NearRule(pattern, Property.argmax(label, 3), rows)
    near = NearClaims(
        network, DataBalls(data.inputs, Box.uniform(4, 0, 1), np.ones(4)), ProofLimits()
    )
    proved = near.by_bounds([rule], 0.15, FOREVER)
    assert proved
    rng = np.random.default_rng(0)
    for _, row in sorted(proved)[:6]:
        claim = near.claim(rule, row, 0.15)
        assert prove(claim, budget=20).status in (Status.PROVED, Status.VACUOUS)
        points = record(network, claim.box.sample(2000, rng))
        assert (points.predicted[pattern.holds(points)] == label).all()
