"""A system's linear program in which free neurons are given phases and freed again.

With z = p − q a free neuron is off where p = 0 and on where q = 0, so a phase is a column's
upper bound.  Only such bounds and the costs change from one program to the next, and each
form keeps its last basis: the dual simplex method starts there and needs few steps.

Of some hundred literals few ever bind, so their rows are taken up when a solution violates
them; until then a program is a weaker relaxation, whose bounds hold all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.proof.claim import Problem
from precond.proof.deadline import Deadline
from precond.proof.linear.solver import TOLERANCE, State, add_rows, empty_ray, model, run
from precond.proof.linear.system import Expression, LinearSystem, multipliers, safe_upper
from precond.proof.trace import Leaf

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Choice = NDArray[np.int8]
AT_ONCE = 40  # literals taken up by one solution


@dataclass(frozen=True, eq=False)
class Maximum:
    """Of one row over the system with the phases given.

    ``value``: the solver's own number (inf where it has none).  ``bound``: a rigorous upper
    bound where ``value`` is negative, else inf; −inf where the region was shown to be empty.
    Where there is an optimum: ``solution`` (columns,), and ``cost`` (k,), what each neuron's
    relaxation adds to the value, about.  ``duals`` (rows,): the multipliers behind the bound.
    """

    state: State
    value: float = np.inf
    bound: float = np.inf
    solution: Array | None = None
    duals: Array | None = None
    cost: Array | None = None

    @property
    def shown_empty(self) -> bool:
        """Whether multipliers have shown that the region has no point."""
        return self.state is State.INFEASIBLE and self.bound == -np.inf


class PhaseProgram:
    """``neurons``: layer and index of the system's k free neurons, in the order of its layers.
    A ``Choice`` (k,) gives each +1 (on), −1 (off) or 0 (free)."""

    def __init__(self, system: LinearSystem) -> None:
        self.system = system
        where = [(name, part, np.flatnonzero(part.free)) for name, part in system.layers.items()]
        self.neurons = [(name, int(n)) for name, _, free in where for n in free]
        none = [np.zeros(0, dtype=np.int64)]
        self.positive: Index = np.concatenate(none + [part.column[free] for _, part, free in where])
        self.negative: Index = np.concatenate(
            none + [part.negative[free] for _, part, free in where]
        )
        self.triangle: Index = np.concatenate(
            none + [part.triangle[free] for _, part, free in where]
        )
        high = system.column_upper[self.positive]
        depth = system.column_upper[self.negative]
        # of the triangle's row, for each unit by which both p and q exceed the exact pair
        self.weight: Array = (high + depth) / np.maximum(np.maximum(high, depth), 1e-300)
        self.upper = system.column_upper.copy()
        self.choice: Choice = np.zeros(len(self.neurons), dtype=np.int8)
        self.bases: dict[int, Any] = {}
        self.last: int | None = None
        literals = np.concatenate([part.row for part in system.layers.values()] or none)
        present = np.ones(system.matrix.shape[0], dtype=np.bool_)
        present[literals[literals >= 0]] = False
        self.absent: Index = np.flatnonzero(~present)
        self.rows: Index = np.flatnonzero(present)
        self.highs = model(
            csr_array(system.matrix[self.rows]),
            (system.row_lower[self.rows], system.row_upper[self.rows]),
            (system.column_lower, system.column_upper),
        )
        for option, value in (
            ("presolve", "off"),
            ("solver", "simplex"),
            ("simplex_strategy", 1),  # dual
            ("simplex_scale_strategy", 0),  # measured: half the iterations
        ):
            self.highs.setOptionValue(option, value)

    def decide(self, choice: Choice) -> None:
        """Give the free neurons these phases."""
        for columns, phase in ((self.positive, -1), (self.negative, 1)):
            changed = np.flatnonzero((choice == phase) != (self.choice == phase))
            if not len(changed):
                continue
            which = columns[changed]
            upper = np.where(choice[changed] == phase, 0.0, self.system.column_upper[which])
            self.upper[which] = upper
            count = len(which)
            self.highs.changeColsBounds(count, which.astype(np.int32), np.zeros(count), upper)
        self.choice = choice.copy()

    def largest(
        self, form: Expression, deadline: Deadline, key: int = 0, *, bounded: bool = True
    ) -> Maximum:
        """The largest value of a single row.  ``key``: equal for equal forms.  Without
        ``bounded`` only the solver's word is wanted, and ``bound`` is inf."""
        self._begin(form, key)
        while True:
            state = run(self.highs, deadline)
            if state is State.INFEASIBLE:
                self.last = None
                ray = empty_ray(self.highs, self.now, self._whole) if bounded else None
                return Maximum(state, -np.inf, np.inf if ray is None else -np.inf, duals=ray)
            if state is not State.OPTIMAL:
                return Maximum(state)
            found = self.highs.getSolution()
            solution = np.array(found.col_value)
            value = float(self.costs @ solution + form.constant[0])
            if value < -TOLERANCE or not self._add(solution):
                break
        self.bases[key] = self.highs.getBasis()
        duals = self._whole(np.array(found.row_dual))
        bound = np.inf
        if bounded and value < 0:
            bound = safe_upper(self.now, form, np.ones(1), duals=duals)
        gap = np.minimum(solution[self.positive], solution[self.negative]).clip(min=0)
        cost = (np.abs(duals[self.triangle]) + 1e-6) * self.weight * gap
        return Maximum(state, value, bound, solution=solution, duals=duals, cost=cost)

    def _begin(self, form: Expression, key: int) -> None:
        """Costs and last basis of a form; they are there already where it was asked last."""
        if self.last == key:
            return
        self.last, self.costs = key, form.matrix.toarray()[0]
        count = len(self.costs)
        self.highs.changeColsCost(count, np.arange(count, dtype=np.int32), self.costs)
        if key in self.bases:
            basis = self.bases[key]
            more = len(self.rows) - len(basis.row_status)
            basis.row_status = [*basis.row_status, *[type(basis.row_status[0]).kBasic] * more]
            self.highs.setBasis(basis)

    def _add(self, solution: Array) -> bool:
        """Take up the literals that a solution violates most; whether there are any."""
        value = (self.system.matrix @ solution)[self.absent]
        low, high = self.system.row_lower[self.absent], self.system.row_upper[self.absent]
        beyond = np.maximum(low - value, value - high)
        worst = np.argsort(-beyond, kind="stable")[:AT_ONCE]
        worst = worst[beyond[worst] > TOLERANCE]
        if not len(worst):
            return False
        which = self.absent[worst]
        add_rows(
            self.highs,
            csr_array(self.system.matrix[which]),
            self.system.row_lower[which],
            upper=self.system.row_upper[which],
        )
        self.rows = np.concatenate([self.rows, which])
        self.absent = np.delete(self.absent, worst)
        return True

    def _whole(self, multipliers: Array) -> Array:
        """Of the model's rows as of all the system's."""
        whole = np.zeros(self.system.matrix.shape[0])
        whole[self.rows[: len(multipliers)]] = multipliers[: len(self.rows)]
        return whole

    @property
    def literals(self) -> dict[str, NDArray[np.bool_]]:
        """Per layer the neurons whose pattern row was taken up, (m,)."""
        return {
            layer: (part.row >= 0) & ~np.isin(part.row, self.absent)
            for layer, part in self.system.layers.items()
        }

    def leaf(self, problem: Problem, form: Expression, found: Maximum) -> Leaf:
        """The multipliers of a backward pass that the duals of a maximum of ``form`` amount to,
        with the phases given; ``problem``: what the system encodes."""
        if found.duals is None:
            return Leaf()
        weight = float(found.bound > -np.inf)  # none where the region itself is empty
        duals = found.duals
        if not weight:  # a ray has any length, and long ones cost others digits
            duals = duals / (np.abs(duals).max(initial=0.0) or 1.0)
        reduced = weight * form.matrix.toarray()[0] - self.system.matrix.T @ duals
        beta, alpha = multipliers(self.system, problem, duals, reduced=reduced)
        for layer, part in self.system.layers.items():
            beta.setdefault(layer, (np.zeros(len(part.low)), np.zeros(len(part.low))))
        slopes = {  # of fixed neurons, in case bounds found otherwise leave them free
            layer: np.where(np.isfinite(alpha[layer]), alpha[layer], part.low >= 0)
            for layer, part in self.system.layers.items()
            if layer in alpha
        }
        for k in np.flatnonzero(self.choice):
            layer, neuron = self.neurons[k]
            low, high = beta[layer]
            slopes[layer][neuron] = self.choice[k] > 0
            if self.choice[k] > 0:
                low[neuron] = max(-reduced[self.positive[k]], 0.0)
            else:
                high[neuron] = max(-reduced[self.negative[k]], 0.0)
        low_side = {layer: low for layer, (low, _) in beta.items() if low.any()}
        high_side = {layer: high for layer, (_, high) in beta.items() if high.any()}
        return Leaf(np.full(1, weight), slopes, low_side, high=high_side)

    def reach(self, form: Expression) -> float:
        """An upper bound of a single row, from the columns' bounds alone; at least 0."""
        none = np.zeros(self.system.matrix.shape[0])
        return max(0.0, safe_upper(self.system, form, np.ones(1), duals=none))

    @property
    def now(self) -> LinearSystem:
        """The system with the phases given."""
        return replace(self.system, column_upper=self.upper)

    def side(self, solution: Array, neuron: int) -> int:
        """The phase that a solution leans to, +1 or −1."""
        p, q = solution[self.positive[neuron]], solution[self.negative[neuron]]
        return 1 if p >= q else -1
