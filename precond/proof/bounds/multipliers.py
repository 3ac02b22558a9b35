"""Better multipliers by projected gradient (Adam), for the rows that need them.

Every row of every subdomain has its own lower slopes α and its own β for each literal of
the pattern (and each input constraint).  The default multipliers are bounded first and stay where
nothing better is found.  A search that begins elsewhere (``initial``) keeps its best estimate.

Source: Xu et al. 2021 (α-CROWN), Wang et al. 2021 (β-CROWN).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from precond.basics.shapes import Bool
from precond.proof.bounds.backward import NO_MULTIPLIERS, Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.estimate import as_type, estimate, estimate_type, multipliers_as
from precond.proof.bounds.free_multipliers import FreeMultipliers
from precond.proof.bounds.half_spaces import best_half
from precond.proof.bounds.objective import Objective
from precond.proof.deadline import Deadline

RATE, DECAY = 0.1, 0.98  # of Adam's steps
ROOM = 1e-3  # of the way to the goal: estimates go so far beyond it, for their rounding


def improve(
    region: Region,
    objective: Objective,
    *,
    steps: int,
    deadline: Deadline,
    goal: float = 0.0,
    initial: Multipliers | None = None,
    keep: bool = False,
) -> tuple[Bound, Multipliers]:
    """The best bound found in ``steps`` ascent steps, and the multipliers (G, R, m) that give
    each row's.  Stops early when every row is above ``goal``.  ``keep``: as in ``lower_bound``.

    Ascent climbs estimates (``estimate``); what it came to is bounded once, at the end."""
    dtype = estimate_type(region, objective.form.shape[1])
    loose, rows = as_type(region, dtype), objective.to(dtype)
    given = multipliers_as(NO_MULTIPLIERS if initial is None else initial, dtype)
    with torch.no_grad():
        start = estimate(loose, rows, given)
        if region.half is not None and given.half is None:
            given = replace(given, half=best_half(loose, start.form))
    free = FreeMultipliers(
        loose,
        (start.value.shape[0], start.value.shape[1]),
        start.sizes,
        units={name: size for name, size in start.sizes.items() if name in region.constraints},
        initial=given,
    )
    best: Bound | None = None
    if initial is None:
        with torch.no_grad():
            best = lower_bound(region, objective, keep=keep)
        if not free.parameters or (not steps and given.half is None):
            return best, free.default()
    climbed = _climbed(free, rows, goal, steps=steps, deadline=deadline)
    climbed = multipliers_as(climbed, torch.float64)
    with torch.no_grad():
        bound = lower_bound(region, objective, climbed, keep=keep)
    if best is None:
        return bound, climbed
    better = bound.value > best.value
    best = replace(best.raised(bound, better), coefficients=bound.coefficients)
    return best, _chosen(multipliers_as(free.default(), torch.float64), climbed, better)


def _climbed(
    free: FreeMultipliers, objective: Objective, goal: float, *, steps: int, deadline: Deadline
) -> Multipliers:
    """The multipliers of each row's best estimate."""
    chosen = multipliers_as(free.multipliers(), objective.form.dtype)
    best: Tensor | None = None
    enough: Tensor | None = None
    for step in range(steps + 1):
        last = step == steps or deadline.passed or not free.parameters
        with torch.set_grad_enabled(not last):
            used = free.multipliers()
            value = estimate(free.region, objective, used).value
            total = value.sum()
        seen = value.detach()
        if best is None or enough is None:
            best, enough = seen, goal + ROOM * (goal - seen).clamp(min=0)
        else:
            better = seen > best
            if bool(better.any()):
                best, chosen = torch.where(better, seen, best), _chosen(chosen, used, better)
        if last or bool((best > enough).all()):
            break
        slopes = torch.autograd.grad(total, free.parameters, allow_unused=True)
        free.move(slopes, RATE * DECAY**step)
    return chosen


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
