"""The backward pass for the rows of conjuncts: every row bounded in every subdomain."""

from __future__ import annotations

from torch import Tensor

from precond.proof.bounds.backward import NO_MULTIPLIERS, Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.multipliers import improve
from precond.proof.deadline import Deadline
from precond.proof.rows import Forms


def row_bounds(
    region: Region,
    rows: Forms,
    multipliers: Multipliers = NO_MULTIPLIERS,
    *,
    keep: bool = False,
    mix: Tensor | None = None,
) -> Bound:
    """``lower_bound`` of every row, (G, R)."""
    form, constant, inputs = _batched(rows)
    output = region.ops.network.output
    return lower_bound(region, output, form, constant, multipliers, inputs, keep, mix)


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
    form, constant, inputs = _batched(rows)
    return improve(
        region,
        region.ops.network.output,
        form,
        constant,
        steps=steps,
        deadline=deadline,
        input_form=inputs,
        goal=goal,
        initial=initial,
    )


def _batched(rows: Forms) -> tuple[Tensor, Tensor, Tensor | None]:
    if rows.form.ndim == 3:
        return rows.form, rows.constant, rows.inputs
    inputs = None if rows.inputs is None else rows.inputs[None]
    return rows.form[None], rows.constant[None], inputs
