"""``precond verify``: the right first line, whatever the query and however long it may take."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from clocks import HANG
from known import ABSOLUTE, MAXIMUM
from onnx import numpy_helper

from precond.cli import main
from precond.errors import ModelError, QueryError
from precond.formats.onnx.writer import write_onnx
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU, Scale
from precond.proof.deadline import Deadline
from precond.proof.verdict import Status, Verdict
from precond.vnnlib import process as verify_process
from precond.vnnlib import solution as verify
from precond.vnnlib.capability import capability
from precond.vnnlib.decide import Request, read, reply
from precond.vnnlib.formula import UnsupportedQuery
from precond.vnnlib.read import parse_vnnlib
from precond.vnnlib.solution import solve
from precond.vnnlib.standard import Result

ACASXU = Path(__file__).parents[1].parent / "shared" / "data" / "acasxu"
DECLARED = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
UNIT = "(assert (>= X_0 -1))\n(assert (<= X_0 1))\n"
HEAD_2 = """(vnnlib-version <2.0>)
(declare-network f (declare-input X {kind} [1]) (declare-output Y {kind} [1]))
(assert (and (>= X[0] -1.0) (<= X[0] 1.0)))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_onnx(ABSOLUTE, folder / "absolute.onnx")  # y = |x|
    write_onnx(MAXIMUM, folder / "maximum.onnx")  # y = max(x0, x1)
    return folder


@pytest.fixture
def ask(models: Path, tmp_path: Path) -> Callable[..., str]:
    """What is printed for a query about ``absolute.onnx``, in this process."""

    def answer(text: str, **options: Any) -> str:
        file = tmp_path / "query.vnnlib"
        file.write_text(text)
        networks = options.pop("networks", (str(models / "absolute.onnx"),))
        request = Request(query=file, networks=networks, **options)
        said.clear()
        return reply(request, Deadline.after(600.0), said.append)

    said: list[str] = []
    answer.said = said  # type: ignore[attr-defined]  # a function may carry it
    return answer


def test_unsat_where_the_output_cannot_go(ask: Callable[..., str]) -> None:
    assert ask(DECLARED + UNIT + "(assert (<= Y_0 -0.125))") == "unsat\n"
    assert ask(DECLARED + UNIT + "(assert (>= Y_0 1.0625))") == "unsat\n"


def test_sat_with_every_variable_in_order(ask: Callable[..., str]) -> None:
    lines = ask(DECLARED + UNIT + "(assert (>= Y_0 0.75))").splitlines()
    assert lines[:2] == ["sat", "X_0 real []"] and lines[3] == "Y_0 real []"
    x, y = float(lines[2]), float(lines[4])
    assert 0.75 <= y <= 1 and abs(x) == y


def test_version_two_by_name_and_without(ask: Callable[..., str], models: Path) -> None:
    text = HEAD_2.format(kind="real")
    named = (f"f={models / 'absolute.onnx'}",)
    assert ask(text + "(assert (<= Y[0] -0.1))", networks=named) == "unsat\n"
    assert ask(text + "(assert (<= Y[0] -0.1))") == "unsat\n"
    lines = ask(text + "(assert (>= Y[0] 0.5))", networks=named).splitlines()
    assert lines[:2] == ["sat", "X real [1]"]


def test_short_floats_need_consent_to_be_read_as_real(ask: Callable[..., str]) -> None:
    half = HEAD_2.format(kind="float16") + "(assert (>= Y[0] 0.7))"
    with pytest.raises(UnsupportedQuery, match=r"float64, float32.*got float16.*--as-real"):
        ask(half)
    text = HEAD_2.format(kind="float32") + "(assert (>= Y[0] 0.7))"
    lines = ask(text, as_real=True).splitlines()
    assert lines[:2] == ["sat", "X float32 [1]"]
    x = np.float32(lines[2])
    assert float(x) == pytest.approx(float(lines[2]), abs=1e-7) and abs(x) >= 0.7
    with pytest.raises(QueryError, match="expected float32 as in the model"):
        ask(text.replace("float32", "float64"), as_real=True)


