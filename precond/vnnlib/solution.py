"""The claims of a query, decided together within one deadline.

Several claims share the time that is left evenly; what the quick ones leave goes to the
rest, and claims that used up their share are tried again while more than that remains.
Without a limit the shares grow by ``GROWTH`` a round, until every claim is decided or no
engine has anything left to try.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from precond.proof.arithmetic import Arithmetic
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.prover.together import prove_together
from precond.proof.restate.restatement import ask
from precond.proof.restate.with_room import with_room
from precond.proof.verdict import Status, Verdict
from precond.vnnlib.query import Query
from precond.vnnlib.runs import run_witness
from precond.vnnlib.standard import Result, result_of

FIRST_SHARE = 60.0  # seconds for a claim in the first round, where there is no limit
GROWTH = 4.0
ROOM = (1e-6, 1e-12)  # for another counterexample, where one lies on the edge
TOGETHER = 0.3  # share of the time for what one pass over all claims can answer
SPENT = 0.5  # share of a claim's time after which more of it may help


@dataclass(frozen=True, eq=False)
class Solution:
    """``witness``: flat input (n,) of the query's network that it admits, with ``sat``.
    ``verdicts`` by number of claim, for those that were tried; ``notes`` are for people."""

    result: Result
    witness: NDArray[np.float64] | None
    verdicts: Mapping[int, Verdict]
    notes: tuple[str, ...]


def solve(
    query: Query,
    deadline: Deadline,
    *,
    device: str = "cpu",
    seed: int = 0,
    exact: bool = False,
    ledger: Ledger | None = None,
) -> Solution:
    """Decide ``query`` by the deadline; its moment may be infinite.  ``exact``, ``ledger``: as in
    ``prove``."""
    search = _QuerySearch(query, deadline, device=device, seed=seed, exact=exact, ledger=ledger)
    return search.run()


class _QuerySearch:
    """One run of ``solve``."""

    def __init__(
        self,
        query: Query,
        deadline: Deadline,
        *,
        device: str,
        seed: int,
        exact: bool,
        ledger: Ledger | None,
    ) -> None:
        self.query = query
        self.ledger = ledger
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
        witness = None if self.exact else self._together()
        if witness is not None:
            return self._solution(Result.SAT, witness)
        pending = [k for k in range(len(self.query.claims)) if k not in self.status]
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
        return self._solution(result_of(statuses, out_of_time=out_of_time), witness=None)

    def _together(self) -> NDArray[np.float64] | None:
        """Answer what one pass over all claims can; an input that the query admits, if one was
        met.  An input that it does not admit says nothing: the claim is left for ``prove``."""
        answers = prove_together(
            self.query.claims,
            self.deadline.earlier(TOGETHER * self.deadline.left),
            device=self.device,
            seed=self.seed,
            execution=self.query.execution,
            ledger=self.ledger,
        )
        for k, verdict in answers:
            witness = None
            if verdict.witness is not None:
                witness = admitted(self.query, k, verdict.witness)
            counts = verdict.confirmed and self.query.execution in verdict.holds_in
            if witness is not None or (verdict.is_proved and counts):
                self.verdicts[k], self.given[k] = verdict, verdict.seconds
                self.status[k] = verdict.status
            if witness is not None:
                return witness
        return None

    def _try(self, k: int, share: float, attempt: int) -> NDArray[np.float64] | None:
        """Prove claim ``k``; an input that the query admits, if one was found."""
        claim = self.query.claims[k]
        verdict = prove(
            claim,
            budget=share,
            ledger=self.ledger,
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
            return run_witness(self.query, k, near, seed=self.seed + attempt)
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
        return Solution(result, witness, dict(self.verdicts), notes=tuple(notes))


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
