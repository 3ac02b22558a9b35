"""A copy of this process that does a part of its work, on a second core.

The copy is a fork, so it needs no start-up and is handed nothing.  It says what came of its
part when it is done, or when it is asked to stop.  Whoever made it keeps the part as it was: a
copy that dies, or is not heard in time, has cost time and nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from precond.proof.processes.cores import free_cores

R = TypeVar("R")
Stops = Callable[[], bool]


def may_copy(own: int = 1) -> bool:
    """Whether a second core is free for a copy of this process, which was ``own`` processes in
    the last minute, and a copy is safe: it has no other thread, and is no worker itself."""
    return (
        sys.platform == "linux"
        and threading.active_count() == 1
        and multiprocessing.parent_process() is None
        and free_cores(own) >= 1.5
    )


class Copy(Generic[R]):
    """Runs ``work(stops)``, whose result must be picklable; ``stops()`` says, in there, that the
    result is asked for as it is.  To be closed in any case.  OSError where the system allows no
    copy."""

    def __init__(self, work: Callable[[Stops], R]) -> None:
        self._answer, writer = os.pipe()
        asked, self._ask = os.pipe()
        try:
            self._pid = _fork()
        except OSError:
            for end in (self._answer, writer, asked, self._ask):
                os.close(end)
            raise
        if self._pid == 0:
            os.close(self._ask)  # so that it ends with the other process
            _serve(lambda: _readable(asked), work, writer)
        os.close(writer)
        os.close(asked)

    @property
    def done(self) -> bool:
        """Whether it says something, or is dead."""
        return _readable(self._answer)

    def result(self, seconds: float) -> R | None:
        """What came of its part so far, asked for now; None if it dies, or says nothing for so
        many seconds."""
        with suppress(BrokenPipeError):
            os.write(self._ask, b"?")
        if not _readable(self._answer, seconds):
            return None
        try:
            with os.fdopen(os.dup(self._answer), "rb") as stream:
                result: R = pickle.load(stream)
        except (EOFError, pickle.UnpicklingError):
            return None
        return result

    def close(self) -> None:
        """End it wherever it is."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._ask)
        os.close(self._answer)


def _fork() -> int:
    """The copy's process number, or 0 in the copy.  From Python 3.12 on it is warned of threads of
    libraries; a copy that one of these blocks is not heard, and its part is done here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _readable(end: int, seconds: float = 0.0) -> bool:
    return bool(select.select([end], [], [], seconds)[0])


def _serve(stops: Stops, work: Callable[[Stops], R], writer: int) -> None:
    """The copy's whole life."""
    with suppress(BaseException), os.fdopen(writer, "wb") as out:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends it
        pickle.dump(work(stops), out)
    os._exit(0)
