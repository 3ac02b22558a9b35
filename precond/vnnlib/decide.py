"""A VNN-LIB query about model files → the standard's answer.

The query is ``sat`` when one claim is refuted by an input that the query admits, ``unsat``
when every claim is proved (or its region is empty), rigorously or by two engines that agree.
A query about floats is about the program that runs: ``unsat`` needs a proof that covers every
run (``Verdict.holds_in``), ``sat`` an input whose reference run shows it (``vnnlib.runs``).
What rests on one float solver alone, or on a point that the file's decimals exclude, is
``unknown``, with the reason in the notes.

Several claims share the time that is left evenly; what the quick ones leave goes to the
rest, and claims that used up their share are tried again while more than that remains.
Without a limit the shares grow by ``GROWTH`` a round, until every claim is decided or no
engine has anything left to try.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.formats.load import load
from precond.formats.lowering.interface import InputShape
from precond.formats.lowering.stated import Activation, stated_origin
from precond.network.device import require_device
from precond.proof.arithmetic import Arithmetic
from precond.proof.certificates.folder import keep
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove
from precond.proof.restate.restatement import ask
from precond.proof.restate.with_room import with_room
from precond.proof.verdict import Status, Verdict
from precond.vnnlib.query import Query
from precond.vnnlib.read import read_vnnlib
from precond.vnnlib.runs import run_witness
from precond.vnnlib.standard import (
    Result,
    answer,
    check_element_types,
    model_element_types,
    parse_networks,
    result_of,
    serialise_assignment,
)

FIRST_SHARE = 60.0  # seconds for a claim in the first round, where there is no limit
GROWTH = 4.0
ROOM = (1e-6, 1e-12)  # for another counterexample, where one lies on the edge
SPENT = 0.5  # share of a claim's time after which more of it may help


@dataclass(frozen=True, kw_only=True)
class Request:
    """``precond verify`` as asked.  ``networks``: ``NAME=MODEL``, or one ``MODEL`` alone;
    ``assignments``: the folder for a serialised assignment; ``as_real``: read floating-point
    element types as real numbers; ``exact``: a claim counts as proved only with a certificate
    that was checked in exact arithmetic; ``certificates``: the folder they are written to."""

    query: Path
    networks: tuple[str, ...]
    assignments: Path | None = None
    device: str = "cpu"
    seed: int = 0
    as_real: bool = False
    outputs: str = "file"
    exact: bool = False
    certificates: Path | None = None
    input_shape: InputShape | None = None
    activation: str | None = None
    output: str | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """``witness``: flat input (n,) of the query's network that it admits, with ``sat``.
    ``verdicts`` by number of claim, for those that were tried; ``notes`` are for people."""

    result: Result
    witness: NDArray[np.float64] | None
    verdicts: Mapping[int, Verdict]
    notes: tuple[str, ...]


def read(request: Request) -> Query:
    """The query, with its networks loaded and its element types checked.

    ModelError for a model that cannot be read; QueryError for text that is malformed or does
    not fit; UnsupportedQuery for what is not decided here.
    """
    paths = _paths(request.networks)
    networks = {
        name: load(path, request.input_shape, activation=request.activation, output=request.output)
        for name, path in paths.items()
    }
    if request.outputs == "logits":
        networks = {name: network.logits for name, network in networks.items()}
    query = read_vnnlib(request.query, networks.get("", networks), floats=not request.as_real)
    only = query.declarations[0].network
    types = {
        name or only: model_element_types(path)
        for name, path in paths.items()
        if path.suffix.lower() == ".onnx"
    }
    check_element_types(query.declarations, types)
    return query


def solve(
    query: Query,
    deadline: Deadline,
    *,
    device: str = "cpu",
    seed: int = 0,
    exact: bool = False,
) -> Solution:
    """Decide ``query`` by the deadline; its moment may be infinite.  ``exact``: as in ``prove``."""
    return _QuerySearch(query, deadline, device, seed, exact).run()


def reply(request: Request, deadline: Deadline, say: Callable[[str], None]) -> str:
    """Everything ``precond verify`` prints on stdout; ``say`` gets what goes to stderr."""
    require_device(request.device)
    query = read(request)
    if request.activation is not None:
        say(stated_origin(", ".join(request.networks), Activation(request.activation)))
    for note in query.notes:
        say(note)
    solution = solve(query, deadline, device=request.device, seed=request.seed, exact=request.exact)
    for note in solution.notes:
        say(note)
    for k, verdict in sorted(solution.verdicts.items()):
        if verdict.certificate is not None and request.certificates is not None:
            path = keep(request.certificates, query.claims[k], verdict.certificate)
            say(f"claim {k + 1} of {len(query.claims)}: certificate {path}")
    if solution.witness is None:
        return answer(solution.result)
    values = query.assignment(solution.witness)
    if request.assignments is None:
        return answer(solution.result, query.declarations, values)
    serialise_assignment(query.declarations, values, request.assignments)
    return answer(solution.result)


def _paths(texts: tuple[str, ...]) -> dict[str, Path]:
    """Model files by name; a single one may have no name, and is then called ''."""
    if len(texts) == 1 and "=" not in texts[0]:
        if not texts[0]:
            raise QueryError("--network", expected="NAME=MODEL or MODEL", got="an empty text")
        return {"": Path(texts[0])}
    return parse_networks(texts)


class _QuerySearch:
    """One run of ``solve``."""

    def __init__(
        self, query: Query, deadline: Deadline, device: str, seed: int, exact: bool
    ) -> None:
        self.query = query
        self.deadline = deadline
        self.device = device
        self.seed = seed
        self.exact = exact
        self.verdicts: dict[int, Verdict] = {}
        self.status: dict[int, Status] = {}  # of the query's own claim, not of the rounded one
        self.given: dict[int, float] = {}  # seconds of the last try
        self.notes: dict[int, str] = {}
        self.distrusted: set[int] = set()  # answered, but not well enough

    def run(self) -> Solution:
        pending = list(range(len(self.query.claims)))
        first = FIRST_SHARE
        for attempt in count():
            if not pending:
                break
            for position, k in enumerate(pending):
                left = self.deadline.left
                share = first if math.isinf(left) else left / (len(pending) - position)
                if not share:
                    break
                if share <= self.given.get(k, 0.0):
                    continue
                witness = self._try(k, share, attempt)
                if witness is not None:
                    return self._solution(Result.SAT, witness)
            pending = [k for k in pending if self._may_gain(k)]
            first *= GROWTH
        statuses = [self.status.get(k, Status.UNKNOWN) for k in range(len(self.query.claims))]
        out_of_time = any(
            status is Status.UNKNOWN and self._ran_out(k) and k not in self.distrusted
            for k, status in enumerate(statuses)
        )
        return self._solution(result_of(statuses, out_of_time=out_of_time), None)

    def _try(self, k: int, share: float, attempt: int) -> NDArray[np.float64] | None:
        """Prove claim ``k``; an input that the query admits, if one was found."""
        claim = self.query.claims[k]
        verdict = prove(
            claim,
            budget=share,
            device=self.device,
            seed=self.seed + attempt,
            exact=self.exact,
            execution=self.query.execution,
        )
        self.verdicts[k], self.given[k] = verdict, share
        self.status[k] = verdict.status
        self.notes.pop(k, None)
        self.distrusted.discard(k)
        if verdict.status is Status.REFUTED and verdict.witness is not None:
            witness = admitted(self.query, k, verdict.witness)
            if witness is None:
                witness = self._further_inside(k, share, attempt)
            if witness is not None:
                return witness
            self._distrust(k, "the counterexample found is not one of the file's exact decimals")
        elif not verdict.confirmed:
            self._distrust(k, f"the proof is not counted: {verdict.reason}")
        elif verdict.status is Status.UNKNOWN:
            self.notes[k] = verdict.reason
        elif self.query.execution not in verdict.holds_in:
            self._distrust(k, verdict.reason)
        if self.status[k] is Status.UNKNOWN and self.query.execution is not Arithmetic.REAL:
            near = [] if verdict.witness is None else [verdict.witness]
            return run_witness(self.query, k, near, self.seed + attempt)
        return None

    def _further_inside(self, k: int, share: float, attempt: int) -> NDArray[np.float64] | None:
        """An input that the query admits, from counterexamples that leave room to every bound:
        one at the edge of the rounded claim may be none of the exact one."""
        for margin in ROOM:
            answer = partial(
                prove,
                budget=min(share, self.deadline.left) / len(ROOM),
                device=self.device,
                seed=self.seed + attempt,
            )
            verdict = ask(with_room(self.query.claims[k], margin), answer)
            if verdict.status is Status.REFUTED and verdict.witness is not None:
                witness = admitted(self.query, k, verdict.witness)
                if witness is not None:
                    return witness
        return None

    def _distrust(self, k: int, note: str) -> None:
        self.status[k] = Status.UNKNOWN
        self.notes[k] = note
        self.distrusted.add(k)

    def _ran_out(self, k: int) -> bool:
        """Whether claim ``k`` was not tried, or used up its time."""
        return k not in self.given or self.verdicts[k].seconds >= SPENT * self.given[k]

    def _may_gain(self, k: int) -> bool:
        """Whether another try of claim ``k`` would have more time than it had, and use it."""
        if self.status.get(k, Status.UNKNOWN) is not Status.UNKNOWN or not self._ran_out(k):
            return False
        return self.deadline.left > self.given.get(k, 0.0)

    def _solution(self, result: Result, witness: NDArray[np.float64] | None) -> Solution:
        total = len(self.query.claims)
        notes = (
            []
            if witness is not None
            else [f"claim {k + 1} of {total}: {note}" for k, note in sorted(self.notes.items())]
        )
        untried = total - len(self.given)
        if untried and witness is None:
            notes.append(f"{untried} of {total} claims were not tried: no time was left")
        return Solution(result, witness, dict(self.verdicts), tuple(notes))


def admitted(query: Query, claim: int, point: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """``point`` or its nearest in the exact box of ``claim``, whichever the query admits.

    Where inputs are floating-point numbers, only one of their type counts: it is what is printed.
    """
    snapped = query.snap(claim, point)
    real = all(declared.element_type == "real" for declared in query.declarations)
    for x in (point, snapped) if real else (snapped,):
        if query.admits(x):
            return x
    return None
