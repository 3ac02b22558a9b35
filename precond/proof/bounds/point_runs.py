"""Inputs at which what a run rounds exceeds the margin, so that no search can prove a claim of it.

The bound of a box that is one point is about as good as bounds get: neurons whose sign the run's
roundings leave open apart, nothing is relaxed.  Where even that bound does not exclude a way to
fail, a subdomain with this input stays open for ever.  Only says when to stop.
"""

from __future__ import annotations

import numpy as np
import torch

from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import row_bounds
from precond.proof.claim import Array, Problem
from precond.proof.gate import excludes
from precond.proof.replay import in_region
from precond.proof.rows import stack_rows

NOTE = "at some inputs the run's roundings exceed the margin"
EVERY = 8  # steps of a search between looks at its worst input


def exceeds_margin(problem: Problem, points: Array, device: str = "cpu") -> bool:
    """Whether that is so at one of ``points`` (N, n), of those in the region."""
    if problem.execution is Arithmetic.REAL or not len(points) or not problem.conjuncts:
        return False
    inside = points[in_region(problem, points)]
    if not len(inside):
        return False
    rows = stack_rows(problem, device)
    x = torch.tensor(np.array(inside), dtype=torch.float64, device=device)
    with torch.no_grad():
        ops = operators(problem.network, device, torch.float64)
        region = refine(ops, x, x, execution=problem.execution).region
        bound = row_bounds(region, rows)
    return not bool(rows.any(excludes(bound.value, rows.strict)).all())
