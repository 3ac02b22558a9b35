"""A solver in a child process, since only killing it is sure to end it in time.

Solvers look at their limits now and then and stay inside one step for minutes.  A query goes
to the child and its answer comes back as plain arrays (``.npz``, never objects); a missed
deadline, an interrupt in the parent and ``kill`` end the child.  Both ends are here:
``Process`` for the parent, ``serve`` for the module that the child runs.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.proof.deadline import Deadline
from precond.proof.processes.child import HEADER, ChildProcess, Died

GRACE = 0.3  # seconds past the deadline before the child is killed
ALARM = 5  # seconds past a query's limit after which the child ends itself
LONGEST = 1 << 30  # seconds that an alarm can be told
START = 2.0  # seconds a child may take to start, whatever the first query's deadline
PR_SET_PDEATHSIG = 1

Arrays = Mapping[str, NDArray[Any]]


class Process:
    """One child that runs ``module``.  Once an ``ask`` has failed it is dead; make another."""

    def __init__(self, module: str) -> None:
        self._child = ChildProcess(module, inside=True)
        self._greeted = False

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    def kill(self) -> None:
        """End it; again does nothing."""
        self._child.kill()

    def interrupt(self) -> None:
        """End it from another thread than the one that waits for its answer."""
        self._child.interrupt()

    def ask(self, query: Arrays, deadline: Deadline) -> dict[str, Any]:
        """Send a query and wait for its answer; ``TimedOut`` or ``Died`` leave the child dead."""
        limit = deadline.at + GRACE
        try:
            if not self._greeted:
                started = max(limit, time.monotonic() + START)
                error = str(_unpack(self._child.answer(started))["error"])
                if error:
                    raise Died(error)
                self._greeted = True
            self._child.send(_pack({**query, "seconds": np.array(deadline.left)}), limit)
            return _unpack(self._child.answer(limit))
        except BaseException:  # an interrupt too must not leave a solve running
            self.kill()
            raise


def serve(library: Callable[[], object], answer: Callable[[Arrays], Arrays]) -> None:
    """Serve queries until the parent closes the pipe.

    ``library`` imports the solver (ImportError is told to the parent).  What it prints goes
    nowhere.  The kernel ends this process when its parent ends, and when a query runs far
    past its limit.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)

    def say(arrays: Arrays) -> None:
        message = _pack(arrays)
        target.write(len(message).to_bytes(HEADER, "big") + message)
        target.flush()

    try:
        library()
        say({"error": np.array("")})
    except ImportError as error:
        say({"error": np.array(str(error))})
    while len(header := source.read(HEADER)) == HEADER:
        query = _unpack(source.read(int.from_bytes(header, "big")))
        signal.alarm(int(min(np.ceil(query["seconds"]), LONGEST)) + ALARM)  # default action: end
        result = answer(query)
        signal.alarm(0)
        say(result)


def _pack(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # names are not NumPy's own
    return buffer.getvalue()


def _unpack(body: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a message; objects are refused."""
    with np.load(io.BytesIO(body), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
