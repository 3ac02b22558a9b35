"""Does a long run with workers leave everything as it found it?

Mixed claims are proved in rounds with worker processes and a ledger; now and then a worker is
killed, hangs or runs out of memory.  After each round are counted: resident memory of this
process and of its workers, open descriptors, child processes (zombies included), temporary
files.  A second table has the throughput of small claims by number of workers, and on a Dask
cluster started here.  Exit status 1 if anything grew.

    python benchmarks/workers.py --minutes 60 --out workers.json
    python benchmarks/workers.py --minutes 0 --throughput 300
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join(  # workers import the jobs below from here
    part for part in (str(Path(__file__).parent), os.environ.get("PYTHONPATH")) if part
)

import numpy as np
import torch
import workers  # the jobs under the name that workers know them by
from mixed_claims import mixed_claims

from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Status, Verdict
from precond.workers.pool import Job, Pool, ProofJob, open_pool, prove_all


@dataclass(frozen=True, eq=False)
class Trouble:
    """A job whose worker hangs, dies, or asks for more memory than it may have."""

    kind: str
    budget: float = 0.5

    def known(self, ledger: Ledger) -> Verdict | None:
        return None

    def run(self, ledger: Ledger | None) -> Verdict:
        if self.kind == "hang":
            time.sleep(1000)
        elif self.kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict(Status.PROVED, str(np.ones(1 << 33).sum()))

    def failed(self, reason: str) -> Verdict:
        return Verdict(Status.UNKNOWN, self.kind, reason=reason)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--claims", type=int, default=100, help="in each round")
    parser.add_argument("--throughput", type=int, default=0, metavar="N", help="small claims")
    parser.add_argument("--out", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    grew = False
    if chosen.minutes > 0:
        found["rounds"] = long_run(chosen.minutes, chosen.workers, chosen.claims)
        grew = has_grown(found["rounds"])
        print("something grew" if grew else "nothing grew")
    if chosen.throughput:
        found["throughput"] = throughput(chosen.throughput)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1))
    sys.exit(1 if grew else 0)


def long_run(minutes: float, count: int, each: int) -> list[dict[str, float]]:
    """Rounds until time is up; what there was after each."""
    rows: list[dict[str, float]] = []
    end = time.monotonic() + 60 * minutes
    print(
        f"{'round':>5} {'claims':>7} {'unknown':>8} {'this MiB':>9} {'workers MiB':>12} "
        f"{'files':>6} {'children':>9} {'folders':>8}"
    )
    with (
        tempfile.TemporaryDirectory(prefix="workers-") as name,
        Ledger(Path(name) / "ledger") as ledger,
        open_pool(count, ledger=ledger, memory=4 << 30) as pool,
    ):
        os.environ["TMPDIR"] = tempfile.tempdir = name
        done = unknown = 0
        while time.monotonic() < end or len(rows) < 13:
            jobs: list[Job[Verdict]] = [
                ProofJob(claim, 10.0) for claim in mixed_claims(each, seed=len(rows))
            ]
            for k, kind in enumerate(("hang", "die", "memory")):
                if len(rows) % 3 == k:
                    jobs.insert(each // 2, workers.Trouble(kind))
            verdicts = pool.map(jobs)
            done += len(verdicts)
            unknown += sum(v.status is Status.UNKNOWN for v in verdicts)
            row = {"round": len(rows), "claims": done, "unknown": unknown, **state(Path(name))}
            rows.append(row)
            print(
                f"{row['round']:>5} {done:>7} {unknown:>8} {row['this']:>9.0f} "
                f"{row['workers']:>12.0f} {row['descriptors']:>6} {row['children']:>9} "
                f"{row['folders']:>8}",
                flush=True,
            )
    after = len(children())
    rows.append({**rows[-1], "children": after, "workers": 0.0})
    print(f"after closing: {after} children")
    return rows


def state(folder: Path) -> dict[str, float]:
    """Memory in MiB, open descriptors, child processes and temporary folders, now."""
    pids = children()
    return {
        "this": resident(os.getpid()),
        "workers": sum(resident(pid) for pid in pids),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "children": len(pids),
        "folders": sum(entry.is_dir() for entry in folder.iterdir()),
    }


def children() -> list[int]:
    """Processes whose parent this is."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(words[1]) == os.getpid():
                    found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def has_grown(rows: list[dict[str, float]]) -> bool:
    """The last quarter against the second: more of anything, or memory by a tenth and 50 MiB."""
    running, closed = rows[:-1], rows[-1]
    quarter = max(1, len(running) // 4)
    early, late = running[quarter : 2 * quarter], running[-quarter:]

    def most(part: list[dict[str, float]], what: str) -> float:
        return max(row[what] for row in part)

    counted = any(
        most(late, what) > most(early, what) for what in ("descriptors", "children", "folders")
    )
    heavier = any(most(late, what) > 1.1 * most(early, what) + 50 for what in ("this", "workers"))
    return counted or heavier or closed["children"] > 0


def throughput(count: int) -> list[dict[str, Any]]:
    """Claims a second in this process, with workers, and on a cluster; the same verdicts."""
    claims = mixed_claims(count, seed=12345)
    rows: list[dict[str, Any]] = []
    expected: list[tuple[Status, bool]] = []
    print(f"{'where':<24} {'seconds':>8} {'a second':>9}  same verdicts")

    def timed(where: str, pool: Pool) -> None:
        prove_all(pool, mixed_claims(2 * pool.workers + 2, seed=1))  # all workers started
        began = time.monotonic()
        verdicts = prove_all(pool, claims)
        seconds = time.monotonic() - began
        found = [(v.status, v.exact) for v in verdicts]
        expected[:] = expected or found
        rows.append({"where": where, "seconds": seconds, "same": found == expected})
        print(
            f"{where:<24} {seconds:>8.2f} {count / seconds:>9.1f}  {found == expected}", flush=True
        )

    with open_pool() as pool:
        timed("this process", pool)
    with (
        tempfile.TemporaryDirectory() as name,
        Ledger(Path(name) / "l") as ledger,
        open_pool(ledger=ledger) as pool,
    ):
        timed("this process, ledger", pool)
    with open_pool(2) as pool:
        timed("2 workers", pool)
    for size in (1, 2):
        with cluster(size) as address, open_pool(scheduler=address) as pool:
            timed(f"Dask, {size} worker{'s' * (size > 1)}", pool)
    return rows


@contextmanager
def cluster(size: int) -> Iterator[str]:
    """A scheduler and workers on this machine."""
    import distributed

    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "scheduler.json"
        common = ("--no-dashboard", "--scheduler-file", str(file), "--host", "127.0.0.1")
        asked = [("dask_scheduler", "--port", "0")] + [
            ("dask_worker", "--nthreads", "1", "--memory-limit", "0", "--local-directory", name)
        ] * size
        processes = []
        for module, *options in asked:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", f"distributed.cli.{module}", *common, *options],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
            while not file.exists() and processes[0].poll() is None:
                time.sleep(0.05)
        try:
            with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
                client.wait_for_workers(size, timeout=60)
                yield str(client.scheduler.address)
        finally:
            for process in reversed(processes):
                os.killpg(process.pid, signal.SIGTERM)
            for process in processes:
                process.wait(30)


if __name__ == "__main__":
    main()
