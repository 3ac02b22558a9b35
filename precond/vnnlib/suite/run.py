"""Answering a list of queries: each is a job of a pool, whose workers keep the networks they read.

A job ends in a row whatever happens: a query that cannot be read, a network without a reader
and a worker that was killed are answers too (``error``, ``unknown``, ``timed-out``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from precond.errors import PrecondError
from precond.formats.load import load
from precond.formats.lowering.interface import InputShape
from precond.network.graph import Network
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.vnnlib.decide import Request, keep_certificates, read
from precond.vnnlib.query import Query
from precond.vnnlib.solution import Solution, solve
from precond.vnnlib.suite.instances import Instance
from precond.vnnlib.suite.results import ERROR, UNKNOWN, ResultRow, ResultsFile
from precond.workers.pool import Pool

NETWORKS = 8  # kept by a worker
UNLIMITED = 365 * 86400.0  # seconds; a pool wants a number


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What holds for every query of a run; fields as in ``Request``."""

    limit: float = math.inf
    device: str = "cpu"
    seed: int = 0
    as_real: bool = False
    outputs: str = "file"
    exact: bool = False
    certificates: Path | None = None
    input_shape: InputShape | None = None
    activation: str | None = None
    output: str | None = None

    def limit_of(self, instance: Instance) -> float:
        """Seconds for a query: the smaller of the list's limit and the run's."""
        return min(self.limit, instance.seconds)

    def request(self, instance: Instance) -> Request:
        return Request(
            query=instance.query_file,
            networks=instance.networks,
            device=self.device,
            seed=self.seed,
            as_real=self.as_real,
            outputs=self.outputs,
            exact=self.exact,
            certificates=self.certificates,
            input_shape=self.input_shape,
            activation=self.activation,
            output=self.output,
        )


@dataclass(frozen=True, eq=False)
class QueryJob:
    """The row of one query."""

    instance: Instance
    asked: Asked

    @property
    def budget(self) -> float:
        return min(self.asked.limit_of(self.instance), UNLIMITED)

    def known(self, ledger: Ledger) -> ResultRow | None:  # noqa: ARG002  # as every job has it
        """Nothing: a ledger knows claims, which the worker asks it for."""
        return None

    def run(self, ledger: Ledger | None) -> ResultRow:
        begun, used = time.monotonic(), time.process_time()
        certificates = 0
        try:
            query, solution = self._solve(Deadline(begun + self.budget), ledger)
            result, note = solution.result.value, "; ".join(solution.notes)
            verdicts = solution.verdicts.values()
            certificates = sum(verdict.certificate is not None for verdict in verdicts)
            keep_certificates(self.asked.certificates, query, solution)
        except (PrecondError, RecursionError) as error:
            result, note = ERROR, str(error)
        return ResultRow(
            network=self.instance.network,
            query=self.instance.query,
            result=result,
            seconds=time.monotonic() - begun,
            cpu_seconds=time.process_time() - used,
            limit=self.asked.limit_of(self.instance),
            certificates=certificates,
            note=note,
        )

    def failed(self, reason: str) -> ResultRow:
        """UNKNOWN; what the worker spent went with it."""
        return ResultRow(
            network=self.instance.network,
            query=self.instance.query,
            result=UNKNOWN,
            seconds=self.budget,
            cpu_seconds=math.inf,
            limit=self.asked.limit_of(self.instance),
            note=reason,
        )

    def _solve(self, deadline: Deadline, ledger: Ledger | None) -> tuple[Query, Solution]:
        asked = self.asked
        query = read(asked.request(self.instance), _network)
        solution = solve(
            query,
            deadline,
            device=asked.device,
            seed=asked.seed,
            exact=asked.exact,
            ledger=ledger,
        )
        return query, solution


def unanswered(instances: Sequence[Instance], asked: Asked, results: ResultsFile) -> list[Instance]:
    """The instances that ``results`` does not answer well enough, one network after the other."""

    def answered(instance: Instance) -> bool:
        row = results.rows.get(instance.name)
        return row is not None and row.serves(asked.limit_of(instance), exact=asked.exact)

    by_name = {one.name: one for one in instances if not answered(one)}
    return sorted(by_name.values(), key=lambda one: one.network)


def answer_all(
    pool: Pool,
    instances: Sequence[Instance],
    asked: Asked,
    results: ResultsFile,
    done: Callable[[], None],
) -> None:
    """A row in ``results`` for each instance, written as it comes; ``done`` hears of it."""

    def take(_: int, row: ResultRow) -> None:
        results.add(row)
        done()

    pool.map((QueryJob(one, asked) for one in instances), take)


_networks: dict[tuple[object, ...], Network] = {}


def _network(
    path: Path, shape: InputShape | None, activation: str | None, output: str | None
) -> Network:
    """The network in a file, read again only when the file has changed."""
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    key = (path, stamp, repr(shape), activation, output)
    if key not in _networks:
        while len(_networks) >= NETWORKS:
            del _networks[next(iter(_networks))]
        _networks[key] = load(path, shape, activation=activation, output=output)
    return _networks[key]