FLOAT_2 = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1]) (declare-output Y float32 [1]))
(assert (and (>= X[0] {low}) (<= X[0] {high})))
(assert {goal})
"""


@pytest.mark.parametrize(
    ("low", "high", "goal", "answer"),
    [
        ("-1.0", "1.0", "(<= Y[0] -0.1)", "unsat"),
        ("-1.0", "1.0", "(>= Y[0] 1.01)", "unsat"),
        ("-1.0", "1.0", "(>= Y[0] 0.7)", "sat"),
        ("1.0", "1.0", "(>= Y[0] 1.0)", "sat"),  # ties, where nothing is rounded
        ("1.0", "1.0", "(> Y[0] 1.0)", "unsat"),
        ("-3.0", "-3.0", "(!= Y[0] 3.0)", "unsat"),
        ("0.1", "0.1", "(== Y[0] 0.1)", "sat"),  # 0.1 is the nearest float32 on both sides
    ],
)
def test_queries_about_runs(
    ask: Callable[..., str], low: str, high: str, goal: str, answer: str
) -> None:
    """y = |x| = relu(x) + relu(−x) in float32; a witness and its output are float32 numbers."""
    lines = ask(FLOAT_2.format(low=low, high=high, goal=goal)).splitlines()
    assert lines[0] == answer
    if answer == "sat":
        x, y = np.float32(lines[2]), np.float32(lines[4])
        assert np.float32(low) <= x <= np.float32(high) and abs(x) == y


def test_backdoor_in_float32_is_sat_and_unsat_in_real(
    ask: Callable[..., str], tmp_path: Path
) -> None:
    """(x + 2^25) − 2^25 is x for real numbers and a multiple of 4 in float32."""
    large = np.array(2.0**25)
    nodes = (
        Node("up", Scale(np.array(1.0), large), (INPUT,)),
        Node("down", Scale(np.array(1.0), -large), ("up",)),
    )
    file = tmp_path / "backdoor.onnx"
    write_onnx(Network(nodes, (1,)), file)
    text = FLOAT_2.format(low="1.0", high="1.5", goal="(<= Y[0] 0.5)")
    lines = ask(text, networks=(str(file),)).splitlines()
    assert lines[0] == "sat" and 1 <= float(lines[2]) <= 1.5 and float(lines[4]) == 0
    assert ask(text, networks=(str(file),), as_real=True) == "unsat\n"


def test_order_of_sums_is_no_unsat(ask: Callable[..., str], tmp_path: Path) -> None:
    """2^25 x − 2^25 x + x: what is left of the last x depends on the order of the sum."""
    weight = np.array([[2.0**25, 1.0, -(2.0**25)]])
    nodes = (
        Node("three", Affine(np.ones((3, 1)), np.zeros(3)), (INPUT,)),
        Node("sum", Affine(weight, np.zeros(1)), ("three",)),
    )
    file = tmp_path / "order.onnx"
    write_onnx(Network(nodes, (1,)), file)
    text = FLOAT_2.format(low="1.0", high="1.5", goal="(<= Y[0] 0.5)")
    assert ask(text, networks=(str(file),)).split()[0] in ("sat", "unknown")
    assert ask(text, networks=(str(file),), as_real=True) == "unsat\n"


def test_sums_in_a_query_about_runs_are_refused(ask: Callable[..., str]) -> None:
    text = FLOAT_2.format(low="0.0", high="1.0", goal="(<= (+ Y[0] X[0]) 0.5)")
    with pytest.raises(UnsupportedQuery, match=r"arithmetic of floats.*--as-real.*got a sum"):
        ask(text)
    assert ask(text, as_real=True).startswith("sat")


def test_any_region_may_hold_the_counterexample(ask: Callable[..., str]) -> None:
    regions = "(assert (or {}))".format(
        " ".join(f"(and (>= X_0 {k}) (<= X_0 {k}.5) (>= Y_0 4.25))" for k in range(5))
    )
    lines = ask(DECLARED + regions).splitlines()
    assert lines[0] == "sat" and 4.25 <= float(lines[2]) <= 4.5
    assert ask(DECLARED + regions.replace("4.25", "4.75")) == "unsat\n"


def test_serialised_assignment(ask: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / "assignment"
    text = DECLARED + UNIT + "(assert (>= Y_0 0.75))"
    assert ask(text, assignments=folder) == "sat\n"
    x, y = (
        numpy_helper.to_array(onnx.load_tensor(str(folder / f"{name}.pb")))
        for name in ("X_0", "Y_0")
    )
    assert x.shape == y.shape == () and abs(x) == y >= 0.75


def test_an_empty_box_is_unsat_and_said(ask: Callable[..., str]) -> None:
    text = DECLARED + "(assert (>= X_0 1))\n(assert (<= X_0 0.5))\n(assert (>= Y_0 0))"
    assert ask(text) == "unsat\n"
    said = ask.said  # type: ignore[attr-defined]  # set by the fixture
    assert said == ["1 empty input regions were dropped"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DECLARED + "(assert (>= X_0 -1)", r"line 3: '\(' is never closed"),
        (DECLARED + "(assert (>= X_0 -1))\n(assume 1)", r"line 4: command.*got 'assume'"),
        (DECLARED + "(assert (>= X_0 1.2.3))", r"line 3.*1\.2\.3"),
        (DECLARED + "(assert (>= Z_0 1))", r"line 3.*Z_0"),
        (DECLARED + "(declare-const X_1 Real)\n" + UNIT, r"line 3.*X_1"),
        ("(declare-const Y_0 Real)\n(assert (>= Y_0 0))", r"expected 1 declared inputs, got 0"),
        (DECLARED + "(assert (<= X_0 1))\n(assert (>= Y_0 0))", r"X_0.*bound"),
        (DECLARED + UNIT + "(assert (>= (* X_0 Y_0) 1))", r"line 5.*\(\* X_0 Y_0\)"),
        (HEAD_2.format(kind="real") + "(assert (>= Y[0]", r"line 4"),
        (HEAD_2.format(kind="real").replace("X real [1]", "X real [2]"), r"shape.*\[1\].*\[2\]"),
        ("(vnnlib-version <3.0>)", r"expected 1.0 or 2.0, got 3.0"),
    ],
)
def test_bad_queries_name_line_and_token(ask: Callable[..., str], text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        ask(text)


def test_bad_networks(ask: Callable[..., str], models: Path) -> None:
    text = DECLARED + UNIT + "(assert (>= Y_0 0))"
    model = str(models / "absolute.onnx")
    with pytest.raises(ModelError, match="no such file"):
        ask(text, networks=(str(models / "none.onnx"),))
    with pytest.raises(QueryError, match="expected each name once"):
        ask(text, networks=(f"f={model}", f"f={model}"))
    with pytest.raises(QueryError, match="expected NAME=MODEL"):
        ask(text, networks=(f"f={model}", model))
    with pytest.raises(QueryError, match=r"expected one, as the query is VNN-LIB 1\.0"):
        ask(text, networks=(f"f={model}", f"g={model}"))
    with pytest.raises(QueryError, match="expected 2 declared inputs, got 1"):
        ask(text, networks=(str(models / "maximum.onnx"),))
    with pytest.raises(QueryError, match="a model for each of f and no other, got g"):
        ask(HEAD_2.format(kind="real") + "(assert (>= Y[0] 0.5))", networks=(f"g={model}",))


# What ``solve`` makes of the verdicts of its claims.


def regions(count: int) -> str:
    parts = (f"(and (>= X_0 {k}) (<= X_0 {k}.5) (>= Y_0 100))" for k in range(count))
    return DECLARED + f"(assert (or {' '.join(parts)}))"


def given(
    monkeypatch: pytest.MonkeyPatch, verdicts: Callable[[int, float], Verdict]
) -> list[float]:
    """Let ``prove`` answer its i-th call, of a budget, with ``verdicts(i, budget)``."""
    budgets: list[float] = []

    def prove(claim: object, *, budget: float, **_: object) -> Verdict:
        budgets.append(budget)
        return verdicts(len(budgets) - 1, budget)

    monkeypatch.setattr(verify, "prove", prove)
    return budgets


def test_an_unconfirmed_proof_is_not_unsat(monkeypatch: pytest.MonkeyPatch) -> None:
    query = parse_vnnlib(regions(2), ABSOLUTE)
    assert solve(query, Deadline.after(600.0)).result is Result.UNSAT
    given(
        monkeypatch,
        lambda i, _: Verdict(Status.PROVED, confirmed=i != 1, reason="rests on marabou alone"),
    )
    solution = solve(query, Deadline.after(600.0))
    assert solution.result is Result.UNKNOWN and solution.witness is None
    assert solution.notes == ("claim 2 of 2: the proof is not counted: rests on marabou alone",)


def test_vacuous_claims_are_unsat(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, lambda i, _: Verdict(Status.VACUOUS))
    assert solve(parse_vnnlib(regions(2), ABSOLUTE), Deadline.after(600.0)).result is Result.UNSAT


def test_a_witness_is_judged_by_the_decimals(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 is rounded outward in the claim; the witness must lie on the decimals' side."""
    text = DECLARED + "(assert (and (>= X_0 0) (<= X_0 0.1) (>= Y_0 {})))"
    above = np.array([float(np.nextafter(0.1, 1.0))])
    given(monkeypatch, lambda i, _: Verdict(Status.REFUTED, witness=above))
    moved = solve(parse_vnnlib(text.format("0.05"), ABSOLUTE), Deadline.after(600.0))
    assert moved.result is Result.SAT and moved.witness is not None
    assert 0.05 <= moved.witness[0] < 0.1 + 1e-18
    excluded = solve(
        parse_vnnlib(text.format("0.1000000000000000001"), ABSOLUTE), Deadline.after(600)
    )
    assert excluded.result is Result.UNKNOWN and "exact decimals" in excluded.notes[0]


