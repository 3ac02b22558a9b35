"""Better multipliers by projected gradient (Adam), for the rows that need them.

Every row of every subdomain has its own lower slopes α and its own β for each literal of
the pattern (and each input constraint).  Only improvements are kept, so the result is never
worse than the start.

Source: Xu et al. 2021 (α-CROWN), Wang et al. 2021 (β-CROWN).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from precond.basics.shapes import Bool
from precond.proof.bounds.backward import NO_MULTIPLIERS, Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.free_multipliers import FreeMultipliers, sizes
from precond.proof.bounds.half_spaces import best_half
from precond.proof.bounds.objective import Objective
from precond.proof.deadline import Deadline

RATE, DECAY = 0.1, 0.98  # of Adam's steps


def improve(
    region: Region,
    objective: Objective,
    *,
    steps: int,
    deadline: Deadline,
    goal: float = 0.0,
    initial: Multipliers | None = None,
) -> tuple[Bound, Multipliers]:
    """The best bound found in ``steps`` ascent steps, and the multipliers (G, R, m) that give
    each row's.  Stops early when every row is above ``goal``."""
    with torch.no_grad():
        best = lower_bound(region, objective, keep=True)
    if region.half is not None and (initial is None or initial.half is None):
        initial = replace(initial or NO_MULTIPLIERS, half=best_half(region, best.form))
    free = FreeMultipliers(
        region,
        (best.value.shape[0], best.value.shape[1]),
        best.coefficients,
        units=sizes(best.coefficients, region.constraints),
        initial=initial or NO_MULTIPLIERS,
    )
    chosen = free.default()
    if initial is not None:
        with torch.no_grad():
            warm = lower_bound(region, objective, initial)
        better = warm.value > best.value
        best, chosen = best.raised(warm, better), _chosen(chosen, initial, better)
    if not free.parameters:
        return best, chosen
    for step in range(steps):
        if deadline.passed or bool((best.value > goal).all()):
            break
        with torch.enable_grad():
            used = free.multipliers()
            bound = lower_bound(region, objective, used)
            slopes = torch.autograd.grad(bound.value.sum(), free.parameters, allow_unused=True)
        better = bound.value.detach() > best.value
        if bool(better.any()):
            best, chosen = best.raised(bound, better), _chosen(chosen, used, better)
        free.move(slopes, RATE * DECAY**step)
    return best, chosen


def _chosen(
    old: Multipliers, new: Multipliers, better: Bool[Tensor, "subdomains rows"]
) -> Multipliers:
    """``new`` in the rows where it is better; what it lacks is as in ``old``."""

    def merged(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: pick(value, new.get(name, value)) for name, value in old.items()}

    def pick(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(better.unsqueeze(-1), new.detach(), old)

    half = old.half
    if half is not None and new.half is not None:
        half = pick(half, new.half)
    return Multipliers(
        merged(old.alpha, new.alpha),
        merged(old.low, new.low),
        merged(old.high, new.high),
        half=half,
    )
