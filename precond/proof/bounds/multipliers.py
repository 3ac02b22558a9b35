"""Better multipliers by projected gradient (Adam), for the rows that need them.

Every row of every subdomain has its own lower slopes α and its own β for each literal of
the pattern (and each input constraint).  Only improvements are kept, so the result is never
worse than the start.  β are measured in units of the coefficients that meet their layer.

Source: Xu et al. 2021 (α-CROWN), Wang et al. 2021 (β-CROWN).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from precond.proof.bounds.adam import Adam
from precond.proof.bounds.backward import Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.lines import ActivationLines
from precond.proof.deadline import Deadline


def improve(
    region: Region,
    start: str,
    form: Tensor,
    constant: Tensor,
    *,
    steps: int,
    deadline: Deadline,
    input_form: Tensor | None = None,
    goal: float = 0.0,
    rate: float = 0.1,
    initial: Multipliers | None = None,
    mix: Tensor | None = None,
) -> tuple[Bound, Multipliers]:
    """The best bound found in ``steps`` ascent steps, and the multipliers that give each row's.

    Shapes as in ``lower_bound``; the multipliers (G, R, m).  Stops early when every row is
    above ``goal``.  ``mix`` (G or 1, M, R): weights to start from, improved as well; zero
    weights stay zero.
    """
    count = region.lower.shape[0]
    rows = form.shape[1] if mix is None else mix.shape[1]
    with torch.no_grad():
        first = lower_bound(
            region, start, form, constant, input_form=input_form, keep=True, mix=mix
        )
        if initial is not None:
            warm = lower_bound(
                region, start, form, constant, initial, input_form, keep=True, mix=mix
            )
    alpha: dict[str, Tensor] = {}
    low: dict[str, Tensor] = {}
    high: dict[str, Tensor] = {}
    unit: dict[str, Tensor] = {}
    for name, coefficients in first.coefficients.items():
        lines = region.lines[name]
        assert isinstance(lines, ActivationLines)
        width = coefficients.shape[-1]
        if bool(lines.free.any()):
            begin = lines.low if initial is None else initial.alpha.get(name, lines.low)
            alpha[name] = begin.expand(count, rows, width).clone().requires_grad_()
        if name in region.constraints:
            unit[name] = coefficients.abs().mean(-1, keepdim=True).clamp(min=1e-12)
            for store, bound, old in (
                (low, region.constraints[name][0], None if initial is None else initial.low),
                (high, region.constraints[name][1], None if initial is None else initial.high),
            ):
                if bool(torch.isfinite(bound).any()):
                    value = coefficients.new_zeros(count, rows, width)
                    if old is not None and name in old:
                        value = (old[name] / unit[name]).expand(count, rows, width).clone()
                    store[name] = value.requires_grad_()
    half = None
    if region.half is not None:
        half = form.new_zeros(count, rows, len(region.half[1]))
        if initial is not None and initial.half is not None:
            half = initial.half.expand_as(half).clone()
        half.requires_grad_()
    parameters = [*alpha.values(), *low.values(), *high.values()]
    if half is not None:
        parameters.append(half)
    weights = None
    if mix is not None:
        allowed = (mix > 0).to(form.dtype)
        weights = mix.expand(count, -1, -1).clone().requires_grad_()
        parameters.append(weights)

    def mixed() -> Tensor | None:
        if weights is None:
            return None
        kept = weights.clamp(min=0) * allowed + 1e-9 * allowed
        return kept / kept.sum(-1, keepdim=True)

    def current() -> Multipliers:
        return Multipliers(
            alpha,
            {name: v * unit[name] for name, v in low.items()},
            {name: v * unit[name] for name, v in high.items()},
            half,
        )

    best = first
    chosen = _plain(region, current())
    if initial is not None:
        better = warm.value > first.value
        best, chosen = _merge(first, warm, better), _chosen(chosen, initial, better)
    if not parameters or steps <= 0:
        return best, chosen
    ascent = Adam(parameters)
    for step in range(steps):
        if deadline.passed or bool((best.value > goal).all()):
            break
        with torch.enable_grad():
            used = current()
            result = lower_bound(region, start, form, constant, used, input_form, mix=mixed())
            slopes = torch.autograd.grad(result.value.sum(), parameters, allow_unused=True)
        with torch.no_grad():
            tried = Bound(result.value.detach(), result.form.detach(), result.constant.detach(), {})
            better = tried.value > best.value
            if bool(better.any()):
                best, chosen = _merge(best, tried, better), _chosen(chosen, used, better)
            ascent.step(slopes, rate * 0.98**step)
            for name, value in alpha.items():
                lines = region.lines[name]
                assert isinstance(lines, ActivationLines)
                value.clamp_(lines.slope, 1.0)
            for value in [*low.values(), *high.values(), *([] if half is None else [half])]:
                value.clamp_(min=0.0)
    return best, chosen


def _merge(old: Bound, new: Bound, better: Tensor) -> Bound:
    return Bound(
        torch.where(better, new.value, old.value),
        torch.where(better.unsqueeze(-1), new.form, old.form),
        torch.where(better, new.constant, old.constant),
        old.coefficients,
    )


def _plain(region: Region, like: Multipliers) -> Multipliers:
    """The multipliers of a pass that is given none, in the shapes of ``like``."""

    def zeros(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: torch.zeros_like(v, requires_grad=False) for name, v in values.items()}

    alpha = {}
    for name, value in like.alpha.items():
        lines = region.lines[name]
        assert isinstance(lines, ActivationLines)
        alpha[name] = lines.low.expand_as(value)
    half = None if like.half is None else torch.zeros_like(like.half, requires_grad=False)
    return Multipliers(alpha, zeros(like.low), zeros(like.high), half)


def _chosen(old: Multipliers, new: Multipliers, better: Tensor) -> Multipliers:
    """``new`` in the rows where it is better; what it lacks is as in ``old``."""

    def merged(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: pick(value, new.get(name, value)) for name, value in old.items()}

    def pick(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(better.unsqueeze(-1), new.detach(), old)

    half = old.half
    if half is not None and new.half is not None:
        half = pick(half, new.half)
    return Multipliers(
        merged(old.alpha, new.alpha), merged(old.low, new.low), merged(old.high, new.high), half
    )
