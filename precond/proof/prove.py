"""``prove``: the engines, their order, the budget, and what their answers are worth.

The only place that names engines.  Cheap ones first: data points, bounds, a gradient
attack, the LP, then the search that suits the problem, Marabou last.  A candidate witness
counts only after its exact replay; an answer "no solution" without rigorous rounding
(Marabou's, a MILP's) needs a second engine that agrees, else the verdict says
``confirmed=False``.  A proved claim whose region has no input at all is called vacuous.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.network.evaluate import outputs
from precond.proof.attack import attack
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim, Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.attack import AttackEngine
from precond.proof.engines.base import Answer, Engine, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine, is_satisfiable
from precond.proof.engines.input_split import InputSplitEngine
from precond.proof.engines.marabou import MarabouEngine, well_scaled
from precond.proof.engines.relu_split import ReluSplitEngine
from precond.proof.engines.z3 import Z3Engine
from precond.proof.ledger import Ledger
from precond.proof.linear.encode import Bounds, interval_bounds
from precond.proof.replay import in_region, replay
from precond.proof.verdict import Attempt, Status, Verdict

Array = NDArray[np.float64]
REVISION = 1  # of what a verdict rests on: raised when an engine was found to be wrong


@dataclass(frozen=True)
class Stage:
    """An engine and the share of the time left that it may take."""

    engine: Engine
    share: float = 1.0


def default_stages(problem: Problem, device: str = "cpu", seed: int = 0) -> tuple[Stage, ...]:
    """All engines, in the order they are tried on ``problem``.

    Few inputs: bisection answers most claims at once, but where a pattern fixes neurons the
    LP may be exact, so it comes first.  Many inputs: the LP and the attack come first.
    """
    bisection = InputSplitEngine(device)
    few = bisection.unsupported(problem) is None
    attacking = Stage(AttackEngine(device, seed=seed), 0.2)
    quick: tuple[Stage, ...] = (Stage(BoundsEngine(device, steps=0)),)
    if problem.intervals or not few:
        quick += (attacking, Stage(_LINEAR, 0.5))
    if not few:
        quick += (Stage(BoundsEngine(device, steps=40, name="bounds-optimised"), 0.3),)
    quick += (Stage(Z3Engine(products=2_000, free=16), 0.1),)
    if few:
        quick += (Stage(bisection, 0.7),)
    if not problem.intervals and few:
        quick += (attacking, Stage(_LINEAR, 0.5))
    return (
        *quick,
        Stage(ReluSplitEngine(device, leaf=_leaf), 0.85),
        Stage(Z3Engine(), 0.5),
        Stage(HighsEngine(_known_bounds, milp_neurons=30), 0.5),
        Stage(_MARABOU),
    )


def quick_stages(device: str = "cpu") -> tuple[Stage, ...]:
    """Engines that answer in one go, for searches that ask many small questions."""
    return (Stage(BoundsEngine(device, steps=0)), Stage(_LINEAR))


def _known_bounds(problem: Problem) -> Bounds:
    return interval_bounds(problem) if problem.bounds is None else problem.bounds


def _leaf(problem: Problem, deadline: Deadline) -> Answer:
    return _LINEAR.solve(problem, deadline)[0]


_LINEAR = HighsEngine(_known_bounds, milp_neurons=0)
_MARABOU = MarabouEngine()  # one child process, started when first needed


def prove(
    claim: Claim,
    *,
    budget: float = 60.0,
    points: ArrayLike | None = None,
    ledger: Ledger | None = None,
    stages: Sequence[Stage] | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> Verdict:
    """Answer ``claim`` within ``budget`` seconds.

    ``points`` (N, n): inputs to try first, as witnesses and as evidence that the region is
    not empty.  With a ``ledger`` an earlier verdict is returned, and a new one is written
    before it is returned.
    """
    # What is settled holds for everyone; an UNKNOWN only for those who ask the same engines.
    key = f"{REVISION}:{claim.key}"
    names = "all" if stages is None else ",".join(stage.engine.name for stage in stages)
    if ledger is not None:
        known = ledger.get(key, budget) or ledger.get(f"{key}:{names}", budget)
        if known is not None:
            return known
    chosen = default_stages(claim.problem, device, seed) if stages is None else stages
    verdict = _Attempt(claim, budget, points, chosen, device, seed).run()
    if ledger is not None:
        settled = verdict.status is not Status.UNKNOWN
        ledger.put(key if settled else f"{key}:{names}", verdict, budget)
    return verdict


class _Attempt:
    """One run of ``prove``."""

    def __init__(
        self,
        claim: Claim,
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
        self.problem: Problem = claim.problem
        self.open: list[Conjunct] = list(self.problem.conjuncts)
        self.soft: dict[Conjunct, str] = {}  # said to have no solution, by one float solver
        self.attempts: list[Attempt] = []
        self.reasons: list[str] = []
        self.closed: dict[Conjunct, float | None] = {}  # with the bound that closed it
        self.last = ""
        self.inside: Array | None = None  # a point of the region
        if not claim.problem.intervals and claim.halfspaces is None:
            self.inside = (claim.box.lower + claim.box.upper) / 2
        self.points = np.zeros((0, claim.box.size))
        if points is not None:
            given = np.asarray(points, dtype=np.float64).reshape(-1, claim.box.size)
            self.points = given[in_region(self.problem, given)]

    def run(self) -> Verdict:
        if self.claim.pattern.is_contradictory:
            return self._verdict(
                Status.VACUOUS, "literals", reason="two literals exclude each other"
            )
        found = self._data() or self._refine() or self._engines()
        if found is not None:
            return found
        if self.open:
            reason = "; ".join(dict.fromkeys(self.reasons)) or "no engine decided it"
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
        near: list[Array] = []  # candidates that did not replay: good places to attack from
        for stage in self.stages:
            engine = stage.engine
            if not self.open and not self.soft:
                return None
            if self.deadline.passed:
                self.reasons.append("budget spent")
                return None
            pending = tuple(self.open) + tuple(
                c for c, who in self.soft.items() if who != engine.name
            )
            refusal = engine.unsupported(self.problem.only(pending))
            if refusal is not None:
                self.reasons.append(f"{engine.name}: {refusal}")
                continue
            begun = time.monotonic()
            limit = self.deadline.earlier(stage.share * self.deadline.left)
            starts = np.array(near[-64:]) if near else None
            asked = replace(self.problem, conjuncts=pending, starts=starts)
            answers = engine.solve(asked, limit)
            seconds = time.monotonic() - begun
            counts = [f"{sum(a.outcome is o for a in answers)} {o.value}" for o in Outcome]
            self.attempts.append(Attempt(engine.name, seconds, ", ".join(counts)))
            for conjunct, answer in zip(pending, answers, strict=True):
                if answer.outcome is Outcome.INFEASIBLE:
                    self._close(conjunct, engine.name, answer.rigorous)
                    self.closed[conjunct] = answer.bound if answer.rigorous else None
                    self.last = engine.name
                    continue
                if answer.note and answer.outcome is Outcome.UNDECIDED:
                    self.reasons.append(f"{engine.name}: {answer.note}")
                if answer.witness is not None:
                    refuted = self._refute(answer.witness, engine.name)
                    if refuted is not None:
                        return refuted
                    near.append(answer.witness)
                if answer.outcome is Outcome.WITNESS and conjunct in self.soft:
                    self.reasons.append(f"{engine.name} and {self.soft.pop(conjunct)} disagree")
                    self.open.append(conjunct)
        return None

    def _refine(self) -> Verdict | None:
        """Layer bounds for every engine; an empty region is seen here first."""
        begun = time.monotonic()
        refined = region_of(self.problem, self.device, deadline=self.deadline)
        self.attempts.append(Attempt("layer bounds", time.monotonic() - begun, "refined"))
        if bool(refined.empty[0]):
            reason = "no input of the box satisfies the pattern"
            return self._verdict(Status.VACUOUS, "bounds", reason=reason)
        self.problem = replace(self.problem, bounds=layer_bounds(refined), points=self.points[:256])
        return None

    def _close(self, conjunct: Conjunct, engine: str, rigorous: bool) -> None:
        agreed = conjunct in self.soft and self.soft[conjunct] != engine
        if conjunct in self.open:
            self.open.remove(conjunct)
        if rigorous or agreed:
            self.soft.pop(conjunct, None)
        else:
            self.soft.setdefault(conjunct, engine)

    def _refute(self, point: Array, engine: str) -> Verdict | None:
        """REFUTED if the point, or one drawn a little into the region, replays."""
        if not np.isfinite(point).all():
            return None
        drawn_in = (0.0,) if self.inside is None else (0.0, 1e-9, 1e-7, 1e-5, 1e-3)
        toward = point if self.inside is None else self.inside
        box = self.claim.box
        candidates = np.clip([point + t * (toward - point) for t in drawn_in], box.lower, box.upper)
        # Float64 filters what is worth an exact replay.
        worth = in_region(self.problem, candidates)
        if self.inside is not None:
            y = outputs(self.claim.network, candidates)
            worth &= ~self.claim.property.holds(y, candidates)
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

    def _proved(self) -> Verdict:
        """Every conjunct is closed: proved, unless the region is empty or trust is short."""
        grace = Deadline(self.deadline.at + 1.0)
        if self.inside is None or not replay(self.claim, self.inside).in_region:
            self.inside = self._some_point(grace)
        notes = []
        if self.inside is None:
            found = is_satisfiable(self.problem, _known_bounds(self.problem), grace.earlier(2.0))
            if found.empty and found.rigorous:
                reason = "no input of the box satisfies the pattern"
                return self._verdict(Status.VACUOUS, "highs", reason=reason)
            if found.point is None or not replay(self.claim, found.point).in_region:
                notes.append("no input of the region is known; it may be empty")
        if self.soft:
            names = ", ".join(sorted(set(self.soft.values())))
            notes.append(f"rests on {names} alone")
            if not well_scaled(self.problem):
                notes.append("which is not to be trusted on badly scaled weights")
                return self._verdict(Status.UNKNOWN, self.last, reason=", ".join(notes))
            last_look = AttackEngine(self.device, seconds=1.0, seed=self.seed + 1)
            left = self.problem.only(tuple(self.soft))
            for answer in last_look.solve(left, grace.earlier(2.0)):
                if answer.witness is not None:
                    refuted = self._refute(answer.witness, "attack")
                    if refuted is not None:
                        return refuted
        return self._verdict(
            Status.PROVED, self.last, confirmed=not self.soft, reason=", ".join(notes)
        )

    def _some_point(self, deadline: Deadline) -> Array | None:
        """A point of the region, by gradient."""
        point = attack(self.problem, (), deadline.earlier(2.0), device=self.device, seed=self.seed)
        return point if point is not None and replay(self.claim, point).in_region else None

    def _margin(self) -> float | None:
        """The least bound, where every conjunct was closed by one that is known."""
        known = [b for b in self.closed.values() if b is not None and np.isfinite(b)]
        complete = len(known) == len(set(self.problem.conjuncts))
        return min(known) if known and complete else None

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
        return Verdict(
            status,
            engine,
            time.monotonic() - self.started,
            exact,
            confirmed,
            witness,
            self._margin() if status is Status.PROVED else None,
            reason,
            tuple(self.attempts),
        )
