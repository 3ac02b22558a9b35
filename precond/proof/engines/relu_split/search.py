"""Branch and bound by fixing ReLU phases, for networks with many inputs.

A subdomain is a set of decided phases.  Its bound is one backward pass from the output with
slopes α and, for each decided phase and pattern literal, a multiplier β, improved by a few
gradient steps that start from the parent's.  Layer bounds are the root's, cut by the
phases.  The neuron whose relaxation costs the worst row most is split next; of the best few
the one whose children bound highest is taken.  Where nothing is free the pattern is closed,
and ``leaf`` (a linear program) decides.

At any time the least bound of the subdomains that wait holds for the whole conjunct, and
Σ 2^−depth of them says how much is left; an undecided answer carries both.  A search that
is to be short may be told to go on where little is left: ``trial``.

Source: Bunel et al. 2020 (BaBSR), De Palma et al. 2021 (FSB), Wang et al. 2021 (β-CROWN).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.backward import Bound, Multipliers, Region
from precond.proof.bounds.closed_phases import closed_problem
from precond.proof.bounds.corners import violating
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.layer_record import LayerRecord
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.point_runs import EVERY, NOTE, exceeds_margin
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.region import Refined
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.claim import Problem
from precond.proof.coverage import Coverage
from precond.proof.engines.base import (
    PROPAGATION,
    Answer,
    Deadline,
    Lines,
    Outcome,
    free_bytes,
)
from precond.proof.engines.relu_split.blocks import Subdomains, WaitingSubdomains, twice
from precond.proof.engines.relu_split.phases import Phases, both_phases
from precond.proof.engines.relu_split.record import PhaseRecord, within
from precond.proof.gate import excludes
from precond.proof.processes.two_cores import Halvable, run
from precond.proof.refusal import Refusal
from precond.proof.rows import stack_rows
from precond.proof.trace import Leaf

Decide = Callable[[Problem, Deadline], Answer]
WAITING_SHARE = 0.25  # of free memory, for subdomains that wait
TRACE_SHARE = 0.125  # of free memory, for a recorded trace
PROMISE = 0.5  # of the phases open, with which a search goes on after its trial


@dataclass(frozen=True)
class ReluSplitEngine:
    """Phase splitting over batched, optimised bounds; rigorous, complete with ``leaf``.

    ``trial``: the share of its time after which it ends if less than half of the phases of
    some conjunct are decided.
    """

    device: str = "cpu"
    batch: int = 128
    steps: int = 12
    root_steps: int = 10
    leaf: Decide | None = None
    name: str = "relu-split"
    trial: float = 1.0
    lines: ClassVar[Lines] = PROPAGATION

    def unsupported(self, problem: Problem) -> Refusal | None:
        return beyond_floats(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct, all searched side by side; a witness ends the search."""
        with plain_sums(self.device):
            trial = deadline.earlier(self.trial * deadline.left)
            limit = trial.earlier(0.2 * trial.left)
            record = LayerRecord(problem.network) if problem.keep_trace else None
            steps, half = self.root_steps, record is None
            backward = problem.bounds is None or steps > 0
            passes = LayerPasses(backward, steps, limit, half=half, record=record)
            refined = region_of(problem, self.device, passes=passes)
            if bool(refined.empty[0]):
                trace = None if record is None else record.around(Leaf(empty=True))
                return [Answer.excluded(trace=trace)] * len(problem.conjuncts)
            answers = _PhaseSearch(self, problem, refined, deadline=deadline, trial=trial).run()
            return [within(record, answer) for answer in answers]


