"""What a run taught: counted by hand on ten inputs of a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from blobs import chain

from precond.data.datasets import Dataset
from precond.mine.support import CurvePoint
from precond.proof.near_data import NearData
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record
from precond.study.analysis import Analysis, Domain, DomainKind
from precond.study.learned import Learned, RuleGain, Weakest

# z = (x, −x), y = (relu(x) − relu(−x), 0): class 0 for x > 0, else class 1.
NETWORK = chain(
    [
        (np.array([[1.0], [-1.0]]), np.zeros(2)),
        (np.array([[1.0, -1.0], [0.0, 0.0]]), np.zeros(2)),
    ]
)
X = np.array([*np.linspace(0.05, 0.95, 10), *-np.linspace(0.05, 0.95, 10)])[:, None]
TRAIN, HELD_OUT = np.arange(0, 20, 2), np.arange(1, 20, 2)


def above(value: float) -> DecisionPattern:
    return DecisionPattern(above=frozenset({("relu1", 0, value)}))


def rule(
    name: str, label: int, pattern: DecisionPattern, status: Status, near: int
) -> Precondition:
    return Precondition(
        name,
        Kind.LAYER,
        str(label),
        Property.argmax(label, 2),
        pattern,
        Support(5, 5, 1.0, 1.0),
        Verdict(status),
        near=NearData(radius=Radius(0.05), inputs=5, proved=near, refuted=0) if near else None,
    )


def analysis(*rules: Precondition, precision: float | None = 1.0) -> Analysis:
    signatures = record(NETWORK, X, values=True)
    return Analysis(
        Path("line.onnx"),
        NETWORK,
        Dataset("line", X, signatures.predicted, parts=(TRAIN, HELD_OUT), classes=("up", "down")),
        Domain(DomainKind.RANGE, Box.uniform(1, -1, 1)),
        "predicted",
        signatures,
        rules,
        (CurvePoint(0.5, len(rules), 0.5, precision),),
    )


FAR = rule("far", 0, above(0.5), Status.PROVED, 0)
WIDE = rule("wide", 0, above(0.1), Status.REFUTED, 5)
TINY = rule("tiny", 1, DecisionPattern(below=frozenset({("relu1", 0, -0.8)})), Status.UNKNOWN, 3)


def test_rules_come_in_the_order_of_what_they_add() -> None:
    learned = Learned.of(analysis(FAR, WIDE, TINY))
    # Training: 0.05, 0.25, 0.45, 0.65, 0.85 and their negatives; held out: 0.15, 0.35, …, 0.95.
    assert learned.order == (RuleGain(1, 4, 5, 0.5), RuleGain(2, 1, 1, 0.6))
    assert (learned.counted, learned.everywhere, learned.asked, learned.near) == (2, 1, 2, 1)
    assert learned.explained == 0.6
    assert learned.everywhere_explained == 0.3 and learned.everywhere_wrong == 0
    assert learned.weakest == Weakest("down", 0.2, 1, 5, None)


def test_of_rules_that_add_as_much_the_proved_one_comes_first() -> None:
    again = rule("again", 0, above(0.1), Status.PROVED, 0)
    assert [one.position for one in Learned.of(analysis(WIDE, again)).order] == [1]


def test_sentences_say_what_was_counted() -> None:
    assert Learned.of(analysis(FAR, WIDE, TINY)).sentences() == (
        "Rules over neurons explain 60.0 % of 10 held-out predictions at 100 % precision: "
        "2 rules counted on data, 1 of these proved within 0.05 of every training input that "
        "supports them, 1 rule proved for every input of the domain (30.0 % of predictions, "
        "0 wrong).",
        "The weakest class is down, 20.0 % explained: its largest rule holds for 1 of 5 training "
        "inputs.",
    )
    (only,) = Learned.of(analysis()).sentences()
    assert only == "No layer rule was found, so no prediction is explained."


def test_a_wrong_prediction_under_a_rule_is_counted() -> None:
    false = rule("false", 1, above(0.5), Status.PROVED, 0)  # as no proof would say
    learned = Learned.of(analysis(false))
    assert learned.everywhere_wrong == 3 and learned.everywhere_explained == 0.0
    assert learned.order == ()
