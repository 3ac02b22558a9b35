"""Bounds of one property over many patterns at once: one propagation, many right-hand sides.

For searches that weigh candidate patterns against each other, which put what they claim to
``prove``, and for rules near data, which ask about thousands of balls.  The bounds are rigorous;
whether one excludes a violation is for the gate to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from precond.network.operators import operators
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.limits import Limits
from precond.proof.rows import stack_rows


def pattern_bounds(
    problems: Sequence[Problem],
    *,
    steps: int = 20,
    device: str = "cpu",
    deadline: Deadline = FOREVER,
) -> NDArray[np.float64]:
    """For each problem the least bound over its conjuncts, (G,): positive means proved, inf
    that its region is empty.

    The problems are about one network and have the same conjuncts; boxes and intervals differ.
    """
    first = problems[0]
    network = first.network
    ops = operators(network, device, torch.float64)

    def tensor(values: object) -> torch.Tensor:
        return torch.tensor(np.array(values), dtype=torch.float64, device=device)

    constraints = {}
    for layer in network.decision_layers:
        if any(layer in problem.intervals for problem in problems):
            free = np.full(network.width(layer), np.inf)
            pairs = [problem.intervals.get(layer, (-free, free)) for problem in problems]
            constraints[layer] = (
                tensor([low for low, _ in pairs]),
                tensor([high for _, high in pairs]),
            )
    with torch.no_grad():
        refined = refine(
            ops,
            tensor([problem.box.lower for problem in problems]),
            tensor([problem.box.upper for problem in problems]),
            limits=Limits(constraints),
            passes=LayerPasses(deadline=deadline),
        )
    rows = stack_rows(first, device)
    bound, _ = improved_bounds(refined.region, rows, steps=steps, deadline=deadline, goal=np.inf)
    least = rows.best(bound.value).amin(1).masked_fill(refined.empty, torch.inf)
    return np.asarray(least.cpu().numpy())
