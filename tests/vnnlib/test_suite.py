"""``precond verify LIST.csv``: every query has its row, and a stopped run goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from known import ABSOLUTE, MAXIMUM

from precond.cli import main
from precond.errors import QueryError
from precond.formats.onnx.writer import write_onnx
from precond.vnnlib.suite import run as suite_run
from precond.vnnlib.suite.instances import Instance, read_instances

# y = |x| on [-1, 1]: at least 2 nowhere, at least 1/2 somewhere.
ABSOLUTE_QUERY = (
    "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
    "(assert (>= X_0 -1))\n(assert (<= X_0 1))\n(assert (>= Y_0 {}))\n"
)
# y = max(x0, x1) on [0, 1]^2: never above 1.
MAXIMUM_QUERY = (
    "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n"
    "(assert (>= X_0 0))\n(assert (<= X_0 1))\n(assert (>= X_1 0))\n(assert (<= X_1 1))\n"
    "(assert (>= Y_0 1.5))\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_onnx(ABSOLUTE, tmp_path / "absolute.onnx")
    write_onnx(MAXIMUM, tmp_path / "maximum.onnx")
    (tmp_path / "two.vnnlib").write_text(ABSOLUTE_QUERY.format(2))
    (tmp_path / "half.vnnlib").write_text(ABSOLUTE_QUERY.format(0.5))
    (tmp_path / "maximum.vnnlib").write_text(MAXIMUM_QUERY)
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ask(folder: Path, text: str, *options: str) -> tuple[int, list[dict[str, str]]]:
    (folder / "list.csv").write_text(text)
    out = folder / "results.csv"
    status = main(["verify", str(folder / "list.csv"), "--out", str(out), *options])
    return status, rows_of(out)


LIST = "maximum.onnx,maximum.vnnlib,60\nabsolute.onnx,two.vnnlib,60\nabsolute.onnx,half.vnnlib,60\n"


def test_answers_stand_in_the_order_of_the_list(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = ask(folder, LIST)
    assert status == 0
    assert [row["result"] for row in rows] == ["unsat", "unsat", "sat"]
    assert "3 of 3 queries answered: 2 unsat, 1 sat" in capsys.readouterr().out


def test_one_query_that_cannot_be_read_is_a_row(folder: Path) -> None:
    (folder / "broken.vnnlib").write_text("(assert")
    text = "absolute.onnx,broken.vnnlib\nnone.onnx,two.vnnlib\nabsolute.onnx,two.vnnlib\n"
    status, rows = ask(folder, text)
    assert status == 0
    assert [row["result"] for row in rows] == ["error", "error", "unsat"]
    assert "none.onnx" in rows[1]["note"]


def test_a_file_may_have_an_equals_sign_in_its_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in tllverifybench: ``tllBench_n=2_N=M=8.onnx`` is no network called ``tllBench_n``."""
    model = folder / "n=2_M=8.onnx"
    write_onnx(ABSOLUTE, model)
    status, rows = ask(folder, "n=2_M=8.onnx,two.vnnlib,60\nn=2_M=8.onnx,half.vnnlib,60\n")
    assert (status, [row["result"] for row in rows]) == (0, ["unsat", "sat"])
    capsys.readouterr()
    assert main(["verify", str(folder / "two.vnnlib"), "--network", str(model)]) == 0
    assert capsys.readouterr().out == "unsat\n"
    several = Instance("f=n=2.onnx; g=maximum.onnx", "q.vnnlib", folder)
    assert several.networks == (f"f={folder / 'n=2.onnx'}", f"g={folder / 'maximum.onnx'}")


def test_a_known_answer_that_is_contradicted_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "network,query,known_answer,best_tool\nabsolute.onnx,two.vnnlib,unsat,a\n"
        "absolute.onnx,half.vnnlib,unsat,b\nmaximum.onnx,maximum.vnnlib,sat (disputed),c\n"
    )
    status, _ = ask(folder, text)
    assert status == 1
    assert "contradicts the list's unsat: absolute.onnx half.vnnlib" in capsys.readouterr().out


def test_a_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided is not asked again; what had less time, or failed, is."""
    asked: list[str] = []
    run = suite_run.QueryJob.run

    def watched(job: suite_run.QueryJob, ledger: object) -> object:
        asked.append(job.instance.query)
        return run(job, None)

    monkeypatch.setattr(suite_run.QueryJob, "run", watched)
    ask(folder, LIST + "absolute.onnx,missing.vnnlib,60\n")
    assert sorted(asked) == ["half.vnnlib", "maximum.vnnlib", "missing.vnnlib", "two.vnnlib"]
    asked.clear()
    (folder / "missing.vnnlib").write_text(ABSOLUTE_QUERY.format(1.5))
    _, rows = ask(folder, LIST + "absolute.onnx,missing.vnnlib,60\n")
    assert asked == ["missing.vnnlib"]
    assert [row["result"] for row in rows] == ["unsat", "unsat", "sat", "unsat"]
    asked.clear()
    _, rows = ask(folder, LIST, "--exact")  # proofs without a certificate do not serve
    assert sorted(asked) == ["maximum.vnnlib", "two.vnnlib"]
    assert [row["certificates"] for row in rows[:2]] == ["1", "1"]


def test_an_interrupt_leaves_what_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = suite_run.QueryJob.run

    def stopped(job: suite_run.QueryJob, ledger: object) -> object:
        if job.instance.query == "maximum.vnnlib":
            raise KeyboardInterrupt
        return run(job, None)

    monkeypatch.setattr(suite_run.QueryJob, "run", stopped)
    status, rows = ask(folder, LIST)
    assert status == 130
    assert {row["result"] for row in rows} == {"sat", "unsat"} and len(rows) == 2
    assert "go on" in capsys.readouterr().err


def test_certificates_and_a_ledger(folder: Path) -> None:
    options = ("--certificate", str(folder / "proofs"), "--ledger", str(folder / "ledger.sqlite"))
    status, rows = ask(folder, LIST, *options)
    assert status == 0
    assert len(list((folder / "proofs").iterdir())) == 2
    assert [row["certificates"] for row in rows] == ["1", "1", "0"]
    assert (folder / "ledger.sqlite").exists()


@pytest.mark.slow
def test_two_workers_say_the_same(folder: Path) -> None:
    _, rows = ask(folder, LIST, "--workers", "2")
    assert [row["result"] for row in rows] == ["unsat", "unsat", "sat"]


def test_the_smaller_limit_counts(folder: Path) -> None:
    _, rows = ask(folder, "absolute.onnx,two.vnnlib,60\n", "--timeout", "30")
    assert float(rows[0]["limit"]) == 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got no row"),
        ("absolute.onnx\n", "line 1"),
        ("absolute.onnx,two.vnnlib,soon\n", "'soon'"),
        ("absolute.onnx,two.vnnlib,0\n", "seconds above 0"),
        ("network,query\n,two.vnnlib\n", "line 2"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(QueryError, match=words):
        read_instances(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list.csv"], "no --out"),
        (["list.csv", "--out", "r.csv", "--network", "a.onnx"], "the list names them"),
        (["two.vnnlib"], "--network"),
        (["two.vnnlib", "--network", "absolute.onnx", "--out", "r.csv"], "a list of queries"),
        (["two.vnnlib", "--network", "absolute.onnx", "--memory", "1G"], "a list of queries"),
        (["list.csv", "--out", "two.vnnlib"], "another file"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "list.csv").write_text(LIST)
    monkeypatch.chdir(folder)
    assert main(["verify", *arguments]) == 2
    assert words in capsys.readouterr().err
