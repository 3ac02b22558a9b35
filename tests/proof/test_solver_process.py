"""Solvers in child processes: late ones are killed, dead ones replaced, limits kept."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import pytest
from clocks import HANG
from known import ABSOLUTE, at_least, box, phases

from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.z3 import child as z3_child
from precond.proof.engines.z3.child import Undecided, solved
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.engines.z3.text import number, term

SLEEPER = """
import time
from precond.proof.processes.solver import serve
serve(lambda: None, lambda query: time.sleep(1000))
"""
MISSING = """
from precond.proof.processes.solver import serve
def library():
    raise ImportError("no such solver here")
serve(library, lambda query: query)
"""


def other_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(z3_child, "WORKER", name)
    monkeypatch.setattr(z3_child, "_mine", z3_child._Mine())


def test_a_solver_that_hangs_is_killed_at_its_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other_worker(monkeypatch, tmp_path, "sleeper", SLEEPER)
    claim = Claim(ABSOLUTE, box((-1, 1)), phases(), at_least(2.0, 1.0))
    begun = time.monotonic()
    answers = Z3Engine().solve(claim.problem, Deadline.after(1.0))
    assert time.monotonic() - begun < HANG
    assert all(a.outcome is Outcome.UNDECIDED and "was killed" in a.note for a in answers)
    process = z3_child._mine.process
    assert process is not None and not process.alive


def test_after_a_kill_the_next_question_has_a_new_process() -> None:
    pytest.importorskip("z3")
    assert solved(["(> v0 1.0)", "(< v0 1.0)"], 1, Deadline.after(600)) is None
    first = z3_child._mine.process
    assert first is not None
    first.kill()
    assert solved(["(= v0 (/ 1.0 3.0))"], 1, Deadline.after(600)) == [Fraction(1, 3)]
    second = z3_child._mine.process
    assert second is not None and second.alive and second is not first


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other_worker(monkeypatch, tmp_path, "missing", MISSING)
    with pytest.raises(Undecided, match="no such solver here"):
        solved(["true"], 0, Deadline.after(600))


def test_no_time_left_is_undecided() -> None:
    with pytest.raises(Undecided, match="out of time"):
        solved(["true"], 0, Deadline.after(0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2.0"),
        (-0.75, "(- (/ 3.0 4.0))"),
        (0.0, "0.0"),
        (Fraction(1, 3), "(/ 1.0 3.0)"),
        (5e-324, f"(/ 1.0 {2**1074}.0)"),
    ],
)
def test_numbers_are_written_exactly(value: float | Fraction, text: str) -> None:
    assert number(value) == text


def test_terms_are_written_without_zeros() -> None:
    linear = {0: Fraction(1, 2), 1: Fraction(0), -1: Fraction(-1)}
    assert term(linear) == "(+ (* (/ 1.0 2.0) v0) (- 1.0))"
    assert term({}) == "0.0"
