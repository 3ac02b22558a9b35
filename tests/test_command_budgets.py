"""A command's budget counts from its start; the clock is moved, and what was cut is said."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from precond.cli import main
from precond.commands.budget import deadline_of, recorded_rows, recording
from precond.data.datasets import Dataset
from precond.errors import DataError
from precond.network import evaluate

DIGITS = str(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
BUDGET = 100  # looks


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> count[int]:
    """Every look at the clock takes a second, from the start of the command on."""
    clock = count()
    time = SimpleNamespace(monotonic=lambda: float(next(clock)))
    for module in ("precond.cli", "precond.proof.deadline"):
        monkeypatch.setattr(f"{module}.time", time)
    return clock


@pytest.mark.parametrize(
    "command",
    [
        ["analyze"],
        ["debug"],
        ["patterns", "--cut", "relu1"],
        ["adversarial", "--retrain", "0"],
    ],
    ids=lambda words: words[0],
)
def test_recording_counts_and_what_is_left_out_is_said(
    command: list[str],
    ticks: count[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate, "BATCH_BYTES", 8 * (2 * 64 + 74) * 20)  # some 20 rows a look
    asked = [*command, DIGITS, "--inputs", "digits", "--budget", str(BUDGET)]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert "of 1797 inputs were run through the network: the others" in capsys.readouterr().out
    assert next(ticks) < 2 * BUDGET, "work went on past the budget"


DIAGNOSE = ["diagnose", DIGITS, "--inputs", "digits", "--most", "40", "--against", DIGITS]


@pytest.mark.parametrize("budget", [20, 60])
def test_diagnose_says_what_its_budget_leaves_out(
    budget: int, ticks: count[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*DIAGNOSE, "--budget", str(budget), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["answer"]
    left_out = " ".join(answer["left_out"])
    assert re.search(r"time ran out: margins of (8|16|24|32) of 40 inputs only", left_out)
    assert "what both networks know left out" in left_out
    assert set(answer["margins"]) >= {"all directions"}
    assert next(ticks) < 2 * budget, "work went on past the budget"


def test_diagnose_needs_time_for_a_few_inputs(
    ticks: count[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*DIAGNOSE, "--budget", "3"]) == 2
    said = capsys.readouterr().err
    assert "--budget: expected time for the margins of 8 inputs, got 3 s" in said


def test_diagnose_without_a_budget_leaves_nothing_out(
    ticks: count[int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["diagnose", DIGITS, "--inputs", "digits", "--most", "2", "--shown", "1"]
    assert main([*words, "--certify", "1000000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"]["left_out"] == []


def test_all_that_was_done_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    time = SimpleNamespace(monotonic=lambda: 30.0)
    monkeypatch.setattr("precond.proof.deadline.time", time)
    deadline = deadline_of(SimpleNamespace(begun=10.0, budget=60.0))
    assert deadline.left == 40.0
    assert recording(deadline).left == 20.0


def test_rows_that_were_not_recorded_are_left_out_of_both_parts() -> None:
    parts = np.array([0, 2, 3, 5]), np.array([1, 4])
    data = Dataset("six", np.arange(12.0).reshape(6, 2), np.arange(6), parts=parts)
    assert recorded_rows(np.arange(6), data) == (data, ())
    left, notes = recorded_rows(np.array([0, 4, 5]), data)
    assert left.inputs.tolist() == [[0, 1], [8, 9], [10, 11]]
    assert left.labels is not None and left.labels.tolist() == [0, 4, 5]
    assert left.train.tolist() == [0, 2] and left.held_out.tolist() == [1]
    assert notes[0].startswith("time ran out after 3 of 6 inputs")
    with pytest.raises(DataError, match="all of one kind"):
        recorded_rows(np.array([0, 2]), data)
