"""z3 as the judge of rules: is there an input in some regions and outside of others?

Exact like ``z3.py``, whose encoding it uses: pre-activations are linear terms with fractions
as factors, a free neuron a variable with two cases.  Literals are as on data: on is z > 0,
off is z ≤ 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from precond.network.graph import INPUT, Network
from precond.proof.claim import Problem
from precond.proof.engines.base import Deadline
from precond.proof.engines.z3 import CONSTANT, _number, _System
from precond.property import Inequality, Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Point = tuple[Fraction, ...]
Region = tuple[Box, DecisionPattern]


class Undecided(Exception):
    """z3 gave up, or ran out of time."""


def common_point(
    whole: Network,
    problem: Problem,
    inside: Sequence[Region],
    outside: Sequence[Region],
    deadline: Deadline,
) -> Point | None:
    """An input of ``problem``'s region that lies in all of ``inside`` and none of ``outside``,
    or None where there is none; ``Undecided`` past the deadline.

    ``problem.network`` may be the part of ``whole`` that the patterns' layers need.
    """
    system = _System(problem)
    z3 = system.z3

    def literal(layer: str, index: int, value: float, above: bool) -> Any:
        source = whole.pre_activation(layer)
        term = system._term(system.values[source][index])
        return term > _number(z3, value) if above else term <= _number(z3, value)

    def holds(region: Region) -> Any:
        box, pattern = region
        parts = [literal(layer, i, 0.0, True) for layer, i in sorted(pattern.on)]
        parts += [literal(layer, i, 0.0, False) for layer, i in sorted(pattern.off)]
        parts += [literal(layer, i, t, True) for layer, i, t in sorted(pattern.above)]
        parts += [literal(layer, i, t, False) for layer, i, t in sorted(pattern.below)]
        own = problem.box
        for i, x in enumerate(system.values[INPUT]):
            if box.lower[i] > own.lower[i]:
                parts.append(system._term(x) >= _number(z3, box.lower[i]))
            if box.upper[i] < own.upper[i]:
                parts.append(system._term(x) <= _number(z3, box.upper[i]))
        return z3.And(*parts)

    system.solver.add(*(holds(region) for region in inside))
    system.solver.add(*(z3.Not(holds(region)) for region in outside))
    model = _solved(z3, system.solver, deadline)
    if model is None:
        return None
    point = []
    for value in system.values[INPUT]:
        total = value.get(CONSTANT, Fraction(0))
        for v, factor in value.items():
            if v != CONSTANT:
                total += factor * _value(model, system.variables[v])
        point.append(total)
    return tuple(point)


def common_output(
    properties: Sequence[Property], outputs: int, inputs: int, deadline: Deadline
) -> tuple[Point, Point] | None:
    """Inputs and outputs, of whatever network, that have all the properties; None if none do."""
    import z3

    solver = z3.SolverFor("QF_LRA")
    y = [z3.Real(f"y{k}") for k in range(outputs)]
    x = [z3.Real(f"x{i}") for i in range(inputs)]

    def holds(inequality: Inequality) -> Any:
        terms = [_number(z3, c) * y[k] for k, c in inequality.outputs]
        terms += [_number(z3, c) * x[i] for i, c in inequality.inputs]
        total, bound = z3.Sum(*terms, z3.RealVal(0)), _number(z3, inequality.bound)
        return total > bound if inequality.strict else total >= bound

    for given in properties:
        for clause in given.clauses:
            solver.add(z3.Or(*(holds(inequality) for inequality in clause)))
    model = _solved(z3, solver, deadline)
    if model is None:
        return None
    return tuple(_value(model, v) for v in x), tuple(_value(model, v) for v in y)


def _solved(z3: Any, solver: Any, deadline: Deadline) -> Any:
    """A model, or None where there is none."""
    solver.set("timeout", max(1, int(1000 * deadline.left)))
    found = solver.check()
    if found == z3.unsat:
        return None
    if found != z3.sat:
        raise Undecided(f"z3: {solver.reason_unknown()}")
    return solver.model()


def _value(model: Any, variable: Any) -> Fraction:
    found = model.eval(variable, model_completion=True)
    return Fraction(found.numerator_as_long(), found.denominator_as_long())
