"""How one claim is put to the engines: restated first, where that makes it easier.

A claim whose pattern fixes most of a layer is asked of the layers after it (``through_tail``),
and if that is no proof, as a whole.  As a whole it is stated over the smallest box around its
closed pattern (``around_pattern``).  Engines that the caller chose, and claims whose proof must
be told, are put to the engines as they stand.  Whatever was asked, the answer is the claim's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from numpy.typing import ArrayLike

from precond.proof.arithmetic import Arithmetic
from precond.proof.attempt import Attempt, Line
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.certificates.certify import by_phases_alone, exact_verdict
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.prover.plans import (
    Stage,
    default_stages,
    line_stages,
    polytope_stage,
    search_stages,
)
from precond.proof.prover.run import Run
from precond.proof.restate.closed_pattern import around_pattern
from precond.proof.restate.restatement import Restatement, ask, same
from precond.proof.restate.tail import NOT_REACHED
from precond.proof.restate.through_tail import SHARE, cut_of, through_tail
from precond.proof.verdict import Status, Verdict

PROOF = 0.6  # share of the budget for the proof itself where it must be exact
CONTRACTION = 0.1  # of the budget, for the box around a closed pattern
TAIL = 0.2  # of the budget, for the bounds that a tail starts from
LEAST = 0.1  # seconds that a run has, whatever was spent before
AGAIN = "again, with a trace"


@dataclass(frozen=True, eq=False, kw_only=True)
class Chain:
    """``claim`` and how it is to be answered; the fields are arguments of ``prove``."""

    claim: Claim
    points: ArrayLike | None
    stages: Sequence[Stage] | None
    device: str
    seed: int
    keep_trace: bool
    exact: bool

    def of_reals(self, deadline: Deadline) -> Verdict:
        """The verdict about real numbers."""
        if self.exact:
            found = self._whole(PROOF * deadline.left, self.stages, traced=True)
            return self._certified(found, deadline)
        seconds = deadline.left
        if self.keep_trace or self.stages is not None or self._beyond:
            return self._whole(seconds, self.stages, traced=self.keep_trace)
        cut = cut_of(self.claim)
        limit = deadline.earlier(TAIL * seconds)
        tail = None if cut is None else through_tail(self.claim, cut, limit)
        left = max(deadline.left, min(LEAST, seconds))
        if tail is None:
            return self._whole(left, stages=None, traced=False)
        return self._tail_first(f"tail after {cut}", tail, left)

    def of_runs(self, execution: Arithmetic, seconds: float) -> Verdict:
        """The verdict about runs in floats, of the claim as it stands."""
        problem = replace(self.claim.problem, execution=execution)
        chosen = self.stages
        if chosen is None:
            chosen = default_stages(problem, self.device, self.seed)
        return self._run(self.claim, problem, seconds, stages=chosen, points=self.points)

    @cached_property
    def _beyond(self) -> bool:
        return beyond_floats(self.claim.problem) is not None

    def _whole(self, seconds: float, stages: Sequence[Stage] | None, *, traced: bool) -> Verdict:
        """Of the whole network; over the box around its closed pattern, if all engines may be
        asked and nobody wants to know how they closed it."""
        restated = same(self.claim)
        if stages is None and not traced and not self._beyond:
            restated = around_pattern(self.claim, Deadline.after(CONTRACTION * seconds))

        def run(claim: Claim) -> Verdict:
            problem = replace(claim.problem, keep_trace=traced)
            chosen = default_stages(problem, self.device, self.seed) if stages is None else stages
            if restated.changes:
                chosen = (polytope_stage(self.device), *chosen)
            return self._run(claim, problem, seconds, stages=chosen, points=self.points)

        return ask(restated, run)

    def _run(
        self,
        claim: Claim,
        problem: Problem,
        seconds: float,
        *,
        stages: Sequence[Stage],
        points: ArrayLike | None,
    ) -> Verdict:
        return Run(
            claim,
            problem,
            seconds,
            points=points,
            stages=stages,
            device=self.device,
            seed=self.seed,
        ).run()

    def _tail_first(self, name: str, tail: Restatement, budget: float) -> Verdict:
        """The tail's proof, else what the whole claim gives in the time left."""

        def run(claim: Claim) -> Verdict:
            chosen = search_stages(claim.problem, self.device)
            return self._run(claim, claim.problem, SHARE * budget, stages=chosen, points=None)

        first = ask(tail, run)
        if first.is_proved:
            said = Attempt(name, 0.0, note="asked first")
            return replace(first, attempts=(said, *first.attempts))
        said = Attempt(name, first.seconds, note=f"no proof ({NOT_REACHED})")
        verdict = self._whole(max(budget - first.seconds, LEAST), stages=None, traced=False)
        spent = verdict.seconds + first.seconds
        return replace(verdict, seconds=spent, attempts=(said, *verdict.attempts))

    def _certified(self, found: Verdict, deadline: Deadline) -> Verdict:
        """``found`` with a certificate, or UNKNOWN.  Where an engine closed something and cannot
        say how (Marabou, z3, a MILP), the certifier searches by itself first, then there is
        another proof, by engines that can say.  What engines leave open may be true by a hair."""
        claim = self.claim
        if found.status is Status.UNKNOWN and self.stages is None:
            return by_phases_alone(claim, found, deadline.left)
        told = len(found.traces) >= len(claim.problem.conjuncts)
        first = exact_verdict(claim, found, deadline.left if told else deadline.left / 3)
        if told or not (found.status.holds and first.status is Status.UNKNOWN):
            return first
        tellers = line_stages(Line.PROPAGATION, self.device)
        second = self._whole(PROOF * deadline.left, tellers, traced=True)
        attempts = (*first.attempts, Attempt(AGAIN, second.seconds, note=second.status.value))
        if second.status is Status.UNKNOWN:
            return replace(first, attempts=attempts)
        spent = first.seconds + second.seconds
        second = replace(second, seconds=spent, attempts=(*attempts, *second.attempts))
        return exact_verdict(claim, second, deadline.left)
