"""``Verdict``: the answer to a claim, who gave it, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.notebook import NotebookLine
from precond.basics.plain import plain_truth
from precond.checker.certificate import Certificate
from precond.printable import printable
from precond.proof import earlier_attempts
from precond.proof.arithmetic import Arithmetic, words
from precond.proof.attempt import Attempt as Attempt
from precond.proof.attempt import SecondProof
from precond.proof.status import Status as Status
from precond.proof.trace import Trace


@dataclass(frozen=True, eq=False)
class Verdict(NotebookLine):
    """Status of a claim.

    ``exact``: rational arithmetic checked it.  ``confirmed``: the status rests on rigorous
    rounding, or on two independent checks; False marks answers that rest on one float
    solver (proved) or that replay in exact but not in float32 arithmetic (refuted), and is
    counted apart everywhere.  ``bound``: the best proved lower bound of the property's
    margin, where one is known (positive means proved; an UNKNOWN's may be negative).
    ``witness``: flat input (n,).  ``done``: the share of the region, 0 to 1, that an UNKNOWN's
    best search has decided: of the volume where it cuts the box, Σ 2^−depth where it splits
    phases.  ``traces``: per index of ``claim.problem.conjuncts`` how it was closed, where that
    was asked for and is known.  ``certificate``: of a proof that is ``exact``, a checked one.
    The last two are kept in memory only.  ``holds_in``: of PROVED and VACUOUS, the arithmetics
    in which the network may run for it to hold; real numbers are always among them, floats where
    that was asked for and shown (``arithmetic`` says of which runs).  ``second``: what other
    engines said when the proof was asked for once more.
    """

    status: Status
    engine: str = ""
    seconds: float = 0.0
    exact: bool = False
    confirmed: bool = True
    witness: NDArray[np.float64] | None = None
    bound: float | None = None
    reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    done: float | None = None
    traces: Mapping[int, Trace] = field(default_factory=dict)
    certificate: Certificate | None = None
    holds_in: frozenset[Arithmetic] = frozenset()
    second: SecondProof | None = None

    def __post_init__(self) -> None:
        shown = self.holds_in | {Arithmetic.REAL}
        if not self.status.holds:
            shown = frozenset()
        object.__setattr__(self, "holds_in", shown)

    def __repr__(self) -> str:
        by = f" by {self.engine}" if self.engine else ""
        trust = ", exact" if self.exact else "" if self.confirmed else ", unconfirmed"
        witness = "" if self.witness is None else f", witness of {self.witness.size} values"
        why = f", {self.reason}" if self.reason else ""
        return f"Verdict({self.status.value}{by} in {self.seconds:.3g} s{trust}{witness}{why})"

    @property
    def is_proved(self) -> bool:
        return self.status is Status.PROVED

    @property
    def is_proved_twice(self) -> bool:
        """Whether its second proof is one."""
        return self.second is not None and self.second.is_proved

    def joined(self, other: Verdict) -> Verdict:
        """This proof, with what another of the same claim shows of runs in floats."""
        return replace(self, holds_in=self.holds_in | other.holds_in)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``preconditions.json`` and the ledger."""
        second = {} if self.second is None else {"second": self.second.to_json()}
        return {
            "status": self.status.value,
            "engine": self.engine,
            "exact": self.exact,
            "confirmed": self.confirmed,
            "seconds": round(self.seconds, 6),
            "witness": None if self.witness is None else [float(v) for v in self.witness],
            "bound": self.bound,
            "reason": self.reason,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "done": self.done,
            "holds_in": list(words(self.holds_in)),
            **second,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        witness = data.get("witness")
        attempts, second = _attempts(data)
        return cls(
            Status(data["status"]),
            printable(str(data.get("engine", ""))),
            float(data.get("seconds", 0.0)),
            exact=plain_truth(data.get("exact", False)),
            confirmed=plain_truth(data.get("confirmed", True)),
            witness=None if witness is None else np.array(witness, dtype=np.float64),
            bound=None if data.get("bound") is None else float(data["bound"]),
            reason=printable(str(data.get("reason", ""))),
            attempts=attempts,
            done=None if data.get("done") is None else float(data["done"]),
            holds_in=frozenset(Arithmetic(word) for word in data.get("holds_in", ())),
            second=second,
        )


def _attempts(data: Mapping[str, Any]) -> tuple[tuple[Attempt, ...], SecondProof | None]:
    """The attempts of a verdict in a file, and its second proof."""
    given = data.get("attempts", ())
    if any(isinstance(attempt, list | tuple) for attempt in given):
        return earlier_attempts.read(given)
    second = data.get("second")
    return (
        tuple(Attempt.from_json(attempt) for attempt in given),
        None if second is None else SecondProof.from_json(second),
    )
