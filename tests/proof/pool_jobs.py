"""Jobs that misbehave, for tests of pools; workers import them from here.  And what of a
verdict has to be the same everywhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Verdict


@dataclass(frozen=True, eq=False)
class Told:
    """A job whose result is a word."""

    word: str = "fine"
    budget: float = 600.0

    def known(self, ledger: Ledger) -> str | None:
        return None

    def run(self, ledger: Ledger | None) -> str:
        return self.word

    def failed(self, reason: str) -> str:
        return f"failed: {reason}"


@dataclass(frozen=True, eq=False)
class Hangs(Told):
    """Does not end, and cannot be interrupted."""

    budget: float = 0.2

    def run(self, ledger: Ledger | None) -> str:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        time.sleep(1000)
        return "never"


@dataclass(frozen=True, eq=False)
class Dies(Told):
    """Kills its worker the first ``times`` times; ``notes`` counts them."""

    notes: Path = Path()
    times: int = 99

    def run(self, ledger: Ledger | None) -> str:
        if len(list(self.notes.iterdir())) < self.times:
            (self.notes / f"{os.getpid()}-{time.monotonic_ns()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.word


@dataclass(frozen=True, eq=False)
class Raises(Told):
    def run(self, ledger: Ledger | None) -> str:
        raise ValueError(f"no {self.word}")


@dataclass(frozen=True, eq=False)
class Allocates(Told):
    """Writes to ``size`` bytes of memory."""

    size: int = 0

    def run(self, ledger: Ledger | None) -> str:
        return f"{np.ones(self.size, dtype=np.uint8).sum()}"


@dataclass(frozen=True, eq=False)
class Adds(Told):
    """The sum of an array that is shared, and whether it is mapped from a file; the pid."""

    values: NDArray[Any] | None = None

    def run(self, ledger: Ledger | None) -> str:
        assert self.values is not None
        return f"{float(self.values.sum())} {isinstance(self.values, np.memmap)}"


@dataclass(frozen=True, eq=False)
class Names(Told):
    """The pid of the worker, once a file ``until`` (if named) is there; until then a file in
    ``notes`` that bears the pid says that the worker is at it."""

    notes: Path = Path()
    until: Path | None = None

    def run(self, ledger: Ledger | None) -> str:
        if self.until is not None:
            (self.notes / str(os.getpid())).touch()
            while not self.until.exists():
                time.sleep(0.01)
        return str(os.getpid())


@contextmanager
def at_work(notes: Path, jobs: int, victim: int | None = None) -> Iterator[Path]:
    """A file that is made as soon as ``jobs`` workers wait for it, and ``victim`` was killed."""
    until = notes / "go"

    def act() -> None:
        while len(list(notes.iterdir())) < jobs:
            time.sleep(0.01)
        if victim is not None:
            os.kill(victim, signal.SIGKILL)
        until.touch()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    yield until
    thread.join()


def content(verdict: Verdict) -> dict[str, Any]:
    """All of a verdict but the time it took, and z3's choice of a witness, which depends on
    what that process asked z3 before."""
    said = verdict.to_json()
    if verdict.engine == "z3":
        del said["witness"]
    said["attempts"] = [attempt | {"seconds": 0.0} for attempt in said["attempts"]]
    del said["seconds"]
    return said
