"""What every engine takes and gives.

An engine gets a ``Problem`` (a region and the conjuncts that would violate the property)
and answers each conjunct: no solution in the region, a candidate solution, or undecided.
Engines never decide a claim's status: ``prove`` does, after replaying candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from precond.proof.claim import Problem
from precond.proof.deadline import Deadline as Deadline


class Outcome(Enum):
    """An engine's answer to one conjunct."""

    INFEASIBLE = "infeasible"
    WITNESS = "witness"
    UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class Answer:
    """``rigorous``: the answer covers the engine's own rounding.  ``bound``: a lower bound of
    how far the conjunct is from holding anywhere in the region, where known (positive with
    INFEASIBLE).  ``witness``: a candidate input (n,), not yet replayed.
    """

    outcome: Outcome
    rigorous: bool = False
    bound: float | None = None
    witness: NDArray[np.float64] | None = None
    note: str = ""


class Engine(Protocol):
    """One solver."""

    @property
    def name(self) -> str: ...

    def unsupported(self, problem: Problem) -> str | None:
        """Why this engine cannot take ``problem`` (a missing package, a layer kind), or None."""
        ...

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct, by the deadline."""
        ...
