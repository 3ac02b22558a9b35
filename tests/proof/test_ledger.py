"""The ledger: what is settled stays, what is unknown is tried again with more time."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE, ANY, at_least, box, phases

from precond.cli import main
from precond.errors import OutputError
from precond.proof.attempt import PROPAGATION, SOLVERS, Attempt, Outcome
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.ledger import schema as ledger_schema
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern


def test_a_verdict_comes_back_as_it_was(tmp_path: Path) -> None:
    witness = np.array([0.1, 1e-300, -1 / 3])
    attempts = (Attempt("bounds", 0.25, counts={Outcome.UNDECIDED: 1}, lines=PROPAGATION),)
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
        first = prove(claim, budget=600.0, ledger=ledger)
        assert first.status is Status.PROVED and len(ledger) == 1
        again = prove(claim, budget=600.0, ledger=ledger, stages=())
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
    with closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version=99")
    for writable in (True, False):
        with pytest.raises(OutputError, match="schema version 99, of a newer precond"):
            Ledger(newer, writable=writable)
    other = tmp_path / "other"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE songs (name TEXT)")
    for writable in (True, False):
        with pytest.raises(OutputError, match="a database of another program"):
            Ledger(other, writable=writable)
    with pytest.raises(OutputError, match="no such file"):
        Ledger(tmp_path / "none", writable=False)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="unable to open"):
        Ledger(tmp_path / "folder")


SETTLED = [
    Verdict(Status.PROVED, "a"),
    Verdict(Status.PROVED, "a", exact=True),
    Verdict(Status.PROVED, "a", confirmed=False),
    Verdict(Status.VACUOUS, "a"),
    Verdict(Status.REFUTED, "a", exact=True),
]


@pytest.mark.parametrize("first", SETTLED)
@pytest.mark.parametrize("second", SETTLED)
def test_the_better_founded_verdict_stays(tmp_path: Path, first: Verdict, second: Verdict) -> None:
    """Exact before confirmed before unconfirmed; a witness before an unconfirmed proof."""

    def says(verdict: Verdict) -> bool:
        return verdict.status is not Status.REFUTED

    def rank(verdict: Verdict) -> tuple[bool, bool]:
        return verdict.exact, verdict.confirmed

    with Ledger(tmp_path / "l") as ledger:
        assert ledger.put("k", first, 1.0) is first
        proofs = [v for v in (first, second) if says(v)]
        if says(first) != says(second) and proofs[0].confirmed:
            with pytest.raises(OutputError, match="One of them is wrong"):
                ledger.put("k", second, 1.0)
            stays = first
        else:
            stays = second if rank(second) > rank(first) else first
            assert ledger.put("k", second, 1.0).to_json() == stays.to_json()
        found = ledger.get("k", 1.0)
        assert found is not None and found.to_json() == stays.to_json()


def test_an_unknown_with_a_smaller_budget_does_not_replace_one_with_a_larger(
    tmp_path: Path,
) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.put("k", Verdict(Status.UNKNOWN, reason="long"), 10.0)
        ledger.put("k", Verdict(Status.UNKNOWN, reason="short"), 1.0)
        found = ledger.get("k", 10.0)
        assert found is not None and found.reason == "long"
        ledger.put("k", Verdict(Status.UNKNOWN, reason="longer"), 20.0)
        found = ledger.get("k", 20.0)
        assert found is not None and found.reason == "longer"


def test_unknown_is_for_the_same_engines_only(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.remember("k", "quick", Verdict(Status.UNKNOWN), 5.0)
        assert ledger.recall("k", "quick", 5.0) is not None
        assert ledger.recall("k", "all", 5.0) is None
        ledger.remember("k", "quick", Verdict(Status.PROVED), 5.0)
        assert ledger.recall("k", "all", 5.0) is not None


def version1(path: Path, rows: list[tuple[str, str, float, float]]) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(
            "CREATE TABLE verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL, "
            "budget REAL NOT NULL, written REAL NOT NULL)"
        )
        database.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?)", rows)
        database.execute("PRAGMA user_version=1")
        database.commit()


@pytest.mark.parametrize("writable", [True, False])
def test_version_1_is_migrated(tmp_path: Path, writable: bool) -> None:
    old = Verdict(Status.REFUTED, "attack", exact=True, witness=np.array([0.1, -3.0]))
    version1(tmp_path / "l", [("k", json.dumps(old.to_json()), 2.5, 1e9)])
    with Ledger(tmp_path / "l", writable=writable) as ledger:
        (entry,) = ledger.entries()
        assert (entry.key, entry.budget, entry.written) == ("k", 2.5, 1e9)
        assert entry.verdict.to_json() == old.to_json()
        found = ledger.get("k", 1.0)
        assert found is not None and found.to_json() == old.to_json()
    with closing(sqlite3.connect(tmp_path / "l")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (
            ledger_schema.SCHEMA if writable else 1,
        )


def test_attempts_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """Rows of version 2, as it wrote them: three texts an attempt, the second proof among them."""
    old = Verdict(Status.PROVED, "highs", 1.5).to_json()
    old["attempts"] = [
        ["layer bounds", 0.1, "refined"],
        ["bounds", 0.2, "0 infeasible, 0 witness, 9 undecided"],
        ["highs", 0.3, "9 infeasible, 0 witness, 0 undecided"],
        ["tighten-split", 0.3, "1 infeasible, 2 witness, 3 undecided"],
        ["marabou", 0.4, "stopped, not needed"],
        ["again: input-split, relu-split", 2.0, "proved"],
    ]
    text = json.dumps(old)
    with Ledger(tmp_path / "l"):
        pass
    with closing(sqlite3.connect(tmp_path / "l")) as database:
        row = ("k", text, 2.5, 1e9, ledger_schema.digest("k", text, 2.5, 1e9))
        database.execute("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?)", row)
        database.execute("PRAGMA user_version=2")
        database.commit()
    for writable in (False, True):
        with Ledger(tmp_path / "l", writable=writable) as ledger:
            found = ledger.get("k", 1.0)
        assert found is not None
        assert [(a.engine, a.text) for a in found.attempts] == [
            (engine, said) for engine, _, said in old["attempts"][:-1]
        ]
        assert found.attempts[2].counts == {
            Outcome.INFEASIBLE: 9,
            Outcome.WITNESS: 0,
            Outcome.UNDECIDED: 0,
        }
        assert [a.closes for a in found.attempts] == [False, False, True, True, False]
        assert found.attempts[2].lines == SOLVERS
        assert found.attempts[3].lines == SOLVERS | PROPAGATION
        assert found.second is not None and found.second.engines == ("input-split", "relu-split")
        assert found.is_proved_twice and found.second.seconds == 2.0
        assert Verdict.from_json(found.to_json()).to_json() == found.to_json()
    with closing(sqlite3.connect(tmp_path / "l")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (ledger_schema.SCHEMA,)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("proved", Status.PROVED, ""),
        ("contradicted", Status.REFUTED, ""),
        ("not decided (solvers: out of time (1 s))", Status.UNKNOWN, "solvers: out of time (1 s)"),
    ],
)
def test_what_a_second_proof_said_stays(text: str, status: Status, reason: str) -> None:
    row = {"status": "proved", "attempts": [["again: no engine", 1.0, text]]}
    second = Verdict.from_json(row).second
    assert second is not None and (second.status, second.reason) == (status, reason)
    assert second.engines == () and second.text == text
    again = Verdict.from_json(Verdict.from_json(row).to_json())
    assert again.second == second and again.attempts == ()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The disk is full in the midst: the rows of version 1 are all still there."""
    text = json.dumps(Verdict(Status.PROVED).to_json())
    version1(tmp_path / "l", [(f"{k:064}", text, 1.0, 1.0) for k in range(300)])
    with closing(sqlite3.connect(tmp_path / "l", isolation_level=None)) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count={pages + 3}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            ledger_schema._migrate(database)
        assert database.execute("SELECT COUNT(*) FROM verdicts").fetchone() == (300,)
    with Ledger(tmp_path / "l") as ledger:
        assert len(ledger) == 300