class _PhaseSearch(Halvable[Subdomains]):
    def __init__(
        self,
        engine: ReluSplitEngine,
        problem: Problem,
        refined: Refined,
        deadline: Deadline,
        trial: Deadline,
    ) -> None:
        self.engine = engine
        self.problem = problem
        self.root = refined.region
        self.deadline = deadline
        self.trial = trial
        self.ops = operators(problem.network, engine.device, torch.float64)
        self.rows = stack_rows(problem, engine.device)
        self.phases = Phases(self.ops, refined.region, refined.bounds, rows=self.rows)
        self.witness: tuple[int, np.ndarray] | None = None
        self.numbered = len(problem.conjuncts)  # subdomains so far; the first are the roots
        self.visited = 0
        self.coverage = Coverage(len(problem.conjuncts))
        self.steps_done = 0
        self.hopeless = False
        count = len(problem.conjuncts)
        self.stuck = torch.zeros(count, dtype=torch.int64, device=engine.device)
        self.undone = torch.zeros(count, dtype=torch.float64, device=engine.device)
        self.least = torch.full_like(self.undone, torch.inf)  # bound of leaves that stay open
        memory = free_bytes(engine.device)
        self.waiting = WaitingSubdomains(WAITING_SHARE * memory)
        self.record = PhaseRecord(self.phases, TRACE_SHARE * memory) if problem.keep_trace else None

    def run(self) -> list[Answer]:
        device = self.engine.device
        index = torch.arange(self.numbered, device=device)
        phases = torch.zeros(len(index), sum(self.phases.widths), dtype=torch.int8, device=device)
        share = torch.ones(len(index), dtype=torch.float64, device=device)
        self.waiting.push(
            Subdomains(index, phases, index, share=share, bound=-torch.inf * share, start=None)
        )
        run(self, halves=self.record is None and device == "cpu")
        for _, block in self.waiting.blocks:
            self._give_up(block)
        return self._answers()

    def waiting_blocks(self) -> list[Subdomains]:
        return [block for _, block in self.waiting.blocks]

    def put(self, blocks: list[Subdomains]) -> None:
        self.waiting.put(blocks)

    @property
    def goes_on(self) -> bool:
        if self.trial.passed and self.coverage.share.max() > PROMISE:
            return False
        ended = self.deadline.passed or self.witness is not None or self.hopeless
        return bool(self.waiting) and not ended

    def step(self) -> int:
        block = self.waiting.pop(self.engine.batch)
        self._step(block)
        return len(block)

    def begin(self) -> None:
        self.visited = 0
        self.stuck, self.undone = self.stuck * 0, self.undone * 0

    def said(self) -> tuple[Tensor, Tensor, Tensor, tuple[Any, bool, int]]:
        told = self.witness, self.hopeless, self.visited
        return self.stuck, self.undone, self.least, told

    def hear(self, said: tuple[Tensor, Tensor, Tensor, tuple[Any, bool, int]]) -> None:
        stuck, undone, least, (witness, hopeless, visited) = said
        self.stuck, self.undone = self.stuck + stuck, self.undone + undone
        self.least = torch.minimum(self.least, least)
        self.witness = self.witness or witness
        self.hopeless |= hopeless
        self.visited += visited

    def _give_up(self, block: Subdomains) -> None:
        """Count subdomains that stay open."""
        self.stuck += torch.bincount(block.conjunct, minlength=len(self.stuck))
        self.undone.index_add_(0, block.conjunct, block.share)
        self.least.scatter_reduce_(0, block.conjunct, block.bound, "amin")

    def _answers(self) -> list[Answer]:
        answers = []
        for conjunct, left in enumerate(self.stuck.tolist()):
            if self.witness is not None and self.witness[0] == conjunct:
                answers.append(Answer(Outcome.WITNESS, witness=self.witness[1]))
            elif left or self.witness is not None:
                done = min(1.0, max(0.0, 1.0 - float(self.undone[conjunct])))
                least = float(self.least[conjunct])
                bound = least if np.isfinite(least) else None
                note = (
                    f"{self.visited} subdomains bounded, {left} open, "
                    f"{100 * done:.4g} % of the phases decided"
                )
                note = f"{note}, {NOTE}" if self.hopeless else note
                answers.append(
                    Answer(Outcome.UNDECIDED, rigorous=True, bound=bound, note=note, done=done)
                )
            elif (fault := self.coverage.fault(conjunct)) is not None:
                answers.append(Answer(Outcome.UNDECIDED, note=fault))
            else:
                trace = None
                if self.record is not None:
                    trace = self.record.tree.trace(conjunct, root=conjunct)
                note = f"{self.visited} subdomains"
                answers.append(Answer.excluded(note=note, trace=trace))
        return answers

    def _step(self, block: Subdomains) -> None:
        """Bound a block, and put the children of what stays open to the others."""
        self.visited += len(block)
        conjunct = block.conjunct
        region, empty = self.phases.region(block.phases)
        bound, multipliers = self._improved(block, region)
        # A bound that overflowed to NaN is no bound, and never the best.
        value, row = bound.value.nan_to_num(nan=-torch.inf).max(1)
        enough = excludes(bound.value, self.rows.own(conjunct).strict).any(1)
        if self.record is not None:
            self.record.empty(block, empty)
            closed = (enough & ~empty).nonzero().squeeze(1)
            self.record.closed(block, region, multipliers, closed=closed)
        done = enough | empty
        self.coverage.close(conjunct[done], block.share[done])
        open_ = (~done).nonzero().squeeze(1)
        if not len(open_):
            return
        region, row = region.take(open_), row[open_]
        form = bound.form[open_, row]
        block = replace(block, bound=torch.maximum(block.bound, value), start=multipliers)
        kept = block.rows(open_)
        corners = torch.where(form > 0, region.lower, region.upper)
        self._try(corners, kept.conjunct)
        self.steps_done += 1
        if self.problem.execution is not Arithmetic.REAL and not self.steps_done % EVERY:
            points = corners[:4].cpu().numpy()
            self.hopeless = exceeds_margin(self.problem, points, self.engine.device)
        if self.witness is not None:
            self._give_up(kept)
            return
        met = {name: form[open_] for name, form in bound.coefficients.items()}
        scores = self.phases.scores(region, met, row)
        best = scores.amax(1) if scores.shape[1] else scores.new_zeros(len(kept))
        inside = best > 0  # a score that is no number splits nothing
        for leaf in (~inside).nonzero().squeeze(1).tolist():
            if self.witness is not None or not self._leaf(kept, leaf):
                self._give_up(kept.rows(torch.tensor([leaf], device=inside.device)))
            else:
                self.coverage.close(kept.conjunct[leaf], kept.share[leaf])
        inner = inside.nonzero().squeeze(1)
        if len(inner):
            self._split(kept.rows(inner), scores[inner], row[inner])

    def _improved(self, block: Subdomains, region: Region) -> tuple[Bound, Multipliers]:
        steps = self.engine.steps if block.start is not None else 2 * self.engine.steps
        own = self.rows.own(block.conjunct)
        return improved_bounds(
            region, own, steps=steps, deadline=self.deadline, initial=block.start, keep=True
        )

    def _split(self, block: Subdomains, scores: Tensor, row: Tensor) -> None:
        neuron = self.phases.split(block, scores, row)
        first, self.numbered = self.numbered, self.numbered + 2 * len(block)
        self.coverage.split(block.conjunct)
        if self.record is not None:
            self.record.splits(block, neuron, first)
        self.waiting.push(
            Subdomains(
                torch.arange(first, self.numbered, device=neuron.device),
                both_phases(block.phases, neuron),
                block.conjunct.repeat(2),
                share=block.share.repeat(2) / 2,
                bound=block.bound.repeat(2),
                start=twice(block.start),
            )
        )

    def _leaf(self, block: Subdomains, row: int) -> bool:
        """Whether a subdomain with nothing free was decided."""
        if self.engine.leaf is None:
            return False
        conjunct, cut = int(block.conjunct[row]), self.phases.cut(block.phases[row : row + 1])
        answer = self.engine.leaf(
            closed_problem(self.problem, cut, row=0, conjunct=conjunct), self.deadline
        )
        if answer.witness is not None and answer.outcome is Outcome.WITNESS:
            self.witness = (conjunct, answer.witness)
            return True
        if self.record is not None and answer.trace is not None:
            self.record.tree.graft(int(block.node[row]), conjunct, answer.trace)
        return answer.outcome is Outcome.INFEASIBLE and answer.rigorous

    def _try(self, points: Tensor, conjunct: Tensor) -> None:
        """Keep a point of the region that violates as its own subdomain's conjunct says."""
        which = violating(self.problem, self.root, self.rows, points=points, conjunct=conjunct)
        if which is not None:
            self.witness = (int(conjunct[which]), points[which].cpu().numpy().copy())
