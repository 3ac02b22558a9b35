"""The command line: what it writes, and one clear line for every kind of bad input."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from precond.cli import joined, main

MODELS = Path(__file__).parents[1] / "models"
DIGITS = str(MODELS / "digits-mlp.onnx")


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("analysed")
    arguments = ["analyze", DIGITS, "--inputs", "digits", "--domain", "ball:0.05"]
    assert main([*arguments, "--budget", "600", "--per-class", "1", "--out", str(out)]) == 0
    return out


def test_analyze_writes_report_json_and_ledger(
    analysed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((analysed / "preconditions.json").read_text())
    kinds = {entry["kind"] for entry in data["preconditions"]}
    assert kinds == {"layer", "input"}
    proved = [e for e in data["preconditions"] if e["kind"] == "input"]
    assert {e["label"] for e in proved} == {str(k) for k in range(10)}
    assert all(e["verdict"]["status"] == "proved" for e in proved)
    page = (analysed / "report.html").read_text()
    assert all(entry["id"] in page for entry in data["preconditions"])
    with sqlite3.connect(analysed / "ledger.sqlite") as ledger:
        (count,) = ledger.execute("SELECT COUNT(*) FROM verdicts").fetchone()
    assert count >= len(proved)


def test_prove_again_from_the_file_alone(
    analysed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(analysed / "preconditions.json")
    assert main(["prove", DIGITS, file, "--only", "input-3-1", "--only", "input-7-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("proved" in line and "file: proved" in line for line in lines)


def test_prove_refuses_rules_of_another_network(
    analysed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(analysed / "preconditions.json")
    assert main(["prove", str(MODELS / "mnist-mlp.onnx"), file]) == 2
    assert "expected the network with hash" in capsys.readouterr().err


def test_info_lists_layers_neurons_and_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", DIGITS]) == 0
    text = capsys.readouterr().out
    assert "neurons   64 in 2 decision layers" in text
    assert "relu2" in text and "hash" in text


def test_misclassified_rules_are_empirical(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).uniform(size=(400, 64))
    np.save(tmp_path / "x.npy", inputs)
    np.save(tmp_path / "y.npy", np.zeros(400, dtype=np.int64))
    arguments = ["analyze", DIGITS, "--inputs", str(tmp_path / "x.npy")]
    arguments += ["--labels", str(tmp_path / "y.npy"), "--property", "misclassified"]
    assert main([*arguments, "--budget", "600", "--out", str(tmp_path / "out")]) == 0
    data = json.loads((tmp_path / "out" / "preconditions.json").read_text())
    assert data["preconditions"]
    assert {e["verdict"]["status"] for e in data["preconditions"]} == {"empirical"}
    assert {e["label"] for e in data["preconditions"]} <= {"correct", "misclassified"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "absent.onnx"}, "absent.onnx"),
        ({"model": "model.txt"}, "model.txt"),
        ({"model": "broken.onnx"}, "broken.onnx"),
        ({"--inputs": "absent.npy"}, "absent.npy"),
        ({"--inputs": "narrow.npy"}, "rows of 64 values"),
        ({"--inputs": "nan.npy"}, "finite"),
        ({"--labels": "short.npy"}, "labels"),
        ({"--layer": "relu9"}, "relu1, relu2"),
        ({"--layer": "gemm1"}, "without on/off neurons"),
        ({"--domain": "1:0"}, "lower ≤ upper"),
        ({"--domain": "everywhere"}, "data, unit, LO:HI or ball:R"),
        ({"--domain": "ball:-1"}, "ball:R"),
        ({"--property": "label:12"}, "0..9"),
        ({"--property": "label:x"}, "label:K"),
        ({"--property": "nonsense"}, "predicted, label:K, misclassified"),
        ({"--property": "absent.vnnlib"}, "absent.vnnlib"),
    ],
)
def test_bad_input_is_one_clear_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    good = np.random.default_rng(0).uniform(size=(50, 64))
    np.save("good.npy", good)
    np.save("narrow.npy", good[:, :63])
    bad = good.copy()
    bad[3, 5] = np.nan
    np.save("nan.npy", bad)
    np.save("short.npy", np.zeros(49, dtype=np.int64))
    Path("broken.onnx").write_bytes(Path(DIGITS).read_bytes()[:1000])
    Path("model.txt").write_text("no model")
    options = {"--inputs": "good.npy", "--out": "out", "--budget": "5"}
    model = change.get("model", DIGITS)
    options |= {name: value for name, value in change.items() if name != "model"}
    arguments = ["analyze", model, *(word for pair in options.items() for word in pair)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1, error
    assert not (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "preconditions.json").exists()


def test_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = ["analyze", DIGITS, "--inputs", "digits", "--out", str(tmp_path / "file" / "out")]
    assert main(arguments) == 2
    assert "folder that can be written" in capsys.readouterr().err


def test_file_that_is_not_preconditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, message in [("{", "JSON"), ("[]", "format 1"), ('{"format": 9}', "format 1")]:
        (tmp_path / "p.json").write_text(text)
        assert main(["prove", DIGITS, str(tmp_path / "p.json")]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_keeps_what_was_proved_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "precond", "analyze", DIGITS, "--inputs", "digits"]
    command += ["--domain", "ball:0.05", "--budget", "600", "--per-class", "50"]
    command += ["--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    )
    ledger = tmp_path / "ledger.sqlite"
    limit = time.monotonic() + 600
    while time.monotonic() < limit and _count(ledger) < 5:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130, error.decode()
    assert b"Run the same command again to go on" in error
    data = json.loads((tmp_path / "preconditions.json").read_text())
    assert data["interrupted"] is True
    assert _count(ledger) >= 5


def _count(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
            return int(ledger.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_explain_writes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "why.png"
    arguments = ["explain", DIGITS, "--inputs", "digits", "--index", "3", "--exact"]
    assert main([*arguments, "--quantity", "compare:3,8", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "class 3 rather than 8" in capsys.readouterr().out


def test_explain_refuses_data_of_another_width(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 63)))
    arguments = ["explain", DIGITS, "--inputs", str(tmp_path / "x.npy"), "--index", "0"]
    assert main([*arguments, "--out", str(tmp_path / "why.png")]) == 2
    assert "rows of 64 values" in capsys.readouterr().err


def test_negative_numbers_as_values_of_options() -> None:
    assert joined(["analyze", "m.onnx", "--domain", "-1:1"]) == [
        *("analyze", "m.onnx"),
        "--domain=-1:1",
    ]
    assert joined(["--domain", "-.5:.5", "--values"]) == ["--domain=-.5:.5", "--values"]
    assert joined(["--domain=-1:1", "--out", "o"]) == ["--domain=-1:1", "--out", "o"]
    assert joined(["--", "-1"]) == ["--", "-1"]
