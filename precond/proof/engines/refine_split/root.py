"""What a search knows of the whole region before it splits: bounds, slopes, candidates."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from precond.proof.bounds.backward import Multipliers, Region
from precond.proof.bounds.mixtures import Candidates, candidates
from precond.proof.bounds.region import Refined
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.bounds.row_multipliers import RowMultipliers
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.refine_split.subdomains import Bounds
from precond.proof.rows import Rows, stack_rows


@dataclass(frozen=True, eq=False, kw_only=True)
class Root:
    """``rows``: the conjuncts' inequalities; ``candidates``: these and mixtures of them;
    ``value`` (1, candidates): their bounds, by the multipliers ``chosen``; ``layers``: slopes of
    the layers' bounds."""

    region: Region
    bounds: Bounds
    rows: Rows
    candidates: Candidates
    value: Tensor
    chosen: Multipliers
    layers: RowMultipliers


def root_of(
    problem: Problem,
    refined: Refined,
    layers: RowMultipliers,
    *,
    device: str,
    steps: int,
    deadline: Deadline,
) -> Root:
    """Of the ``refined`` region, with so many steps of ascent for the candidates' multipliers."""
    region, rows = refined.region, stack_rows(problem, device)
    begun, _ = improved_bounds(region, rows, steps=0, deadline=deadline)
    choice = candidates(region, rows, begun.value, steps=steps, deadline=deadline)
    bound, used = improved_bounds(region, choice.rows, steps=steps, deadline=deadline)
    return Root(
        region=region,
        bounds=dict(refined.bounds),
        rows=rows,
        candidates=choice,
        value=bound.value,
        chosen=used,
        layers=layers,
    )
