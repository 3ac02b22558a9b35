"""A claim about a closed pattern, stated again over the smallest box around the pattern.

Where a pattern decides all neurons of the first layers, what it says up to the next layer is
a polytope ``M x ≤ b``.  Its half-spaces, moved outward by the rounding of the composed maps,
and the box around them hold for every input of the region, so adding them changes nothing
but what an engine sees at once: a signature's polytope fills little of a domain with few
inputs, and bisection need not find that out by cutting.

Each side of the box is one linear program, whose duals are turned into a bound that needs no
trust in the solver (``linear.system.safe_upper``).
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.network.parts import head
from precond.proof.claim import Claim, HalfSpaces, Problem
from precond.proof.deadline import FOREVER, Deadline, OutOfTime
from precond.proof.linear.encode import encode
from precond.proof.linear.programs import Program
from precond.proof.linear.solver import State
from precond.proof.linear.system import Expression, LinearSystem
from precond.proof.restate.restatement import Restatement, same
from precond.region.box import Box

Array = NDArray[np.float64]
MOST_INPUTS = 24
LEAST_GAIN = 1e-3  # of a side's width, below which it stays as it is


def around_pattern(claim: Claim, deadline: Deadline) -> Restatement:
    """``claim`` over a box no larger, with half-spaces that its pattern implies there.

    The claim itself where it has more than 24 inputs that vary, no closed part, or highspy is
    missing.
    """
    problem = claim.problem
    varies = np.flatnonzero(claim.box.width > 0)
    if len(varies) > MOST_INPUTS or importlib.util.find_spec("highspy") is None:
        return same(claim)
    try:
        found = implied(problem, deadline)
    except OutOfTime:
        return same(claim)
    if found is None:
        return same(claim)
    rows, limits = found
    if claim.halfspaces is not None:
        rows = np.concatenate([rows, claim.halfspaces.matrix])
        limits = np.concatenate([limits, claim.halfspaces.bound])
    lower, upper = claim.box.lower.copy(), claim.box.upper.copy()
    cuts = _exceeds(rows, limits, lower, upper=upper)
    if not cuts.any():
        return same(claim)
    program = Program(_system(rows[cuts], limits[cuts], claim.box))
    for index in varies.tolist():
        for sign, side in ((1.0, upper), (-1.0, lower)):
            if deadline.passed:
                break
            goal = np.zeros((1, claim.box.size))
            goal[0, index] = sign
            form = Expression(csr_array(goal), np.zeros(1), np.zeros(1))
            solved = program.relax(form, deadline, problem)
            if solved.state is not State.OPTIMAL or solved.bound is None:
                continue
            limit = -sign * solved.bound
            if sign * (side[index] - limit) > LEAST_GAIN * claim.box.width[index]:
                side[index] = limit
    if (lower > upper).any():  # empty, to within rounding: for the engines to say
        return same(claim)
    kept = cuts & _exceeds(rows, limits, lower, upper=upper)
    halfspaces = HalfSpaces(rows[kept], limits[kept]) if kept.any() else None
    asked = replace(claim, box=Box(lower, upper), halfspaces=halfspaces)
    return Restatement(original=claim, claim=asked)


def implied(problem: Problem, deadline: Deadline = FOREVER) -> tuple[Array, Array] | None:
    """(M, b): ``M x ≤ b`` for every input of the box with the pattern's closed part; None where
    the pattern has none.  Rounding is counted.  ``OutOfTime`` past the deadline."""
    network, layers = problem.network, problem.network.decision_layers
    closed = _closed(problem)
    after = layers[closed] if closed < len(layers) else None
    literals = None if after is None else problem.intervals.get(after)
    if closed == 0 and literals is None:
        return None
    part = network if after is None else head(network, network.pre_activation(after))
    intervals = {name: problem.intervals[name] for name in layers[:closed] if name in part.node}
    system = encode(Problem(part, problem.box, intervals, conjuncts=()), {}, deadline)
    if system.empty is not None or len(system.column_lower) > system.inputs:
        return None
    rows = [system.matrix.toarray(), -system.matrix.toarray()]
    limits = [_up(system.row_upper, system.row_error), _up(-system.row_lower, system.row_error)]
    if literals is not None:
        z, (low, high) = system.output, literals
        slope = z.matrix.toarray()
        rows += [slope, -slope]
        limits += [_up(high - z.constant, z.error), _up(z.constant - low, z.error)]
    matrix, bound = np.concatenate(rows), np.concatenate(limits)
    known = np.isfinite(bound) & (matrix != 0).any(1)
    return matrix[known], bound[known]


def _closed(problem: Problem) -> int:
    """How many of the first decision layers have a phase for each neuron."""
    for count, layer in enumerate(problem.network.decision_layers):
        if layer not in problem.intervals:
            return count
        low, high = problem.intervals[layer]
        if not ((low >= 0) | (high <= 0)).all():
            return count
    return len(problem.network.decision_layers)


def _up(limit: Array, error: Array) -> Array:
    """``limit`` + ``error``, rounded up; the subtraction that made ``limit`` is counted."""
    return np.asarray(limit + error + 2.0**-50 * (np.abs(limit) + error + 1e-290))


def _exceeds(rows: Array, limits: Array, lower: Array, upper: Array) -> NDArray[np.bool_]:
    """Which half-spaces cut the box."""
    most = np.maximum(rows, 0) @ upper + np.minimum(rows, 0) @ lower
    return np.asarray(most > limits)


def _system(rows: Array, limits: Array, box: Box) -> LinearSystem:
    none = Expression(csr_array((0, box.size)), np.zeros(0), np.zeros(0))
    return LinearSystem(
        box.size,
        csr_array(rows),
        np.full(len(limits), -np.inf),
        row_upper=limits,
        row_error=np.zeros(len(limits)),
        column_lower=box.lower,
        column_upper=box.upper,
        output=none,
        layers={},
        pools=(),
    )