def filled(path: Path, count: int) -> list[dict[str, object]]:
    """A closed ledger of ``count`` verdicts; what each of them says."""
    stream = np.random.default_rng(0)
    given = []
    with Ledger(path) as ledger:
        for k in range(count):
            status = (Status.PROVED, Status.REFUTED)[k % 2]
            witness = stream.normal(size=6) if k % 2 else None
            given.append(ledger.put(f"1:{k}", Verdict(status, "x", witness=witness), 1.0).to_json())
    return given


def test_a_damaged_file_never_gives_another_verdict(tmp_path: Path) -> None:
    """Bytes changed anywhere: an error, or the claim is not known, or the verdict as written."""
    whole = tmp_path / "whole"
    given = filled(whole, 60)
    content = whole.read_bytes()
    stream = np.random.default_rng(1)
    outcomes = {"error": 0, "none": 0, "same": 0}
    for trial in range(120):
        broken = bytearray(content)
        for at in stream.integers(len(content), size=stream.choice([1, 3, 40])):
            broken[at] ^= 1 << int(stream.integers(8))
        if trial % 10 == 0:
            del broken[int(stream.integers(len(broken))) :]
        path = tmp_path / f"broken{trial}"
        path.write_bytes(broken)
        try:
            with Ledger(path) as ledger:
                for k, said in enumerate(given):
                    try:
                        found = ledger.get(f"1:{k}", 1.0)
                    except OutputError:
                        outcomes["error"] += 1
                        continue
                    assert found is None or found.to_json() == said
                    outcomes["none" if found is None else "same"] += 1
        except OutputError:
            outcomes["error"] += len(given)
    assert min(outcomes.values()) > 0, outcomes


