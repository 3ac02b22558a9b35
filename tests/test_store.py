"""``preconditions.json``: what is written reads back to the same claims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known import ABSOLUTE, LEAKY, at_least, phases
from schemas import faults

from precond.data.datasets import Dataset
from precond.errors import OutputError, QueryError
from precond.proof.claim import Claim
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.prover.prove import prove
from precond.proof.verdict import Attempt, Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.study.analysis import Analysis, Domain, DomainKind
from precond.study.store import read_preconditions, to_json, write_preconditions

X = np.linspace(-1, 1, 21)[:, None]


def entry(**changes: Any) -> Precondition:
    given = Precondition(
        "input-0-1",
        Kind.INPUT,
        "0",
        at_least(-1 / 3, -1.0),
        phases([0], [1]) & DecisionPattern(above=frozenset({("a", 0, 0.1)})),
        Support(5, 3, 2 / 3, None, (0.1, 0.9), None),
        Verdict(
            Status.REFUTED,
            "attack",
            0.125,
            True,
            False,
            np.array([0.1 + 0.2]),
            None,
            "why",
            (Attempt("bounds", 0.5, note="1 undecided"),),
        ),
        Box(np.array([0.1]), np.array([0.7])),
        Box(np.array([-0.3]), np.array([0.9])),
        7,
        4,
        "a note",
    )
    return replace(given, **changes)


def analysis(*entries: Precondition) -> Analysis:
    parts = np.arange(14), np.arange(14, 21)
    data = Dataset("line", X, np.zeros(21, dtype=np.int64), parts=parts)
    domain = Domain(DomainKind.DATA, Box.around(X))
    return Analysis(
        Path("m.onnx"), ABSOLUTE, data, domain, "predicted", record(ABSOLUTE, X), entries
    )


def test_round_trip_is_exact(tmp_path: Path) -> None:
    given = (entry(), entry(id="b", property=None, box=None, domain=None, source=None))
    path = tmp_path / "preconditions.json"
    write_preconditions(analysis(*given), path)
    stored = read_preconditions(path)
    assert [e.to_json() for e in stored.preconditions] == [e.to_json() for e in given]
    assert stored.network_hash == ABSOLUTE.hash and stored.network_path == "m.onnx"
    assert stored.domain.lower.tolist() == [-1.0] and stored.domain.upper.tolist() == [1.0]
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left


def test_names_of_classes_and_columns_come_back(tmp_path: Path) -> None:
    given = analysis(entry())
    named = replace(given.data, classes=("below", "above"), features=("x\n",))
    path = tmp_path / "preconditions.json"
    write_preconditions(replace(given, data=named), path)
    assert faults(json.loads(path.read_text(encoding="utf-8")), "preconditions") == []
    stored = read_preconditions(path)
    assert stored.classes == ("below", "above") and stored.columns == ("x\\n",)
    write_preconditions(given, path)
    stored = read_preconditions(path)
    assert stored.classes == stored.columns == ()


def test_the_file_is_what_the_issue_documents(tmp_path: Path) -> None:
    data = json.loads(json.dumps(to_json(analysis(entry()))))
    assert data["format"] == 1
    assert {"path", "hash", "inputs", "outputs"} <= set(data["network"])
    (found,) = data["preconditions"]
    assert {"id", "kind", "label", "property", "pattern", "support", "verdict", "box"} <= set(found)
    assert found["pattern"]["on"] == [["a", 0]] and found["pattern"]["off"] == [["a", 1]]
    assert found["verdict"]["status"] == "refuted" and found["verdict"]["witness"] == [0.1 + 0.2]
    assert found["box"] == {"lower": [0.1], "upper": [0.7]}
    # One output is two classes: |x| is above 0, class 1, everywhere but in the middle.
    assert data["data"]["accuracy"] == {"train": 1 / 14, "held_out": 0.0}


def test_claims_come_back_with_the_same_key_and_verdict(tmp_path: Path) -> None:
    claim = Claim(
        ABSOLUTE, Box.uniform(1, -1, 1), phases([0], [1]), at_least(-0.125, -1, inputs=[1])
    )
    verdict = prove(claim, budget=600.0)
    assert verdict.status is Status.PROVED
    given = entry(pattern=claim.pattern, property=claim.property, verdict=verdict, domain=claim.box)
    outer = entry(pattern=claim.pattern, property=claim.property, verdict=verdict, domain=None)
    path = tmp_path / "p.json"
    write_preconditions(analysis(given, outer), path)
    stored = read_preconditions(path)
    for back in stored.preconditions:
        again = stored.claim(back, ABSOLUTE)
        assert again is not None and again.key == claim.key
        assert prove(again, budget=600.0).status is Status.PROVED


def test_claims_need_the_same_network_and_a_property(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    write_preconditions(analysis(entry(), entry(property=None)), path)
    stored = read_preconditions(path)
    with pytest.raises(QueryError, match=r"expected the network with hash .* got leaky"):
        stored.claim(stored.preconditions[0], LEAKY)
    assert stored.claim(stored.preconditions[1], ABSOLUTE) is None


def test_properties_and_verdicts_that_json_bends(tmp_path: Path) -> None:
    """Or-clauses, strictness, tiny and huge numbers, and an infinite bound survive."""
    prop = Property.argmax(0, 2) | Property.between(1, -1e300, 5e-324)
    verdict = Verdict(Status.UNKNOWN, bound=float("-inf"))
    path = tmp_path / "p.json"
    write_preconditions(analysis(entry(property=prop, verdict=verdict)), path)
    (back,) = read_preconditions(path).preconditions
    assert back.property is not None and back.property.clauses == prop.clauses
    assert back.verdict.bound == float("-inf")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected format 1, got 'list'"),
        ('{"format": 2}', "expected format 1, got 2"),
        ('{"format": 1}', "expected the fields docs/format.md lists"),
        (
            '{"format": 1, "domain": {"lower": [0], "upper": [1]}, "network": {"path": "", '
            '"hash": ""}, "preconditions": [{"id": 1}]}',
            "precondition: expected an entry as docs/format.md describes",
        ),
        (
            '{"format": 1, "domain": {"lower": [2], "upper": [1]}, "preconditions": []}',
            "expected lower ≤ upper",
        ),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(QueryError, match=message):
        read_preconditions(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"at_least": -2.0', '"at_least": "-2.0"', "'-2.0' is no number"),
        ('"strict": false', '"strict": "false"', "'false' is neither true nor false"),
        ('"outputs": [[0, -1.0]]', '"outputs": [[0.7, -1.0]]', "0.7 is no whole number"),
        ('"outputs": [[0, -1.0]]', '"outputs": [[true, -1.0]]', "True is no whole number"),
        ('"lower": [-0.3]', '"lower": [false]', "False is no number"),
        ('"lower": [-0.3]', '"lower": [[-0.3]]', "is no number"),
        ('"confirmed": false', '"confirmed": "no"', "'no' is neither true nor false"),
        ('"strict": false', '"strict": true, "strict": false', "'strict' stands twice"),
    ],
)
def test_values_are_taken_as_they_are(tmp_path: Path, old: str, new: str, message: str) -> None:
    """0.7 is no index, a text no number, and nothing is said twice."""
    path = tmp_path / "p.json"
    write_preconditions(analysis(entry(property=at_least(-2.0, -1.0))), path)
    text = json.dumps(json.loads(path.read_text(encoding="utf-8")))
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(QueryError, match=message):
        read_preconditions(path)


def test_missing_and_unwritable(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"none\.json: expected a file"):
        read_preconditions(tmp_path / "none.json")
    with pytest.raises(OutputError, match="expected a file that can be written"):
        write_preconditions(analysis(), tmp_path / "no folder" / "p.json")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="expected a file, got a folder"):
        read_preconditions(tmp_path)
