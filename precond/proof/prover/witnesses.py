"""Inputs as evidence: those that refute a claim, and one that its region has.

A candidate counts only after its exact replay.  Float64 filters what is worth one, unless the
claim's numbers are beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.network.evaluate import outputs
from precond.proof.attack import AttackEffort, attack
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.engines.base import Outcome
from precond.proof.engines.highs import Satisfiability, is_satisfiable
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.plans import known_bounds
from precond.proof.replay import in_region, replay

Array = NDArray[np.float64]
TIE = 2.0**-40  # of the outputs' size: what float64 may have rounded away
REPLAYS = 16  # of ties, at most
FROM_DATA = 5  # candidates among the points given
DRAWN_IN = (0.0, 1e-9, 1e-7, 1e-5, 1e-3)  # of the way to a point inside


@dataclass(frozen=True, eq=False)
class Refutation:
    """An input (n,) of the region that violates the property, shown in exact arithmetic."""

    witness: Array
    in_float32: bool


class Witnesses:
    """``points`` (N, n): those given that lie in the region; ``inside``: a point of the region,
    in float64; made sure of before it counts.  ``in_floats``: whether float64 can filter."""

    def __init__(
        self, claim: Claim, problem: Problem, points: ArrayLike | None, *, in_floats: bool
    ) -> None:
        self.claim = claim
        self.problem = problem
        self.in_floats = in_floats
        self.replays = REPLAYS
        self.inside: Array | None = None
        if not claim.problem.intervals and claim.halfspaces is None:
            self.inside = (claim.box.lower + claim.box.upper) / 2
        self.points = np.zeros((0, claim.box.size))
        if points is not None:
            rows = np.asarray(points, dtype=np.float64).reshape(-1, claim.box.size)
            self.points = rows[in_region(problem, rows)]

    def in_data(self) -> Refutation | None:
        """Of the points given, the first that refutes; they also show that the region has one."""
        if not len(self.points):
            return None
        self.inside = self.points[0]
        y = outputs(self.claim.network, self.points)
        worth = np.flatnonzero(~self.claim.property.holds(y, self.points))[:FROM_DATA]
        tries = (self.refutation(self.points[row]) for row in worth)
        return next((refuted for refuted in tries if refuted is not None), None)

    def refutation(self, point: Array) -> Refutation | None:
        """By the point, or one drawn a little into the region."""
        if not np.isfinite(point).all():
            return None
        drawn_in = DRAWN_IN[:1] if self.inside is None else DRAWN_IN
        toward = point if self.inside is None else self.inside
        box = self.claim.box
        candidates = np.clip([point + t * (toward - point) for t in drawn_in], box.lower, box.upper)
        worth = np.ones(len(candidates), dtype=np.bool_)
        if self.in_floats:
            worth = in_region(self.problem, candidates)
        if self.inside is not None and self.in_floats:
            y = outputs(self.claim.network, candidates)
            worth &= ~self.claim.property.holds(y, candidates) | self._ties(y, candidates)
        for x in candidates[worth]:
            result = replay(self.claim, x)
            if result.counts:
                return Refutation(x, result.in_float32)
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

    def find_inside(self, problem: Problem, deadline: Deadline, device: str, seed: int) -> bool:
        """Make sure of ``inside`` by exact replay, or look for another, by gradient."""
        if self.inside is None or not replay(self.claim, self.inside).in_region:
            point = attack(problem, (), deadline, effort=AttackEffort(device=device, seed=seed))
            known = point is not None and replay(self.claim, point).in_region
            self.inside = point if known else None
        return self.inside is not None

    def satisfiable(self, problem: Problem, deadline: Deadline) -> Satisfiability:
        """Whether the region has a point, by a linear program, or by z3 where floats end."""
        if self.in_floats:
            try:
                bounds = known_bounds(problem, deadline)
            except OutOfTime:
                return Satisfiability(empty=None)
            return is_satisfiable(problem, bounds, deadline)
        engine, region = Z3Engine(), problem.only(((),))
        if engine.unsupported(region) is not None:
            return Satisfiability(empty=None)
        (answer,) = engine.solve(region, deadline)
        empty = answer.outcome is Outcome.INFEASIBLE
        return Satisfiability(empty or None, rigorous=empty, point=answer.witness)