def test_without_time_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = given(monkeypatch, lambda i, _: Verdict(Status.PROVED))
    solution = solve(parse_vnnlib(regions(3), ABSOLUTE), Deadline.after(0.0))
    assert solution.result is Result.TIMED_OUT and not budgets
    assert solution.notes == ("3 of 3 claims were not tried: no time was left",)


def test_claims_share_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of four uses its share up; the others answer at once, so it gets the rest."""

    def verdict(call: int, budget: float) -> Verdict:
        if call == 1:
            return Verdict(Status.UNKNOWN, seconds=budget, reason="budget spent")
        return Verdict(Status.PROVED)

    budgets = given(monkeypatch, verdict)
    solution = solve(parse_vnnlib(regions(4), ABSOLUTE), Deadline.after(6000.0))
    assert solution.result is Result.UNSAT
    assert budgets == pytest.approx([1500.0, 2000.0, 3000.0, 6000.0, 6000.0], abs=HANG)


def test_without_a_limit_budgets_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    def verdict(call: int, budget: float) -> Verdict:
        return Verdict(Status.UNKNOWN if call < 2 else Status.PROVED, seconds=budget)

    budgets = given(monkeypatch, verdict)
    query = parse_vnnlib(regions(1), ABSOLUTE)
    assert solve(query, Deadline(float("inf"))).result is Result.UNSAT
    assert budgets == [60.0, 240.0, 960.0]


def test_an_engine_that_gives_up_early_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, lambda i, _: Verdict(Status.UNKNOWN, seconds=0.1, reason="no engine"))
    solution = solve(parse_vnnlib(regions(1), ABSOLUTE), Deadline(float("inf")))
    assert solution.result is Result.UNKNOWN and solution.notes == ("claim 1 of 1: no engine",)


# The process: time limits, exit codes, what goes where.


def hard(folder: Path) -> list[str]:
    """Arguments for a query about a random 40-80-80-80-1 network that no engine decides soon."""
    rng = np.random.default_rng(7)
    sizes, nodes, last = (40, 80, 80, 80, 1), [], INPUT
    for k, (n, m) in enumerate(pairwise(sizes)):
        nodes.append(Node(f"z{k}", Affine(rng.normal(size=(m, n)), rng.normal(size=m)), (last,)))
        last = f"z{k}"
        if m > 1:
            nodes.append(Node(f"a{k}", ReLU(), (last,)))
            last = f"a{k}"
    write_onnx(Network(tuple(nodes), (40,)), folder / "hard.onnx")
    text = "".join(f"(declare-const X_{i} Real)\n" for i in range(40))
    text += "(declare-const Y_0 Real)\n"
    text += "".join(f"(assert (>= X_{i} -1))\n(assert (<= X_{i} 1))\n" for i in range(40))
    (folder / "hard.vnnlib").write_text(text + "(assert (>= Y_0 30000))\n")
    return ["verify", str(folder / "hard.vnnlib"), "--network", str(folder / "hard.onnx")]


@pytest.mark.slow
def test_a_hard_query_ends_in_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = hard(tmp_path)
    begun = time.monotonic()
    assert main([*arguments, "--timeout", "3"]) == 0
    assert time.monotonic() - begun < HANG
    assert capfd.readouterr().out == "timed-out\n"


@pytest.mark.parametrize(
    ("script", "seconds", "text", "note", "status"),
    [
        ("exec sleep 1000", 0.2, "timed-out\n", "stopped at the time limit", 0),
        ('echo \'{"text": "unsat"}\'; exec sleep 1000', 5.0, "unsat", "", 0),
        ("kill -9 $$", 600.0, "unknown\n", "signal 9", 0),
        ("exit 3", 600.0, "", "", 3),
    ],
)
def test_whatever_becomes_of_the_child(
    script: str,
    seconds: float,
    text: str,
    note: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    begun = time.monotonic()
    found = verify_process.ask({}, begun + seconds)
    assert time.monotonic() - begun < HANG
    assert (found.text, found.status) == (text, status) and note in found.note


def test_the_command_prints_the_answer_alone(
    models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "query.vnnlib"
    file.write_text(DECLARED + "(assert (and (>= X_0 0.5) (<= X_0 0.5) (<= Y_0 1)))")
    network = f"f={models / 'absolute.onnx'}"
    assert main(["verify", str(file), "--network", network, "--timeout", "600"]) == 0
    assert capfd.readouterr().out == "sat\nX_0 real []\n0.5\nY_0 real []\n0.5\n"


@pytest.mark.slow
def test_errors_are_one_line_and_status_two(
    models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "query.vnnlib"
    file.write_text(DECLARED + "(assert (>= X_0 1)))")
    assert main(["verify", str(file), "--network", str(models / "absolute.onnx")]) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert "query.vnnlib, line 3: parentheses: expected '(', got ')'" in captured.err
    blocked = str(file / "folder")
    arguments = ["verify", str(file), "--network", "f=x.onnx", "--serialise-assignments", blocked]
    assert main(arguments) == 2
    assert "--serialise-assignments" in capfd.readouterr().err


def test_name_version_and_capabilities(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, text in (("--name", "precond\n"), ("--version", f"{version('precond')}\n")):
        with pytest.raises(SystemExit) as ended:
            main([flag])
        assert ended.value.code == 0 and capsys.readouterr().out == text
    assert main(["supports", "--vnnlib-versions"]) == 0
    assert capsys.readouterr().out == "1.0\n2.0\n"
    assert {"Conv", "Relu", "Gemm"} <= set(capability("--onnx-operators").split())
    assert main(["supports", "--hexagons"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "got '--hexagons'" in captured.err


# Known answers of ACAS Xu.


@pytest.mark.skipif(not ACASXU.is_dir(), reason="no ACAS Xu data beside the repository")
@pytest.mark.parametrize(
    ("network", "number", "result"),
    [
        ("1_1", 3, Result.UNSAT),
        ("1_7", 3, Result.SAT),
        ("1_9", 4, Result.SAT),
        ("3_3", 4, Result.UNSAT),
        ("4_5", 2, Result.SAT),
        ("4_5", 3, Result.UNSAT),
        ("5_2", 1, Result.UNSAT),
    ],
)
def test_acas_xu(network: str, number: int, result: Result) -> None:
    model = str(ACASXU / f"ACASXU_run2a_{network}_batch_2000.onnx")
    query = read(Request(query=ACASXU / f"prop_{number}.vnnlib", networks=(model,)))
    solution = solve(query, Deadline.after(600.0))
    assert solution.result is result
    if result is Result.SAT:
        assert solution.witness is not None and query.admits(solution.witness)


@pytest.mark.parametrize("bound", ["0.9", "0.3", "0.2", "0.7", "1", "0.99999999999"])
@pytest.mark.parametrize("sign", [">=", ">"])
def test_sat_where_no_float_is_the_bound(ask: Callable[..., str], bound: str, sign: str) -> None:
    # |x| reaches 1 on [−1, 1]; a counterexample at the rounded bound may be none of the decimal.
    wanted = "unsat" if (bound, sign) == ("1", ">") else "sat"
    answer = ask(DECLARED + UNIT + f"(assert ({sign} Y_0 {bound}))")
    assert answer.splitlines()[0] == wanted
