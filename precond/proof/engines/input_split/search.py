"""Branch and bound by bisecting the input box, for networks with few inputs.

Each step takes a batch of boxes, refines all layer bounds in them, bounds every row of
every open conjunct, and drops what is decided.  What stays is cut in two along the input
that matters most to its worst row (|coefficient| × width of the bound's linear form).
Centres and the corners where the linear forms are smallest are tried as witnesses.

At any time the least bound of the boxes that wait, and the share of the domain's volume
that is decided, hold for the whole domain; an undecided answer carries both.

A search that is not over soon halves what waits with a copy of its process, where a second
core is free: both go on until one is done, then what is left is halved again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from precond.network.operators import Operators, operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.layer_passes import INTERVALS
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.point_runs import EVERY, NOTE, exceeds_margin
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import row_bounds
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
from precond.proof.engines.input_split.ascent import ascend
from precond.proof.engines.input_split.boxes import (
    Boxes,
    WaitingBoxes,
    both_halves,
    where_to_cut,
    whole_box,
)
from precond.proof.engines.input_split.points import Points
from precond.proof.engines.input_split.record import BoxRecord
from precond.proof.gate import excludes
from precond.proof.limits import layer_tensors, limits_of
from precond.proof.processes.two_cores import Halvable, run
from precond.proof.refusal import Refusal
from precond.proof.rows import stack_rows

FEW_INPUTS = 24
SAMPLES = 1024  # tried as witnesses before the search
TRACE_SHARE = 0.125  # of free memory, for a recorded trace


@dataclass(frozen=True)
class InputSplitEngine:
    """Input bisection over batched bounds; rigorous and, for tolerance-free margins, complete."""

    device: str = "cpu"
    batch: int = 512
    steps: int = 5
    name: str = "input-split"
    lines: ClassVar[Lines] = PROPAGATION

    def unsupported(self, problem: Problem) -> Refusal | None:
        varying = int((problem.box.width > 0).sum())
        if varying > FEW_INPUTS:
            return Refusal(f"{varying} inputs vary; bisection is for at most {FEW_INPUTS}")
        return beyond_floats(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct."""
        with torch.no_grad(), plain_sums(self.device):
            return _BoxSearch(
                problem, deadline, self.device, batch=self.batch, steps=self.steps
            ).run()


