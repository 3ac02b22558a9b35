"""A system's linear program in which free neurons are given phases and freed again.

With z = p − q a free neuron is off where p = 0 and on where q = 0, so a phase is a column's
upper bound.  Only such bounds and the costs change from one program to the next, and each
form keeps its last basis: the dual simplex method starts there and needs few steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.proof.deadline import Deadline
from precond.proof.linear.programs import State, is_empty, model, run
from precond.proof.linear.system import Expression, LinearSystem, safe_upper

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Choice = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Maximum:
    """Of one row over the system with the phases given.

    ``value``: the solver's own number (inf where it has none).  ``bound``: a rigorous upper
    bound where ``value`` is negative, else inf; −inf where the region was shown to be empty.
    ``solution`` (columns,) and ``cost`` (k,): what each neuron's relaxation adds to the value,
    about; only where there is an optimum.
    """

    state: State
    value: float = np.inf
    bound: float = np.inf
    solution: Array | None = None
    cost: Array | None = None


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
        self.highs = model(
            system.matrix,
            (system.row_lower, system.row_upper),
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
        columns = form.matrix.shape[1]
        costs = form.matrix.toarray()[0]
        self.highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), costs)
        if key in self.bases:
            self.highs.setBasis(self.bases[key])
        state = run(self.highs, deadline)
        if state is State.INFEASIBLE:
            empty = bounded and is_empty(self.highs, self.now)
            return Maximum(state, -np.inf, -np.inf if empty else np.inf)
        if state is not State.OPTIMAL:
            return Maximum(state)
        self.bases[key] = self.highs.getBasis()
        found = self.highs.getSolution()
        solution, duals = np.array(found.col_value), np.array(found.row_dual)
        value = float(costs @ solution + form.constant[0])
        bound = np.inf
        if bounded and value < 0:
            bound = safe_upper(self.now, form, np.ones(1), duals)
        gap = np.minimum(solution[self.positive], solution[self.negative]).clip(min=0)
        cost = (np.abs(duals[self.triangle]) + 1e-6) * self.weight * gap
        return Maximum(state, value, bound, solution, cost)

    @property
    def now(self) -> LinearSystem:
        """The system with the phases given."""
        return replace(self.system, column_upper=self.upper)

    def side(self, solution: Array, neuron: int) -> int:
        """The phase that a solution leans to, +1 or −1."""
        p, q = solution[self.positive[neuron]], solution[self.negative[neuron]]
        return 1 if p >= q else -1
