"""Branch and bound over phases where every subdomain is one step of a linear program.

A child differs from its parent by one column's bound, so its program starts from the parent's
basis (``linear.phases``).  The search goes deep first, towards the side the solution leans to:
it ends in a violation or comes back with the subtree closed.  What a few programs do not close
is begun again with the bounds of all layers but the first tightened over the region.

Strong where a pattern fixes most neurons and what is left open is some dozens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.layer_record import LayerRecord
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Problem
from precond.proof.coverage import Coverage
from precond.proof.engines.base import SOLVERS, Answer, Deadline, Lines, Outcome, decides, in_time
from precond.proof.linear.encode import Bounds, encode
from precond.proof.linear.interior import violation_near
from precond.proof.linear.leaf import empty_leaf, without_rows
from precond.proof.linear.phases import Choice, Maximum, PhaseProgram
from precond.proof.linear.solver import State, refusal
from precond.proof.linear.tighten import narrowed
from precond.proof.refusal import Refusal
from precond.proof.trace import Leaf, Recorder, Trace

Array = NDArray[np.float64]
STEPS = 20  # of ascent for the bounds at the root
TRACE_BYTES = 1e9  # of a recorded proof, at most
SLACK = 1e-4  # of the most that the property can fail by: for a certificate's shorter numbers
TURNS = tuple(4**k for k in range(12))  # programs for each way to fail, until time is up
FIRST = 2  # turns before the bounds are narrowed
NARROWING = 0.2  # of the time left, for the bounds of later layers


@dataclass(frozen=True)
class LpSplitEngine:
    """Rigorous; complete but for the solver's tolerances, and for undecided max-pools.

    For at most ``free`` undecided neurons, and for conjuncts of one inequality."""

    device: str = "cpu"
    free: int = 1_000
    name: str = "lp-split"
    lines: ClassVar[Lines] = SOLVERS

    def unsupported(self, problem: Problem) -> Refusal | None:
        if any(len(conjunct) > 1 for conjunct in problem.conjuncts):
            return Refusal("a way to fail is more than one inequality")
        return refusal(problem, self.free)

    @in_time
    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct; what a first program leaves is searched, in turns."""
        plain = replace(problem, keep_trace=False)
        limit = deadline.earlier(0.1 * deadline.left)
        record = LayerRecord(problem.network) if problem.keep_trace else None
        passes = LayerPasses(steps=STEPS, deadline=limit, half=record is None, record=record)
        refined = region_of(plain, self.device, passes=passes)
        closed = Answer.excluded()
        if bool(refined.empty[0]):
            trace = None if record is None else record.around(Leaf(empty=True))
            return [replace(closed, trace=trace)] * len(problem.conjuncts)
        bounds: Bounds = layer_bounds(refined)
        searches = [_LpSearch(problem, k, record) for k in range(len(problem.conjuncts))]
        program: PhaseProgram | None = None
        # A trace knows nothing of narrowed bounds, so where one is kept there is one pass.
        for turns in (TURNS,) if problem.keep_trace else (TURNS[:FIRST], TURNS):
            if program is not None:
                limit = deadline.earlier(NARROWING * deadline.left)
                better = narrowed(plain, bounds, limit, literals=program.literals)
                if better is None:
                    return [closed if s.waits else s.answer() for s in searches]
                bounds = better
            system = encode(plain, bounds, deadline)
            if system.empty is not None:
                keep = problem.keep_trace
                known = replace(problem, bounds=bounds)
                leaf = empty_leaf(known, system.empty, deadline) if keep else None
                return [s.emptied(leaf) if s.waits else s.answer() for s in searches]
            program = PhaseProgram(system)
            _take_turns(searches, program, turns, deadline=deadline)
            if any(s.witness is not None for s in searches) or not any(s.waits for s in searches):
                break
        return [s.answer() for s in searches]


def _take_turns(
    searches: Sequence[_LpSearch],
    program: PhaseProgram,
    turns: Sequence[int],
    deadline: Deadline,
) -> None:
    """Each search in turn, for more and more subdomains; until one has a witness."""
    for search in searches:
        if search.waits:
            search.restart(program)
    for search, most in ((s, most) for most in turns for s in searches):
        if search.goes_on and not deadline.passed:
            search.run(program, deadline, most)
        if search.witness is not None:
            return


class _Node(NamedTuple):
    """A subdomain: its number, its phases (k,), and the share of the whole that it is."""

    number: int
    choice: Choice
    share: float


