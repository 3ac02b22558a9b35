"""Points well inside a region, and proofs that a region has none.

One linear program: the largest s such that every inequality row holds with s to spare,
counted in shares of the row's range over the box.  Its optimum below zero proves emptiness
(the duals are Farkas multipliers); above zero its point survives rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack, vstack

from precond.network.evaluate import outputs, values_at
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.linear.blocks import cut
from precond.proof.linear.encode import Bounds, encode
from precond.proof.linear.solver import TOLERANCE, State, certifies, empty_ray, model, run
from precond.proof.linear.system import Expression, LinearSystem, satisfies
from precond.proof.replay import in_region

Array = NDArray[np.float64]
BORDER = 1e-6  # of a pre-activation or a margin


@dataclass(frozen=True, eq=False)
class Satisfiability:
    """Whether the region has a point.

    ``empty`` None: not known.  ``rigorous``: emptiness was shown with all rounding counted.
    ``point``: a candidate (n,);  ``slack``: how far inside it is, as a share of each row's
    range over the box (only where nothing is free, otherwise None).
    """

    empty: bool | None
    rigorous: bool = False
    point: Array | None = None
    slack: float | None = None


def is_satisfiable(problem: Problem, bounds: Bounds, deadline: Deadline) -> Satisfiability:
    """Whether the region (box, pattern, half-spaces) has a point; conjuncts take no part.

    Empty where the relaxation is empty.  A point is exact news only while nothing is free;
    otherwise it is returned as a candidate when it replays.
    """
    try:
        system = encode(problem, bounds, deadline)
    except OutOfTime:
        return Satisfiability(empty=None)
    if system.empty is not None:
        return Satisfiability(empty=True, rigorous=True)
    found = _inside(system, form=None, deadline=deadline)
    if found.point is None or bool(in_region(problem, found.point[None])[0]):
        return found
    return Satisfiability(empty=None, point=found.point, slack=found.slack)


def well_inside(problem: Problem, conjunct: Conjunct, x: Array, deadline: Deadline) -> Array | None:
    """A point (n,) with the same phases as x that satisfies region and conjunct with most slack.

    Mends candidates that lie on a border, where rounding decides whether they replay.  None
    where these phases hold no such point (or, with max-pool layers, none was found).
    """
    network = problem.network
    intervals = dict(problem.intervals)
    for layer in network.decision_layers:
        z = values_at(network, x[None], network.pre_activation(layer))[0]
        free = np.full(len(z), np.inf)
        low, high = intervals.get(layer, (-free, free))
        decided = (low >= 0) | (high <= 0)  # on the border, z's own sign is noise
        phase = (
            np.where(~decided & (z > 0), 0.0, -np.inf),
            np.where(~decided & (z <= 0), 0.0, np.inf),
        )
        intervals[layer] = cut(phase, (low, high))
    try:
        system = encode(replace(problem, intervals=intervals), {}, deadline)
    except OutOfTime:
        return None
    if system.empty is not None:
        return None
    return _inside(system, system.margins(problem, conjunct), deadline).point


def violation_near(
    problem: Problem, conjunct: Conjunct, x: Array, deadline: Deadline
) -> Array | None:
    """An input (n,) of the region where the conjunct holds, with the phases of x (n,), a
    relaxation's solution: x mended where it lies within ``BORDER`` of a border, x itself where
    that fails, None where x is none."""
    plainly = satisfies(problem, conjunct, x)
    if not plainly and not _nearly(problem, conjunct, x):
        return None
    mended = well_inside(problem, conjunct, x, deadline=deadline)
    if mended is not None and satisfies(problem, conjunct, mended):
        return mended
    return x if plainly else None


def _nearly(problem: Problem, conjunct: Conjunct, x: Array) -> bool:
    """Whether x (n,) misses the conjunct and the pattern by no more than ``BORDER``."""
    network = problem.network
    y = outputs(network, x[None])
    if any(float(i.margin(y, x[None])[0]) < -BORDER for i in conjunct):
        return False
    for layer, (low, high) in problem.intervals.items():
        z = values_at(network, x[None], network.pre_activation(layer))[0]
        if ((z < low - BORDER) | (z > high + BORDER)).any():
            return False
    return True


def _inside(system: LinearSystem, form: Expression | None, deadline: Deadline) -> Satisfiability:
    """The point that satisfies every inequality row (and ``form ≥ 0``) with most slack.

    Slack s is a share of the row's range over the box, at most 1; equalities have none.
    """
    matrix, lower, upper = system.matrix, system.row_lower, system.row_upper
    if form is not None:
        matrix = csr_array(vstack([matrix, form.matrix], format="csr"))
        lower = np.concatenate([lower, -form.constant])
        upper = np.concatenate([upper, np.full(len(form.constant), np.inf)])
    span = abs(matrix) @ (system.column_upper - system.column_lower)
    equal = lower == upper
    above = np.flatnonzero(np.isfinite(lower) & ~equal)
    below = np.flatnonzero(np.isfinite(upper) & ~equal)
    same = np.flatnonzero(equal)
    sides = [
        hstack([matrix[same], csr_array((len(same), 1))]),
        hstack([matrix[above], -span[above][:, None]]),
        hstack([matrix[below], span[below][:, None]]),
    ]
    none = np.full(len(below), -np.inf)
    highs = model(
        csr_array(vstack(sides, format="csr")),
        (
            np.concatenate([lower[same], lower[above], none]),
            np.concatenate([upper[same], np.full(len(above), np.inf), upper[below]]),
        ),
        (np.append(system.column_lower, -1e3), np.append(system.column_upper, 1.0)),
    )
    columns = matrix.shape[1]
    highs.changeColsCost(1, np.array([columns], dtype=np.int32), np.ones(1))
    state = run(highs, deadline)

    def fold(duals: Array) -> Array:
        """Duals of the split rows as duals of the system's rows."""
        y = np.zeros(matrix.shape[0])
        parts = np.split(duals, np.cumsum([len(same), len(above)]))
        for which, part in zip((same, above, below), parts, strict=True):
            np.add.at(y, which, part)
        return y

    if state is State.STOPPED:
        return Satisfiability(empty=None)
    if state is State.INFEASIBLE:
        shown = form is None and empty_ray(highs, system, fold) is not None
        return Satisfiability(empty=True, rigorous=shown)
    solution = highs.getSolution()
    v = np.array(solution.col_value)
    slack = float(v[columns])
    if slack < 0:
        shown = form is None and certifies(system, fold(np.array(solution.row_dual)))
        return Satisfiability(True if shown or slack < -TOLERANCE else None, shown)
    point = system.point(v[:columns])
    return Satisfiability(empty=False, point=point, slack=None if system.open else slack)
