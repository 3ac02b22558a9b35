"""Branch and bound by bisecting the input box, for networks with few inputs.

Each step takes a batch of boxes, refines all layer bounds in them, bounds every row of
every open conjunct, and drops what is decided.  What stays is cut in two along the input
that matters most to its worst row (|coefficient| × width of the bound's linear form).
Centres and the corners where the linear forms are smallest are tried as witnesses.

Boxes wait in a stack, deepest first, so memory stays small; ``share`` of the domain's
volume that is decided goes into the note of an undecided answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import Operators, operators
from precond.proof.bounds.backward import lower_bound
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.region import refine
from precond.proof.claim import Problem
from precond.proof.engines.base import Answer, Deadline, Outcome

FEW_INPUTS = 24
SAMPLES = 1024  # tried as witnesses before the search


@dataclass(eq=False)
class _Rows:
    """All inequalities of all conjuncts, stacked: violated where ``form·y + inputs·x + constant``
    is ≤ 0 (< 0 where ``strict``)."""

    form: Tensor
    inputs: Tensor | None
    constant: Tensor
    strict: Tensor
    owner: Tensor
    conjuncts: int
    all_strict: Tensor


@dataclass(frozen=True, eq=False)
class _Boxes:
    """Boxes (G, n) that wait, their open conjuncts (G, C), their share of the volume (G,), and
    the layer bounds of the box they were cut from."""

    lower: Tensor
    upper: Tensor
    open: Tensor
    share: Tensor
    known: dict[str, tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return len(self.lower)

    def rows(self, which: Tensor) -> _Boxes:
        return _Boxes(
            self.lower[which],
            self.upper[which],
            self.open[which],
            self.share[which],
            {name: (low[which], high[which]) for name, (low, high) in self.known.items()},
        )


@dataclass(frozen=True)
class InputSplitEngine:
    """Input bisection over batched bounds; rigorous and, for tolerance-free margins, complete."""

    device: str = "cpu"
    batch: int = 512
    steps: int = 6
    name: str = "input-split"

    def unsupported(self, problem: Problem) -> str | None:
        varying = int((problem.box.width > 0).sum())
        if varying > FEW_INPUTS:
            return f"{varying} inputs vary; bisection is for at most {FEW_INPUTS}"
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct."""
        with torch.no_grad():
            return _Search(problem, deadline, self.device, self.batch, self.steps).run()


