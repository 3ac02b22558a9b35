"""Branch and bound over phases with layer bounds tightened in every subdomain, by linear
programs that take the conjunct for granted (``linear.tighten``).

Few subdomains, each dear: where bounds from propagation leave a claim open by a little, the
region of violations is often shown to be empty without a split.  Each conjunct is searched
by itself.  A subdomain is tightened in rounds as long as they fix neurons, then given to
``finish`` (a search with cheap subdomains) for as long as the tightening took, then split
at the neuron whose relaxation costs the conjunct's bound most; the deepest goes first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.layer_record import LayerRecord
from precond.proof.bounds.lines import ActivationLines, relaxation_cost
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.claim import Problem
from precond.proof.coverage import Coverage
from precond.proof.engines.base import SOLVERS, Answer, Deadline, Engine, Lines, Outcome
from precond.proof.linear.blocks import cut
from precond.proof.linear.encode import Bounds
from precond.proof.linear.solver import refusal
from precond.proof.linear.tighten import tightened
from precond.proof.linear.tighten_record import TightenRecord
from precond.proof.refusal import Refusal
from precond.proof.rows import stack_rows
from precond.proof.trace import Leaf
from precond.region.pattern import Neuron

Array = NDArray[np.float64]
PROGRESS = 0.8  # of a layer's width, summed over free neurons: less must be left of some
LEAST = 0.2  # seconds for ``finish``
STEPS = 20  # of ascent for the bounds at the root
TRACE_BYTES = 1e9  # of a recorded proof, at most


@dataclass(frozen=True)
class TightenSplitEngine:
    """Rigorous with ``finish`` rigorous; complete as far as that is.  For at most ``free``
    undecided neurons: each asks for two linear programs a round."""

    finish: Engine
    device: str = "cpu"
    free: int = 1_000
    name: str = "tighten-split"

    @property
    def lines(self) -> Lines:
        """Tightening is by linear programs; what ``finish`` does is its own."""
        return SOLVERS | self.finish.lines

    def unsupported(self, problem: Problem) -> Refusal | None:
        return refusal(problem, self.free) or self.finish.unsupported(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct; in turns, each with its share of what is left of the time."""
        record = LayerRecord(problem.network) if problem.keep_trace else None
        limit = deadline.earlier(0.1 * deadline.left)
        passes = LayerPasses(steps=STEPS, deadline=limit, record=record)
        refined = region_of(problem, self.device, passes=passes)
        if bool(refined.empty[0]):
            trace = None if record is None else record.around(Leaf(empty=True))
            return [Answer.excluded(trace=trace)] * len(problem.conjuncts)
        begun = replace(problem, bounds=layer_bounds(refined))
        searches = [_TightenSearch(self, begun.only((c,)), record) for c in problem.conjuncts]
        waiting = searches
        while waiting and not deadline.passed:
            for position, search in enumerate(waiting):
                search.run(deadline.earlier(deadline.left / (len(waiting) - position)))
                if search.witness is not None:
                    return [s.answer() for s in searches]
            waiting = [s for s in waiting if s.nodes]
        return [s.answer() for s in searches]


