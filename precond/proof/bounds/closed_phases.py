"""The problem of a subdomain in which bounds decide every phase: its pattern is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from precond.proof.claim import Problem
from precond.proof.gate import is_off, is_on


def closed_problem(
    problem: Problem, bounds: Mapping[str, tuple[Tensor, Tensor]], *, row: int, conjunct: int
) -> Problem:
    """About one conjunct, with the phases that ``bounds`` (G, m) decide in subdomain ``row`` as
    part of the pattern."""
    intervals = dict(problem.intervals)
    for name in problem.network.decision_layers:
        low, high = (side[row].cpu().numpy() for side in bounds[name])
        free = np.full(len(low), np.inf)
        old = intervals.get(name, (-free, free))
        on, off = is_on(low), is_off(high) & ~is_on(low)
        intervals[name] = (
            np.asarray(np.where(on, np.maximum(old[0], 0.0), old[0]), dtype=np.float64),
            np.asarray(np.where(off, np.minimum(old[1], 0.0), old[1]), dtype=np.float64),
        )
    conjuncts = (problem.conjuncts[conjunct],)
    return replace(problem, intervals=intervals, bounds=None, conjuncts=conjuncts)
