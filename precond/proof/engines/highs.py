"""HiGHS as an engine: linear relaxation for any region, MILP where few neurons are free.

INFEASIBLE from the relaxation is rigorous (``programs``: the bound counts every rounding);
MILP answers are not.  Witnesses are drawn well inside the region where there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Conjunct, Problem
from precond.proof.engines.base import SOLVERS, Answer, Deadline, Lines, Outcome, decides, in_time
from precond.proof.linear.encode import Bounds, encode, interval_bounds
from precond.proof.linear.interior import Satisfiability, is_satisfiable, well_inside
from precond.proof.linear.leaf import empty_leaf, leaf_of, without_rows
from precond.proof.linear.programs import Program, Relaxation, relaxation_bounds
from precond.proof.linear.solver import TOLERANCE, State, refusal
from precond.proof.linear.system import satisfies
from precond.proof.refusal import Refusal

__all__ = [
    "HighsEngine",
    "Relaxation",
    "Satisfiability",
    "State",
    "is_satisfiable",
    "relaxation_bounds",
    "well_inside",
]


@dataclass(frozen=True)
class HighsEngine:
    """LP, then MILP for at most ``milp_neurons`` free neurons and windows."""

    bounds: Callable[[Problem, Deadline], Bounds] = interval_bounds
    milp_neurons: int = 30
    lines: ClassVar[Lines] = SOLVERS

    @property
    def name(self) -> str:
        return "highs"

    def unsupported(self, problem: Problem) -> Refusal | None:
        return refusal(problem)

    @in_time
    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        system = encode(problem, self.bounds(problem, deadline), deadline)
        if system.empty is not None:
            layer, index = system.empty
            note = f"no value of {layer}[{index}] is possible in the region"
            leaf = empty_leaf(problem, system.empty, deadline) if problem.keep_trace else None
            return [
                Answer.excluded(note=note, trace=without_rows(leaf, conjunct))
                for conjunct in problem.conjuncts
            ]
        if not system.is_finite:
            note = "numbers of the linear program overflow"
            return [Answer(Outcome.UNDECIDED, note=note) for _ in problem.conjuncts]
        program = Program(system)
        answers = []
        for position, conjunct in enumerate(problem.conjuncts):
            share = deadline.earlier(deadline.left / (len(problem.conjuncts) - position))
            answers.append(self._answer(problem, program, conjunct, deadline=share))
        return answers

    def _answer(
        self, problem: Problem, program: Program, conjunct: Conjunct, deadline: Deadline
    ) -> Answer:
        system = program.system
        found = program.relax(system.margins(problem, conjunct), deadline, problem)
        if found.shown_empty or decides(found.bound, conjunct):
            bound = None if found.shown_empty else found.bound
            trace = None
            if problem.keep_trace:
                trace = leaf_of(problem, conjunct, found, system=system, deadline=deadline)
            return Answer.excluded(
                bound=bound,
                note="linear relaxation",
                trace=trace,
            )
        if found.state is State.INFEASIBLE or (found.value or 0.0) > TOLERANCE:
            return Answer(
                Outcome.INFEASIBLE, rigorous=False, note="linear relaxation, solver's word"
            )
        if found.state is State.STOPPED:
            return Answer(Outcome.UNDECIDED, bound=found.bound, note="out of time")
        if found.x is not None:
            inner = well_inside(problem, conjunct, found.x, deadline=deadline)
            for x in (inner, found.x):
                if x is not None and satisfies(problem, conjunct, x):
                    return Answer(Outcome.WITNESS, bound=found.bound, witness=x)
        real = problem.execution is Arithmetic.REAL  # of which alone MILP says something
        if real and 0 < system.open <= self.milp_neurons and not deadline.passed:
            return self._integer(problem, program, conjunct, deadline=deadline, bound=found.bound)
        note = f"{system.open} free neurons" if system.open else "within the solver's tolerance"
        return Answer(Outcome.UNDECIDED, bound=found.bound, witness=found.x, note=note)

    def _integer(
        self,
        problem: Problem,
        program: Program,
        conjunct: Conjunct,
        deadline: Deadline,
        bound: float | None,
    ) -> Answer:
        found = program.integer(program.system.margins(problem, conjunct), deadline)
        if found.limit < -TOLERANCE:
            return Answer(
                Outcome.INFEASIBLE, rigorous=False, bound=bound, note="MILP, solver's word"
            )
        if found.x is None or found.value is None or found.value <= -TOLERANCE:
            return Answer(Outcome.UNDECIDED, bound=bound, note="MILP out of time")
        inner = well_inside(problem, conjunct, found.x, deadline=deadline)
        if inner is None or not satisfies(problem, conjunct, inner):  # with max-pool layers
            inner = found.x
        return Answer(Outcome.WITNESS, rigorous=False, bound=bound, witness=inner, note="MILP")
