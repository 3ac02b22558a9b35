"""The parent's end of the Marabou child process: start, ask with a deadline, kill.

Only SIGKILL ends a running solve, so that is what a missed deadline, an interrupt in the
parent, and ``kill`` send.  The child works in a scratch folder that goes with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import precond
from precond.proof.engines.base import Deadline
from precond.proof.engines.marabou_worker import HEADER, pack, unpack

WORKER = "precond.proof.engines.marabou_worker"
GRACE = 0.3  # seconds past the deadline before the child is killed


class TimedOut(Exception):
    """No answer by the deadline; the child was killed."""


class Died(Exception):
    """The child ended by itself, or was ended by someone else."""


class Process:
    """One child.  Once an ``ask`` has failed it is dead; make another."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="precond-marabou-")
        root = str(Path(precond.__file__).resolve().parents[1])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        self._child = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        assert self._child.stdin is not None and self._child.stdout is not None
        self._send: IO[bytes] = self._child.stdin
        self._receive: IO[bytes] = self._child.stdout
        os.set_blocking(self._send.fileno(), False)
        os.set_blocking(self._receive.fileno(), False)
        self._greeted = False
        self._interrupted = False
        self._end = weakref.finalize(self, _end, self._child, folder, os.getpid())

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._end.alive and not self._interrupted and self._child.poll() is None

    def kill(self) -> None:
        """SIGKILL, reap, remove the scratch folder; again does nothing."""
        self._end()

    def interrupt(self) -> None:
        """SIGKILL alone, from another thread: who waits for an answer finds the pipe closed, and
        cleans up itself."""
        self._interrupted = True  # the kernel takes a moment, in which it would seem alive
        self._child.kill()

    def ask(self, query: Mapping[str, NDArray[Any]], deadline: Deadline) -> dict[str, Any]:
        """Send a query and wait for its answer; ``TimedOut`` or ``Died`` leave the child dead."""
        limit = Deadline(deadline.at + GRACE)
        try:
            if not self._greeted:
                error = str(self._read(limit)["error"])
                if error:
                    raise Died(error)
                self._greeted = True
            seconds = np.array(max(1, int(np.ceil(deadline.left))))
            self._write(pack({**query, "seconds": seconds}), limit)
            return self._read(limit)
        except BaseException:  # an interrupt too must not leave a solve running
            self.kill()
            raise

    def _write(self, data: bytes, limit: Deadline) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._send, selectors.EVENT_WRITE, limit)
            try:
                view = view[os.write(self._send.fileno(), view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise Died(self._reason()) from error

    def _read(self, limit: Deadline) -> dict[str, Any]:
        size = int.from_bytes(self._exactly(HEADER, limit), "big")
        return unpack(self._exactly(size, limit))

    def _exactly(self, size: int, limit: Deadline) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait(self._receive, selectors.EVENT_READ, limit)
            with contextlib.suppress(BlockingIOError):
                part = os.read(self._receive.fileno(), size - len(parts))
                if not part:
                    raise Died(self._reason())
                parts += part
        return bytes(parts)

    def _wait(self, stream: IO[bytes], event: int, limit: Deadline) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            if not selector.select(limit.left):
                raise TimedOut

    def _reason(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._child.wait(1.0)
            return f"signal {-code}" if code < 0 else f"exit status {code}"
        return "its pipe was closed"


def _end(child: subprocess.Popen[bytes], folder: str, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of the parent: the child is not ours
        return
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    with contextlib.suppress(OSError):
        for entry in Path(folder).iterdir():
            entry.unlink()
        Path(folder).rmdir()
