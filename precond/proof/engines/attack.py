"""The gradient attack as an engine: it finds witnesses and proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from precond.proof.attack import AttackEffort, attack
from precond.proof.claim import Problem
from precond.proof.engines.base import NO_LINE, Answer, Deadline, Lines, Outcome
from precond.proof.refusal import Refusal


@dataclass(frozen=True)
class AttackEngine:
    """``seconds``: at most this much for each conjunct."""

    device: str = "cpu"
    seconds: float = 2.0
    seed: int = 0
    name: str = "attack"
    lines: ClassVar[Lines] = NO_LINE

    def unsupported(self, problem: Problem) -> Refusal | None:  # noqa: ARG002 - an engine's
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """WITNESS where a point of the region violates in float64."""
        answers = []
        starts = [s[:64] for s in (problem.points, problem.starts) if s is not None]
        for conjunct in problem.conjuncts:
            point = attack(
                problem,
                conjunct,
                deadline.earlier(self.seconds),
                starts=starts,
                effort=AttackEffort(device=self.device, seed=self.seed),
            )
            outcome = Outcome.UNDECIDED if point is None else Outcome.WITNESS
            answers.append(Answer(outcome, witness=point))
        return answers
