"""What every engine takes and gives.

An engine gets a ``Problem`` (a region and the conjuncts that would violate the property)
and answers each conjunct: no solution in the region, a candidate solution, or undecided.
Engines never decide a claim's status: ``prove`` does, after replaying candidates.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import wraps
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from precond.proof.attempt import NO_LINE as NO_LINE
from precond.proof.attempt import PROPAGATION as PROPAGATION
from precond.proof.attempt import SOLVERS as SOLVERS
from precond.proof.attempt import Line as Line
from precond.proof.attempt import Lines as Lines
from precond.proof.attempt import Outcome as Outcome
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline as Deadline
from precond.proof.deadline import OutOfTime
from precond.proof.gate import excludes
from precond.proof.refusal import Refusal
from precond.proof.trace import Trace

UNKNOWN_MEMORY = 1 << 31
E = TypeVar("E")


@dataclass(frozen=True, eq=False)
class Answer:
    """``rigorous``: the answer covers the engine's own rounding.  ``bound``: a lower bound of
    how far the conjunct is from holding anywhere in the region, where known (positive with
    INFEASIBLE).  ``witness``: a candidate input (n,), not yet replayed.  ``trace``: how an
    INFEASIBLE was found, where ``Problem.keep_trace`` asked for it and the engine can say.
    ``done``: the share of the region, 0 to 1, that a stopped search has decided.
    """

    outcome: Outcome
    _: KW_ONLY
    rigorous: bool = False
    bound: float | None = None
    witness: NDArray[np.float64] | None = None
    note: str = ""
    trace: Trace | None = None
    done: float | None = None

    @classmethod
    def excluded(
        cls, *, bound: float | None = None, note: str = "", trace: Trace | None = None
    ) -> Answer:
        """No solution, the engine's own rounding counted."""
        return cls(Outcome.INFEASIBLE, rigorous=True, bound=bound, note=note, trace=trace)


def decides(bound: float | None, conjunct: Conjunct) -> bool:
    """Whether ``−g ≥ bound`` excludes the conjunct: bound > 0, or ≥ 0 if it is all strict."""
    return bound is not None and bool(excludes(bound, all(i.strict for i in conjunct)))


class Engine(Protocol):
    """One solver."""

    @property
    def name(self) -> str: ...

    @property
    def lines(self) -> Lines:
        """The kinds of engine whose code its proofs rest on; none for one that proves nothing."""
        ...

    def unsupported(self, problem: Problem) -> Refusal | None:
        """Why this engine cannot take ``problem`` (a missing package, a layer kind), or None."""
        ...

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct, by the deadline."""
        ...


def in_time(
    solve: Callable[[E, Problem, Deadline], list[Answer]],
) -> Callable[[E, Problem, Deadline], list[Answer]]:
    """An engine's ``solve`` that leaves all undecided where time ends within its preparations."""

    @wraps(solve)
    def answers(engine: E, problem: Problem, deadline: Deadline) -> list[Answer]:
        try:
            return solve(engine, problem, deadline)
        except OutOfTime:
            return [Answer(Outcome.UNDECIDED, note="out of time") for _ in problem.conjuncts]

    return answers


@runtime_checkable
class Stoppable(Engine, Protocol):
    """An engine that runs in a process of its own, so that others can run beside it."""

    def stop(self) -> None:
        """From another thread: what runs now ends soon, as undecided."""
        ...


def free_bytes(device: str) -> float:
    """Memory that is free on ``device`` now; a guess where the system does not say."""
    if torch.device(device).type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float(UNKNOWN_MEMORY)
