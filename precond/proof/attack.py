"""Search for witnesses and for points of a region: batched projected gradient in the box.

Minimises ``Σ relu(−g_j) + Σ (distance of pre-activations from their intervals)``, each term
in units of its own first size, with signed steps that shrink; starts are given points,
box corners and uniform samples.  What it returns satisfies everything in float64; whether
it counts is for ``replay`` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.operators import operators
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.descent import Pace, descend
from precond.proof.limits import as_tensor, limits_of
from precond.proof.rows import stack_rows

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AttackEffort:
    """``restarts``: random starts; ``steps`` from each.  ``margin``: by how much inequalities
    are to hold.  ``enough``: points a conjunct needs.  ``seed``: of the random starts."""

    restarts: int = 32
    steps: int = 60
    margin: float = 0.0
    enough: int = 1
    device: str = "cpu"
    seed: int = 0


DEFAULT = AttackEffort()


def attack(
    problem: Problem,
    conjunct: Conjunct,
    deadline: Deadline,
    *,
    starts: Sequence[Array] = (),
    effort: AttackEffort = DEFAULT,
) -> Array | None:
    """A point (n,) of the region where ``conjunct`` holds, or None where the search meets none.

    An empty conjunct asks for any point of the region.
    """
    (points,) = attack_all(problem, (conjunct,), deadline, starts=starts, effort=effort)
    return points[0] if len(points) else None


def attack_all(
    problem: Problem,
    conjuncts: Sequence[Conjunct],
    deadline: Deadline,
    *,
    starts: Sequence[Array] = (),
    effort: AttackEffort = DEFAULT,
) -> list[Array]:
    """For each conjunct its points (k, n), k ≥ 0; all conjuncts are attacked side by side, until
    each has enough points or the steps are done."""
    network, device = problem.network, effort.device
    ops = operators(network, device, torch.float64)
    begin = _starts(problem, starts, max(effort.restarts, 1), seed=effort.seed)
    look = _Look(problem, conjuncts, deadline, each=len(begin), effort=effort)
    descend(
        ops,
        as_tensor(begin, device).repeat(len(conjuncts), 1),
        (as_tensor(problem.box.lower, device), as_tensor(problem.box.upper, device)),
        pace=Pace(0.25, 0.93),
        look=look,
        wanted=list(dict.fromkeys([*look.intervals, network.output])),
        steps=effort.steps,
    )
    return [np.array(list(own.values())).reshape(-1, problem.box.size) for own in look.solutions]


class _Look:
    """What a descent minimises, and the points it has met: by conjunct, ``each`` rows of them."""

    def __init__(
        self,
        problem: Problem,
        conjuncts: Sequence[Conjunct],
        deadline: Deadline,
        *,
        each: int,
        effort: AttackEffort,
    ) -> None:
        network, limits = problem.network, limits_of(problem, effort.device)
        self.output = network.output
        self.intervals = {network.pre_activation(n): pair for n, pair in limits.layers.items()}
        self.half = limits.half
        self.goal = (
            _Goal(problem, conjuncts, each, margin=effort.margin, device=effort.device)
            if any(conjuncts)
            else None
        )
        self.deadline = deadline
        self.each, self.enough = each, effort.enough
        self.solutions: list[dict[int, Array]] = [{} for _ in conjuncts]
        self.scales: list[Tensor] = []

    def __call__(self, x: Tensor, values: dict[str, Tensor]) -> Tensor | None:
        terms, solved = self._terms(x, values)
        for row in solved.nonzero().squeeze(1).tolist():
            own = self.solutions[row // self.each]
            if len(own) < self.enough:
                own.setdefault(row, x.detach()[row].cpu().numpy().copy())
        done = all(len(own) >= self.enough for own in self.solutions)
        if done or self.deadline.passed or not terms:
            return None
        if not self.scales:
            sizes = [t.detach().reshape(len(self.solutions), -1).mean(1) for t in terms]
            self.scales = [s.clamp(min=1e-9).repeat_interleave(self.each) for s in sizes]
        return torch.stack([t.sum(1) / s for t, s in zip(terms, self.scales, strict=True)]).sum()

    def _terms(self, x: Tensor, values: dict[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        """What each row of points lacks, part by part, and which rows lack nothing."""
        terms = []
        for source, (low, high) in self.intervals.items():
            z = values[source].flatten(1)
            terms.append((low - z).clamp(min=0) + (z - high).clamp(min=0))
        if self.half is not None:
            terms.append((x @ self.half[0].T - self.half[1]).clamp(min=0))
        solved = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for outside in terms:
            solved &= (outside == 0).all(1)
        if self.goal is not None:
            missing, reached = self.goal(values[self.output].flatten(1), x)
            terms.append(missing)
            solved &= reached
        return terms, solved


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
