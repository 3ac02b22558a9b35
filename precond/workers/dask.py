"""A pool on a Dask cluster (extra ``precond[cluster]``); the only module that imports it.

The cluster's workers need the same precond and Python; like any Dask cluster it runs code
that is sent to it, so it has to be one's own.  Networks and shared arrays are scattered once
and then lie in the workers' memory.  Verdicts come back with the results, and this process
alone writes them to its ledger.

Source: Rocklin, Dask: Parallel computation with blocked algorithms and task scheduling (2015).
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from precond.errors import MissingDependency, PrecondError
from precond.proof.ledger.ledger import Ledger
from precond.workers.local import RemoteTrace
from precond.workers.pool import DEATHS, Job
from precond.workers.remote import release, serve
from precond.workers.wire import Parcel, Reply, Sender

R = TypeVar("R")
CONNECT = 20.0  # seconds to wait for the scheduler, and for a first worker
DESERTED = 60.0  # seconds without any worker before giving up
LOOK = 5.0  # seconds between looks at the cluster's size
AHEAD = 2  # jobs under way for each thread of the cluster


@dataclass(eq=False)
class _DaskTask:
    index: int
    job: Job[Any]
    parcel: Parcel
    deaths: int = 0


class DaskPool:
    """The cluster of one scheduler; a context is ``open_pool``."""

    def __init__(self, address: str, ledger: Ledger | None, memory: int | None) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingDependency(
                "a Dask scheduler needs distributed",
                fix="Install it with 'pip install precond[cluster]'",
            ) from error
        self._dask = distributed
        self._ledger = ledger
        self._memory = memory or 0
        self._sender = Sender(local=False)
        self._scattered: dict[str, Any] = {}
        self._address = address
        try:
            self._client = distributed.Client(address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise self._lost(str(error) or "no answer") from error
        try:
            self._client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError as error:
            self._client.close()
            raise self._lost("a scheduler without workers") from error

    @property
    def workers(self) -> int:
        return max(1, sum(int(count) for count in self._client.nthreads().values()))

    def share(self, value: NDArray[Any]) -> None:
        self._sender.share(value)

    def close(self) -> None:
        try:
            self._client.run(release)
        except (OSError, TimeoutError, ValueError):
            return  # the cluster is gone; its processes ended with it
        finally:
            self._scattered.clear()
            self._client.close()

    def map(self, jobs: Iterable[Job[R]], done: Callable[[int, R], None] | None = None) -> list[R]:
        results: dict[int, Any] = {}
        flying: dict[Any, _DaskTask] = {}
        source = enumerate(jobs)
        looked, room = -LOOK, 1

        def finish(index: int, result: Any) -> None:
            results[index] = result
            if done is not None:
                done(index, result)

        try:
            while True:
                if time.monotonic() - looked > LOOK:
                    looked, room = time.monotonic(), AHEAD * self.workers
                for index, job in source if len(flying) < room else ():
                    known = None if self._ledger is None else job.known(self._ledger)
                    if known is not None:
                        finish(index, known)
                        continue
                    task = _DaskTask(index, job, self._sender.pack(job))
                    flying[self._submit(task)] = task
                    if len(flying) >= room:
                        break
                if not flying:
                    return [results[index] for index in range(len(results))]
                for future in self._finished(list(flying)):
                    task = flying.pop(future)
                    reply = self._reply(future, task)
                    if reply is None:
                        flying[self._submit(task)] = task
                        continue
                    self._remember(reply)
                    failed = reply.failed
                    finish(task.index, task.job.failed(failed) if failed else reply.result)
        finally:
            self._client.cancel(list(flying))
            for name in self._sender.gone(self._scattered):
                del self._scattered[name]

    def _remember(self, reply: Reply) -> None:
        """A worker's verdicts into the ledger; its error is raised here."""
        if reply.error is not None:
            raise reply.error from RemoteTrace(reply.trace)
        if self._ledger is not None:
            for entry in reply.entries:
                self._ledger.put(entry.key, entry.verdict, entry.budget)

    def _submit(self, task: _DaskTask) -> Any:
        shared = {name: self._scatter(name) for name in task.parcel.names}
        return self._client.submit(
            serve, task.parcel.job, shared, task.job.budget, self._memory, pure=False
        )

    def _scatter(self, name: str) -> Any:
        held = self._scattered.get(name)
        if held is None or held.status not in ("finished", "pending"):
            held = self._client.scatter(self._sender.value(name), broadcast=True, hash=False)
            self._scattered[name] = held
        return held

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Those that are done, once some are; PrecondError if the cluster is gone."""
        deserted = time.monotonic()
        while True:
            try:
                with self._client.as_current():
                    self._dask.wait(futures, timeout=LOOK, return_when="FIRST_COMPLETED")
            except TimeoutError:
                if self._client.status != "running":
                    raise self._lost("a connection that was closed") from None
                if self._client.nthreads():
                    deserted = time.monotonic()
                elif time.monotonic() - deserted > DESERTED:
                    raise self._lost("a cluster without workers") from None
                continue
            except self._dask.CancelledError:
                pass
            found = [future for future in futures if future.done()]
            if found:
                return found

    def _reply(self, future: Any, task: _DaskTask) -> Reply | None:
        """What came of a task; None where it is to be sent again."""
        try:
            reply = pickle.loads(future.result(timeout=CONNECT))
        except self._dask.KilledWorker:
            return Reply(failed="the cluster gave it up, as too many of its workers died on it")
        except (self._dask.CancelledError, TimeoutError) as error:  # lost with its worker
            if self._client.status != "running":
                raise self._lost("a connection that was closed") from error
            task.deaths += 1
            if task.deaths >= DEATHS:
                return Reply(failed=f"it was lost {DEATHS} times with workers of the cluster")
            self._scattered.clear()
            return None
        except Exception as error:  # whatever the cluster itself says
            raise self._lost(f"{type(error).__name__}: {error}"[:300]) from error
        assert isinstance(reply, Reply)
        return reply

    def _lost(self, got: str) -> PrecondError:
        return PrecondError(
            f"scheduler {self._address}",
            expected="a Dask scheduler with workers that have precond installed",
            got=got,
            fix="Start them with 'dask scheduler' and 'dask worker ADDRESS'",
        )
