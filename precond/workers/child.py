"""A worker process of a pool, as its parent sees it."""

from __future__ import annotations

import os
import time

from precond.errors import PrecondError
from precond.proof.processes.child import ChildProcess as Transport
from precond.proof.processes.child import Died as Died
from precond.proof.processes.child import TimedOut as TimedOut

WORKER = "precond.workers.worker"
START = 120.0  # seconds a worker may take to start


class WorkerProcess(Transport):
    """One worker process; ``memory``: bytes it may allocate.  Its first message says that it is
    ready."""

    def __init__(self, memory: int | None = None) -> None:
        super().__init__(WORKER, (str(memory or 0), str(os.getpid())))
        self.ready = False
        self.known: set[str] = set()  # names of the shared values it has
        self.began = time.monotonic()

    def start_failed(self) -> PrecondError:
        """What to say of a worker that ended before it was ready."""
        words = self.last_words()
        return PrecondError(
            "worker process",
            expected="one that starts",
            got=f"{self.reason()}{f': {words}' if words else ''}",
            fix="Run with one worker to see whether the package itself works",
        )
