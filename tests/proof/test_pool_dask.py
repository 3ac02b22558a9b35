"""A pool on a real Dask scheduler with two workers, all on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from known import KNOWN
from pool_jobs import Adds, Dies, Hangs, Names, Raises, Told, at_work, content

from precond.errors import PrecondError
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Status, Verdict
from precond.workers.dask import DaskPool
from precond.workers.pool import InProcess, ProofJob, open_pool, prove_all

pytestmark = pytest.mark.slow
distributed = pytest.importorskip("distributed")
ROOT = Path(__file__).parents[2]
CLAIMS = [known.claim for known in KNOWN if known.status is not Status.UNKNOWN][:8]


@dataclass(frozen=True)
class Cluster:
    address: str
    workers: list[subprocess.Popen[bytes]]


def started(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    here = [str(ROOT), str(Path(__file__).parent), str(ROOT / "tests")]
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(here)},
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    scheduler = started(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)
    )
    options = ("--nthreads", "1", "--memory-limit", "0", "--host", "127.0.0.1")
    workers = [
        started(
            "dask_worker",
            *("--scheduler-file", str(file)),
            *(*options, "--name", name, "--local-directory", str(folder / name)),
        )
        for name in ("one", "two")
    ]
    try:
        limit = time.monotonic() + 600.0
        while not file.exists() and time.monotonic() < limit:
            time.sleep(0.05)
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=600.0)
            yield Cluster(client.scheduler.address, workers)
    finally:
        for process in (*workers, scheduler):
            os.killpg(process.pid, signal.SIGTERM)
        for process in (*workers, scheduler):
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def pool(cluster: Cluster) -> Iterator[DaskPool]:
    with open_pool(scheduler=cluster.address) as opened:
        assert isinstance(opened, DaskPool)
        yield opened


def test_the_same_verdicts_in_order_and_in_the_ledger(pool: DaskPool, tmp_path: Path) -> None:
    alone = [content(v) for v in prove_all(InProcess(), CLAIMS, budget=600.0)]
    pool._ledger = ledger = Ledger(tmp_path / "l")
    told: dict[int, bool] = {}

    def done(index: int, verdict: Verdict) -> None:
        known = ProofJob(CLAIMS[index], 600.0).known(ledger)
        told[index] = known is not None and known.to_json() == verdict.to_json()

    try:
        spread = prove_all(pool, CLAIMS, budget=600.0, done=done)
        again = prove_all(pool, CLAIMS, budget=600.0)
    finally:
        pool._ledger = None
        ledger.close()
    assert pool.workers == 2
    assert [content(v) for v in spread] == alone
    assert [v.to_json() for v in again] == [v.to_json() for v in spread]
    assert told == dict.fromkeys(range(len(CLAIMS)), True)


def test_what_goes_wrong_in_a_job(pool: DaskPool, tmp_path: Path) -> None:
    """As with local workers: hangs are killed, deaths are counted, exceptions are raised."""
    jobs = [Hangs(), Dies("lives", notes=tmp_path, times=2), Told()]
    words = pool.map(jobs)
    assert words[0] == "failed: ran more than 2 s past its budget of 0.2 s, was killed"
    assert words[1:] == ["lives", "fine"]
    with pytest.raises(ValueError, match="no luck"):
        pool.map([Raises("luck")])


def test_a_shared_array(pool: DaskPool) -> None:
    values = np.arange(10_000.0)
    pool.share(values)
    assert pool.map([Adds(values=values)] * 4) == [f"{values.sum()} False"] * 4


def test_a_worker_of_the_cluster_that_is_killed(pool: DaskPool, tmp_path: Path) -> None:
    """SIGKILL to one of two in the midst of its jobs: they are done all the same."""
    values = np.arange(1000.0)
    pool.share(values)
    pool.map([Adds(values=values)] * 2)
    pids = list(pool._client.run(os.getpid).values())
    with at_work(tmp_path, 2, pids[0]) as until:
        waiting = [Names(notes=tmp_path, until=until)] * 2
        words = pool.map([*waiting, *[Adds(values=values)] * 6])
    assert len(words) == 8 and words[2:] == [f"{values.sum()} False"] * 6
    pool._client.wait_for_workers(2, timeout=600.0)
    alive = pool._client.run(os.getpid, on_error="ignore")  # its place may still be listed
    assert len(alive) >= 1 and pids[0] not in alive.values()
    assert [content(v) for v in prove_all(pool, CLAIMS[:4], budget=600.0)] == [
        content(v) for v in prove_all(InProcess(), CLAIMS[:4], budget=600.0)
    ]


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precond.workers.dask.CONNECT", 0.5)
    with (
        pytest.raises(PrecondError, match=r"scheduler tcp:.*:9: expected a Dask"),
        open_pool(scheduler="tcp://127.0.0.1:9"),
    ):
        pass
    with (
        pytest.raises(PrecondError, match="scheduler nonsense://x"),
        open_pool(scheduler="nonsense://x"),
    ):
        pass
