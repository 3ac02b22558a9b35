"""Bisection inside a polytope: for few inputs and a region whose half-spaces are known.

``restate.closed_pattern`` states a closed pattern's half-spaces; ``bounds.pieces`` makes use of
them in every step.  Plain bisection (``input_split``) improves slopes instead, which pays where
the box is the region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.pieces import Pieces, batch_for, halves, step
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.subdomains import youngest
from precond.proof.claim import Problem
from precond.proof.coverage import Coverage
from precond.proof.engines.base import PROPAGATION, Answer, Deadline, Lines, Outcome
from precond.proof.engines.input_split.points import Points
from precond.proof.engines.input_split.search import FEW_INPUTS
from precond.proof.limits import as_tensor, limits_of
from precond.proof.refusal import Refusal
from precond.proof.rows import stack_rows


@dataclass(frozen=True)
class PolytopeSplitEngine:
    """Bisection with boxes shrunk to the region; rigorous.  For regions with half-spaces."""

    device: str = "cpu"
    name: str = "polytope-split"
    lines: ClassVar[Lines] = PROPAGATION

    def unsupported(self, problem: Problem) -> Refusal | None:
        if problem.execution is not Arithmetic.REAL:
            return Refusal("it reasons about real numbers")
        varying = int((problem.box.width > 0).sum())
        if varying > FEW_INPUTS:
            return Refusal(f"{varying} inputs vary; bisection is for at most {FEW_INPUTS}")
        if problem.halfspaces is None:
            return Refusal("the region has no half-spaces")
        return beyond_floats(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct; INFEASIBLE answers are rigorous."""
        with torch.no_grad(), plain_sums(self.device):
            return self._solve(problem, deadline)

    def _solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        ops = operators(problem.network, self.device, torch.float64)
        rows = stack_rows(problem, self.device)
        assert problem.halfspaces is not None
        limits = limits_of(problem, self.device)
        points = Points(ops, rows, limits)
        lower, upper, width = (
            as_tensor(side, self.device)
            for side in (problem.box.lower, problem.box.upper, problem.box.width)
        )
        blocks = [Pieces.whole(lower[None], upper[None])]
        count = batch_for(rows, len(problem.halfspaces.bound), problem.box.size)
        coverage = Coverage(1)  # a piece is closed for all conjuncts together
        note = ""
        while blocks and not points.witnesses and not note:
            if deadline.passed:
                note = "out of time"
                break
            pieces = youngest(blocks, count)
            stepped = step(ops, pieces, rows, limits=limits)
            done = pieces.share[stepped.closed]
            coverage.close(torch.zeros_like(done, dtype=torch.int64), done)
            if len(stepped.rest):
                points.try_all(stepped.points)
                more = halves(stepped.rest, stepped.form, width)
                if more is None:
                    note = "a piece is too narrow to be cut"
                else:
                    coverage.split(torch.zeros(len(stepped.rest), dtype=torch.int64))
                    blocks.append(more)
        if not note and not points.witnesses:
            note = coverage.fault(0) or ""
        return [self._answer(points, conjunct, note) for conjunct in range(rows.conjuncts)]

    def _answer(self, points: Points, conjunct: int, note: str) -> Answer:
        if conjunct in points.witnesses:
            return Answer(Outcome.WITNESS, witness=points.witnesses[conjunct])
        if points.witnesses or note:
            return Answer(
                Outcome.UNDECIDED, rigorous=True, note=note or "another conjunct has a witness"
            )
        return Answer.excluded()
