"""The parent's end of one worker process: started, asked, heard, killed.

Nothing here waits longer than it is told to; only SIGKILL ends a job that runs.  Messages
are a length of eight bytes, then so many bytes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from typing import IO

import precond
from precond.errors import PrecondError

WORKER = "precond.proof.pool_worker"
HEADER = 8
START = 120.0  # seconds a worker may take to start
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(precond.__file__)))


class Died(Exception):
    """The worker ended by itself, or was ended by someone else."""


class TimedOut(Exception):
    """No answer by the deadline."""


class Child:
    """One worker process; dead once anything was raised here.

    ``memory``: bytes it may allocate.  Its first message says that it is ready.
    """

    def __init__(self, memory: int | None = None) -> None:
        folder = tempfile.mkdtemp(prefix="precond-pool-")
        self._noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        path = os.pathsep.join(p for p in (ROOT, os.environ.get("PYTHONPATH")) if p)
        single = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, str(memory or 0), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": folder, **single},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._send: IO[bytes] = self._process.stdin
        self._receive: IO[bytes] = self._process.stdout
        os.set_blocking(self._receive.fileno(), False)
        os.set_blocking(self._send.fileno(), False)
        self._parts = bytearray()
        self.ready = False
        self.known: set[str] = set()  # names of the shared values it has
        self.began = time.monotonic()
        self._end = weakref.finalize(self, _end, self._process, self._noise, folder, os.getpid())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._end.alive and self._process.poll() is None

    def fileno(self) -> int:
        """Readable when there is something to hear."""
        return self._receive.fileno()

    def kill(self) -> None:
        """SIGKILL, reap, remove its folder; again does nothing."""
        self._end()

    def send(self, message: bytes, limit: float) -> None:
        """Send a whole message by ``limit`` (monotonic clock)."""
        view = memoryview(len(message).to_bytes(HEADER, "big") + message)
        while view:
            self._wait(self._send, selectors.EVENT_WRITE, limit)
            try:
                view = view[os.write(self._send.fileno(), view[: 1 << 20]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise Died(self.reason()) from error

    def hear(self) -> bytes | None:
        """The next message if it is whole by now; ``Died`` at the end of the stream."""
        while not self._whole():
            try:
                part = os.read(self._receive.fileno(), 1 << 20)
            except BlockingIOError:
                return None
            if not part:
                raise Died(self.reason())
            self._parts += part
        size = int.from_bytes(self._parts[:HEADER], "big")
        message = bytes(self._parts[HEADER : HEADER + size])
        del self._parts[: HEADER + size]
        return message

    def answer(self, limit: float) -> bytes:
        """The next message, waited for until ``limit`` (monotonic clock)."""
        while (message := self.hear()) is None:
            self._wait(self._receive, selectors.EVENT_READ, limit)
        return message

    def reason(self) -> str:
        """How it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return "closed its pipe"

    def start_failed(self) -> PrecondError:
        """What to say of a worker that ended before it was ready."""
        self._noise.seek(0)
        lines = self._noise.read().decode(errors="replace").strip().splitlines()
        return PrecondError(
            "worker process",
            expected="one that starts",
            got=f"{self.reason()}{f': {lines[-1][:200]}' if lines else ''}",
            fix="Run with one worker to see whether the package itself works",
        )

    def _whole(self) -> bool:
        parts = self._parts
        return len(parts) >= HEADER and len(parts) - HEADER >= int.from_bytes(parts[:HEADER], "big")

    def _wait(self, stream: IO[bytes], event: int, limit: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            if not selector.select(max(0.0, limit - time.monotonic())):
                raise TimedOut


def _end(process: subprocess.Popen[bytes], noise: IO[bytes], folder: str, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of the parent: the worker is not ours
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, noise):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    shutil.rmtree(folder, ignore_errors=True)
