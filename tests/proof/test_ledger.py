"""The ledger: what is settled stays, what is unknown is tried again with more time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE, ANY, at_least, box, phases

from precond.errors import OutputError
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.ledger import Ledger
from precond.proof.prove import prove
from precond.proof.verdict import Attempt, Status, Verdict
from precond.property import Inequality, Property
from precond.region.pattern import DecisionPattern


def test_a_verdict_comes_back_as_it_was(tmp_path: Path) -> None:
    witness = np.array([0.1, 1e-300, -1 / 3])
    attempts = (Attempt("bounds", 0.25, "1 undecided"),)
    given = Verdict(
        Status.REFUTED, "attack", 0.5, True, False, witness, None, "in exact arithmetic", attempts
    )
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        ledger.put("k", given, 1.0)
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        found = ledger.get("k", 1e9)
        assert len(ledger) == 1 and ledger.get("other", 1.0) is None
    assert found is not None and found.to_json() == given.to_json()
    assert found.witness is not None and (found.witness == witness).all()


def test_unknown_is_kept_for_its_budget_only(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.put("k", Verdict(Status.UNKNOWN), 10.0)
        assert ledger.get("k", 10.0) is not None
        assert ledger.get("k", 5.0) is not None
        assert ledger.get("k", 11.0) is None


@pytest.mark.parametrize("status", [Status.PROVED, Status.REFUTED, Status.VACUOUS])
def test_unknown_never_replaces_a_settled_verdict(tmp_path: Path, status: Status) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.put("k", Verdict(status), 1.0)
        ledger.put("k", Verdict(Status.UNKNOWN), 100.0)
        found = ledger.get("k", 1000.0)
        assert found is not None and found.status is status
        ledger.put("j", Verdict(Status.UNKNOWN), 1.0)
        ledger.put("j", Verdict(status), 1.0)
        found = ledger.get("j", 1000.0)
        assert found is not None and found.status is status


def test_two_open_ledgers_share_a_file(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as one, Ledger(tmp_path / "l") as two:
        one.put("a", Verdict(Status.PROVED), 1.0)
        two.put("b", Verdict(Status.VACUOUS), 1.0)
        assert len(one) == len(two) == 2


def test_prove_writes_and_reads_it(tmp_path: Path) -> None:
    claim = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-2.5, -1.0))
    with Ledger(tmp_path / "l") as ledger:
        first = prove(claim, budget=5.0, ledger=ledger)
        assert first.status is Status.PROVED and len(ledger) == 1
        again = prove(claim, budget=5.0, ledger=ledger, stages=())
        assert again.to_json() == first.to_json()


def test_the_key_is_the_content() -> None:
    """Equal content, equal key; names take no part; every part that matters changes it."""

    def key(
        sides: tuple[float, float] = (-2, 2),
        pattern: DecisionPattern = ANY,
        prop: Property | None = None,
        half: HalfSpaces | None = None,
    ) -> str:
        given = at_least(0.5, 1.0) if prop is None else prop
        return Claim(ABSOLUTE, box(sides), pattern, given, half).key

    half = HalfSpaces(np.array([[1.0]]), np.array([0.5]))
    named = Property(at_least(0.5, 1.0).clauses, "a name")
    assert key() == key() == key(prop=named)
    assert key(prop=Property(((Inequality(((0, 1),), 1),),))) == key(prop=at_least(1.0, 1.0))
    changed = [
        key(sides=(-2, 3)),
        key(pattern=phases([0])),
        key(pattern=phases([], [0])),
        key(pattern=DecisionPattern(above=frozenset({("a", 0, 0.0)}))),
        key(pattern=DecisionPattern(below=frozenset({("a", 0, 0.0)}))),
        key(prop=at_least(0.75, 1.0)),
        key(prop=Property(((Inequality(((0, 1.0),), 0.5, strict=True),),))),
        key(half=half),
    ]
    assert len({key(), *changed}) == len(changed) + 1


def test_trouble_is_one_clear_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"this is no database" * 100)
    with pytest.raises(OutputError, match="expected a readable and writable SQLite file"):
        Ledger(broken)
    newer = tmp_path / "newer"
    database = sqlite3.connect(newer)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(OutputError, match="expected schema version 1, got 99"):
        Ledger(newer)
