"""Linear programs over a ``LinearSystem``, solved by HiGHS.

For a conjunct ``g_i ≥ 0`` (all i) the LP maximises min g_i over the encoded region; the
conjunct has no solution when the maximum is negative.  The solver is not trusted: its row
duals go through ``safe_upper``, which counts every rounding and holds for the true network.

Row duals are also the multipliers of a linear bound (``Relaxation``): per pattern literal
β, per free neuron the slope of its lower line.

Signs: y > 0 belongs to a row's (or column's) upper side, y < 0 to its lower side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack, vstack

from precond.basics.shapes import Float
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline
from precond.proof.linear.encode import Bounds, encode
from precond.proof.linear.solver import State, add_rows, empty_ray, ints, model, run
from precond.proof.linear.system import (
    Expression,
    LinearSystem,
    multipliers,
    safe_upper,
    with_binaries,
)

Array = NDArray[np.float64]
LARGE = 100_000  # nonzeros from which the interior point method finds the first basis sooner


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What the relaxation says of one conjunct.

    ``bound``: rigorous lower bound of ``−max min_i g_i`` (None without multipliers); inf
    where the region was shown to be empty.  ``value``: the solver's own number for it.
    ``x``: maximiser (n,), a candidate witness.  ``weights`` (inequalities,) sum to 1; they
    are 0 where the region was shown to be empty, since then none is needed.
    ``beta[layer]`` = (low, high), (m,) ≥ 0: multipliers of the pattern's ``z ≥ low`` and
    ``z ≤ high``.  ``alpha[layer]`` (m,): slope of a free neuron's lower line, NaN elsewhere.
    """

    state: State
    bound: float | None = None
    value: float | None = None
    x: Float[Array, " inputs"] | None = None
    weights: Float[Array, " inequalities"] | None = None
    beta: Mapping[str, tuple[Float[Array, " m"], Float[Array, " m"]]] = field(default_factory=dict)
    alpha: Mapping[str, Array] = field(default_factory=dict)

    @property
    def shown_empty(self) -> bool:
        """Whether multipliers have shown that the region has no point."""
        return self.state is State.INFEASIBLE and self.bound == np.inf


@dataclass(frozen=True, eq=False)
class Largest:
    """``bound``: a rigorous upper bound of a row over the system, −inf where that was shown to
    have no solution; ``solution`` (columns,) where it is optimal; ``duals`` (rows,): the
    multipliers behind the bound."""

    state: State
    bound: float = np.inf
    solution: Array | None = None
    duals: Array | None = None


@dataclass(frozen=True, eq=False)
class Integer:
    """What MILP says of one conjunct, in its own floats: an upper bound of max min_i g_i,
    and the best value found with its x (n,)."""

    limit: float
    value: float | None = None
    x: Array | None = None


def relaxation_bounds(problem: Problem, bounds: Bounds, deadline: Deadline) -> list[Relaxation]:
    """One relaxation per conjunct; ``bounds`` as ``encode`` takes them.  ``OutOfTime`` where it
    cannot be set up by the deadline."""
    system = encode(problem, bounds, deadline)
    if system.empty is not None:
        return [Relaxation(State.INFEASIBLE, np.inf) for _ in problem.conjuncts]
    program = Program(system)
    return [
        program.relax(system.margins(problem, conjunct), deadline, problem)
        for conjunct in problem.conjuncts
    ]


