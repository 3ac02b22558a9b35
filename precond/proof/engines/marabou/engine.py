"""Marabou as an engine: an independent second opinion, run in a child process.

Its ``unsat`` is never rigorous (see ``marabou_query`` for what was done against the wrong
ones), and a ``sat`` is a candidate until it replays.  Boxes narrower than 1e-5 in an input
that is not fixed are refused: near its tolerances Marabou calls them unsatisfiable (scaling
moves that point to widths of about 1e-8 on small networks; the refusal leaves room).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import INPUT
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.claim import Conjunct, Problem
from precond.proof.engines.base import SOLVERS, Answer, Deadline, Lines, Outcome, in_time
from precond.proof.engines.marabou.query import MarabouQuery, build_query
from precond.proof.linear.blocks import interval_bounds, is_source
from precond.proof.processes.child import Died, TimedOut
from precond.proof.processes.solver import Process
from precond.proof.refusal import Refusal

Array = NDArray[np.float64]
WORKER = "precond.proof.engines.marabou.worker"
NARROWEST = 1e-5
EASE = 1e-6  # of a threshold, where constants are no floats
MAX_NEURONS = 4096


@dataclass
class MarabouEngine:
    """One child process, started when first needed and kept for further queries."""

    max_neurons: int = MAX_NEURONS
    process: Process | None = field(default=None, init=False, repr=False)
    lines: ClassVar[Lines] = SOLVERS

    @property
    def name(self) -> str:
        return "marabou"

    def unsupported(self, problem: Problem) -> Refusal | None:
        if problem.execution is not Arithmetic.REAL:
            return Refusal("it reasons about real numbers")
        if importlib.util.find_spec("maraboupy") is None:
            return Refusal("the package maraboupy is not installed")
        network = problem.network
        size = sum(network.width(n.name) for n in network.nodes if is_source(network, n.name))
        if size > self.max_neurons:
            return Refusal(f"{size} neurons, more than {self.max_neurons}")
        width = problem.box.width
        narrow = np.flatnonzero((width > 0) & (width < NARROWEST))
        if narrow.size:
            return Refusal(
                f"{INPUT} {narrow[0]} has width {width[narrow[0]]:g}, below {NARROWEST:g}"
            )
        if not (width > 0).any():
            return Refusal("the box is a single point")
        return beyond_floats(problem)

    @in_time
    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        refusal = self.unsupported(problem)
        if refusal is not None:
            return [Answer(Outcome.UNDECIDED, note=refusal.reason) for _ in problem.conjuncts]
        answers = []
        for position, conjunct in enumerate(problem.conjuncts):
            share = deadline.earlier(deadline.left / (len(problem.conjuncts) - position))
            answers.append(self._one(problem, conjunct, share))
        return answers

    def _one(self, problem: Problem, conjunct: Conjunct, deadline: Deadline) -> Answer:
        asked = eased(conjunct) if problem.network.inexact else conjunct
        query = build_query(problem, asked, deadline)
        if isinstance(query, str):
            return Answer(Outcome.INFEASIBLE, note=query)
        if deadline.passed:
            return Answer(Outcome.UNDECIDED, note="out of time")
        try:
            status, x = self._ask(problem, query, deadline)
            if status == "sat":
                x = self._inner(problem, query, deadline, x=x)
        except TimedOut:
            return Answer(Outcome.UNDECIDED, note="out of time, the Marabou process was killed")
        except Died as error:
            return Answer(Outcome.UNDECIDED, note=f"the Marabou process: {error}")
        if status == "unsat":
            return Answer(Outcome.INFEASIBLE, rigorous=False, note="Marabou: unsat")
        if status == "sat":
            return Answer(Outcome.WITNESS, witness=x, note="Marabou: sat")
        return Answer(Outcome.UNDECIDED, note=f"Marabou: {status}")

    def _inner(self, problem: Problem, query: MarabouQuery, deadline: Deadline, x: Array) -> Array:
        """A witness off the region's border, where one is found in a quarter of the time left."""
        try:
            status, inner = self._ask(problem, query.inside(), deadline.earlier(deadline.left / 4))
        except (TimedOut, Died):
            return x
        return inner if status == "sat" else x

    def _ask(self, problem: Problem, query: MarabouQuery, deadline: Deadline) -> tuple[str, Array]:
        """Marabou's status, and with ``sat`` its input x (n,)."""
        if self.process is None or not self.process.alive:
            self.close()
            self.process = Process(WORKER)
        found = self.process.ask(query.arrays(), deadline)
        status = str(found["status"])
        x = query.point(problem.box, found["values"]) if status == "sat" else problem.box.lower
        return status, x

    def stop(self) -> None:
        """End the child's query; the thread that waits for it sees the child die."""
        process = self.process
        if process is not None:
            process.interrupt()

    def close(self) -> None:
        """End the child process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process = None


def eased(conjunct: Conjunct) -> Conjunct:
    """The conjunct with room for what floats tell badly: a network whose constants are no floats
    is another one here, so "no solution" of a tie would say nothing of the true one."""
    return tuple(
        replace(i, bound=i.bound - EASE * (1 + abs(i.bound)), strict=False) for i in conjunct
    )


def well_scaled(problem: Problem) -> bool:
    """Whether Marabou's ``unsat`` is worth counting as a second opinion here.

    Its wrong verdicts came from networks whose neurons are small or differ widely in size:
    every free input must be wider than 1e-3, and the neurons of each layer have intervals
    (over the box alone) wider than 1e-2 that differ by less than a factor 1e3.
    """
    width = problem.box.width
    if ((width > 0) & (width < 1e-3)).any():
        return False
    for low, high in interval_bounds(replace(problem, intervals={})).values():
        span = (high - low)[high - low > 1e-12 * np.maximum(np.abs(high), 1.0)]
        if span.size and (span.min() < 1e-2 or span.max() > 1e3 * span.min()):
            return False
    return True
