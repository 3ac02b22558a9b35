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

from precond.network.evaluate import outputs
from precond.proof.arithmetic import Arithmetic
from precond.proof.attack import attack
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim, Conjunct, Problem
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.engines.attack import AttackEngine
from precond.proof.engines.base import Answer, Engine, Outcome, plain_sums
from precond.proof.engines.highs import Satisfiability, is_satisfiable
from precond.proof.engines.marabou.engine import well_scaled
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.conjuncts import Standing
from precond.proof.prover.plans import Stage, known_bounds
from precond.proof.prover.racer import Racer, runner_of
from precond.proof.replay import in_region, replay
from precond.proof.verdict import Attempt, Status, Verdict

Array = NDArray[np.float64]
TIE = 2.0**-40  # of the outputs' size: what float64 may have rounded away
REPLAYS = 16  # of ties, at most


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
        self.replays = REPLAYS
        self.inside: Array | None = None  # a point of the region
        if not claim.problem.intervals and claim.halfspaces is None:
            self.inside = (claim.box.lower + claim.box.upper) / 2
        self.points = np.zeros((0, claim.box.size))
        if points is not None:
            given = np.asarray(points, dtype=np.float64).reshape(-1, claim.box.size)
            self.points = given[in_region(self.problem, given)]

    def run(self) -> Verdict:
        with np.errstate(over="ignore", invalid="ignore"):  # such numbers do not pass the gate
            return self._answer()

    def _answer(self) -> Verdict:
        if self.claim.pattern.is_contradictory:
            self.standing.close_empty()
            return self._verdict(
                Status.VACUOUS, "literals", reason="two literals exclude each other"
            )
        found = self._data() or (None if self.beyond else self._refine()) or self._engines()
        if found is not None:
            return found
        if self.standing.open:
            reason = "; ".join(dict.fromkeys(self.standing.reasons)) or "no engine decided it"
            return self._verdict(Status.UNKNOWN, self.last, reason=reason)
        return self._proved()

    def _data(self) -> Verdict | None:
        """Given points: evidence that the region is not empty, and perhaps witnesses."""
        if not len(self.points):
            return None
        self.inside = self.points[0]  # in float64; made sure of before it counts
        y = outputs(self.claim.network, self.points)
        for row in np.flatnonzero(~self.claim.property.holds(y, self.points))[:5]:
            refuted = self._refute(self.points[row], "data")
            if refuted is not None:
                return refuted
        return None

    def _engines(self) -> Verdict | None:
        try:
            for position, stage in enumerate(self.stages):
                if self.standing.settled:
                    return None
                if self.deadline.passed:
                    self.standing.reasons.append("budget spent")
                    return self._finish()
                if stage.races and self.racer is None:
                    self._race([s.engine for s in self.stages[position:] if s.races])
                if self.racer is not None and stage.engine is self.racer.engine:
                    found = self._finish()
                else:
                    found = self._stage(stage)
                if found is not None:
                    return found
            return None
        finally:
            self._end_race()

    def _race(self, engines: Sequence[Engine]) -> None:
        """Start what may run beside the other engines, if anything may."""
        problem = self.problem.only(tuple(self.standing.open))
        runner = runner_of(engines, problem)
        if runner is not None:
            self.racer = Racer(runner, problem, self.deadline, self._counts)
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
        return self._take(racer.engine, list(answers), list(answers.values()), racer.seconds)

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
            known = refusal == self.beyond
            self.standing.reasons.append(refusal if known else f"{engine.name}: {refusal}")
            return None
        begun = time.monotonic()
        deadline = self.deadline if self.racer is None else self.racer.others
        limit = deadline.earlier(stage.share * self.deadline.left)
        starts = np.array(self.near[-64:]) if self.near else None
        asked = replace(self.problem, conjuncts=pending, starts=starts)
        answers = engine.solve(asked, limit)
        found = self._take(engine, pending, answers, time.monotonic() - begun)
        won = found is None and self.racer is not None and self.racer.won
        return self._finish() if won else found

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
                refuted = self._refute(answer.witness, engine.name)
                if refuted is not None:
                    return refuted
                self.near.append(answer.witness)
            if answer.outcome is Outcome.WITNESS:
                self.standing.dispute(conjunct, engine.name)
        return None

    def _refine(self) -> Verdict | None:
        """Layer bounds for every engine; an empty region is seen here first."""
        begun = time.monotonic()
        with plain_sums(self.device):
            refined = region_of(self.problem, self.device, deadline=self.deadline)
        self.attempts.append(Attempt("layer bounds", time.monotonic() - begun, note="refined"))
        if bool(refined.empty[0]):
            reason = "no input of the box satisfies the pattern"
            self.standing.close_empty()
            return self._verdict(Status.VACUOUS, "bounds", reason=reason)
        self.problem = replace(self.problem, bounds=layer_bounds(refined), points=self.points[:256])
        if self.standing.close_constant("layer bounds"):
            self.last = "layer bounds"
        return None

    def _refute(self, point: Array, engine: str) -> Verdict | None:
        """REFUTED if the point, or one drawn a little into the region, replays."""
        if not np.isfinite(point).all():
            return None
        drawn_in = (0.0,) if self.inside is None else (0.0, 1e-9, 1e-7, 1e-5, 1e-3)
        toward = point if self.inside is None else self.inside
        box = self.claim.box
        candidates = np.clip([point + t * (toward - point) for t in drawn_in], box.lower, box.upper)
        # Float64 filters what is worth an exact replay.
        worth = np.ones(len(candidates), dtype=np.bool_)
        if not self.beyond:
            worth = in_region(self.problem, candidates)
        if self.inside is not None and not self.beyond:
            y = outputs(self.claim.network, candidates)
            worth &= ~self.claim.property.holds(y, candidates) | self._ties(y, candidates)
        for x in candidates[worth]:
            result = replay(self.claim, x)
            if result.counts:
                reason = "" if result.in_float32 else "shown in exact arithmetic, not in float32"
                return self._verdict(
                    Status.REFUTED,
                    engine,
                    exact=True,
                    confirmed=result.in_float32,
                    witness=x,
                    reason=reason,
                )
            if result.in_region and self.inside is None:
                self.inside = x
        return None

    def _ties(self, y: Array, x: Array) -> NDArray[np.bool_]:
        """Which candidates, the first at most, only exact arithmetic can tell from violations."""
        tie = np.zeros(len(y), dtype=np.bool_)
        if self.replays:
            limit = TIE * np.abs(y).max(initial=1.0)
            tie[0] = self.claim.property.margin(y[:1], x[:1])[0] <= limit
            self.replays -= int(tie[0])
        return tie

    def _proved(self) -> Verdict:
        """Every conjunct is closed: proved, unless the region is empty or trust is short."""
        grace = Deadline(self.deadline.at + 1.0)
        if self.inside is None or not replay(self.claim, self.inside).in_region:
            self.inside = self._some_point(grace)
        notes = []
        if self.inside is None:
            found = self._satisfiable(grace.earlier(2.0))
            if found.empty and found.rigorous:
                reason = "no input of the box satisfies the pattern"
                return self._verdict(Status.VACUOUS, "highs", reason=reason)
            if found.point is None or not replay(self.claim, found.point).in_region:
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
                    refuted = self._refute(answer.witness, "attack")
                    if refuted is not None:
                        return refuted
        return self._verdict(
            Status.PROVED, self.last, confirmed=not self.standing.soft, reason=", ".join(notes)
        )

    def _satisfiable(self, deadline: Deadline) -> Satisfiability:
        """Whether the region has a point, by a linear program, or by z3 where floats end."""
        if not self.beyond:
            try:
                bounds = known_bounds(self.problem, deadline)
            except OutOfTime:
                return Satisfiability(None)
            return is_satisfiable(self.problem, bounds, deadline)
        engine, asked = Z3Engine(), self.problem.only(((),))
        if engine.unsupported(asked) is not None:
            return Satisfiability(None)
        (answer,) = engine.solve(asked, deadline)
        empty = answer.outcome is Outcome.INFEASIBLE
        return Satisfiability(empty or None, rigorous=empty, point=answer.witness)

    def _some_point(self, deadline: Deadline) -> Array | None:
        """A point of the region, by gradient."""
        point = attack(self.problem, (), deadline.earlier(2.0), device=self.device, seed=self.seed)
        return point if point is not None and replay(self.claim, point).in_region else None

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
