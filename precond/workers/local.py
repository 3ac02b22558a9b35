"""A pool of local worker processes, driven by one thread.

Workers are started when there is work for them.  Each runs one job at a time; the parent
waits for the first of them to answer, to die, or to run past its time.
"""

from __future__ import annotations

import pickle
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from numpy.typing import NDArray

from precond.errors import PrecondError
from precond.proof.ledger.ledger import Ledger
from precond.workers.child import START, Died, TimedOut, WorkerProcess
from precond.workers.pool import DEATHS, GRACE, Job
from precond.workers.wire import Parcel, Reply, Sender, WorkOrder

R = TypeVar("R")


class RemoteTrace(Exception):
    """Where in a worker an exception came from: the cause of what is raised here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(eq=False)
class _LocalTask:
    """A job on its way."""

    index: int
    job: Job[Any]
    parcel: Parcel
    deaths: int = 0


@dataclass(eq=False)
class _Seat:
    """A place for a worker; ``limit`` (monotonic clock) is when it is killed."""

    child: WorkerProcess | None = None
    task: _LocalTask | None = None
    limit: float = 0.0


@dataclass(eq=False)
class _MapCall:
    """One call of ``map``."""

    done: Callable[[int, Any], None] | None
    results: dict[int, Any] = field(default_factory=dict)
    again: deque[_LocalTask] = field(default_factory=deque)

    def finish(self, index: int, result: Any) -> None:
        self.results[index] = result
        if self.done is not None:
            self.done(index, result)


class LocalPool:
    """``workers`` processes; a context is ``open_pool``."""

    def __init__(self, workers: int, ledger: Ledger | None, memory: int | None) -> None:
        self.workers = workers
        self._ledger = ledger
        self._memory = memory
        self._sender = Sender(local=True)
        self._seats = [_Seat() for _ in range(workers)]
        self._bad_starts = 0

    def share(self, value: NDArray[Any]) -> None:
        self._sender.share(value)

    def close(self) -> None:
        for seat in self._seats:
            self._vacate(seat)

    def map(self, jobs: Iterable[Job[R]], done: Callable[[int, R], None] | None = None) -> list[R]:
        run = _MapCall(done)
        source = enumerate(jobs)
        try:
            while True:
                self._fill(run, source)
                if all(seat.task is None for seat in self._seats):
                    return [run.results[index] for index in range(len(run.results))]
                self._wait(run)
        except BaseException:  # an interrupt, or an error in a job: the others must not go on
            for seat in self._seats:
                if seat.task is not None:
                    self._vacate(seat)
            raise

    def _fill(self, run: _MapCall, source: Iterable[tuple[int, Job[Any]]]) -> None:
        """Give every idle worker a job, as long as there are any."""
        for seat in self._seats:
            if seat.task is not None:
                continue
            task = run.again.popleft() if run.again else self._draw(run, source)
            if task is None:
                return
            seat.task = task
            if seat.child is None or not seat.child.alive:
                self._start(seat)
            else:
                self._send(run, seat)

    def _draw(self, run: _MapCall, source: Iterable[tuple[int, Job[Any]]]) -> _LocalTask | None:
        """The next job that the ledger does not answer."""
        for index, job in source:
            known = None if self._ledger is None else job.known(self._ledger)
            if known is None:
                return _LocalTask(index, job, self._sender.pack(job))
            run.finish(index, known)
        return None

    def _start(self, seat: _Seat) -> None:
        self._drop(seat)
        seat.child = WorkerProcess(self._memory)
        seat.limit = time.monotonic() + START

    def _send(self, run: _MapCall, seat: _Seat) -> None:
        child, task = seat.child, seat.task
        assert child is not None and task is not None
        gone = self._sender.gone(child.known)
        lacking = [name for name in task.parcel.names if name not in child.known]
        order = WorkOrder(
            {name: self._sender.value(name) for name in lacking},
            task.parcel.job,
            None if self._ledger is None else str(self._ledger.path.absolute()),
            gone=gone,
        )
        try:
            child.send(pickle.dumps(order, pickle.HIGHEST_PROTOCOL), time.monotonic() + START)
        except (Died, TimedOut) as error:
            self._died(run, seat, str(error) or "did not take its job")
            return
        child.known.difference_update(gone)
        child.known.update(lacking)
        seat.limit = time.monotonic() + task.job.budget + GRACE

    def _wait(self, run: _MapCall) -> None:
        """Until some worker has something to say, or has run out of time."""
        busy = [seat for seat in self._seats if seat.task is not None]
        with selectors.DefaultSelector() as selector:
            for seat in busy:
                if seat.child is not None:
                    selector.register(seat.child, selectors.EVENT_READ, seat)
            soonest = min(seat.limit for seat in busy) - time.monotonic()
            heard = [key.data for key, _ in selector.select(min(max(0.0, soonest), 3600.0))]
        for seat in heard:
            self._hear(run, seat)
        for seat in busy:
            if seat.task is not None and time.monotonic() >= seat.limit:
                self._late(run, seat)

    def _hear(self, run: _MapCall, seat: _Seat) -> None:
        child, task = seat.child, seat.task
        assert child is not None and task is not None
        try:
            message = child.hear()
        except Died as error:
            if child.ready:
                self._died(run, seat, str(error))
            else:
                self._bad_start(seat, child.start_failed())
            return
        if message is None:
            return
        if not child.ready:
            child.ready = True
            self._bad_starts = 0
            self._send(run, seat)
            return
        reply = pickle.loads(message)
        assert isinstance(reply, Reply)
        seat.task = None
        if reply.error is not None:
            raise reply.error from RemoteTrace(reply.trace)
        if reply.failed:
            self._drop(seat)
            run.finish(task.index, task.job.failed(reply.failed))
        else:
            run.finish(task.index, reply.result)

    def _late(self, run: _MapCall, seat: _Seat) -> None:
        child, task = seat.child, seat.task
        assert child is not None and task is not None
        if not child.ready:
            self._bad_start(seat, PrecondError(f"worker process not ready after {START:g} s"))
            return
        self._vacate(seat)
        reason = f"ran more than {GRACE:g} s past its budget of {task.job.budget:g} s, was killed"
        run.finish(task.index, task.job.failed(reason))

    def _died(self, run: _MapCall, seat: _Seat, reason: str) -> None:
        task = seat.task
        assert task is not None
        self._vacate(seat)
        task.deaths += 1
        if task.deaths < DEATHS:
            run.again.append(task)
            return
        text = f"{DEATHS} workers died on it, the last one {reason}"
        run.finish(task.index, task.job.failed(text))

    def _bad_start(self, seat: _Seat, error: PrecondError) -> None:
        """A worker that never became ready says nothing about its job."""
        self._bad_starts += 1
        if self._bad_starts >= DEATHS:
            raise error
        self._start(seat)

    def _vacate(self, seat: _Seat) -> None:
        seat.task = None
        self._drop(seat)

    def _drop(self, seat: _Seat) -> None:
        if seat.child is not None:
            seat.child.kill()
            seat.child = None
