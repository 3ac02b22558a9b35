"""Inequalities of a conjunct mixed into one: where all of them hold, so does their weighted mean.

A conjunct that no single inequality excludes may be excluded by a mean: each alone holds
somewhere, but never all together.  The weights climb estimates together with the slopes; any
weights ≥ 0 are sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.backward import Region
from precond.proof.bounds.estimate import as_type, estimate, estimate_type
from precond.proof.bounds.free_multipliers import FreeMultipliers
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.objective import Objective
from precond.proof.deadline import Deadline
from precond.proof.rows import Rows

RATE, DECAY = 0.1, 0.98  # of Adam's steps
LEAST = 2.0**-12  # of a conjunct's weights: smaller ones are none


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows, each of which may exclude its conjunct: the inequalities, then mixtures; ``weights``
    (candidates, inequalities): what each is made of."""

    rows: Rows
    weights: Float[Tensor, "candidates inequalities"]


def candidates(
    region: Region, rows: Rows, value: Float[Tensor, "1 rows"], *, steps: int, deadline: Deadline
) -> Candidates:
    """Every row by itself, and for each conjunct that has several the best mixture found over the
    one subdomain of ``region``; ``value``: bounds of the rows there."""
    single = torch.eye(len(rows.owner), dtype=rows.form.dtype, device=rows.form.device)
    sizes = torch.bincount(rows.owner, minlength=rows.conjuncts)
    several = (sizes > 1).nonzero().squeeze(1)
    if not len(several):
        return Candidates(rows, single)
    mixed = _climbed(region, rows, rows.spread(value)[0, several], steps, deadline)
    more = rows.mixed(mixed)
    strict = rows.all_strict[several]
    inputs = None
    if rows.inputs is not None and more.inputs is not None:
        inputs = torch.cat([rows.inputs, more.inputs])
    both = replace(
        rows,
        form=torch.cat([rows.form, more.form]),
        inputs=inputs,
        constant=torch.cat([rows.constant, more.constant]),
        strict=torch.cat([rows.strict, strict]),
        owner=torch.cat([rows.owner, several]),
    )
    return Candidates(both, torch.cat([single, mixed]))


def _climbed(
    region: Region, rows: Rows, start: Tensor, steps: int, deadline: Deadline
) -> Float[Tensor, "conjuncts inequalities"]:
    """The weights of the best estimates; an inequality without weight in ``start`` has none."""
    dtype = estimate_type(region, len(start))
    loose, possible = as_type(region, dtype), (start > 0).to(dtype)
    cast = replace(
        rows,
        form=rows.form.to(dtype),
        constant=rows.constant.to(dtype),
        inputs=None if rows.inputs is None else rows.inputs.to(dtype),
    )
    weights = start.to(dtype).clone().requires_grad_()
    layers = [n for n, lines in loose.lines.items() if isinstance(lines, ActivationLines)]
    free = FreeMultipliers(loose, (1, len(start)), layers, others=[weights])
    chosen, best = _means(weights.detach(), possible), None
    for step in range(steps):
        if deadline.passed:
            break
        with torch.enable_grad():
            mix = _means(weights, possible)
            objective = Objective.of(cast.mixed(mix), loose.ops.network.output)
            value = estimate(loose, objective, free.multipliers()).value
            total = value.sum()
        seen = value.detach()[0]
        better = seen > (torch.full_like(seen, -torch.inf) if best is None else best)
        best = seen if best is None else torch.where(better, seen, best)
        chosen = torch.where(better[:, None], mix.detach(), chosen)
        slopes = torch.autograd.grad(total, free.parameters, allow_unused=True)
        free.move(slopes, RATE * DECAY**step)
    return _few_digits(chosen).to(rows.form.dtype)


def _means(weights: Tensor, possible: Tensor) -> Tensor:
    positive = weights.clamp(min=0) * possible + 1e-9 * possible
    return positive / positive.sum(-1, keepdim=True)


def _few_digits(weights: Tensor) -> Tensor:
    """Multiples of ``LEAST``: products with them round less, and a certificate can hold them."""
    return (weights / LEAST).round() * LEAST
