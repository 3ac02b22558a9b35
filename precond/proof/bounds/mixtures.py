"""Inequalities of a conjunct mixed into one: where all of them hold, so does their weighted mean.

A conjunct that no single inequality excludes may be excluded by a mean: each alone holds
somewhere, but never all together.  The weights climb estimates together with the slopes; any
weights ≥ 0 are sound, as long as the mean is what it is called: one whose coefficients floats do
not hold exactly is not used, and its constant is rounded so that it says less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, nextafter

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.backward import Region
from precond.proof.bounds.estimate import as_type, estimate, estimate_type
from precond.proof.bounds.free_multipliers import FreeMultipliers
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.objective import Objective
from precond.proof.deadline import Deadline
from precond.proof.rows import Forms, Rows

RATE, DECAY = 0.1, 0.98  # of Adam's steps
MOST = 200_000  # coefficients that are mixed in fractions, to see whether floats hold the mean
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
    mixed = _climbed(
        region, rows, start=rows.spread(value)[0, several], steps=steps, deadline=deadline
    )
    mixed, more = without_rounding(rows, mixed)
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
    region: Region, rows: Rows, *, start: Tensor, steps: int, deadline: Deadline
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
    return coarse(chosen).to(rows.form.dtype)


def without_rounding(rows: Forms, weights: Tensor) -> tuple[Tensor, Forms]:
    """``weights`` (M, R), and the means of the rows: those of the largest weight alone where floats
    do not hold a mean's coefficients; the constants are rounded down."""
    made = rows.mixed(weights)
    exact = [_is_exact(rows, w, made, m=m) for m, w in enumerate(weights.tolist())]
    alone = torch.nn.functional.one_hot(weights.argmax(-1), weights.shape[-1]).to(weights)
    kept = torch.where(torch.tensor(exact, device=weights.device)[:, None], weights, alone)
    constants = [_lowered(w, rows.constant.tolist()) for w in kept.tolist()]
    return kept, replace(rows.mixed(kept), constant=rows.constant.new_tensor(constants))


def _is_exact(rows: Forms, weights: Sequence[float], made: Forms, *, m: int) -> bool:
    """Whether mean ``m`` has the coefficients that fractions give."""
    used = [(Fraction(w), r) for r, w in enumerate(weights) if w]
    pairs = [(rows.form, made.form)]
    if rows.inputs is not None and made.inputs is not None:
        pairs.append((rows.inputs, made.inputs))
    if len(used) * sum(part.shape[1] for part, _ in pairs) > MOST:
        return False
    for part, mean in pairs:
        parts = [(w, part[r].tolist()) for w, r in used]
        for k, value in enumerate(mean[m].tolist()):
            if sum(w * Fraction(row[k]) for w, row in parts) != Fraction(value):
                return False
    return True


def _lowered(weights: Sequence[float], constants: Sequence[float]) -> float:
    """The largest float that is at most the weighted sum."""
    exact = sum((Fraction(w) * Fraction(c) for w, c in zip(weights, constants, strict=True) if w))
    nearest = float(exact)
    return nearest if Fraction(nearest) <= exact else nextafter(nearest, -inf)


def _means(weights: Tensor, possible: Tensor) -> Tensor:
    positive = weights.clamp(min=0) * possible + 1e-9 * possible
    return positive / positive.sum(-1, keepdim=True)


def coarse(weights: Tensor) -> Tensor:
    """Multiples of ``LEAST``: products with them round less, and a certificate can hold them.
    Where all would be 0, which mixes nothing and would exclude all, the largest alone counts."""
    few = (weights.nan_to_num(nan=0.0, posinf=0.0) / LEAST).round() * LEAST
    largest = torch.nn.functional.one_hot(weights.argmax(-1), weights.shape[-1]).to(few)
    return torch.where((few > 0).any(-1, keepdim=True), few, largest)
