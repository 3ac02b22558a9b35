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
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.gate import crossed
from precond.proof.linear.duals import leaf_of_duals
from precond.proof.linear.encode import Bounds, encode
from precond.proof.linear.programs import Program
from precond.proof.linear.solver import State
from precond.proof.linear.system import Expression, LayerMap, LinearSystem
from precond.proof.trace import Leaf, Tightened, TighteningStep, Trace
from precond.region.pattern import Neuron

Array = NDArray[np.float64]
Literals = Mapping[str, NDArray[np.bool_]]
Met = dict[str, tuple[Array, Array]]  # least and most of each pre-activation in solutions
WORTH = 0.01  # of a neuron's interval: less than this is not worth a linear program


@dataclass(eq=False)
class Tightening:
    """How bounds were tightened: what a certificate needs.  ``rounds`` of steps, one for each
    layer and time; ``closing``: the multipliers of a bound that then leaves no input, if there is
    one (bounds that exclude each other need none)."""

    rounds: list[tuple[TighteningStep, ...]] = field(default_factory=list)
    closing: Leaf | None = None

    @property
    def bytes(self) -> int:
        return sum(step.leaf.bytes for steps in self.rounds for step in steps)

    def around(self, inner: Trace) -> Trace:
        """The trace of a region that ``inner`` closes with the tightened bounds."""
        return Tightened.around(self.rounds, inner)

    @property
    def closed(self) -> Trace:
        """The trace of a region that tightening itself has shown to be empty."""
        return self.around(Leaf(empty=True) if self.closing is None else self.closing)


def tightened(
    problem: Problem,
    conjunct: Conjunct,
    bounds: Bounds,
    deadline: Deadline,
    record: Tightening | None = None,
) -> Bounds | None:
    """One round over all layers, the last first; None if no input of the region satisfies
    ``conjunct``.

    ``bounds`` as ``encode`` takes them; the result has an entry for every decision layer.
    By the deadline the layers not reached keep theirs.  With a ``record`` each step is entered
    there, and bounds that hardly moved stay as they are.
    """
    layers = tuple(reversed(problem.network.decision_layers))
    return _round(problem, conjunct, bounds, layers=layers, deadline=deadline, record=record)


def narrowed(
    problem: Problem,
    bounds: Bounds,
    deadline: Deadline,
    literals: Literals | None = None,
    record: Tightening | None = None,
) -> Bounds | None:
    """Bounds of all layers but the first over the region alone, layer after layer; None if it
    is empty.  They hold for every conjunct.

    ``literals`` (m,) per layer: of the pattern's rows only these neurons' are looked at, which
    is quicker and a little weaker.
    """
    layers = problem.network.decision_layers[1:]
    return _round(
        problem,
        conjunct=None,
        bounds=bounds,
        layers=layers,
        deadline=deadline,
        literals=literals,
        record=record,
    )


def _round(
    problem: Problem,
    conjunct: Conjunct | None,
    bounds: Bounds,
    layers: tuple[str, ...],
    deadline: Deadline,
    literals: Literals | None = None,
    record: Tightening | None = None,
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
        duals = None
        if record is not None:
            duals = _Duals(problem, system, 0 if conjunct is None else len(conjunct))
        better = _layer(system, layer, met, deadline=deadline, duals=duals)
        if record is not None and duals is not None:
            record.rounds += [tuple(duals.steps)] if duals.steps else []
            record.closing = duals.closing
        if better is None:
            return None
        found[layer] = better
    return found


@dataclass(eq=False)
class _Duals:
    """The steps of a system's programs, and the ray that closed it."""

    problem: Problem
    system: LinearSystem
    inequalities: int
    steps: list[TighteningStep] = field(default_factory=list)
    closing: Leaf | None = None

    def leaf(self, duals: Array, unit: Mapping[Neuron, float]) -> Leaf:
        network = self.problem.network
        return leaf_of_duals(network, self.system, duals, inequalities=self.inequalities, unit=unit)

    def step(self, where: Neuron, sign: float, duals: Array) -> None:
        leaf = self.leaf(duals, {where: sign})
        self.steps.append(TighteningStep(*where, above=sign < 0, leaf=leaf))


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
    system: LinearSystem, layer: str, met: Met, deadline: Deadline, duals: _Duals | None = None
) -> tuple[Array, Array] | None:
    """Bounds (m,), (m,) of a layer's pre-activations; None if the system has no solution."""
    where = system.layers[layer]
    low, high = where.low.copy(), where.high.copy()
    slack = WORTH * (high - low)
    program = Program(system)
    program.highs.setOptionValue("simplex_scale_strategy", 0)  # measured: half the iterations
    for sign in (1.0, -1.0):  # neighbouring programs are then alike
        for neuron in np.flatnonzero(where.free).tolist():
            if _attained(where, met[layer], neuron, sign=sign, slack=slack[neuron]):
                continue
            if deadline.passed:
                return low, high
            found = program.largest(_neuron(system, where, neuron, sign=sign), deadline)
            if found.state is State.INFEASIBLE:
                if found.bound > -np.inf:
                    continue
                if duals is not None and found.duals is not None:
                    duals.closing = duals.leaf(found.duals, unit={})
                return None
            if found.solution is not None:
                _meet(system, found.solution, met)
            side, now = (high, high[neuron]) if sign > 0 else (low, -low[neuron])
            if duals is not None and found.duals is not None:
                if found.bound > now - slack[neuron]:  # not worth a step in a proof
                    continue
                duals.step((layer, neuron), sign, duals=found.duals)
            side[neuron] = sign * min(now, found.bound)
            if crossed(low[neuron], high[neuron]):  # bounds of a system without a solution
                return None
    return low, high


def _attained(
    where: LayerMap, met: tuple[Array, Array], neuron: int, sign: float, slack: float
) -> bool:
    """Whether a solution comes so near a neuron's bound that no program can move it much."""
    least, most = met
    if sign > 0:
        return bool(most[neuron] > where.high[neuron] - slack)
    return bool(least[neuron] < where.low[neuron] + slack)


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