class _LpSearch:
    """One conjunct: the subdomains that wait, and the tree of those that were closed."""

    def __init__(self, problem: Problem, key: int, record: LayerRecord | None) -> None:
        self.problem = problem
        self.record = record
        self.key = key
        self.conjunct = problem.conjuncts[key]
        self.count = 0
        self.witness: Array | None = None
        self.waits = True
        self.trace: Trace | None = None
        self.fault: str | None = None

    def restart(self, program: PhaseProgram) -> None:
        """Begin with the whole of another program's region."""
        self.form = program.system.margins(self.problem, self.conjunct)
        self.tree = Recorder(TRACE_BYTES) if self.problem.keep_trace else None
        self.slack = 0.0 if self.tree is None else SLACK * program.reach(self.form)
        self.coverage = Coverage(1)
        self.stack = [_Node(0, np.zeros(len(program.neurons), np.int8), 1.0)]
        self.nodes = 1
        self.done, self.least = 0.0, np.inf
        self.stuck = False

    @property
    def goes_on(self) -> bool:
        return self.waits and not self.stuck and self.witness is None

    def emptied(self, leaf: Leaf | None) -> Answer:
        """No input is in the region, as ``leaf`` shows."""
        own = without_rows(leaf, self.conjunct)
        trace = None if own is None or self.record is None else self.record.around(own)
        return Answer.excluded(trace=trace)

    def answer(self) -> Answer:
        note = f"{self.count} linear programs"
        if self.witness is not None:
            return Answer(Outcome.WITNESS, witness=self.witness, note=note)
        if not self.waits:
            bound = None if self.least == np.inf else self.least
            return Answer.excluded(bound=bound, note=note, trace=self.trace)
        if self.fault is not None:
            return Answer(Outcome.UNDECIDED, note=self.fault)
        if self.stuck:
            note += ", one within the solver's tolerance"
        return Answer(Outcome.UNDECIDED, rigorous=True, note=note, done=self.done)

    def run(self, program: PhaseProgram, deadline: Deadline, most: int) -> None:
        """Go on until the deadline, a witness, ``most`` programs, or nothing waits."""
        for _ in range(most):
            if deadline.passed or not self.stack:
                break
            node = self.stack.pop()
            if not self._look(program, node, deadline):
                self.stack.append(node)
                break
        if self.stack:
            return
        self.fault = self.coverage.fault(0)
        if self.fault is not None:
            self.stuck = True
            return
        self.waits = False
        if self.tree is not None and self.record is not None:
            inner = self.tree.trace(self.key)
            self.trace = None if inner is None else self.record.around(inner)

    def _look(self, program: PhaseProgram, node: _Node, deadline: Deadline) -> bool:
        """Close a subdomain or split it; False where neither can be done, or none need be."""
        program.decide(node.choice)
        found = program.largest(self.form, deadline, self.key)
        self.count += 1
        split = _dearest(found, node.choice)
        slack = 0.0 if split is None else self.slack
        if found.shown_empty or decides(-found.bound - slack, self.conjunct):
            self.coverage.close(0, node.share)
            self.done += node.share
            self.least = min(self.least, -found.bound)
            if self.tree is not None:
                self.tree.graft(node.number, self.key, program.leaf(self.problem, self.form, found))
            return True
        if found.solution is None or found.state is not State.OPTIMAL:
            self.stuck = found.state is State.INFEASIBLE
            return False
        x = program.system.point(found.solution)
        self.witness = violation_near(self.problem, self.conjunct, x, deadline=deadline)
        self.stuck = split is None
        if self.witness is not None or split is None:
            return False
        if self.tree is not None:
            layer, neuron = program.neurons[split]
            self.tree.fix(np.array([node.number]), [layer], np.array([neuron]), first=self.nodes)
        side = program.side(found.solution, split)
        for phase in (-side, side):  # the last is looked at first
            child = node.choice.copy()
            child[split] = phase
            self.stack.append(_Node(self.nodes + (phase > 0), child, node.share / 2))
        self.nodes += 2
        self.coverage.split(0)
        return True


def _dearest(found: Maximum, choice: Choice) -> int | None:
    """The free neuron whose relaxation adds most to a maximum; None where none adds."""
    if found.cost is None or not len(choice):
        return None
    cost = np.where(choice == 0, found.cost, -1.0)
    at = int(cost.argmax())
    return at if cost[at] > 0 else None