class Program:
    """One HiGHS model of a system; only its costs and, for a while, extra rows change."""

    def __init__(self, system: LinearSystem) -> None:
        self.system = system
        self.highs = model(
            system.matrix,
            (system.row_lower, system.row_upper),
            (system.column_lower, system.column_upper),
        )
        if system.matrix.nnz >= LARGE:
            self.highs.setOptionValue("solver", "ipm")
        else:
            self.highs.setOptionValue("presolve", "off")

    def _solve(self, deadline: Deadline) -> State:
        """Later runs start from the last basis, which a change of costs leaves primal feasible."""
        state = run(self.highs, deadline)
        if state is State.STOPPED and not deadline.passed:  # no clean end: by another method
            self.highs.setOptionValue("solver", "simplex")
            self.highs.clearSolver()
            state = run(self.highs, deadline)
        if state is State.OPTIMAL:
            self.highs.setOptionValue("presolve", "off")
            self.highs.setOptionValue("solver", "simplex")
            self.highs.setOptionValue("simplex_strategy", 4)  # primal
        return state

    def largest(self, form: Expression, deadline: Deadline) -> Largest:
        """Of a single row over the system."""
        every = np.arange(form.matrix.shape[1], dtype=np.int32)
        self.highs.changeColsCost(len(every), every, form.matrix.toarray()[0])
        state = self._solve(deadline)
        if state is State.INFEASIBLE:
            ray = empty_ray(self.highs, self.system)
            return Largest(state, np.inf if ray is None else -np.inf, duals=ray)
        solution = self.highs.getSolution()
        duals = np.array(solution.row_dual)
        if not solution.dual_valid or len(duals) < self.system.matrix.shape[0]:
            return Largest(State.STOPPED)
        value = safe_upper(self.system, form, np.ones(1), duals=duals)
        best = np.array(solution.col_value) if state is State.OPTIMAL else None
        return Largest(state, value, best, duals=duals)

    def relax(self, form: Expression, deadline: Deadline, problem: Problem) -> Relaxation:
        """Maximise the least row of ``form``."""
        system, highs = self.system, self.highs
        count, columns = form.matrix.shape
        rows = system.matrix.shape[0]
        every = np.arange(columns, dtype=np.int32)
        if count == 1:
            highs.changeColsCost(columns, every, form.matrix.toarray()[0])
            state = self._solve(deadline)
        else:
            highs.changeColsCost(columns, every, np.zeros(columns))
            highs.addCol(1.0, -np.inf, np.inf, 0, ints([]), np.zeros(0))
            extra = csr_array(hstack([form.matrix, -np.ones((count, 1))], format="csr"))
            add_rows(highs, extra, -form.constant, upper=np.full(count, np.inf))
            state = self._solve(deadline)
        try:
            return self._read(form, state, rows, problem=problem)
        finally:
            if count > 1:
                highs.deleteRows(count, ints(range(rows, rows + count)))
                highs.deleteCols(1, ints([columns]))

    def _read(self, form: Expression, state: State, rows: int, problem: Problem) -> Relaxation:
        system, highs = self.system, self.highs
        count, columns = form.matrix.shape
        if state is State.INFEASIBLE:
            ray = empty_ray(highs, system)
            if ray is None:
                return Relaxation(state)
            beta, alpha = multipliers(system, problem, ray, reduced=-(system.matrix.T @ ray))
            return Relaxation(state, np.inf, weights=np.zeros(count), beta=beta, alpha=alpha)
        solution = highs.getSolution()
        duals = np.array(solution.row_dual)
        if not solution.dual_valid or len(duals) < rows:
            return Relaxation(State.STOPPED)
        weights = np.ones(1)
        if count > 1:
            weights = np.maximum(-duals[rows:], 0.0)
            weights = weights / weights.sum() if weights.sum() > 0 else np.full(count, 1 / count)
        y = duals[:rows]
        bound = -safe_upper(system, form, weights, duals=y)
        if count > 1:  # Σ weights is 1 only to rounding
            bound -= abs(bound) * 4 * count * 2.0**-53
        if state is State.STOPPED:
            return Relaxation(state, bound, weights=weights)
        v = np.array(solution.col_value)[:columns]
        value = -float((form.matrix @ v + form.constant).min())
        reduced = form.matrix.T @ weights - system.matrix.T @ y
        beta, alpha = multipliers(system, problem, y, reduced=reduced)
        return Relaxation(
            state, bound, value, x=system.point(v), weights=weights, beta=beta, alpha=alpha
        )

    def integer(self, form: Expression, deadline: Deadline) -> Integer:
        """The same maximum with a binary per free neuron and per window input."""
        system = self.system
        matrix, lower, upper, binaries = with_binaries(system)
        count, columns = form.matrix.shape
        blank = csr_array((count, binaries))
        extra = hstack([form.matrix, blank, -np.ones((count, 1))], format="csr")
        wide = hstack([matrix, csr_array((matrix.shape[0], 1))], format="csr")
        highs = model(
            csr_array(vstack([wide, extra], format="csr")),
            (
                np.concatenate([lower, -form.constant]),
                np.concatenate([upper, np.full(count, np.inf)]),
            ),
            (
                np.concatenate([system.column_lower, np.zeros(binaries), [-np.inf]]),
                np.concatenate([system.column_upper, np.ones(binaries), [np.inf]]),
            ),
        )
        kinds = np.zeros(columns + binaries + 1, dtype=np.uint8)
        kinds[columns : columns + binaries] = 1
        every = np.arange(len(kinds), dtype=np.int32)
        highs.changeColsIntegrality(len(kinds), every, kinds)
        highs.changeColsCost(1, every[-1:], np.ones(1))
        state = run(highs, deadline)
        if state is State.INFEASIBLE:
            return Integer(-np.inf)
        limit = float(highs.getInfo().mip_dual_bound)
        solution = highs.getSolution()
        if not solution.value_valid:
            return Integer(limit)
        v = np.array(solution.col_value)
        return Integer(limit, float(v[-1]), system.point(v[:columns]))
