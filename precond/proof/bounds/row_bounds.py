"""The backward pass for the rows of conjuncts: every row bounded in every subdomain."""

from __future__ import annotations

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.backward import NO_MULTIPLIERS, Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.estimate import as_type, estimate, estimate_type, multipliers_as
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.deadline import Deadline
from precond.proof.rows import Forms


def row_bounds(
    region: Region,
    rows: Forms,
    multipliers: Multipliers = NO_MULTIPLIERS,
    *,
    keep: bool = False,
    mix: Float[Tensor, "_ mixes rows"] | None = None,
) -> Bound:
    """``lower_bound`` of every row, (G, R)."""
    objective = Objective.of(rows, region.ops.network.output)
    with plain_sums(str(region.ops.device)):
        return lower_bound(region, objective, multipliers, keep=keep, mix=mix)


def improved_bounds(
    region: Region,
    rows: Forms,
    *,
    steps: int,
    deadline: Deadline,
    goal: float = 0.0,
    initial: Multipliers | None = None,
    keep: bool = False,
) -> tuple[Bound, Multipliers]:
    """The same with multipliers improved (``improve``)."""
    objective = Objective.of(rows, region.ops.network.output)
    return improve(
        region,
        objective,
        steps=steps,
        deadline=deadline,
        goal=goal,
        initial=initial,
        keep=keep,
    )


def row_estimates(region: Region, rows: Forms, multipliers: Multipliers) -> Float[Tensor, "_ rows"]:
    """What ``row_bounds`` gives, without rounding: to compare, not to prove."""
    objective = Objective.of(rows, region.ops.network.output)
    dtype = estimate_type(region, objective.form.shape[1])
    loose = as_type(region, dtype)
    chosen = multipliers_as(multipliers, dtype)
    return estimate(loose, objective.to(dtype), chosen).value.to(torch.float64)
