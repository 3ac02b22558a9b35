"""Layer bounds that hold wherever a conjunct does, by linear programs.

Who looks for an input that violates the property may take for granted that it does.  So
the conjunct's inequalities join the region as rows, and every free neuron's pre-activation
is made largest and smallest over them.  The region of violations is a corner of the whole
one, and bounds over it are often tight enough to fix most neurons, or to show that it is
empty.  A bound that a solution met on the way already attains cannot move and is left out.

All bounds are rigorous (``safe_upper``).  They hold for that conjunct alone.

Source: Kotha et al. 2023 (INVPROP: bounds under output constraints); Gleixner et al. 2017
(optimisation-based bound tightening and its filtering).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.gate import crossed
from precond.proof.linear.encode import Bounds, encode
from precond.proof.linear.programs import Program
from precond.proof.linear.solver import State
from precond.proof.linear.system import Expression, LayerMap, LinearSystem

Array = NDArray[np.float64]
Literals = Mapping[str, NDArray[np.bool_]]
Met = dict[str, tuple[Array, Array]]  # least and most of each pre-activation in solutions
WORTH = 0.01  # of a neuron's interval: less than this is not worth a linear program


def tightened(
    problem: Problem, conjunct: Conjunct, bounds: Bounds, deadline: Deadline
) -> Bounds | None:
    """One round over all layers, the last first; None if no input of the region satisfies
    ``conjunct``.

    ``bounds`` as ``encode`` takes them; the result has an entry for every decision layer.
    By the deadline the layers not reached keep theirs.
    """
    layers = tuple(reversed(problem.network.decision_layers))
    return _round(problem, conjunct, bounds, layers=layers, deadline=deadline)


def narrowed(
    problem: Problem, bounds: Bounds, deadline: Deadline, literals: Literals | None = None
) -> Bounds | None:
    """Bounds of all layers but the first over the region alone, layer after layer; None if it
    is empty.  They hold for every conjunct.

    ``literals`` (m,) per layer: of the pattern's rows only these neurons' are looked at, which
    is quicker and a little weaker.
    """
    layers = problem.network.decision_layers[1:]
    return _round(
        problem, conjunct=None, bounds=bounds, layers=layers, deadline=deadline, literals=literals
    )


def _round(
    problem: Problem,
    conjunct: Conjunct | None,
    bounds: Bounds,
    layers: tuple[str, ...],
    deadline: Deadline,
    literals: Literals | None = None,
) -> Bounds | None:
    """The layers in this order, each over a system of the bounds found so far."""
    found = dict(bounds)
    met: Met = {
        layer: (np.full(width, np.inf), np.full(width, -np.inf))
        for layer in problem.network.decision_layers
        for width in (problem.network.width(layer),)
    }
    for layer in layers:
        try:
            system = encode(problem, found, deadline)
        except OutOfTime:
            return found
        if conjunct is not None:
            system = with_conjunct(system, problem, conjunct)
        if system.empty is not None:
            return None
        if literals is not None:
            system = system.with_literals(literals)
        better = _layer(system, layer, met, deadline=deadline)
        if better is None:
            return None
        found[layer] = better
    return found


def with_conjunct(system: LinearSystem, problem: Problem, conjunct: Conjunct) -> LinearSystem:
    """The system cut to where the conjunct holds."""
    if system.empty is not None:
        return system
    margins = system.margins(problem, conjunct)
    count = len(conjunct)
    return replace(
        system,
        matrix=csr_array(vstack([system.matrix, margins.matrix], format="csr")),
        row_lower=np.concatenate([system.row_lower, -margins.constant]),
        row_upper=np.concatenate([system.row_upper, np.full(count, np.inf)]),
        row_error=np.concatenate([system.row_error, margins.error]),
    )


def _layer(
    system: LinearSystem, layer: str, met: Met, deadline: Deadline
) -> tuple[Array, Array] | None:
    """Bounds (m,), (m,) of a layer's pre-activations; None if the system has no solution."""
    where = system.layers[layer]
    low, high = where.low.copy(), where.high.copy()
    slack = WORTH * (high - low)
    program = Program(system)
    program.highs.setOptionValue("simplex_scale_strategy", 0)  # measured: half the iterations
    for sign in (1.0, -1.0):  # neighbouring programs are then alike
        for neuron in np.flatnonzero(where.free):
            least, most = met[layer]
            if sign > 0 and most[neuron] > where.high[neuron] - slack[neuron]:
                continue
            if sign < 0 and least[neuron] < where.low[neuron] + slack[neuron]:
                continue
            if deadline.passed:
                return low, high
            state, value, solution = program.largest(
                _neuron(system, where, int(neuron), sign=sign), deadline
            )
            if state is State.INFEASIBLE:
                if value == -np.inf:
                    return None
                continue
            if solution is not None:
                _meet(system, solution, met)
            if sign > 0:
                high[neuron] = min(high[neuron], value)
            else:
                low[neuron] = max(low[neuron], -value)
            if crossed(low[neuron], high[neuron]):  # bounds of a system without a solution
                return None
    return low, high


def _meet(system: LinearSystem, solution: Array, met: Met) -> None:
    """Widen what solutions attain, per layer and free neuron."""
    for layer, where in system.layers.items():
        free = where.free
        z = solution[where.column[free]] - solution[where.negative[free]]
        least, most = met[layer]
        least[free] = np.minimum(least[free], z)
        most[free] = np.maximum(most[free], z)


def _neuron(system: LinearSystem, where: LayerMap, neuron: int, sign: float) -> Expression:
    """± the pre-activation of a free neuron."""
    columns = np.array([where.column[neuron], where.negative[neuron]])
    entries = (np.array([sign, -sign]), (np.zeros(2, dtype=np.int64), columns))
    matrix = coo_array(entries, shape=(1, system.matrix.shape[1]))
    return Expression(csr_array(matrix), np.zeros(1), np.zeros(1))
