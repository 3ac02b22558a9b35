"""Linear bound propagation as an engine: one region, all conjuncts at once.

A conjunct ``g_j ≥ 0`` for all j has no solution when some ``−g_j`` is bounded from below by
a positive number over the region (zero is enough where the violation is strict).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.problem import region_of
from precond.proof.claim import Problem
from precond.proof.engines.base import Answer, Deadline, Outcome


@dataclass(frozen=True)
class BoundsEngine:
    """CROWN with optimised slopes and pattern multipliers; rigorous, never complete."""

    device: str = "cpu"
    steps: int = 20
    name: str = "bounds"

    def unsupported(self, problem: Problem) -> str | None:
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct; INFEASIBLE answers are rigorous."""
        refined = region_of(problem, self.device)
        if bool(refined.empty[0]):
            note = "no input of the box satisfies the pattern"
            return [Answer(Outcome.INFEASIBLE, True, np.inf, None, note)] * len(problem.conjuncts)
        device = refined.region.lower.device
        sizes = [len(conjunct) for conjunct in problem.conjuncts]
        stacked = [problem.rows(conjunct) for conjunct in problem.conjuncts]

        def tensor(values: list[np.ndarray]) -> Tensor:
            joined = torch.tensor(np.concatenate(values), dtype=torch.float64)
            return joined.to(device)[None]

        form = -tensor([c for c, _, _ in stacked])
        inputs = -tensor([e for _, e, _ in stacked])
        constant = tensor([d for _, _, d in stacked])
        bound, _ = improve(
            refined.region,
            problem.network.output,
            form,
            constant,
            steps=self.steps,
            deadline=deadline,
            input_form=inputs,
        )
        values = bound.value[0].cpu().numpy()
        corners = (
            torch.where(bound.form[0] > 0, refined.region.lower[0], refined.region.upper[0])
            .cpu()
            .numpy()
        )
        answers: list[Answer] = []
        start = 0
        for size, conjunct in zip(sizes, problem.conjuncts, strict=True):
            part = values[start : start + size]
            best = start + int(part.argmax())
            enough = [
                v >= 0 if inequality.strict else v > 0
                for v, inequality in zip(part, conjunct, strict=True)
            ]
            if any(enough):
                answers.append(Answer(Outcome.INFEASIBLE, True, float(part.max())))
            else:
                answers.append(
                    Answer(
                        Outcome.UNDECIDED, True, float(part.max()), corners[best], "bound below 0"
                    )
                )
            start += size
        return answers
