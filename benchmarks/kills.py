"""Does a run that is killed at any moment end as if it had not been?

A list of claims is proved with a ledger, and each verdict shown (one line in a file) when it
is known.  The run is killed with SIGKILL at a random moment and begun again, over and over;
at the end no verdict that was ever shown may have changed in any digit, and all of them must
be what an undisturbed run without a ledger shows (but for seconds).  With ``--workers`` the
claims run in worker processes, none of which may outlive its parent.

Runs are forks of one process that has loaded everything, so that the kills hit the proofs and
not the start.  Exit status 1 if anything differs.

    python benchmarks/kills.py --kills 50 --out kills.json
    python benchmarks/kills.py --kills 10 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a fork has no threads: none must have been started

import numpy as np
from mixed_claims import mixed_claims

from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Verdict
from precond.workers.pool import open_pool, prove_all

BUDGET = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--claims", type=int, default=150)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the counts as JSON")
    chosen = parser.parse_args()
    claims = mixed_claims(chosen.claims, chosen.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        counts = trial(Path(name), claims, chosen.kills, chosen.workers, chosen.seed)
    for key, value in counts.items():
        print(f"{key:<44} {value}")
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(counts, indent=1))
    wrong = ("verdicts that changed once shown", "verdicts that differ", "workers left over")
    sys.exit(1 if any(counts[key] for key in wrong) else 0)


def trial(folder: Path, claims: list[Claim], kills: int, workers: int, seed: int) -> dict[str, Any]:
    """Runs until ``kills`` of them were killed and one came to its end."""
    began = time.monotonic()
    fork(lambda: work(folder / "alone", claims, None, 1), None)
    alone = read(folder / "alone")
    seconds = time.monotonic() - began
    stream = np.random.default_rng(seed)
    first: dict[int, dict[str, Any]] = {}
    changed = killed = left = again = ledgers = 0
    while True:
        path = folder / f"run{killed}-{ledgers}"
        ledger = folder / f"ledger{ledgers}"
        limit = 0.3 * seconds if workers == 1 else seconds + 6.0  # workers take a while to start
        wait = float(stream.uniform(0.0, limit))
        died = fork(
            lambda p=path, f=ledger: work(p, claims, f, workers), wait if killed < kills else None
        )
        shown = read(path)
        for index, said in shown.items():
            again += index in first
            changed += first.setdefault(index, said) != said
        left += orphans()
        if died:
            killed += 1
        elif killed < kills:  # it came through before its time: go on with a fresh ledger
            changed += differing(first, alone, len(claims))
            first, ledgers = {}, ledgers + 1
        else:
            break
    return {
        "claims": len(claims),
        "seconds undisturbed": round(seconds, 2),
        "kills": killed,
        "whole runs": ledgers + 1,
        "verdicts shown again after a kill": again,
        "verdicts that changed once shown": changed,
        "verdicts that differ": differing(first, alone, len(claims)),
        "workers left over": left,
    }


def work(shown: Path, claims: list[Claim], path: Path | None, workers: int) -> None:
    """Prove all claims, and show each verdict as one line."""
    target = os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ledger = None if path is None else Ledger(path)

    def show(index: int, verdict: Verdict) -> None:
        os.write(target, (json.dumps([index, verdict.to_json()]) + "\n").encode())

    with open_pool(workers, ledger=ledger) as pool:
        prove_all(pool, claims, budget=BUDGET, done=show)


def fork(run: Any, seconds: float | None) -> bool:
    """Run in a fork; whether it was killed, after ``seconds``, before its end."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        finally:
            os._exit(status)
    _forked.add(pid)
    limit = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, 0 if limit is None else os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
                raise SystemExit("a run failed by itself")
            return os.waitstatus_to_exitcode(status) != 0
        if limit is not None and time.monotonic() >= limit:
            os.kill(pid, signal.SIGKILL)
            limit = None
        time.sleep(0.001)


def read(path: Path) -> dict[int, dict[str, Any]]:
    """What was shown; a last line that was cut off was not."""
    if not path.exists():
        return {}
    lines = path.read_text().split("\n")[:-1]
    return {index: said for index, said in map(json.loads, lines)}


def differing(
    found: dict[int, dict[str, Any]], alone: dict[int, dict[str, Any]], count: int
) -> int:
    """How many of the claims have another verdict, or none."""
    return sum(
        k not in found or any(found[k][part] != alone[k][part] for part in ("status", "exact"))
        for k in range(count)
    )


def orphans() -> int:
    """Worker processes of killed runs that are still there after a while."""
    for _ in range(50):
        found = 0
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"precond.workers.worker" in words and os.getpid() != int(entry.name):
                parent = int(words[-2]) if words[-2].isdigit() else 0
                found += parent in _forked and not Path(f"/proc/{parent}").exists()
        if not found:
            return 0
        time.sleep(0.1)
    return found


_forked: set[int] = set()

if __name__ == "__main__":
    main()