class _Search:
    def __init__(
        self, problem: Problem, deadline: Deadline, device: str, batch: int, steps: int
    ) -> None:
        self.problem = problem
        self.deadline = deadline
        self.batch = batch
        self.steps = steps
        self.device = device
        self.ops: Operators = operators(problem.network, device, torch.float64)
        self.rows = _stack(problem, device)
        self.half = None
        if problem.halfspaces is not None:
            self.half = (
                self._tensor(problem.halfspaces.matrix),
                self._tensor(problem.halfspaces.bound),
            )
        self.constraints = {
            layer: (self._tensor(low)[None], self._tensor(high)[None])
            for layer, (low, high) in problem.intervals.items()
        }
        self.witness: dict[int, np.ndarray] = {}
        self.rest = 0  # batches that go without improved multipliers
        self.done = 0.0  # share of the volume that is decided

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def run(self) -> list[Answer]:
        lower = self._tensor(self.problem.box.lower)[None]
        upper = self._tensor(self.problem.box.upper)[None]
        open_ = torch.ones(1, self.rows.conjuncts, dtype=torch.bool, device=self.device)
        share = torch.ones(1, dtype=torch.float64, device=self.device)
        stuck = torch.zeros(self.rows.conjuncts, dtype=torch.bool, device=self.device)
        stack = [self._first(_Boxes(lower, upper, open_, share, {}), stuck)]
        while stack and not self.deadline.passed:
            boxes = _pop(stack, self.batch)
            found = torch.tensor(
                [c in self.witness for c in range(self.rows.conjuncts)], device=self.device
            )
            boxes = self._still(boxes, boxes.open & ~found)
            if len(boxes):
                children = self._step(boxes, stuck)
                if children is not None:
                    stack.append(children)
        left = stuck.clone()
        for boxes in stack:
            left |= boxes.open.any(0)
        answers = []
        for conjunct in range(self.rows.conjuncts):
            if conjunct in self.witness:
                answers.append(Answer(Outcome.WITNESS, witness=self.witness[conjunct]))
            elif bool(left[conjunct]):
                note = f"{100 * self.done:.4g} % of the domain decided"
                answers.append(Answer(Outcome.UNDECIDED, True, note=note))
            else:
                answers.append(Answer(Outcome.INFEASIBLE, True))
        return answers

    def _first(self, root: _Boxes, stuck: Tensor) -> _Boxes:
        """The root cut in eight before anything else: engines before this one have bounded it
        whole, and a step costs the same for eight boxes as for one."""
        given = self.problem.bounds
        if given is None:
            return root
        known = {
            name: (self._tensor(low)[None], self._tensor(high)[None])
            for name, (low, high) in given.items()
        }
        refined = refine(
            self.ops,
            root.lower,
            root.upper,
            self.constraints,
            half=self.half,
            known=known,
            backward=False,
        )
        if bool(refined.empty[0]):
            return root
        rows = self.rows
        bound = lower_bound(
            refined.region,
            self.problem.network.output,
            rows.form[None],
            rows.constant[None],
            input_form=None if rows.inputs is None else rows.inputs[None],
        )
        form = bound.form[:, int(bound.value[0].argmax())]
        corners = torch.where(bound.form[0] > 0, root.lower, root.upper)
        drawn = torch.rand(
            SAMPLES,
            root.lower.shape[1],
            dtype=torch.float64,
            generator=torch.Generator().manual_seed(0),
        ).to(self.device)
        self._try(torch.cat([corners, root.lower + drawn * (root.upper - root.lower)]))
        boxes = replace(root, known=refined.bounds)
        for _ in range(3):
            if len(halves := self._halves(boxes, form.expand(len(boxes), -1), stuck)) == 0:
                return root
            boxes = halves
        return boxes

    def _still(self, boxes: _Boxes, open_: Tensor) -> _Boxes:
        """The boxes with an open conjunct left; the volume of the others is done."""
        keep = open_.any(1)
        self.done += float(boxes.share[~keep].sum())
        return replace(boxes, open=open_).rows(keep.nonzero().squeeze(1))

    def _step(self, boxes: _Boxes, stuck: Tensor) -> _Boxes | None:
        """Bound a batch of boxes; the halves of those that stay open."""
        rows = self.rows
        refined = refine(
            self.ops, boxes.lower, boxes.upper, self.constraints, half=self.half, known=boxes.known
        )
        open_ = boxes.open & ~refined.empty[:, None]
        output = self.problem.network.output
        inputs = None if rows.inputs is None else rows.inputs[None]
        bound = lower_bound(
            refined.region, output, rows.form[None], rows.constant[None], input_form=inputs
        )
        enough = torch.where(rows.strict, bound.value >= 0, bound.value > 0)
        open_ = open_ & ~_any_row(enough, rows)
        keep = open_.any(1).nonzero().squeeze(1)
        boxes = self._still(replace(boxes, known=refined.bounds), open_)
        if not len(boxes):
            return None
        # Slopes, and the weights of a conjunct's inequalities, for what is still open; while
        # that closes few boxes it is left out for a few batches.
        self.rest -= 1
        better, _ = improve(
            refined.region.take(keep),
            output,
            rows.form[None],
            rows.constant[None],
            steps=self.steps if self.rest <= 0 else 0,
            deadline=self.deadline,
            input_form=inputs,
            rate=0.25,
            mix=_spread(rows, bound.value[keep]),
        )
        decided = torch.where(rows.all_strict, better.value >= 0, better.value > 0)
        worst = torch.where(boxes.open, better.value, torch.inf).argmin(1)
        index = torch.arange(len(boxes), device=self.device)
        corner = torch.where(better.form[index, worst] > 0, boxes.lower, boxes.upper)
        self._try(torch.cat([corner, (boxes.lower + boxes.upper) / 2]))
        # The form before optimising says better which input to cut: optimised slopes have
        # bent it to the box as it is.
        own = rows.owner[None] == worst[:, None]
        row = bound.value[keep].masked_fill(~own, -torch.inf).argmax(1)
        chosen = bound.form[keep][index, row]
        left = (boxes.open & ~decided).any(1).nonzero().squeeze(1)
        if self.rest <= 0 and len(left) > 0.95 * len(boxes):
            self.rest = 6
        boxes, chosen = self._still(boxes, boxes.open & ~decided), chosen[left]
        return self._halves(boxes, chosen, stuck) if len(boxes) else None

    def _halves(self, boxes: _Boxes, form: Tensor, stuck: Tensor) -> _Boxes:
        """Both halves along the input that matters most to ``form`` (G, n)."""
        lower, upper = boxes.lower, boxes.upper
        weight = form.abs() + 0.02 * form.abs().amax(1, keepdim=True) + 1e-300
        axis = (weight * (upper - lower)).argmax(1)
        index = torch.arange(len(axis), device=self.device)
        middle = (lower[index, axis] + upper[index, axis]) / 2
        splittable = (middle > lower[index, axis]) & (middle < upper[index, axis])
        if not bool(splittable.all()):
            stuck |= boxes.open[~splittable].any(0)
            kept = splittable.nonzero().squeeze(1)
            boxes, axis, middle = boxes.rows(kept), axis[kept], middle[kept]
            index = torch.arange(len(axis), device=self.device)
        left, right = boxes.upper.clone(), boxes.lower.clone()
        left[index, axis] = middle
        right[index, axis] = middle
        twice = boxes.rows(index.repeat(2))
        return replace(
            twice,
            lower=torch.cat([boxes.lower, right]),
            upper=torch.cat([left, boxes.upper]),
            share=twice.share / 2,
        )

    def _try(self, points: Tensor) -> None:
        """Keep the first point of the region that violates, per conjunct."""
        network = self.problem.network
        limits = {
            network.pre_activation(layer): bounds for layer, bounds in self.constraints.items()
        }
        wanted = list(dict.fromkeys([*limits, network.output]))
        values = forward(self.ops, {INPUT: points.reshape(-1, *network.input_shape)}, wanted)
        inside = torch.ones(len(points), dtype=torch.bool, device=self.device)
        for source, (low, high) in limits.items():
            z = values[source].flatten(1)
            inside &= ((z >= low) & (z <= high)).all(1)
        if self.half is not None:
            inside &= (points @ self.half[0].T <= self.half[1]).all(1)
        rows = self.rows
        g = values[network.output].flatten(1) @ rows.form.T + rows.constant
        if rows.inputs is not None:
            g = g + points @ rows.inputs.T
        violated = torch.where(rows.strict, g < 0, g <= 0)
        full = ~_any_row(~violated, rows) & inside[:, None]
        for conjunct in full.any(0).nonzero().flatten().tolist():
            if conjunct not in self.witness:
                which = int(full[:, conjunct].nonzero()[0])
                self.witness[conjunct] = points[which].cpu().numpy().copy()


