"""The part of a Dask pool that runs inside Dask's workers.

A Dask task cannot be stopped, so each runs its job in a worker process of this package, which
can be killed when it hangs and replaced when it dies.  Processes are kept for later tasks;
they end with their Dask worker, or after a while without work.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Mapping

from precond.workers.child import START, Died, TimedOut, WorkerProcess
from precond.workers.pool import DEATHS, GRACE
from precond.workers.wire import Reply, WorkOrder

MOST = 64  # shared values that a process may hold before another takes its place
_idle: dict[int, list[WorkerProcess]] = {}  # by memory limit
_lock = threading.Lock()


def serve(job: bytes, shared: Mapping[str, bytes], budget: float, memory: int) -> bytes:
    """A pickled ``Reply`` to a pickled job."""
    reason = ""
    for _ in range(DEATHS):
        child = _take(memory)
        try:
            if not child.ready:
                child.answer(time.monotonic() + START)
                child.ready = True
            lacking = {n: content for n, content in shared.items() if n not in child.known}
            order = pickle.dumps(WorkOrder(lacking, job), pickle.HIGHEST_PROTOCOL)
            child.send(order, time.monotonic() + START)
            child.known.update(lacking)
            reply = child.answer(time.monotonic() + budget + GRACE)
        except TimedOut:
            child.kill()
            late = f"ran more than {GRACE:g} s past its budget of {budget:g} s, was killed"
            return pickle.dumps(Reply(failed=late))
        except Died as error:
            failed = None if child.ready else child.start_failed()
            child.kill()
            if failed is not None:
                return pickle.dumps(Reply(error=failed))
            reason = str(error)
            continue
        if pickle.loads(reply).failed:
            child.kill()  # out of memory: what is left of it is not to be trusted
        else:
            with _lock:
                _idle.setdefault(memory, []).append(child)
        return reply
    return pickle.dumps(Reply(failed=f"{DEATHS} workers died on it, the last one {reason}"))


def release() -> int:
    """End the processes without work; how many there were."""
    with _lock:
        children = [child for part in _idle.values() for child in part]
        _idle.clear()
    for child in children:
        child.kill()
    return len(children)


def _take(memory: int) -> WorkerProcess:
    with _lock:
        part = _idle.get(memory, [])
        while part:
            child = part.pop()
            if child.alive and len(child.known) < MOST:
                return child
            child.kill()
    return WorkerProcess(memory or None)
