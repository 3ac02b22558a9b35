"""One run of ``prove``: stage by stage, until every conjunct is closed or one is realised.

A candidate witness counts only after its exact replay; an answer "no solution" without
rigorous rounding (Marabou's, a MILP's) needs a second engine that agrees, else the verdict
says ``confirmed=False``.  A proved claim whose region has no input at all is called vacuous.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim, Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.attack import AttackEngine
from precond.proof.engines.base import Answer, Engine, Outcome
from precond.proof.engines.marabou.engine import well_scaled
from precond.proof.prover.conjuncts import Standing
from precond.proof.prover.plans import Stage
from precond.proof.prover.racer import Racer, runner_of
from precond.proof.prover.witnesses import Refutation, Witnesses
from precond.proof.replay import replay
from precond.proof.verdict import Attempt, Status, Verdict

Array = NDArray[np.float64]


class Run:
    """One run of ``prove``: the problem, what is open of it, and what was said so far."""

    def __init__(
        self,
        claim: Claim,
        problem: Problem,
        budget: float,
        points: ArrayLike | None,
        stages: Sequence[Stage],
        device: str,
        seed: int,
    ) -> None:
        self.claim = claim
        self.started = time.monotonic()
        self.deadline = Deadline.after(budget)
        self.stages = stages
        self.device = device
        self.seed = seed
        self.problem = problem
        self.beyond = beyond_floats(problem)  # then only engines that need no float64 answer
        self.standing = Standing(problem)
        self.attempts: list[Attempt] = []
        self.near: list[Array] = []  # candidates that did not replay: good places to attack from
        self.racer: Racer | None = None  # beside the stages that race
        self.last = ""
        self.witnesses = Witnesses(claim, problem, points, in_floats=self.beyond is None)

    def run(self) -> Verdict:
        with np.errstate(over="ignore", invalid="ignore"):  # such numbers do not pass the gate
            return self._answer()

    def _answer(self) -> Verdict:
        if self.claim.pattern.is_contradictory:
            self.standing.close_empty()
            return self._verdict(
                Status.VACUOUS, "literals", reason="two literals exclude each other"
            )
        if (refuted := self.witnesses.in_data()) is not None:
            return self._refuted(refuted, "data")
        verdict = (None if self.beyond else self._refine()) or self._engines()
        if verdict is not None:
            return verdict
        if self.standing.open:
            reason = "; ".join(dict.fromkeys(self.standing.reasons)) or "no engine decided it"
            return self._verdict(Status.UNKNOWN, self.last, reason=reason)
        return self._proved()

    def _engines(self) -> Verdict | None:
        free = self.problem.free
        stages = [stage for stage in self.stages if stage.suits(free)]
        try:
            for position, stage in enumerate(stages):
                if self.standing.settled:
                    return None
                if self.deadline.passed:
                    self.standing.reasons.append("budget spent")
                    return self._finish()
                if stage.races and self.racer is None:
                    self._race([s.engine for s in stages[position:] if s.races])
                if self.racer is not None and stage.engine is self.racer.engine:
                    verdict = self._finish()
                else:
                    verdict = self._stage(stage)
                if verdict is not None:
                    return verdict
            return None
        finally:
            self._end_race()

    def _race(self, engines: Sequence[Engine]) -> None:
        """Start what may run beside the other engines, if anything may."""
        problem = self.problem.only(tuple(self.standing.open))
        runner = runner_of(engines, problem)
        if runner is not None:
            self.racer = Racer(runner, problem, self.deadline, counts=self._counts)
            self.racer.start()

    def _counts(self, witness: Array) -> bool:
        """Whether a candidate refutes the claim; from another thread."""
        return bool(np.isfinite(witness).all()) and replay(self.claim, witness).counts

    def _finish(self) -> Verdict | None:
        """What the racer says, when nothing else is left to try."""
        if self.racer is None:
            return None
        answers = self.racer.finish(needed=lambda: not self.standing.settled)
        racer, self.racer = self.racer, None
        return self._take(
            racer.engine, list(answers), list(answers.values()), seconds=racer.seconds
        )

    def _end_race(self) -> None:
        """Stop the racer, if it has not been heard."""
        if self.racer is not None:
            self.racer.stop()
            name, seconds = self.racer.engine.name, self.racer.seconds
            self.attempts.append(Attempt(name, seconds, note="stopped, not needed"))
            self.racer = None

    def _stage(self, stage: Stage) -> Verdict | None:
        """Put what is open to one engine; a racer beside it may end it early."""
        engine = stage.engine
        pending = self.standing.pending(engine.name)
        refusal = engine.unsupported(self.problem.only(pending))
        if refusal is not None:
            own = "" if refusal.of_floats else f"{engine.name}: "
            self.standing.reasons.append(f"{own}{refusal.reason}")
            return None
        begun = time.monotonic()
        deadline = self.deadline if self.racer is None else self.racer.others
        limit = deadline.earlier(stage.share * self.deadline.left)
        starts = np.array(self.near[-64:]) if self.near else None
        problem = replace(self.problem, conjuncts=pending, starts=starts)
        answers = engine.solve(problem, limit)
        verdict = self._take(engine, pending, answers, seconds=time.monotonic() - begun)
        won = verdict is None and self.racer is not None and self.racer.won
        return self._finish() if won else verdict

    def _take(
        self,
        engine: Engine,
        pending: Sequence[Conjunct],
        answers: Sequence[Answer],
        seconds: float,
    ) -> Verdict | None:
        """Enter an engine's answers; a verdict if one refutes the claim."""
        counts = {o: sum(answer.outcome is o for answer in answers) for o in Outcome}
        self.attempts.append(Attempt(engine.name, seconds, counts=counts, lines=engine.lines))
        for conjunct, answer in zip(pending, answers, strict=True):
            # A solver's word is about real numbers, even where its system is not.
            real = self.problem.execution is Arithmetic.REAL
            if answer.outcome is Outcome.INFEASIBLE and (real or answer.rigorous):
                if self.standing.close(conjunct, engine.name, answer):
                    self.last = engine.name
                continue
            self.standing.keep(conjunct, engine.name, answer)
            if answer.witness is not None:
                refuted = self.witnesses.refutation(answer.witness)
                if refuted is not None:
                    return self._refuted(refuted, engine.name)
                self.near.append(answer.witness)
            if answer.outcome is Outcome.WITNESS:
                self.standing.dispute(conjunct, engine.name)
        return None

    def _refine(self) -> Verdict | None:
        """Layer bounds for every engine; an empty region is seen here first."""
        begun = time.monotonic()
        with plain_sums(self.device):
            refined = region_of(
                self.problem,
                self.device,
                deadline=self.deadline,
                half=not self.problem.keep_trace,
            )
        self.attempts.append(Attempt("layer bounds", time.monotonic() - begun, note="refined"))
        if bool(refined.empty[0]):
            reason = "no input of the box satisfies the pattern"
            self.standing.close_empty()
            return self._verdict(Status.VACUOUS, "bounds", reason=reason)
        self.problem = replace(
            self.problem, bounds=layer_bounds(refined), points=self.witnesses.points[:256]
        )
        if self.standing.close_constant("layer bounds"):
            self.last = "layer bounds"
        return None

    def _proved(self) -> Verdict:
        """Every conjunct is closed: proved, unless the region is empty or trust is short."""
        grace = Deadline(self.deadline.at + 1.0)
        notes = []
        if not self.witnesses.find_inside(
            self.problem, grace.earlier(2.0), self.device, seed=self.seed
        ):
            region = self.witnesses.satisfiable(self.problem, grace.earlier(2.0))
            if region.empty and region.rigorous:
                reason = "no input of the box satisfies the pattern"
                return self._verdict(Status.VACUOUS, "highs", reason=reason)
            if region.point is None or not replay(self.claim, region.point).in_region:
                notes.append("no input of the region is known; it may be empty")
        if self.standing.soft:
            names = ", ".join(sorted(set(self.standing.soft.values())))
            notes.append(f"rests on {names} alone")
            if not well_scaled(self.problem):
                notes.append("which is not to be trusted on badly scaled weights")
                return self._verdict(Status.UNKNOWN, self.last, reason=", ".join(notes))
            last_look = AttackEngine(self.device, seconds=1.0, seed=self.seed + 1)
            left = self.problem.only(tuple(self.standing.soft))
            for answer in last_look.solve(left, grace.earlier(2.0)):
                if answer.witness is not None:
                    refuted = self.witnesses.refutation(answer.witness)
                    if refuted is not None:
                        return self._refuted(refuted, "attack")
        return self._verdict(
            Status.PROVED, self.last, confirmed=not self.standing.soft, reason=", ".join(notes)
        )

    def _refuted(self, refuted: Refutation, engine: str) -> Verdict:
        return self._verdict(
            Status.REFUTED,
            engine,
            exact=True,
            confirmed=refuted.in_float32,
            witness=refuted.witness,
            reason="" if refuted.in_float32 else "shown in exact arithmetic, not in float32",
        )

    def _verdict(
        self,
        status: Status,
        engine: str,
        *,
        exact: bool = False,
        confirmed: bool = True,
        witness: Array | None = None,
        reason: str = "",
    ) -> Verdict:
        self._end_race()
        standing, unknown = self.standing, status is Status.UNKNOWN
        bound = standing.proved_bound if status is Status.PROVED else None
        return Verdict(
            status,
            engine=engine,
            seconds=time.monotonic() - self.started,
            exact=exact,
            confirmed=confirmed,
            witness=witness,
            bound=standing.best_bound if unknown else bound,
            reason=reason,
            attempts=tuple(self.attempts),
            done=standing.done if unknown else None,
            traces=standing.traces if self.problem.keep_trace else {},
            holds_in=self.problem.execution.covers,
        )