def _stack(problem: Problem, device: str) -> _Rows:
    parts = [problem.rows(conjunct) for conjunct in problem.conjuncts]

    def tensor(values: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.concatenate(values), dtype=torch.float64, device=device)

    inputs = tensor([-e for _, e, _ in parts])
    return _Rows(
        tensor([-c for c, _, _ in parts]),
        inputs if bool(inputs.any()) else None,
        tensor([d for _, _, d in parts]),
        torch.tensor([i.strict for c in problem.conjuncts for i in c], device=device),
        torch.tensor([k for k, c in enumerate(problem.conjuncts) for _ in c], device=device),
        len(problem.conjuncts),
        torch.tensor([all(i.strict for i in c) for c in problem.conjuncts], device=device),
    )


def _any_row(flags: Tensor, rows: _Rows) -> Tensor:
    """Per conjunct (G, conjuncts): whether any of its rows is flagged (G, R)."""
    result = torch.zeros(len(flags), rows.conjuncts, dtype=torch.int32, device=flags.device)
    result.index_add_(1, rows.owner, flags.to(torch.int32))
    return result > 0


def _spread(rows: _Rows, value: Tensor) -> Tensor:
    """Weights to start from, (G, conjuncts, R): most on a conjunct's best row."""
    own = torch.nn.functional.one_hot(rows.owner, rows.conjuncts).T.to(value.dtype)
    spread = own[None] * value[:, None, :].masked_fill(own[None] == 0, 0.0)
    best = spread.masked_fill(own[None] == 0, -torch.inf).argmax(-1, keepdim=True)
    weights = (0.1 * own / own.sum(1, keepdim=True))[None].expand(len(value), -1, -1).clone()
    weights.scatter_add_(2, best, torch.full_like(best, 0.9, dtype=value.dtype))
    return weights


def _pop(stack: list[_Boxes], count: int) -> _Boxes:
    """Up to ``count`` boxes from the top of the stack."""
    taken: list[_Boxes] = []
    room = count
    while stack and room > 0:
        block = stack.pop()
        if len(block) > room:
            index = torch.arange(len(block), device=block.lower.device)
            stack.append(block.rows(index[:-room]))
            block = block.rows(index[-room:])
        taken.append(block)
        room -= len(block)
        if stack and stack[-1].known.keys() != block.known.keys():
            break
    return _joined(taken)


def _joined(blocks: list[_Boxes]) -> _Boxes:
    if len(blocks) == 1:
        return blocks[0]
    return _Boxes(
        torch.cat([b.lower for b in blocks]),
        torch.cat([b.upper for b in blocks]),
        torch.cat([b.open for b in blocks]),
        torch.cat([b.share for b in blocks]),
        {
            name: (
                torch.cat([b.known[name][0] for b in blocks]),
                torch.cat([b.known[name][1] for b in blocks]),
            )
            for name in blocks[0].known
        },
    )
