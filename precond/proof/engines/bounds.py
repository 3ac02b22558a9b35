"""Linear bound propagation as an engine: one region, all conjuncts at once.

A conjunct ``g_j ≥ 0`` for all j has no solution when some ``−g_j`` is bounded from below by
a positive number over the region (zero is enough where the violation is strict).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.leaf import closing_leaf
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.claim import Problem
from precond.proof.engines.base import PROPAGATION, Answer, Deadline, Lines, Outcome
from precond.proof.gate import excludes
from precond.proof.refusal import Refusal
from precond.proof.rows import stack_rows
from precond.proof.trace import Leaf


@dataclass(frozen=True)
class BoundsEngine:
    """CROWN with optimised slopes and pattern multipliers; rigorous, never complete."""

    device: str = "cpu"
    steps: int = 20
    name: str = "bounds"
    lines: ClassVar[Lines] = PROPAGATION

    def unsupported(self, problem: Problem) -> Refusal | None:
        return beyond_floats(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct; INFEASIBLE answers are rigorous."""
        with plain_sums(self.device):
            return self._solve(problem, deadline)

    def _solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        refined = region_of(problem, self.device, deadline=deadline, half=not problem.keep_trace)
        if bool(refined.empty[0]):
            note = "no input of the box satisfies the pattern"
            trace = Leaf(empty=True) if problem.keep_trace else None
            answer = Answer.excluded(note=note, trace=trace)
            return [answer] * len(problem.conjuncts)
        rows = stack_rows(problem, self.device)
        bound, used = improved_bounds(refined.region, rows, steps=self.steps, deadline=deadline)
        values = bound.value[0].nan_to_num(nan=-torch.inf).cpu().numpy()
        corners = (
            torch.where(bound.form[0] > 0, refined.region.lower[0], refined.region.upper[0])
            .cpu()
            .numpy()
        )
        answers: list[Answer] = []
        start = 0
        for conjunct in problem.conjuncts:
            size = len(conjunct)
            part = values[start : start + size]
            enough = excludes(part, np.array([i.strict for i in conjunct], dtype=np.bool_))
            best = start + int((np.where(enough, part, -np.inf) if enough.any() else part).argmax())
            if enough.any():
                trace = None
                if problem.keep_trace:
                    trace = closing_leaf(
                        refined.region,
                        rows.only(best),
                        [_row(used, best), Multipliers()],
                        steps=self.steps,
                        deadline=deadline,
                    )
                if trace is not None:
                    trace = replace(trace, weights=np.eye(size)[best - start])
                value = float(values[best])
                answers.append(Answer.excluded(bound=value, trace=trace))
            else:
                answers.append(
                    Answer(
                        Outcome.UNDECIDED,
                        rigorous=True,
                        bound=float(part.max()),
                        witness=corners[best],
                        note="bound below 0",
                    )
                )
            start += size
        return answers


def _row(multipliers: Multipliers, row: int) -> Multipliers:
    """Those of one row, (1, 1, m)."""
    return multipliers.changed(lambda value: value[:, row : row + 1])