def test_a_changed_entry_is_named_and_can_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "l"
    filled(path, 3)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "UPDATE verdicts SET verdict = replace(verdict, 'refuted', 'proved') WHERE key = '1:1'"
        )
        database.commit()
    with Ledger(path) as ledger:
        with pytest.raises(OutputError, match=r"a damaged entry, '1:1'.*prune --damaged"):
            ledger.get("1:1", 1.0)
        with pytest.raises(OutputError, match="a damaged entry"):
            ledger.put("1:1", Verdict(Status.PROVED), 1.0)
        assert ledger.prune(lambda entry: False, damaged=True) == 1
        assert ledger.get("1:1", 1.0) is None and len(ledger) == 2


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """As SQLite sees it (no page can be added): one clear line, and what was written stays."""
    path = tmp_path / "l"
    big = Verdict(Status.REFUTED, "x", witness=np.random.default_rng(0).normal(size=200))
    with Ledger(path) as ledger:
        assert ledger._db is not None
        ledger._db.execute("PRAGMA max_page_count=20")
        written = 0
        with pytest.raises(OutputError, match=r"full.*Free disk space and run again"):
            for k in range(100):
                ledger.put(str(k), big, 1.0)
                written += 1
        found = ledger.get("0", 1.0)
        assert found is not None and 5 < written < 100
    with Ledger(path) as ledger:
        assert len(ledger) == written
        ledger.put("after", big, 1.0)
        assert len(ledger) == written + 1


def test_a_file_system_that_is_full(tmp_path: Path) -> None:
    """The same with the limit in the system: no file may grow past 128 KiB."""
    code = (
        "import resource, signal, sys; import numpy as np\n"
        "from precond.proof.ledger.ledger import Ledger; from precond.errors import OutputError\n"
        "from precond.proof.verdict import Status, Verdict\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (131072, 131072))\n"
        "v = Verdict(Status.REFUTED, 'x', witness=np.random.default_rng(0).normal(size=200))\n"
        "with Ledger(sys.argv[1]) as ledger:\n"
        "    try:\n"
        "        for k in range(1000): ledger.put(str(k), v, 1.0); print(k, flush=True)\n"
        "    except OutputError as error: print(error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "l")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    ).stdout.splitlines()
    assert "Free disk space and run again" in shown[-1]
    assert 5 < len(shown) < 1000
    with Ledger(tmp_path / "l") as ledger:
        assert all(ledger.get(k, 1.0) is not None for k in shown[:-1])


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    path = tmp_path / "l"
    given = filled(path, 4)
    code = (
        "import sys; from precond.proof.ledger.ledger import Ledger\n"
        "from precond.errors import OutputError\n"
        "import os, precond.proof.verdict, sqlite3, json\n"
        "os.geteuid() == 0 and os.setuid(65534)\n"
        "try: Ledger(sys.argv[1])\n"
        "except OutputError as error: print(error)\n"
        "with Ledger(sys.argv[1], writable=False) as ledger:\n"
        "    print(json.dumps([e.verdict.to_json() for e in ledger.entries()]))\n"
    )
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to others
        folder = Path(name)
        (folder / "l").write_bytes(path.read_bytes())
        (folder / "l").chmod(0o444)
        folder.chmod(0o555)
        try:
            shown = subprocess.run(
                [sys.executable, "-c", code, str(folder / "l")],
                capture_output=True,
                text=True,
                cwd=Path(__file__).parents[2],
                check=True,
            ).stdout.splitlines()
        finally:
            folder.chmod(0o755)
    assert "Check the path and its permissions" in shown[0]
    assert json.loads(shown[1]) == given


WRITER = """
import sys
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Status, Verdict
path, own, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Ledger(path) as ledger:
    for k in range(count):
        ledger.put(f"{own}{k}", Verdict(Status.PROVED, own), 1.0)
        ledger.put(f"both{k}", Verdict(Status.PROVED, own), 1.0)
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """They also make the file at once, which SQLite itself does not wait for."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "l")]
    writers = [
        subprocess.Popen([*command, own, "200"], cwd=Path(__file__).parents[2]) for own in "abc"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with Ledger(tmp_path / "l") as ledger:
        assert len(ledger) == 800


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l"
    given = filled(path, 4)
    assert main(["ledger", str(path), "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 5 and shown[-1] == "2 proved, 2 refuted"
    assert main(["ledger", str(path), "list", "--status", "proved"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["ledger", str(path), "export", "--out", str(tmp_path / "all.jsonl")]) == 0
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == given
    assert main(["ledger", str(path), "prune", "--status", "refuted", "--older", "1"]) == 0
    assert capsys.readouterr().out == "dropped 0, kept 4\n"
    assert main(["ledger", str(path), "prune", "--status", "refuted"]) == 0
    assert capsys.readouterr().out == "dropped 2, kept 2\n"
    assert main(["ledger", str(path), "prune"]) == 2
    assert main(["ledger", str(tmp_path / "none"), "prune", "--damaged"]) == 2
    said = capsys.readouterr().err
    assert "expected --status, --older or --damaged" in said and "no such file" in said
