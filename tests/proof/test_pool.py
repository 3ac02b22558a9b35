"""Pools: the same results anywhere, in order, whatever happens to workers."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clocks import HANG
from known import ABSOLUTE, ANY, KNOWN, at_least, box
from pool_jobs import Adds, Allocates, Dies, Hangs, Names, Raises, Told, at_work, content
from small_networks import layered

from precond.errors import OutputError, PrecondError, QueryError
from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.workers.child import WorkerProcess
from precond.workers.local import LocalPool
from precond.workers.pool import GRACE, InProcess, Job, ProofJob, open_pool, prove_all
from precond.workers.wire import Receiver, Sender

ROOT = Path(__file__).parents[2]
CLAIMS = [known.claim for known in KNOWN if known.status is not Status.UNKNOWN][:8]


@pytest.fixture(scope="module", autouse=True)
def _jobs_can_be_imported() -> Iterator[None]:
    before = os.environ.get("PYTHONPATH")
    here = [str(Path(__file__).parent), str(ROOT / "tests"), before]
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in here if part)
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    """Two workers that several tests use: each starts where another left it."""
    with closing(LocalPool(2, None, None)) as opened:
        yield opened


def test_the_same_verdicts_in_order(pool: LocalPool) -> None:
    alone = [content(v) for v in prove_all(InProcess(), CLAIMS, budget=600.0)]
    seen: list[int] = []
    spread = prove_all(pool, CLAIMS, budget=600.0, done=lambda index, _: seen.append(index))
    assert [content(v) for v in spread] == alone
    assert sorted(seen) == list(range(len(CLAIMS)))
    assert {v.status for v in spread} >= {Status.PROVED, Status.REFUTED}


def test_jobs_are_drawn_when_workers_are_free(pool: LocalPool) -> None:
    """At most one job for each worker is drawn before the first result is told."""
    drawn: list[int] = []
    ahead: list[int] = []

    def jobs() -> Iterator[Job[str]]:
        for k in range(7):
            drawn.append(k)
            yield Told(str(k))

    told: list[str] = []

    def done(index: int, word: str) -> None:
        told.append(word)
        ahead.append(len(drawn) - len(told))

    assert pool.map(jobs(), done) == [str(k) for k in range(7)]
    assert max(ahead) <= 1 and sorted(told) == [str(k) for k in range(7)]


def test_two_workers_work_at_once(pool: LocalPool, tmp_path: Path) -> None:
    """Each of two jobs ends only when the other has begun."""
    with at_work(tmp_path, 2) as until:
        assert len(set(pool.map([Names(notes=tmp_path, until=until)] * 2))) == 2


def test_what_hangs_is_killed(pool: LocalPool) -> None:
    """And costs no other job anything; a worker that was killed is replaced."""
    pool.map([Told(), Told()])
    began = time.monotonic()
    words = pool.map([Hangs(), Told("a"), Told("b")])
    assert words[1:] == ["a", "b"]
    assert words[0] == "failed: ran more than 2 s past its budget of 0.2 s, was killed"
    assert 0.2 + GRACE <= time.monotonic() - began < HANG


@pytest.mark.slow
def test_a_job_outlives_two_workers_but_not_three(pool: LocalPool, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    words = pool.map(
        [Dies("lives", notes=tmp_path / "a", times=2), Dies(notes=tmp_path / "b"), Told()]
    )
    assert words == [
        "lives",
        "failed: 3 workers died on it, the last one ended by signal 9",
        "fine",
    ]
    assert [len(list((tmp_path / name).iterdir())) for name in "ab"] == [2, 3]


def test_a_worker_killed_from_outside_is_replaced(pool: LocalPool, tmp_path: Path) -> None:
    """It is killed in the midst of its job; the job is done by another."""
    pool.map([Told(), Told()])
    victims = [seat.child.pid for seat in pool._seats if seat.child is not None]
    with at_work(tmp_path, 2, victims[0]) as until:
        pids = pool.map([Names(notes=tmp_path, until=until)] * 2)
    assert str(victims[0]) not in pids and str(victims[1]) in pids and len(pids) == 2


def test_an_exception_is_raised_here(pool: LocalPool) -> None:
    with pytest.raises(ValueError, match="no luck") as caught:
        pool.map([Told(), Raises("luck"), Told()])
    assert "pool_jobs.py" in str(caught.value.__cause__)
    assert pool.map([Told("after")]) == ["after"]


@pytest.mark.slow
def test_a_callback_that_raises_leaves_no_job_running(pool: LocalPool, tmp_path: Path) -> None:
    def stop(index: int, word: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.map([Told(), Names(notes=tmp_path, until=tmp_path / "never")], stop)
    assert pool.map([Told("a"), Told("b")]) == ["a", "b"]


@pytest.mark.slow
def test_the_memory_limit() -> None:
    """Two workers of 3 GB: an array of 4 GB is one too many, one of 1 MB is not."""
    with open_pool(2, memory=3 << 30) as opened:
        words = opened.map([Allocates(size=4 << 30), Allocates(size=1 << 20)])
    assert words == ["failed: out of memory", str(1 << 20)]


def test_what_is_shared_travels_once(tmp_path: Path) -> None:
    """By name in each job; a mapped array as the name of its file, cut as it was."""
    values = np.arange(50_000.0)
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")[100:]
    sender, receiver = Sender(local=True), Receiver()
    sender.share(values)
    sender.share(mapped)
    for array, is_mapped in ((values, False), (mapped, True)):
        parcel = sender.pack(Adds(values=array))
        assert len(parcel.names) == 1 and len(parcel.job) < 1000
        shared = sender.value(parcel.names[0])
        assert (len(shared) < 1000) == is_mapped
        receiver.keep({parcel.names[0]: shared})
        job = receiver.unpack(parcel.job)
        assert job.run(None) == f"{array.sum()} {is_mapped}"
    parcel = sender.pack(ProofJob(CLAIMS[0]))
    assert parcel.names == (CLAIMS[0].network.hash,)
    far = Sender(local=False)
    far.share(mapped)
    (name,) = far.pack(Adds(values=mapped)).names
    assert len(far.value(name)) > 8 * len(mapped)


def test_networks_are_forgotten_when_they_are_gone() -> None:
    sender, receiver = Sender(local=True), Receiver()
    one, equal = layered((np.eye(2), [0, 0])), layered((np.eye(2), [0, 0]))
    name = sender.share(one)
    assert sender.share(equal) == name == one.hash
    receiver.keep({name: sender.value(name)})
    del one
    gc.collect()
    assert sender.gone([name]) == ()  # an equal one is still there
    assert len(sender.value(name)) > 100
    del equal
    gc.collect()
    assert sender.gone([name]) == (name,)
    receiver.keep({}, [name])
    assert not receiver._values


def test_networks_and_arrays_reach_workers(pool: LocalPool) -> None:
    values = np.random.default_rng(0).normal(size=1000)
    pool.share(values)
    before = [seat.child.known.copy() for seat in pool._seats if seat.child is not None]
    words = pool.map([Adds(values=values)] * 6)
    assert set(words) == {f"{values.sum()} False"}
    after = [seat.child.known for seat in pool._seats if seat.child is not None]
    assert all(len(new - old) <= 1 for new, old in zip(after, before, strict=False))


@pytest.mark.slow
def test_verdicts_are_in_the_ledger_before_they_are_told(tmp_path: Path) -> None:
    """Workers write to the same file; a later run, in one process, only reads it."""
    path = tmp_path / "l"
    with Ledger(path) as ledger, open_pool(2, ledger=ledger) as opened:

        def done(index: int, verdict: Verdict) -> None:
            with Ledger(path, writable=False) as other:
                known = ProofJob(CLAIMS[index], 20.0).known(other)
            assert known is not None and known.to_json() == verdict.to_json()

        first = prove_all(opened, CLAIMS, budget=600.0, done=done)
        again = prove_all(opened, CLAIMS, budget=600.0)
        assert [v.to_json() for v in again] == [v.to_json() for v in first]
    with Ledger(path) as ledger:
        assert [
            prove(claim, budget=600.0, ledger=ledger, stages=()).to_json() for claim in CLAIMS
        ] == [v.to_json() for v in first]


def test_a_failure_is_unknown_with_its_reason_and_not_in_the_ledger(tmp_path: Path) -> None:
    verdict = ProofJob(CLAIMS[0], 3.0).failed("3 workers died on it")
    assert verdict.status is Status.UNKNOWN and verdict.reason == "3 workers died on it"


def test_workers_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precond.workers.child.WORKER", "precond.no_such_module")
    with (
        closing(LocalPool(2, None, None)) as broken,
        pytest.raises(PrecondError, match=r"expected one that starts.*no_such_module"),
    ):
        broken.map([Told()])


@pytest.mark.slow
def test_a_closed_pool_leaves_nothing() -> None:
    """No process, no descriptor, no folder."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    child = WorkerProcess()
    pid = child.pid
    child.answer(time.monotonic() + 60.0)
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    (folder,) = (Path(e.partition("=")[2]) for e in environment if e.startswith("TMPDIR="))
    assert folder.is_dir() and descriptors() == before + 3
    child.kill()
    child.kill()
    assert descriptors() == before
    assert not Path(f"/proc/{pid}").exists() and not folder.exists()


def test_options_that_do_not_fit() -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"workers": 0}, "workers: expected 1 or more"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, "expected workers or a scheduler"),
        ({"memory": 1 << 30}, "Use 2 workers"),
    )
    for arguments, said in cases:
        with pytest.raises(QueryError, match=said), open_pool(**arguments):
            pass


@pytest.mark.slow
def test_a_ledger_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger, open_pool(2, ledger=ledger) as opened:
        for name in ("l", "l-wal", "l-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "l").mkdir()
        with pytest.raises(OutputError, match="ledger"):
            prove_all(opened, [Claim(ABSOLUTE, box((-3, 2)), ANY, at_least(-1.0, 1.0))])
