"""Search for witnesses and for points of a region: batched projected gradient in the box.

Minimises ``Σ relu(−g_j) + Σ (distance of pre-activations from their intervals)``, each term
in units of its own first size, with signed steps that shrink; starts are given points,
box corners and uniform samples.  What it returns satisfies everything in float64; whether
it counts is for ``replay`` to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.operators import operators
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.descent import Pace, descend
from precond.proof.rows import stack_rows

Array = NDArray[np.float64]


def attack(
    problem: Problem,
    conjunct: Conjunct,
    deadline: Deadline,
    *,
    starts: Sequence[Array] = (),
    restarts: int = 32,
    steps: int = 60,
    margin: float = 0.0,
    device: str = "cpu",
    seed: int = 0,
) -> Array | None:
    """A point (n,) of the region where ``conjunct`` holds, or None if none was found.

    An empty conjunct asks for any point of the region.  ``margin`` > 0 asks the
    inequalities to hold by that much.
    """
    found = attack_all(
        problem,
        (conjunct,),
        deadline,
        starts=starts,
        restarts=restarts,
        steps=steps,
        margin=margin,
        device=device,
        seed=seed,
    )
    return found[0][0] if len(found[0]) else None


def attack_all(
    problem: Problem,
    conjuncts: Sequence[Conjunct],
    deadline: Deadline,
    *,
    starts: Sequence[Array] = (),
    restarts: int = 32,
    steps: int = 60,
    margin: float = 0.0,
    enough: int = 1,
    device: str = "cpu",
    seed: int = 0,
) -> list[Array]:
    """For each conjunct the points (k, n) found, k ≥ 0; all conjuncts are attacked side by
    side, until each has ``enough`` points or the steps are done."""
    ops = operators(problem.network, device, torch.float64)
    network = problem.network

    def tensor(values: Array) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)

    points = tensor(_starts(problem, starts, max(restarts, 1), seed=seed))
    each, count = len(points), len(conjuncts)
    lower, upper = tensor(problem.box.lower), tensor(problem.box.upper)
    goal = _Goal(problem, conjuncts, each, margin=margin, device=device)
    limits = {
        network.pre_activation(layer): (tensor(low), tensor(high))
        for layer, (low, high) in problem.intervals.items()
    }
    half = None
    if problem.halfspaces is not None:
        half = (tensor(problem.halfspaces.matrix), tensor(problem.halfspaces.bound))
    wanted = list(dict.fromkeys([*limits, network.output]))
    found: list[dict[int, Array]] = [{} for _ in conjuncts]
    scales: list[Tensor] = []

    def look(x: Tensor, values: dict[str, Tensor]) -> Tensor | None:
        terms: list[Tensor] = []
        solved = torch.ones(len(x), dtype=torch.bool, device=device)
        for source, (low, high) in limits.items():
            z = values[source].flatten(1)
            outside = (low - z).clamp(min=0) + (z - high).clamp(min=0)
            terms.append(outside)
            solved &= (outside == 0).all(1)
        if half is not None:
            outside = (x @ half[0].T - half[1]).clamp(min=0)
            terms.append(outside)
            solved &= (outside == 0).all(1)
        if any(conjuncts):
            missing, reached = goal(values[network.output].flatten(1), x)
            terms.append(missing)
            solved &= reached
        for row in solved.nonzero().squeeze(1).tolist():
            points_of = found[row // each]
            if len(points_of) < enough:
                points_of.setdefault(row, x.detach()[row].cpu().numpy().copy())
        if all(len(points_of) >= enough for points_of in found) or deadline.passed or not terms:
            return None
        if not scales:
            scales.extend(
                t.detach().reshape(count, -1).mean(1).clamp(min=1e-9).repeat_interleave(each)
                for t in terms
            )
        return torch.stack([(t.sum(1) / s) for t, s in zip(terms, scales, strict=True)]).sum()

    x = points.repeat(count, 1)
    descend(ops, x, (lower, upper), pace=Pace(0.25, 0.93), look=look, wanted=wanted, steps=steps)
    return [np.array(list(points_of.values())).reshape(-1, problem.box.size) for points_of in found]


def _starts(problem: Problem, starts: Sequence[Array], restarts: int, seed: int) -> Array:
    """Given points, uniform samples and corners of the box, (P, n)."""
    rng = np.random.default_rng(seed)
    given = [np.asarray(s, dtype=np.float64).reshape(-1, problem.box.size) for s in starts]
    random = problem.box.sample(restarts, rng)
    corners = rng.random((restarts // 4, problem.box.size)) < 0.5
    chosen = np.where(corners, problem.box.lower, problem.box.upper)
    points = np.concatenate([*given, random, chosen])
    inside: Array = np.clip(points, problem.box.lower, problem.box.upper)
    return inside


class _Goal:
    """How far each row of points is from satisfying its own conjunct; points of one conjunct
    after those of another, ``each`` of them."""

    def __init__(
        self,
        problem: Problem,
        conjuncts: Sequence[Conjunct],
        each: int,
        margin: float,
        device: str,
    ) -> None:
        rows = stack_rows(problem.only(tuple(conjuncts)), device)
        self.own = rows.own(torch.arange(rows.conjuncts, device=device))
        self.margin = margin
        self.shape = (rows.conjuncts, each, -1)

    def __call__(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is missing (rows, R), and which rows miss nothing."""
        g = -self.own.margins(y.reshape(self.shape), x.reshape(self.shape))
        reached = torch.where(self.own.strict.unsqueeze(1), g > self.margin, g >= self.margin)
        # A strict or exact boundary is easier to cross when aimed at from beyond.
        reach = g.detach().abs().mean(1, keepdim=True).clamp(min=1e-9) * 0.05
        missing = (self.margin + reach - g).clamp(min=0)
        return missing.flatten(0, 1), reached.all(2).reshape(-1)
