"""The backward pass for the rows of conjuncts: every row bounded in every subdomain."""

from __future__ import annotations

from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.backward import NO_MULTIPLIERS, Bound, Multipliers, Region, lower_bound
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
) -> tuple[Bound, Multipliers]:
    """The same with multipliers improved (``improve``)."""
    objective = Objective.of(rows, region.ops.network.output)
    return improve(region, objective, steps=steps, deadline=deadline, goal=goal, initial=initial)
