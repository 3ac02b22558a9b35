"""A search on two cores says what it says on one, also when its copy dies or loses something."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import below, random_net

from precond.network.evaluate import outputs
from precond.proof.bounds.subdomains import Batch
from precond.proof.claim import Claim
from precond.proof.coverage import Coverage
from precond.proof.deadline import FOREVER
from precond.proof.engines.base import Engine, Outcome
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.processes import copy, cores, two_cores
from precond.proof.processes.copy import Copy, Stops
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

ANY = DecisionPattern()
HANG = 60.0  # seconds


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_cores, "may_copy", lambda own: True)
    monkeypatch.setattr(two_cores, "ALONE", 0.0)


@dataclass(frozen=True, eq=False)
class Numbers(Batch):
    """Whole numbers to be halved until they are 1."""

    value: torch.Tensor


class Halving(two_cores.Halvable[Numbers]):
    """Splits n in ⌊n/2⌋ and ⌈n/2⌉; ``found``: how many ones each process has met."""

    def __init__(self, start: list[int]) -> None:
        self.waiting = [Numbers(torch.tensor(start))]
        self.coverage = Coverage(1)
        self.coverage.count[0] = len(start)
        self.found = 0
        self.processes: set[int] = set()

    def waiting_blocks(self) -> list[Numbers]:
        return self.waiting

    def put(self, blocks: list[Numbers]) -> None:
        self.waiting = blocks

    @property
    def goes_on(self) -> bool:
        return bool(self.waiting)

    def step(self) -> int:
        time.sleep(0.01)  # so long that both processes get some
        self.processes.add(os.getpid())
        value = self.waiting.pop().value
        more = value[value > 1]
        ones = len(value) - len(more)
        self.found += ones
        self.coverage.close(np.zeros(ones, int), np.zeros(ones))
        self.coverage.split(np.zeros(len(more), int))
        if len(more):
            self.waiting.extend([Numbers(more // 2), Numbers(more - more // 2)])
        return len(value)

    def begin(self) -> None:
        self.found, self.processes = 0, set()

    def said(self) -> Any:
        return self.found, self.processes

    def hear(self, said: Any) -> None:
        self.found += said[0]
        self.processes |= said[1]


def test_two_processes_do_all_of_it_once() -> None:
    search = Halving([37, 5, 90, 1, 64, 12])
    two_cores.run(search, halves=True)
    assert search.found == 37 + 5 + 90 + 1 + 64 + 12  # n is split into n ones
    assert search.coverage.fault(0, count=0, share=1.0) is None
    assert len(search.processes) > 1


def test_one_process_where_no_copy_is_wanted() -> None:
    search = Halving([37, 5])
    two_cores.run(search, halves=False)
    assert search.found == 42 and search.processes == {os.getpid()}


def test_what_a_dead_copy_had_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Halving, "begin", lambda self: os._exit(1))
    search = Halving([37, 5, 90])
    two_cores.run(search, halves=True)
    assert search.found == 132 and search.processes == {os.getpid()}
    assert search.coverage.fault(0, count=0, share=1.0) is None


def test_one_process_where_the_system_allows_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> int:
        raise OSError("no memory")

    monkeypatch.setattr(os, "fork", refuses)
    ends = len(os.listdir("/proc/self/fd"))
    search = Halving([37, 5, 90])
    two_cores.run(search, halves=True)
    assert search.found == 132 and search.processes == {os.getpid()}
    assert len(os.listdir("/proc/self/fd")) == ends


def test_what_a_copy_loses_is_seen_in_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """It drops what it was given, as a search would that takes NaN for closed."""
    put, here = Halving.put, os.getpid()
    monkeypatch.setattr(
        Halving, "put", lambda self, given: put(self, given if os.getpid() == here else [])
    )
    search = Halving([37, 5, 90])
    two_cores.run(search, halves=True)
    fault = search.coverage.fault(0, count=0, share=1.0)
    assert search.found < 132 and fault is not None and "neither closed nor open" in fault


def test_a_copy_says_what_it_has_when_it_is_asked() -> None:
    def until_asked(stops: Stops) -> str:
        while not stops():
            time.sleep(0.01)  # as a step of a search would take
        return "asked"

    one = Copy(until_asked)
    try:
        assert not one.done
        assert one.result(HANG) == "asked"
    finally:
        one.close()


def test_a_copy_that_is_not_heard_is_ended() -> None:
    def sleep(_: Stops) -> int:
        time.sleep(10 * HANG)  # a copy that hangs
        return 1

    one = Copy(sleep)
    begun = time.monotonic()
    assert one.result(0.05) is None
    one.close()
    assert time.monotonic() - begun < HANG


def test_a_copy_that_fails_says_nothing() -> None:
    def fails(_: Stops) -> int:
        raise RuntimeError("in the copy")

    one = Copy(fails)
    assert one.result(HANG) is None
    one.close()


def test_a_closed_copy_leaves_no_zombie() -> None:
    one = Copy(lambda stops: 7)
    assert one.result(HANG) == 7
    one.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(one._pid, 0)


def test_a_copy_needs_a_free_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "free_cores", lambda own: 1.0)
    assert not copy.may_copy()


def test_the_environment_says_how_many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    monkeypatch.setattr(os, "getloadavg", lambda: (2.0, 0.0, 0.0))
    monkeypatch.delenv(cores.VARIABLE, raising=False)
    assert cores.free_cores() == 3.0 and cores.free_cores(own=2) == 4.0
    for given, free in (("1", 1.0), ("2", 2.0), ("9", 3.0), ("none", 3.0), ("0", 1.0)):
        monkeypatch.setenv(cores.VARIABLE, given)
        assert cores.free_cores() == free


@pytest.mark.parametrize(
    "engine", [InputSplitEngine(batch=4), ReluSplitEngine(batch=2, steps=0), RefineSplitEngine()]
)
def test_an_engine_says_the_same_on_two_cores(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims that hold by a little, and that fail by a little."""
    made: list[int] = []
    begin = two_cores.Copy.__init__

    def counted(self: Any, work: Any) -> None:
        made.append(1)
        begin(self, work)

    monkeypatch.setattr(two_cores.Copy, "__init__", counted)
    for seed in range(3):
        network = random_net(np.random.default_rng(seed), 3, 5, 5, 1)
        grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 3), -1).reshape(-1, 3)
        most = float(outputs(network, grid).max())
        for limit, outcome in ((most + 0.05, Outcome.INFEASIBLE), (most - 0.01, Outcome.WITNESS)):
            claim = Claim(network, Box.uniform(3, -1.0, 1.0), ANY, below(0, limit))
            (on_two,) = engine.solve(claim.problem, FOREVER)
            assert on_two.outcome in (outcome, Outcome.UNDECIDED)  # a leaf needs a linear program
            with monkeypatch.context() as one:
                one.setattr(two_cores, "may_copy", lambda own: False)
                (on_one,) = engine.solve(claim.problem, FOREVER)
            assert on_one.outcome is on_two.outcome
            if on_two.witness is not None:
                assert outputs(network, on_two.witness[None])[0, 0] >= limit
    assert made
