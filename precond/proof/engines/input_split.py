"""Branch and bound by bisecting the input box, for networks with few inputs.

Each step takes a batch of boxes, refines all layer bounds in them, bounds every row of
every open conjunct, and drops what is decided.  What stays is cut in two along the input
that matters most to its worst row (|coefficient| × width of the bound's linear form).
Centres and the corners where the linear forms are smallest are tried as witnesses.

Boxes wait in a stack, deepest first, so memory stays small; ``share`` of the domain's
volume that is decided goes into the note of an undecided answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import Operators, operators
from precond.proof.bounds.backward import lower_bound
from precond.proof.bounds.region import refine
from precond.proof.claim import Problem
from precond.proof.engines.base import Answer, Deadline, Outcome

FEW_INPUTS = 24


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


@dataclass(frozen=True)
class InputSplitEngine:
    """Input bisection over batched bounds; rigorous and, for tolerance-free margins, complete."""

    device: str = "cpu"
    batch: int = 1024
    name: str = "input-split"

    def unsupported(self, problem: Problem) -> str | None:
        varying = int((problem.box.width > 0).sum())
        if varying > FEW_INPUTS:
            return f"{varying} inputs vary; bisection is for at most {FEW_INPUTS}"
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct."""
        with torch.no_grad():
            return _Search(problem, deadline, self.device, self.batch).run()


class _Search:
    def __init__(self, problem: Problem, deadline: Deadline, device: str, batch: int) -> None:
        self.problem = problem
        self.deadline = deadline
        self.batch = batch
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
        self.done = 0.0  # share of the volume that is decided

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def run(self) -> list[Answer]:
        lower = self._tensor(self.problem.box.lower)[None]
        upper = self._tensor(self.problem.box.upper)[None]
        open_ = torch.ones(1, self.rows.conjuncts, dtype=torch.bool, device=self.device)
        share = torch.ones(1, dtype=torch.float64, device=self.device)
        stack = [(lower, upper, open_, share)]
        stuck = torch.zeros(self.rows.conjuncts, dtype=torch.bool, device=self.device)
        while stack and not self.deadline.passed:
            lower, upper, open_, share = _pop(stack, self.batch)
            found = torch.tensor(
                [c in self.witness for c in range(self.rows.conjuncts)], device=self.device
            )
            open_ = open_ & ~found
            keep = open_.any(1)
            self.done += float(share[~keep].sum())
            if not bool(keep.any()):
                continue
            lower, upper, open_, share = lower[keep], upper[keep], open_[keep], share[keep]
            children = self._step(lower, upper, open_, share, stuck)
            if children is not None:
                stack.append(children)
        left = stuck.clone()
        for _, _, open_, _ in stack:
            left |= open_.any(0)
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

    def _step(
        self, lower: Tensor, upper: Tensor, open_: Tensor, share: Tensor, stuck: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Bound a batch of boxes; the halves of those that stay open."""
        rows = self.rows
        refined = refine(self.ops, lower, upper, self.constraints, half=self.half)
        bound = lower_bound(
            refined.region,
            self.problem.network.output,
            rows.form[None],
            rows.constant[None],
            input_form=None if rows.inputs is None else rows.inputs[None],
        )
        enough = torch.where(rows.strict, bound.value >= 0, bound.value > 0)
        decided = _any_row(enough, rows)
        open_ = open_ & ~decided & ~refined.empty[:, None]
        keep = open_.any(1)
        self.done += float(share[~keep].sum())
        if not bool(keep.any()):
            return None
        lower, upper, open_, share = lower[keep], upper[keep], open_[keep], share[keep]
        value, form = bound.value[keep], bound.form[keep]
        # Of each open conjunct its row nearest to being decided; of those the worst.
        open_rows = open_[:, rows.owner]
        best = torch.full_like(open_, 0, dtype=torch.float64)
        best = best.scatter_reduce(
            1, rows.owner.expand(len(value), -1), value, "amax", include_self=False
        )
        is_best = open_rows & (value >= best[:, rows.owner])
        worst = torch.where(is_best, value, torch.inf).argmin(1)
        chosen = form[torch.arange(len(form), device=self.device), worst]
        corner = torch.where(chosen > 0, lower, upper)
        self._try(torch.cat([corner, (lower + upper) / 2]))
        width = upper - lower
        score = (chosen.abs() + 0.02 * chosen.abs().amax(1, keepdim=True) + 1e-300) * width
        axis = score.argmax(1)
        index = torch.arange(len(axis), device=self.device)
        middle = (lower[index, axis] + upper[index, axis]) / 2
        splittable = (middle > lower[index, axis]) & (middle < upper[index, axis])
        if not bool(splittable.all()):
            stuck |= open_[~splittable].any(0)
            lower, upper, open_, share = (part[splittable] for part in (lower, upper, open_, share))
            axis, middle = axis[splittable], middle[splittable]
            index = torch.arange(len(axis), device=self.device)
        left_upper, right_lower = upper.clone(), lower.clone()
        left_upper[index, axis] = middle
        right_lower[index, axis] = middle
        return (
            torch.cat([lower, right_lower]),
            torch.cat([left_upper, upper]),
            torch.cat([open_, open_]),
            torch.cat([share, share]) / 2,
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
    )


def _any_row(flags: Tensor, rows: _Rows) -> Tensor:
    """Per conjunct (G, conjuncts): whether any of its rows is flagged (G, R)."""
    result = torch.zeros(len(flags), rows.conjuncts, dtype=torch.int32, device=flags.device)
    result.index_add_(1, rows.owner, flags.to(torch.int32))
    return result > 0


def _pop(
    stack: list[tuple[Tensor, Tensor, Tensor, Tensor]], count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Up to ``count`` boxes from the top of the stack."""
    taken: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    room = count
    while stack and room > 0:
        block = stack.pop()
        if len(block[0]) > room:
            lower, upper, open_, share = block
            stack.append((lower[:-room], upper[:-room], open_[:-room], share[:-room]))
            block = (lower[-room:], upper[-room:], open_[-room:], share[-room:])
        taken.append(block)
        room -= len(block[0])
    lower, upper, open_, share = (torch.cat(parts) for parts in zip(*taken, strict=True))
    return lower, upper, open_, share
