"""Branch and bound over phases where every subdomain is one step of a linear program.

A child differs from its parent by one column's bound, so its program starts from the parent's
basis (``linear.phases``).  The search goes deep first, towards the side the solution leans to:
it ends in a violation or comes back with the subtree closed.  Before it, the bounds of all
layers but the first are tightened by linear programs over the region.

Strong where a pattern fixes most neurons and what is left open is some dozens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Problem
from precond.proof.engines.base import Answer, Deadline, Outcome, decides
from precond.proof.linear.encode import Bounds, encode
from precond.proof.linear.interior import violation_near
from precond.proof.linear.phases import Choice, Maximum, PhaseProgram
from precond.proof.linear.programs import State, refusal
from precond.proof.linear.tighten import narrowed
from precond.proof.trace import Leaf, Recorder, Trace

Array = NDArray[np.float64]
STEPS = 20  # of ascent for the bounds at the root
TRACE_BYTES = 1e9  # of a recorded proof, at most
SLACK = 1e-4  # of the most that the property can fail by: for a certificate's shorter numbers
NARROWING = 0.2  # of the time left, for the bounds of later layers


@dataclass(frozen=True)
class LpSplitEngine:
    """Rigorous; complete but for the solver's tolerances, and for undecided max-pools.

    For at most ``free`` undecided neurons, and for conjuncts of one inequality."""

    device: str = "cpu"
    free: int = 1_000
    name: str = "lp-split"

    def unsupported(self, problem: Problem) -> str | None:
        if any(len(conjunct) > 1 for conjunct in problem.conjuncts):
            return "a way to fail is more than one inequality"
        return refusal(problem, self.free)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct; what a first program leaves is searched, in turns."""
        plain = replace(problem, keep_trace=False)
        limit = deadline.earlier(0.1 * deadline.left)
        refined = region_of(plain, self.device, steps=STEPS, deadline=limit)
        nothing = Leaf(empty=True) if problem.keep_trace else None
        closed = Answer(Outcome.INFEASIBLE, True, np.inf, trace=nothing)
        if bool(refined.empty[0]):
            return [closed] * len(problem.conjuncts)
        bounds: Bounds = layer_bounds(refined)
        searches = [_Search(problem, k) for k in range(len(problem.conjuncts))]
        for narrow in (False, True):
            if narrow and not problem.keep_trace:
                limit = deadline.earlier(NARROWING * deadline.left)
                better = narrowed(plain, bounds, limit)
                if better is None:
                    return [closed if s.waits else s.answer() for s in searches]
                bounds = better
            system = encode(plain, bounds)
            if system.empty is not None:
                return [closed if s.waits else s.answer() for s in searches]
            program = PhaseProgram(system)
            waiting = [s for s in searches if s.waits]
            for position, search in enumerate(waiting):
                share = deadline.earlier(deadline.left / (len(waiting) - position))
                search.run(program, share, most=None if narrow else 1)
                if search.witness is not None:
                    return [s.answer() for s in searches]
            if not any(s.waits for s in searches):
                break
        return [s.answer() for s in searches]


class _Node(NamedTuple):
    """A subdomain: its number, its phases (k,), and the share of the whole that it is."""

    number: int
    choice: Choice
    share: float


class _Search:
    """One conjunct: the subdomains that wait, and the tree of those that were closed."""

    def __init__(self, problem: Problem, key: int) -> None:
        self.problem = problem
        self.key = key
        self.conjunct = problem.conjuncts[key]
        self.waits = True
        self.count = 0
        self.done = 0.0
        self.witness: Array | None = None
        self.stuck = False
        self.bound: float | None = None
        self.trace: Trace | None = None

    def answer(self) -> Answer:
        note = f"{self.count} linear programs"
        if self.witness is not None:
            return Answer(Outcome.WITNESS, witness=self.witness, note=note)
        if not self.waits:
            return Answer(Outcome.INFEASIBLE, True, self.bound, note=note, trace=self.trace)
        if self.stuck:
            note += ", one within the solver's tolerance"
        return Answer(Outcome.UNDECIDED, True, note=note, done=self.done)

    def run(self, program: PhaseProgram, deadline: Deadline, most: int | None) -> None:
        """From the root, until the deadline, a witness, ``most`` programs, or nothing waits."""
        form = program.system.margins(self.problem, self.conjunct)
        stack: list[_Node] = [_Node(0, np.zeros(len(program.neurons), np.int8), 1.0)]
        least, self.done, asked, nodes = np.inf, 0.0, 0, 1
        tree = Recorder(TRACE_BYTES) if self.problem.keep_trace else None
        slack = 0.0 if tree is None else SLACK * program.reach(form)
        while stack:
            if deadline.passed or asked == most:
                return
            node, choice, share = stack.pop()
            program.decide(choice)
            found = program.largest(form, deadline, self.key)
            self.count += 1
            asked += 1
            split = _dearest(found, choice)
            if decides(-found.bound - (0.0 if split is None else slack), self.conjunct):
                self.done += share
                least = min(least, -found.bound)
                if tree is not None:
                    tree.graft(node, self.key, program.leaf(self.problem, form, found))
                continue
            if found.solution is None or found.state is not State.OPTIMAL:
                self.stuck = found.state is State.INFEASIBLE
                return
            x = program.system.point(found.solution)
            self.witness = violation_near(self.problem, self.conjunct, x, deadline)
            if self.witness is not None:
                return
            if split is None:
                self.stuck = True
                return
            layer, neuron = program.neurons[split]
            if tree is not None:
                tree.fix(np.array([node]), [layer], np.array([neuron]), nodes)
            side = program.side(found.solution, split)
            for phase in (-side, side):  # the last is looked at first
                child = choice.copy()
                child[split] = phase
                stack.append(_Node(nodes + (phase > 0), child, share / 2))
            nodes += 2
        self.waits, self.bound = False, None if least == np.inf else least
        if tree is not None:
            self.trace = tree.trace(self.key)


def _dearest(found: Maximum, choice: Choice) -> int | None:
    """The free neuron whose relaxation adds most to a maximum; None where none adds."""
    if found.cost is None or not len(choice):
        return None
    cost = np.where(choice == 0, found.cost, -1.0)
    at = int(cost.argmax())
    return at if cost[at] > 0 else None
