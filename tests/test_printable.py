"""Text of files on its way to a terminal or a page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from precond.cli import main
from precond.errors import PrecondError
from precond.network.graph import Network
from precond.printable import PrintableStream, printable, printable_page, quoted
from precond.report.pages import render_page

NASTY = "a\x1b]0;t\x07\nverdict proved\u202e\x9b\u2028\r"
SHOWN = r"a\x1b]0;t\x07\nverdict proved\u202e\x9b\u2028\r"


def test_what_is_not_visible_is_an_escape() -> None:
    assert printable(NASTY) == SHOWN
    assert printable("Größe ≥ 1, C:\\x") == "Größe ≥ 1, C:\\x"
    assert printable("\udcff\u200b\xa0") == r"\udcff\u200b\xa0"


def test_two_names_never_look_alike() -> None:
    names = ["a", "a\n", "a\\n", "'a'", "a b", "a[0] ≥ 1", "", "model.onnx", "/x/relu:0"]
    assert [quoted(name) for name in names[:4]] == ["a", r"'a\n'", r"'a\\n'", "\"'a'\""]
    assert len({quoted(name) for name in names}) == len(names)


def test_an_error_is_one_line() -> None:
    error = PrecondError(NASTY, expected=NASTY, got=NASTY, fix=NASTY)
    assert str(error) == f"{SHOWN}: expected {SHOWN}, got {SHOWN}. {SHOWN}"


def test_a_stream_keeps_our_own_lines() -> None:
    below = io.StringIO()
    print("one\ttwo\nthree\x1b[2J", file=PrintableStream(below))
    assert below.getvalue() == "one\ttwo\nthree\\x1b[2J\n"


def test_a_page_keeps_spaces_and_loses_controls() -> None:
    assert printable_page("<p>a\xa0b\n\x1b\u202e</p>") == "<p>a\xa0b\n\\x1b\\u202e</p>"
    assert callable(render_page)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """relu(x) between two identities, with names of nodes that are no words."""
    one = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"], name="fc"),
        helper.make_node("Relu", ["z"], ["a"], name=NASTY),
        helper.make_node("Gemm", ["a", "w"], ["y"], name="last"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 2]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [one])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


def test_names_of_layers(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from precond.formats.load import load

    network: Network = load(model)
    assert network.decision_layers == (SHOWN,)
    assert main(["info", str(model)]) == 0
    shown = capsys.readouterr().out
    assert SHOWN in shown
    assert all(c.isprintable() for c in shown if c != "\n")
    assert sum(line.startswith("verdict") for line in shown.splitlines()) == 0


def test_arguments_come_back_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["info", "m.onnx", NASTY])
    assert SHOWN in capsys.readouterr().err
    assert main(["info", f"{NASTY}.onnx"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ledger_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from precond.proof.ledger.ledger import Ledger
    from precond.proof.verdict import Status, Verdict

    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put("2:\nkey\x1b", Verdict(Status.UNKNOWN, NASTY, reason=NASTY), 1.0)
    assert main(["ledger", str(tmp_path / "l.sqlite"), "list"]) == 0
    *row, total, end = capsys.readouterr().out.split("\n")
    assert SHOWN in " ".join(" ".join(row).split())
    assert (total, end) == ("1 unknown", "")
