"""The parent's end of one child process: started, asked, heard, killed.

Nothing here waits longer than it is told to; only SIGKILL ends what a child runs.  Messages
are a length of eight bytes, then so many bytes.  A child works in a scratch folder that goes
with it.
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
from collections.abc import Sequence
from typing import IO

import precond

HEADER = 8
LONGEST_WAIT = 3600.0  # seconds; the system's own limit is some 24 days
PART = 1 << 20  # bytes read or written at once
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(precond.__file__)))
SINGLE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Died(Exception):
    """The child ended by itself, or was ended by someone else."""


class TimedOut(Exception):
    """No answer by the deadline."""


class ChildProcess:
    """``python -m module arguments``, with one thread; dead once anything was raised here.

    Its temporary files go to its scratch folder; with ``inside`` it also runs in there, for
    libraries that write where they stand.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), *, inside: bool = False) -> None:
        folder = tempfile.mkdtemp(prefix="precond-child-")
        self._noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by _end
        path = os.pathsep.join(p for p in (ROOT, os.environ.get("PYTHONPATH")) if p)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            cwd=folder if inside else None,
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": folder, **SINGLE},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._send: IO[bytes] = self._process.stdin
        self._receive: IO[bytes] = self._process.stdout
        os.set_blocking(self._receive.fileno(), False)
        os.set_blocking(self._send.fileno(), False)
        self._parts = bytearray()
        self._interrupted = False
        self._end = weakref.finalize(self, _end, self._process, self._noise, folder, os.getpid())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._end.alive and not self._interrupted and self._process.poll() is None

    def fileno(self) -> int:
        """Readable when there is something to hear."""
        return self._receive.fileno()

    def kill(self) -> None:
        """SIGKILL, reap, remove its folder; again does nothing."""
        self._end()

    def interrupt(self) -> None:
        """SIGKILL alone, from another thread: who waits for an answer finds the pipe closed, and
        cleans up itself."""
        self._interrupted = True  # the kernel takes a moment, in which it would seem alive
        self._process.kill()

    def send(self, message: bytes, limit: float) -> None:
        """Send a whole message by ``limit`` (monotonic clock)."""
        view = memoryview(len(message).to_bytes(HEADER, "big") + message)
        while view:
            self._wait(self._send, selectors.EVENT_WRITE, limit)
            try:
                view = view[os.write(self._send.fileno(), view[:PART]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise Died(self.reason()) from error

    def hear(self) -> bytes | None:
        """The next message if it is whole by now; ``Died`` at the end of the stream."""
        while not self._whole():
            try:
                part = os.read(self._receive.fileno(), PART)
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

    def last_words(self) -> str:
        """The last line it wrote to its standard error."""
        self._noise.seek(0)
        lines = self._noise.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    def _whole(self) -> bool:
        parts = self._parts
        return len(parts) >= HEADER and len(parts) - HEADER >= int.from_bytes(parts[:HEADER], "big")

    def _wait(self, stream: IO[bytes], event: int, limit: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            while not selector.select(min(max(0.0, limit - time.monotonic()), LONGEST_WAIT)):
                if time.monotonic() >= limit:
                    raise TimedOut


def _end(process: subprocess.Popen[bytes], noise: IO[bytes], folder: str, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of the parent: the child is not ours
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, noise):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    shutil.rmtree(folder, ignore_errors=True)
