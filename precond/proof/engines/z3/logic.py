"""z3 as the judge of rules: is there an input in some regions and outside of others?

Exact like ``z3.py``, whose encoding it uses (``z3_text``): pre-activations are linear terms
with fractions as factors, a free neuron a variable with two cases.  Literals are as on data:
on is z > 0, off is z ≤ 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from precond.network.graph import INPUT, Network
from precond.proof.claim import Problem
from precond.proof.deadline import OutOfTime
from precond.proof.engines.base import Deadline
from precond.proof.engines.z3.child import Undecided as Undecided
from precond.proof.engines.z3.child import solved
from precond.proof.engines.z3.text import (
    CONSTANT,
    Linear,
    System,
    all_of,
    any_of,
    number,
    term,
    value_of,
)
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Point = tuple[Fraction, ...]
Region = tuple[Box, DecisionPattern]


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
    try:
        system = System(problem, deadline)
    except OutOfTime:
        raise Undecided("out of time") from None

    def literal(layer: str, index: int, value: float, above: bool) -> str:
        source = term(system.values[whole.pre_activation(layer)][index])
        return f"({'>' if above else '<='} {source} {number(value)})"

    def holds(region: Region) -> str:
        box, pattern = region
        parts = [literal(layer, i, 0.0, True) for layer, i in sorted(pattern.on)]
        parts += [literal(layer, i, 0.0, False) for layer, i in sorted(pattern.off)]
        parts += [literal(layer, i, t, True) for layer, i, t in sorted(pattern.above)]
        parts += [literal(layer, i, t, False) for layer, i, t in sorted(pattern.below)]
        own = problem.box
        for i, x in enumerate(system.values[INPUT]):
            if box.lower[i] > own.lower[i]:
                parts.append(f"(>= {term(x)} {number(box.lower[i])})")
            if box.upper[i] < own.upper[i]:
                parts.append(f"(<= {term(x)} {number(box.upper[i])})")
        return all_of(parts)

    asked = [*system.assertions, *(holds(region) for region in inside)]
    asked += [f"(not {holds(region)})" for region in outside]
    found = solved(asked, system.count, deadline)
    return None if found is None else tuple(value_of(x, found) for x in system.values[INPUT])


def common_output(
    properties: Sequence[Property], outputs: int, inputs: int, deadline: Deadline
) -> tuple[Point, Point] | None:
    """Inputs and outputs, of whatever network, that have all the properties; None if none do."""

    def holds(inequality: Inequality) -> str:
        total: Linear = {CONSTANT: Fraction(0)}
        for start, terms in ((0, inequality.outputs), (outputs, inequality.inputs)):
            for k, factor in terms:
                total[start + k] = total.get(start + k, Fraction(0)) + Fraction(factor)
        return f"({'>' if inequality.strict else '>='} {term(total)} {number(inequality.bound)})"

    asked = [
        any_of(holds(inequality) for inequality in clause)
        for given in properties
        for clause in given.clauses
    ]
    found = solved(asked, outputs + inputs, deadline)
    return None if found is None else (tuple(found[outputs:]), tuple(found[:outputs]))
