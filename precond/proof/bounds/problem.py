"""A problem as the bounds see it: one subdomain, its constraints, and back as arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from precond.network.operators import operators
from precond.proof.bounds.region import FOREVER, Refined, refine
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline


def region_of(
    problem: Problem, device: str = "cpu", *, steps: int = 0, deadline: Deadline = FOREVER
) -> Refined:
    """The problem's region as one subdomain, with layer bounds refined by backward passes,
    or with ``problem.bounds`` where they are known already.  ``steps`` > 0 tightens either
    by optimised multipliers (``refine``)."""
    ops = operators(problem.network, device, torch.float64)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)

    def pairs(
        given: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ) -> dict[str, tuple[Tensor, Tensor]]:
        return {
            name: (tensor(low)[None], tensor(high)[None]) for name, (low, high) in given.items()
        }

    half = None
    if problem.halfspaces is not None:
        half = (tensor(problem.halfspaces.matrix), tensor(problem.halfspaces.bound))
    with torch.no_grad():
        return refine(
            ops,
            tensor(problem.box.lower)[None],
            tensor(problem.box.upper)[None],
            pairs(problem.intervals),
            half=half,
            known=pairs(problem.bounds or {}),
            backward=problem.bounds is None or steps > 0,
            steps=steps,
            deadline=deadline,
        )


def layer_bounds(refined: Refined) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bounds of what each nonlinear node reads, as flat arrays (m,), for the LP encoding."""
    return {
        name: (low[0].cpu().numpy(), high[0].cpu().numpy())
        for name, (low, high) in refined.bounds.items()
    }
