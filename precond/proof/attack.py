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

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import operators
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline

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
    ops = operators(problem.network, device, torch.float64)
    network = problem.network
    rng = np.random.default_rng(seed)
    given = [np.asarray(s, dtype=np.float64).reshape(-1, problem.box.size) for s in starts]
    random = problem.box.sample(max(restarts, 1), rng)
    corners = rng.random((max(restarts, 1) // 4, problem.box.size)) < 0.5
    chosen = np.where(corners, problem.box.lower, problem.box.upper)
    points = np.concatenate([*given, random, chosen])
    points = np.clip(points, problem.box.lower, problem.box.upper)

    def tensor(values: Array) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)

    lower, upper = tensor(problem.box.lower), tensor(problem.box.upper)
    matrix, inputs_matrix, bound = (tensor(part) for part in problem.rows(conjunct))
    strict = torch.tensor([i.strict for i in conjunct], dtype=torch.bool, device=device)
    limits = {
        network.pre_activation(layer): (tensor(low), tensor(high))
        for layer, (low, high) in problem.intervals.items()
    }
    half = None
    if problem.halfspaces is not None:
        half = (tensor(problem.halfspaces.matrix), tensor(problem.halfspaces.bound))
    wanted = list(dict.fromkeys([*limits, network.output]))
    x = tensor(points)
    scales: list[Tensor] | None = None
    width = upper - lower
    for step in range(steps + 1):
        x = x.detach().requires_grad_(True)
        values = forward(ops, {INPUT: x.reshape(-1, *network.input_shape)}, wanted)
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
        if len(conjunct):
            g = values[network.output].flatten(1) @ matrix.T + x @ inputs_matrix.T - bound
            solved &= torch.where(strict, g > margin, g >= margin).all(1)
            # A strict or exact boundary is easier to cross when aimed at from beyond.
            reach = g.detach().abs().mean(0).clamp(min=1e-9) * 0.05
            terms.append((margin + reach - g).clamp(min=0))
        if bool(solved.any()):
            return np.asarray(x.detach()[int(solved.nonzero()[0])].cpu().numpy())
        if step == steps or deadline.passed or not terms:
            return None
        if scales is None:
            scales = [t.detach().mean().clamp(min=1e-9) for t in terms]
        loss = torch.stack([(t.sum(1) / s) for t, s in zip(terms, scales, strict=True)]).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        rate = 0.25 * 0.93**step
        with torch.no_grad():
            if step % 2:
                size = gradient.abs().amax(1, keepdim=True).clamp(min=1e-300)
                move = gradient / size
            else:
                move = gradient.sign()
            x = torch.minimum(torch.maximum(x - rate * width * move, lower), upper)
    return None