class _TightenSearch:
    """One conjunct's subdomains that wait, each with the share of the whole that it is, and its
    number."""

    def __init__(
        self, engine: TightenSplitEngine, problem: Problem, root: LayerRecord | None
    ) -> None:
        self.engine = engine
        self.root = root
        self.nodes = [(problem, 1.0, 0)]
        self.record = TightenRecord(TRACE_BYTES) if problem.keep_trace else None
        self.numbered = 1  # subdomains so far
        self.done = 0.0
        self.count = 0
        self.stuck: list[float] = []  # shares of subdomains that cannot be split
        self.coverage = Coverage(1)
        self.witness: Array | None = None

    def answer(self) -> Answer:
        note = f"{self.count} subdomains tightened"
        if self.witness is not None:
            return Answer(Outcome.WITNESS, witness=self.witness, note=note)
        open_ = [*(share for _, share, _ in self.nodes), *self.stuck]
        fault = self.coverage.fault(0, len(open_), sum(open_))
        if open_ or fault is not None:
            return Answer(Outcome.UNDECIDED, rigorous=True, note=fault or note, done=self.done)
        trace = None if self.record is None else self.record.trace()
        if trace is not None and self.root is not None:
            trace = self.root.around(trace)
        return Answer.excluded(note=note, trace=trace)

    def run(self, deadline: Deadline) -> None:
        """Until the deadline, a witness, or nothing waits; what is begun goes on next time."""
        while self.nodes and not deadline.passed:
            node, share, number = self.nodes.pop()
            began = time.monotonic()
            bounds = self._tighten(node, number, deadline)
            if bounds is None:
                self._close(share)
                continue
            node = replace(node, bounds=bounds)
            if deadline.passed:
                self.nodes.append((node, share, number))
                return
            spent = max(LEAST, time.monotonic() - began)
            answer = self.engine.finish.solve(node, deadline.earlier(spent))[0]
            if answer.outcome is Outcome.WITNESS:
                self.witness = answer.witness
                return
            if answer.outcome is Outcome.INFEASIBLE and answer.rigorous:
                if self.record is not None:
                    self.record.close(number, answer.trace)
                self._close(share)
                continue
            self.count += 1
            neuron = self._dearest(node)
            if neuron is None:
                self.stuck.append(share)
                continue
            self._split(node, share, number, neuron=neuron)

    def _split(self, node: Problem, share: float, number: int, neuron: Neuron) -> None:
        """Put both phases of a neuron to the subdomains that wait."""
        self.coverage.split(0)
        off, on = self.numbered, self.numbered + 1
        self.numbered += 2
        for child, phase in ((off, False), (on, True)):
            self.nodes.append((_with_phase(node, *neuron, phase), share / 2, child))
        if self.record is not None:
            self.record.split(number, neuron, off, on)

    def _close(self, share: float) -> None:
        self.count += 1
        self.done += share
        self.coverage.close(0, share)

    def _tighten(self, problem: Problem, number: int, deadline: Deadline) -> Bounds | None:
        """Bounds after as many rounds as pay; None if the subdomain is excluded."""
        bounds = problem.bounds
        assert bounds is not None
        before = _widths(problem, bounds)
        while before and not deadline.passed:
            kept = None if self.record is None else self.record.of(number)
            found = tightened(problem, problem.conjuncts[0], bounds, deadline=deadline, record=kept)
            if found is None:
                return None
            bounds = found
            after = _widths(problem, bounds)
            if all(after.get(layer, 0.0) > PROGRESS * width for layer, width in before.items()):
                break
            before = after
        return bounds

    def _dearest(self, problem: Problem) -> Neuron | None:
        """The free neuron whose relaxation costs the bound most; None where nothing is free."""
        region = region_of(problem, self.engine.device).region
        rows = stack_rows(problem, self.engine.device)
        with torch.no_grad():
            bound = row_bounds(region, rows, keep=True)
        row = int(bound.value[0].argmax())
        best = 0.0
        dearest: Neuron | None = None
        for layer, form in bound.coefficients.items():
            lines = region.lines[layer]
            assert isinstance(lines, ActivationLines)
            cost, neuron = relaxation_cost(lines, form[:, row])[0].max(0)
            if float(cost) > best:
                best, dearest = float(cost), (layer, int(neuron))
        return dearest


def _with_phase(problem: Problem, layer: str, neuron: int, on: bool) -> Problem:
    """The subdomain where a neuron is on (z ≥ 0) or off (z ≤ 0)."""
    assert problem.bounds is not None
    bounds = problem.bounds[layer]
    free = np.full(len(bounds[0]), np.inf)
    half = (-free, free.copy())
    half[0 if on else 1][neuron] = 0.0
    return replace(
        problem,
        intervals={**problem.intervals, layer: cut(half, problem.intervals.get(layer))},
        bounds={**problem.bounds, layer: cut(half, bounds)},
        points=None,
    )


def _widths(problem: Problem, bounds: Bounds) -> dict[str, float]:
    """Per layer, the widths of the intervals that hold zero, summed; only where there are any."""
    widths = {}
    for layer in problem.network.decision_layers:
        low, high = bounds[layer]
        free = (low < 0) & (high > 0)
        if free.any():
            widths[layer] = float((high - low)[free].sum())
    return widths
