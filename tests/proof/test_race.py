"""Engines side by side: who stops whom, and what it means for the verdict."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from clocks import HANG
from known import ABSOLUTE, ANY, at_least, box

from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import NO_LINE, Answer, Lines, Outcome, Stoppable
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.prover import racer as race
from precond.proof.prover.prove import Stage, default_stages, prove
from precond.proof.refusal import Refusal
from precond.proof.verdict import Status

TRUE = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-2.5, -1.0))
FALSE = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-1.0, -1.0))
NO = Answer(Outcome.UNDECIDED)
RIGOROUS = Answer(Outcome.INFEASIBLE, rigorous=True)
SOFT = Answer(Outcome.INFEASIBLE)
RIGHT = Answer(Outcome.WITNESS, witness=np.array([1.5]))
WRONG = Answer(Outcome.WITNESS, witness=np.array([0.25]))


@dataclass(frozen=True)
class Searches:
    """Answers after some seconds, or says NO at the deadline, which it polls."""

    answer: Answer
    seconds: float
    name: str = "searches"
    lines: Lines = NO_LINE
    after: threading.Event | None = None  # wait for it first

    def unsupported(self, problem: Problem) -> Refusal | None:
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        if self.after is not None:
            assert self.after.wait(HANG)
        until = Deadline.after(self.seconds)
        while not until.passed:
            if deadline.passed:
                return [NO] * len(problem.conjuncts)
            time.sleep(0.01)
        return [self.answer] * len(problem.conjuncts)


@dataclass(frozen=True)
class Beside(Searches):
    """The same in a process of its own, which only ``stop`` ends early."""

    name: str = "beside"
    begun: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list[str] = field(default_factory=list)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        self.threads.append(threading.current_thread().name)
        self.begun.set()
        ended = self.stopped.wait(min(self.seconds, deadline.left))
        return [NO if ended or deadline.passed else self.answer] * len(problem.conjuncts)

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "free_cores", lambda: 2.0)
    monkeypatch.setattr(race, "HEAD_START", 0.0)


def raced(*engines: Searches) -> list[Stage]:
    return [Stage(engine, races=True) for engine in engines]


def test_a_witness_that_replays_stops_the_search() -> None:
    begun = time.monotonic()
    verdict = prove(FALSE, budget=600.0, stages=raced(Searches(NO, 600.0), Beside(RIGHT, 0.2)))
    assert verdict.status is Status.REFUTED and verdict.engine == "beside"
    assert time.monotonic() - begun < HANG
    assert [a.engine for a in verdict.attempts] == ["layer bounds", "searches", "beside"]
    assert verdict.attempts[-1].seconds >= 0.2


def test_a_witness_that_does_not_replay_stops_nothing() -> None:
    verdict = prove(TRUE, budget=600.0, stages=raced(Searches(RIGOROUS, 0.5), Beside(WRONG, 0.0)))
    assert verdict.status is Status.PROVED and verdict.confirmed and verdict.engine == "searches"


def test_a_search_that_is_done_stops_the_process_beside_it() -> None:
    beside = Beside(SOFT, 600.0)
    begun = time.monotonic()
    search = Searches(RIGOROUS, 0.3, after=beside.begun)
    verdict = prove(TRUE, budget=600.0, stages=raced(search, beside))
    assert verdict.status is Status.PROVED and verdict.confirmed
    assert time.monotonic() - begun < HANG and beside.stopped.is_set()
    last = verdict.attempts[-1]
    assert (last.engine, last.note) == ("beside", "stopped, not needed")
    assert 0.2 < last.seconds < HANG


def test_an_answer_without_rigour_stops_nothing_but_counts() -> None:
    """Two soft answers confirm each other; one alone does not."""
    both = prove(TRUE, budget=600.0, stages=raced(Searches(SOFT, 0.3), Beside(SOFT, 0.0)))
    assert both.status is Status.PROVED and both.confirmed
    alone = prove(TRUE, budget=600.0, stages=raced(Searches(NO, 0.3), Beside(SOFT, 0.0)))
    assert alone.status is Status.PROVED and not alone.confirmed and "beside" in alone.reason


def test_the_budget_holds_for_both() -> None:
    begun = time.monotonic()
    verdict = prove(TRUE, budget=1.0, stages=raced(Searches(NO, 0.2), Beside(SOFT, 600.0)))
    assert verdict.status is Status.UNKNOWN
    assert 0.9 < time.monotonic() - begun < HANG


def test_a_failure_on_the_other_thread_is_not_lost() -> None:
    class Fails(Beside):
        def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
            raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        prove(TRUE, budget=600.0, stages=raced(Searches(NO, 0.3), Fails(NO, 0.0)))


def test_one_after_another_where_no_core_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "free_cores", lambda: 1.0)
    beside = Beside(RIGHT, 0.0)
    verdict = prove(FALSE, budget=600.0, stages=raced(Searches(NO, 0.1), beside))
    assert verdict.status is Status.REFUTED
    assert beside.threads == [threading.main_thread().name]


def test_a_race_needs_few_conjuncts_and_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = [Searches(NO, 0.0), Beside(NO, 0.0)]
    assert race.runner_of(engines, FALSE.problem) is engines[1]
    assert race.runner_of(engines[1:], FALSE.problem) is None  # nothing to run beside
    assert race.runner_of(engines[:1], FALSE.problem) is None  # nothing that can be stopped
    many = FALSE.problem.only(FALSE.problem.conjuncts * (race.MOST_CONJUNCTS + 1))
    assert race.runner_of(engines, many) is None
    monkeypatch.setattr(race, "MOST_PRODUCTS", 3)
    assert race.runner_of(engines, FALSE.problem) is None


def test_only_marabou_runs_beside_the_others() -> None:
    stages = default_stages(TRUE.problem)
    racing = [stage.engine for stage in stages if stage.races]
    assert [e.name for e in racing if isinstance(e, Stoppable)] == ["marabou"]
    assert racing == [stage.engine for stage in stages[-len(racing) :]]


def test_marabou_is_stopped_from_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that takes Marabou long: ``stop`` ends it, and the engine answers again."""
    pytest.importorskip("maraboupy")
    from test_marabou import easy_answer, hard, once_asked

    engine = MarabouEngine()
    try:
        assert easy_answer(engine) is Outcome.WITNESS
        once_asked(monkeypatch, threading.Thread(target=engine.stop).start)
        (answer,) = engine.solve(hard().problem, Deadline.after(600.0))
        assert answer.outcome is Outcome.UNDECIDED and "signal 9" in answer.note
        engine.stop()  # nothing runs: nothing happens
        assert easy_answer(engine) is Outcome.WITNESS
        engine.stop()  # a child that idles is ended, and replaced
        assert easy_answer(engine) is Outcome.WITNESS
    finally:
        engine.close()