class _BoxSearch(Halvable[Boxes]):
    def __init__(
        self, problem: Problem, deadline: Deadline, device: str, batch: int, steps: int
    ) -> None:
        self.problem = problem
        self.deadline = deadline
        self.batch = batch
        self.steps = steps
        self.device = device
        self.ops: Operators = operators(problem.network, device, torch.float64)
        self.rows = stack_rows(problem, device)
        self.limits = limits_of(problem, device)
        self.points = Points(self.ops, self.rows, self.limits)
        self.rest = 0  # batches that go without improved multipliers
        self.numbered = 1  # boxes so far
        self.stuck: list[Boxes] = []  # cannot be cut further
        self.coverage = Coverage(self.rows.conjuncts)
        self.waiting = WaitingBoxes()
        self.steps_done = 0
        self.hopeless = False
        self.record = None
        if problem.keep_trace:
            self.record = BoxRecord(self.rows, TRACE_SHARE * free_bytes(device))

    def run(self) -> list[Answer]:
        root = whole_box(self.problem, self.rows.conjuncts, self.device)
        self.waiting.push(self._first(root))
        run(self, halves=self.record is None and self.device == "cpu")
        return self._answers()

    def waiting_blocks(self) -> list[Boxes]:
        return self.waiting.blocks

    def put(self, blocks: list[Boxes]) -> None:
        self.waiting.blocks = blocks

    @property
    def goes_on(self) -> bool:
        return bool(self.waiting) and not self.deadline.passed and not self.hopeless

    def begin(self) -> None:
        self.stuck = []

    def said(self) -> tuple[dict[int, np.ndarray], list[Boxes], bool]:
        return self.points.witnesses, self.stuck, self.hopeless

    def hear(self, said: tuple[dict[int, np.ndarray], list[Boxes], bool]) -> None:
        witnesses, stuck, hopeless = said
        self.points.witnesses = {**witnesses, **self.points.witnesses}
        self.stuck.extend(stuck)
        self.hopeless |= hopeless

    def step(self) -> int:
        if self._hopeless():
            return 0
        boxes = self.waiting.pop(self.batch)
        count, conjuncts = len(boxes), range(self.rows.conjuncts)
        found = torch.tensor([c in self.points.witnesses for c in conjuncts], device=self.device)
        boxes = _still(boxes, boxes.open & ~found)
        if len(boxes):
            self._step(boxes)
        return count

    def _hopeless(self) -> bool:
        """Whether a run's roundings exceed the margin in the middle of a box that waits."""
        self.steps_done += 1
        if self.problem.execution is not Arithmetic.REAL and not self.steps_done % EVERY:
            boxes = self.waiting.blocks[-1]
            worst = boxes.bound.amin(1).topk(min(4, len(boxes)), largest=False).indices
            centres = ((boxes.lower + boxes.upper) / 2)[worst].cpu().numpy()
            self.hopeless = exceeds_margin(self.problem, centres, self.device)
        return self.hopeless

    def _answers(self) -> list[Answer]:
        left = [*self.waiting.blocks, *self.stuck]
        answers = []
        for conjunct in range(self.rows.conjuncts):
            if conjunct in self.points.witnesses:
                answers.append(Answer(Outcome.WITNESS, witness=self.points.witnesses[conjunct]))
                continue
            open_ = [boxes for boxes in left if bool(boxes.open[:, conjunct].any())]
            if open_:
                rows = [boxes.open[:, conjunct] for boxes in open_]
                undone = sum(float(b.share[r].sum()) for b, r in zip(open_, rows, strict=True))
                least = min(
                    float(b.bound[r, conjunct].min()) for b, r in zip(open_, rows, strict=True)
                )
                done = min(1.0, max(0.0, 1.0 - undone))
                note = f"{100 * done:.4g} % of the domain decided"
                note = f"{note}, {NOTE}" if self.hopeless else note
                bound = least if np.isfinite(least) else None
                answers.append(
                    Answer(Outcome.UNDECIDED, rigorous=True, bound=bound, note=note, done=done)
                )
                continue
            fault = self.coverage.fault(conjunct)
            if fault is not None:
                answers.append(Answer(Outcome.UNDECIDED, note=fault))
                continue
            trace = None if self.record is None else self.record.tree.trace(conjunct)
            answers.append(Answer.excluded(trace=trace))
        return answers

    def _first(self, root: Boxes) -> Boxes:
        """The root cut in eight before anything else: engines before this one have bounded it
        whole, and a step costs the same for eight boxes as for one."""
        given = self.problem.bounds
        if given is None:
            return root
        refined = refine(
            self.ops,
            root.lower,
            root.upper,
            limits=self.limits,
            known=layer_tensors(given, self.device),
            passes=INTERVALS,
            execution=self.problem.execution,
        )
        if bool(refined.empty[0]):
            return root
        rows = self.rows
        bound = row_bounds(refined.region, rows)
        form = bound.form[:, int(bound.value[0].argmax())]
        corners = torch.where(bound.form[0] > 0, root.lower, root.upper)
        drawn = torch.rand(
            SAMPLES,
            root.lower.shape[1],
            dtype=torch.float64,
            generator=torch.Generator().manual_seed(0),
        ).to(self.device)
        self.points.try_all(torch.cat([corners, root.lower + drawn * (root.upper - root.lower)]))
        root = replace(root, known=refined.bounds, bound=rows.best(bound.value))
        boxes = root
        for _ in range(3):
            boxes, whole = self._halves(boxes, form.expand(len(boxes), -1))
            if len(whole):
                return root
        return boxes

    def _step(self, boxes: Boxes) -> None:
        """Bound a batch of boxes, and put the halves of those that stay open to the others."""
        rows = self.rows
        refined = refine(
            self.ops,
            boxes.lower,
            boxes.upper,
            limits=self.limits,
            known=boxes.known,
            execution=self.problem.execution,
        )
        empty = refined.empty[:, None]
        bound = row_bounds(refined.region, rows)
        enough = excludes(bound.value, rows.strict)
        if self.record is not None:
            self.record.plain(boxes, refined, bound.value, enough & ~empty)
        open_ = boxes.open & ~empty & ~rows.any(enough)
        self._close(boxes, open_)
        keep = open_.any(1).nonzero().squeeze(1)
        if not len(keep):
            return
        boxes = _still(replace(boxes, known=refined.bounds), open_)
        # Slopes, and the weights of a conjunct's inequalities, for what is still open; while
        # that closes few boxes it is left out for a few batches.
        self.rest -= 1
        better = ascend(
            refined.region.take(keep),
            rows,
            rows.spread(bound.value[keep]),
            steps=self.steps if self.rest <= 0 else 0,
            deadline=self.deadline,
            open_=boxes.open,
            on_closed=None if self.record is None else partial(self.record.pairs, boxes),
        )
        decided = excludes(better.value, rows.all_strict)
        worst = torch.where(boxes.open, better.value, torch.inf).argmin(1)
        index = torch.arange(len(boxes), device=self.device)
        corner = torch.where(better.form[index, worst] > 0, boxes.lower, boxes.upper)
        self.points.try_all(torch.cat([corner, (boxes.lower + boxes.upper) / 2]))
        # The form before optimising says better which input to cut: optimised slopes have
        # bent it to the box as it is.
        chosen = bound.form[keep][index, rows.best_row(bound.value[keep], worst)]
        left = (boxes.open & ~decided).any(1).nonzero().squeeze(1)
        if self.rest <= 0 and len(left) > 0.95 * len(boxes):
            self.rest = 6
        known = torch.maximum(rows.best(bound.value[keep]), better.value)
        boxes = replace(boxes, bound=torch.maximum(boxes.bound, known.nan_to_num(nan=-torch.inf)))
        self._close(boxes, boxes.open & ~decided)
        boxes, chosen = _still(boxes, boxes.open & ~decided), chosen[left]
        if len(boxes):
            halves, whole = self._halves(boxes, chosen)
            self.waiting.push(halves)
            if len(whole):
                self.stuck.append(whole)

    def _close(self, boxes: Boxes, open_: Tensor) -> None:
        """Count the pairs (G, conjuncts) of box and conjunct that are no longer ``open_``."""
        box, conjunct = (boxes.open & ~open_).nonzero(as_tuple=True)
        self.coverage.close(conjunct, boxes.share[box])

    def _halves(self, boxes: Boxes, form: Tensor) -> tuple[Boxes, Boxes]:
        """Both halves along the input that matters most to ``form`` (G, n); and the boxes that
        are too narrow to be cut."""
        boxes, axis, middle, whole = where_to_cut(boxes, form)
        first, self.numbered = self.numbered, self.numbered + 2 * len(boxes)
        self.coverage.split(boxes.open.nonzero()[:, 1])
        if self.record is not None:
            self.record.cuts(boxes, axis, middle, first=first)
        return both_halves(boxes, axis, middle, first=first), whole


def _still(boxes: Boxes, open_: Tensor) -> Boxes:
    """The boxes with an open conjunct left."""
    return replace(boxes, open=open_).rows(open_.any(1).nonzero().squeeze(1))
