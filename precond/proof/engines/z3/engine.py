"""z3 as an exact second opinion for small claims: rational arithmetic, no rounding anywhere.

The claim is written out with fractions (``z3_text``), so "no solution" is exact.  A solution
is rational; its nearest float is a candidate, which has to replay.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import INPUT
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Conjunct, Problem
from precond.proof.engines.base import SOLVERS, Answer, Deadline, Lines, Outcome, in_time
from precond.proof.engines.z3.child import Undecided, solved
from precond.proof.engines.z3.text import Linear, System, add, number, term, value_of
from precond.proof.refusal import Refusal


@dataclass(frozen=True)
class Z3Engine:
    """For networks of at most ``products`` weights and ``free`` undecided neurons."""

    products: int = 20_000
    free: int = 48
    name: str = "z3"
    lines: ClassVar[Lines] = SOLVERS

    def unsupported(self, problem: Problem) -> Refusal | None:
        if problem.execution is not Arithmetic.REAL:
            return Refusal("it reasons about real numbers")
        if importlib.util.find_spec("z3") is None:
            return Refusal("the package z3-solver is not installed")
        network = problem.network
        if not network.rational:
            return Refusal("a constant of the network is no known rational")
        count = sum(
            network.width(n.name) * sum(network.width(s) for s in n.inputs)
            for n in network.nodes
            if network.is_affine(n.name)
        )
        if count > self.products:
            return Refusal(f"{count} weights, more than {self.products}")
        if problem.free > self.free:
            return Refusal(f"{problem.free} free neurons, more than {self.free}")
        return None

    @in_time
    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """Exact answers, one per conjunct."""
        system = System(problem, deadline)
        answers = []
        for position, conjunct in enumerate(problem.conjuncts):
            share = deadline.earlier(deadline.left / (len(problem.conjuncts) - position))
            answers.append(_one(system, conjunct, share))
        return answers


def _one(system: System, conjunct: Conjunct, deadline: Deadline) -> Answer:
    asked = list(system.assertions)
    for inequality in conjunct:
        total: Linear = {}
        for terms, values in (
            (inequality.outputs, system.values[system.network.output]),
            (inequality.inputs, system.values[INPUT]),
        ):
            for index, factor in terms:
                add(total, values[index], Fraction(factor))
        asked.append(
            f"({'>' if inequality.strict else '>='} {term(total)} {number(inequality.bound)})"
        )
    try:
        found = solved(asked, system.count, deadline)
    except Undecided as error:
        return Answer(Outcome.UNDECIDED, note=str(error))
    if found is None:
        return Answer.excluded(note="exact")
    point: NDArray[np.float64] = np.array(
        [float(value_of(value, found)) for value in system.values[INPUT]]
    )
    return Answer(Outcome.WITNESS, witness=point)
