"""A linear form carried back through one nonlinear layer, and its minimum over a box.

Signs, multipliers and the count of rounding are those of ``backward``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.rounding import TINY, gamma


class LayerMultipliers(NamedTuple):
    """One layer's ``Multipliers``, where there are any."""

    alpha: Float[Tensor, "_ _ units"] | None
    low: Float[Tensor, "_ _ units"] | None
    high: Float[Tensor, "_ _ units"] | None


def through_activation(
    lines: ActivationLines,
    form: Float[Tensor, "subdomains rows units"],
    weight: Float[Tensor, "_ 1 units"],
    constraint: tuple[Float[Tensor, "_ 1 units"], Float[Tensor, "_ 1 units"]] | None,
    chosen: LayerMultipliers,
) -> tuple[
    Float[Tensor, "subdomains rows units"],
    Float[Tensor, "subdomains rows"],
    Float[Tensor, "subdomains rows"],
]:
    """The form on the pre-activation, the constant it adds (G, R), and its rounding (G, R).

    ``weight`` (G or 1, 1, m): what a unit of |form|, or of β, costs in rounding.
    """
    low = lines.low
    if chosen.alpha is not None:
        alpha = chosen.alpha.clamp(lines.slope, 1.0)
        low = torch.where(lines.free, alpha, low)
    negative = form.clamp(max=0)
    part = torch.addcmul(form * low, negative, lines.up - low)
    # |form| = form − 2 · negative: two products give both the constant and the rounding.
    sides = torch.cat([lines.shift, weight], 1).transpose(1, 2)
    products = torch.matmul(negative, sides)
    constant = products[..., 0]
    loss = torch.matmul(form, weight.transpose(1, 2)).squeeze(-1) - 2 * products[..., 1]
    loss = loss + TINY * lines.size.sum(-1)
    if constraint is not None:
        lower, upper = constraint
        for beta, bound, sign in (
            (chosen.low, lower, -1.0),
            (chosen.high, upper, 1.0),
        ):
            if beta is None:
                continue
            known = torch.isfinite(bound)
            used = torch.where(known, beta.clamp(min=0.0), torch.zeros_like(beta))
            level = torch.where(known, bound, torch.zeros_like(bound))
            part = part + sign * used
            constant = constant - sign * (used * level).sum(-1)
            reach = (used + form.abs()) * level.abs()
            loss = loss + (used * weight).sum(-1)
            loss = loss + gamma(form.shape[-1]) * reach.sum(-1)
    return part, constant, loss


def through_pool(
    lines: PoolLines, form: Float[Tensor, "subdomains rows windows"], width: int, *, readers: int
) -> tuple[
    Float[Tensor, "subdomains rows {width}"],
    Float[Tensor, "subdomains rows"],
    Float[Tensor, "subdomains rows"],
]:
    """The form on what a max-pool reads (``width`` values, of which it is one of so many
    ``readers``), the constant it adds, and its rounding."""
    positive, negative = form.clamp(min=0), form.clamp(max=0)
    part = form.new_zeros(form.shape[0], form.shape[1], width)
    under = (positive.unsqueeze(-1) * lines.below).flatten(-2)
    part = part.scatter_add(-1, lines.members.expand(under.shape), under)
    part = part.scatter_add(-1, lines.peak.expand(form.shape), negative * lines.slope)
    constant = (negative * lines.shift).sum(-1)
    reach = (2 * lines.size + lines.shift.abs()).transpose(1, 2)
    terms = form.shape[-1] + lines.below.shape[-1] + readers
    loss = gamma(terms) * torch.matmul(form.abs(), reach).squeeze(-1)
    return part, constant, loss + TINY * lines.size.sum(-1)


def over_box(
    form: Float[Tensor, "subdomains rows inputs"],
    lower: Float[Tensor, "subdomains inputs"],
    upper: Float[Tensor, "subdomains inputs"],
) -> tuple[Float[Tensor, "subdomains rows"], Float[Tensor, "subdomains rows"]]:
    """``min form·x`` over the box and its rounding, both (G, R)."""
    low, high = lower.unsqueeze(-1), upper.unsqueeze(-1)
    value = torch.matmul(form.clamp(min=0), low) + torch.matmul(form.clamp(max=0), high)
    largest = torch.maximum(low.abs(), high.abs())
    loss = gamma(2 * form.shape[-1]) * torch.matmul(form.abs(), largest)
    return value.squeeze(-1), loss.squeeze(-1)
