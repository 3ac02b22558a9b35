"""Where claims run: in this process, in local worker processes, or on a Dask cluster.

A *job* is a unit of work with a budget: ``ProofJob`` asks for the verdict of one claim.  A
pool runs jobs and gives their results in order; the results are the same wherever they run.
Jobs are drawn one at a time, as workers come free, and ``done`` is told of each result, in
the caller's thread, before the next job is drawn; so an iterable may choose its next job by
the results so far.

A job whose worker dies is given to another worker; after ``DEATHS`` deaths, or ``GRACE``
seconds past its budget, or out of memory, its result is what ``failed`` makes of the reason
(for a claim UNKNOWN).  With a ledger, a verdict is in it before ``done`` hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove, recalled
from precond.proof.verdict import Status, Verdict

DEATHS = 3
GRACE = 2.0  # seconds past a job's budget before its worker is killed
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Job(Protocol[R_co]):
    """Work that can be done anywhere: it is pickled, and imports what it needs."""

    @property
    def budget(self) -> float:
        """Seconds that ``run`` should take at most."""
        ...

    def known(self, ledger: Ledger) -> R_co | None:
        """The result, if the ledger has it already."""
        ...

    def run(self, ledger: Ledger | None) -> R_co:
        """Do the work; verdicts go to the ledger."""
        ...

    def failed(self, reason: str) -> R_co:
        """The result where no worker could finish."""
        ...


class Pool(Protocol):
    """Runs jobs."""

    @property
    def workers(self) -> int:
        """How many jobs can run at once."""
        ...

    def map(self, jobs: Iterable[Job[R]], done: Callable[[int, R], None] | None = None) -> list[R]:
        """The results in the order of ``jobs``; ``done(index, result)`` as each one comes.

        An exception in a job is raised here, as it is by a job that runs in this process.
        """
        ...

    def share(self, value: NDArray[Any]) -> None:
        """Jobs that hold this very array send it to each worker only once; networks are
        shared without being named."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


@dataclass(frozen=True, eq=False)
class ProofJob:
    """``prove(claim)``.  ``points`` (k, n): inputs to try first; ``execution``: as in ``prove``."""

    exact: ClassVar[bool] = False

    claim: Claim
    budget: float = 60.0
    points: NDArray[np.floating] | None = None
    device: str = "cpu"
    seed: int = 0
    execution: Arithmetic = Arithmetic.REAL

    def known(self, ledger: Ledger) -> Verdict | None:
        return recalled(self.claim, ledger, self.budget, exact=self.exact, execution=self.execution)

    def run(self, ledger: Ledger | None) -> Verdict:
        return prove(
            self.claim,
            budget=self.budget,
            points=self.points,
            ledger=ledger,
            device=self.device,
            seed=self.seed,
            exact=self.exact,
            execution=self.execution,
        )

    def failed(self, reason: str) -> Verdict:
        """UNKNOWN; not in the ledger, so that another run tries again."""
        return Verdict(Status.UNKNOWN, "pool", self.budget, reason=reason)


class InProcess:
    """A pool of one: this process.  Nothing is killed; engines keep their own deadlines."""

    workers = 1

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger

    def map(self, jobs: Iterable[Job[R]], done: Callable[[int, R], None] | None = None) -> list[R]:
        results = []
        for index, job in enumerate(jobs):
            known = None if self._ledger is None else job.known(self._ledger)
            results.append(job.run(self._ledger) if known is None else known)
            if done is not None:
                done(index, results[-1])
        return results

    def share(self, value: NDArray[Any]) -> None:  # noqa: ARG002 - a pool's
        return None

    def close(self) -> None:
        return None


@contextmanager
def open_pool(
    workers: int = 1,
    *,
    scheduler: str | None = None,
    memory: int | None = None,
    ledger: Ledger | None = None,
) -> Iterator[Pool]:
    """A pool that ends with the block.

    ``workers`` > 1: so many local processes, each with one thread.  ``scheduler``: the
    address of a Dask scheduler, instead.  ``memory``: bytes each worker process may allocate.
    """
    if workers < 1:
        raise QueryError("workers", expected="1 or more", got=str(workers))
    if memory is not None and workers == 1 and scheduler is None:
        raise QueryError(
            "memory limit", expected="worker processes", got="one process", fix="Use 2 workers"
        )
    pool: Pool
    if scheduler is not None:
        if workers != 1:
            raise QueryError("place of work", expected="workers or a scheduler", got="both")
        from precond.workers.dask import DaskPool

        pool = DaskPool(scheduler, ledger, memory)
    elif workers == 1:
        pool = InProcess(ledger)
    else:
        from precond.workers.local import LocalPool

        pool = LocalPool(workers, ledger, memory)
    try:
        yield pool
    finally:
        pool.close()


def prove_all(
    pool: Pool,
    claims: Sequence[Claim],
    *,
    budget: float = 60.0,
    device: str = "cpu",
    seed: int = 0,
    done: Callable[[int, Verdict], None] | None = None,
) -> list[Verdict]:
    """The verdicts of ``claims``, in order, each within ``budget`` seconds."""
    return pool.map((ProofJob(claim, budget, device=device, seed=seed) for claim in claims), done)
