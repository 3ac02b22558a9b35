"""Backward passes without a count of their rounding: what ascent climbs.

The same form as ``backward`` carries, in any number type, and nothing said of what that may have
rounded.  So an ``Estimate`` proves nothing: it finds multipliers, and ``lower_bound`` says what
they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.network.graph import INPUT
from precond.network.operators import operators
from precond.proof.bounds.backward import Multipliers, Region
from precond.proof.bounds.field_maps import holds_factors
from precond.proof.bounds.free_multipliers import sizes
from precond.proof.bounds.lines import ActivationLines, LayerLines
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.relaxed import LayerMultipliers, through_pool

SMALL = 1 << 15  # numbers in the largest form: below that, float32 is no faster


def estimate_type(region: Region, rows: int) -> torch.dtype:
    """In which number type an estimate of so many rows in each subdomain is computed."""
    network = region.ops.network
    numbers = len(region.lower) * rows * max(network.width(name) for name in network.shapes)
    held = all(holds_factors(node.layer) for node in network.nodes)
    return torch.float32 if held and numbers >= SMALL else torch.float64


def as_type(region: Region, dtype: torch.dtype) -> Region:
    """The region in a number type; of float32 without what only rounding needs."""
    if dtype is region.lower.dtype:
        return region

    def cast(value: Tensor) -> Tensor:
        return value.to(dtype)

    half = region.half
    return Region(
        operators(region.ops.network, str(region.ops.device), dtype),
        cast(region.lower),
        cast(region.upper),
        lines={name: _cast_lines(lines, dtype) for name, lines in region.lines.items()},
        constraints={n: (cast(low), cast(high)) for n, (low, high) in region.constraints.items()},
        sizes={},
        floors={},
        half=None if half is None else (cast(half[0]), cast(half[1])),
    )


def multipliers_as(multipliers: Multipliers, dtype: torch.dtype) -> Multipliers:
    """The multipliers in a number type; a copy that nothing is differentiated through."""
    return multipliers.changed(lambda value: value.detach().to(dtype, copy=True))


def _cast_lines(lines: LayerLines, dtype: torch.dtype) -> LayerLines:
    names = ("below", "slope", "shift", "size")
    if isinstance(lines, ActivationLines):
        names = ("low", "up", "shift", "size")
    return replace(lines, **{name: getattr(lines, name).to(dtype) for name in names})


@dataclass(frozen=True, eq=False)
class Estimated:
    """Estimates of the bounds (G, R), the forms at the input (G, R, n), and those (G, R, m) that
    met each activation layer."""

    value: Float[Tensor, "subdomains rows"]
    form: Float[Tensor, "subdomains rows inputs"]
    coefficients: dict[str, Float[Tensor, "subdomains rows _"]]

    @property
    def sizes(self) -> dict[str, Tensor]:
        """Mean |coefficient| of each row at each activation layer, (G, R, 1)."""
        return sizes(self.coefficients, self.coefficients)


def estimate(region: Region, objective: Objective, multipliers: Multipliers) -> Estimated:
    """Estimates of the rows of ``objective``; differentiable in the multipliers."""
    ops, network = region.ops, region.ops.network
    shape = len(region.lower), objective.form.shape[1]
    forms = {objective.node: objective.form.expand(*shape, -1)}
    if objective.inputs is not None:
        forms[INPUT] = objective.inputs.expand(*shape, -1)
    total = objective.constant.expand(shape)
    coefficients: dict[str, Tensor] = {}

    def add(name: str, part: Tensor) -> None:
        forms[name] = forms[name] + part if name in forms else part

    for node in reversed(network.nodes):
        if node.name not in forms:
            continue
        form = forms.pop(node.name)
        if node.name in ops.affine:
            operator = ops.affine[node.name]
            flat = form.reshape(shape[0] * shape[1], *network.shapes[node.name])
            total = total + operator.bias_dot(flat).reshape(shape)
            for source, part in zip(node.inputs, operator.transpose(flat), strict=True):
                add(source, part.reshape(*shape, -1))
            continue
        lines = region.lines[node.name]
        (source,) = node.inputs
        if isinstance(lines, PoolLines):
            part, constant, _ = through_pool(lines, form, network.width(source), readers=1)
        else:
            coefficients[node.name] = form.detach()
            constraint = region.constraints.get(node.name)
            part, constant = _activation(
                lines, form, constraint=constraint, chosen=multipliers.at(node.name)
            )
        total = total + constant
        add(source, part)
    form = forms.get(INPUT, total.new_zeros(*shape, region.lower.shape[1]))
    if region.half is not None and multipliers.half is not None:
        weights = multipliers.half.clamp(min=0.0).expand(*shape, -1)
        form = form + weights @ region.half[0]
        total = total - weights @ region.half[1]
    middle, reach = (region.upper + region.lower) / 2, (region.upper - region.lower) / 2
    least = form @ middle.unsqueeze(-1) - form.abs() @ reach.unsqueeze(-1)
    return Estimated(total + least.squeeze(-1), form.detach(), coefficients)


def _activation(
    lines: ActivationLines,
    form: Tensor,
    constraint: tuple[Tensor, Tensor] | None,
    chosen: LayerMultipliers,
) -> tuple[Tensor, Tensor]:
    """``through_activation`` without its rounding; slopes α count only where lines are free."""
    low = lines.low
    if chosen.alpha is not None:
        low = torch.where(lines.free, chosen.alpha, low)
    negative = form.clamp(max=0)
    part = torch.addcmul(form * low, negative, lines.up - low)
    constant = torch.matmul(negative, lines.shift.transpose(1, 2)).squeeze(-1)
    if constraint is not None:
        for beta, bound, sign in (
            (chosen.low, constraint[0], -1.0),
            (chosen.high, constraint[1], 1.0),
        ):
            if beta is None:
                continue
            known = torch.isfinite(bound)
            used = beta * known
            level = torch.where(known, bound, torch.zeros_like(bound))
            part = part + sign * used
            constant = constant - sign * torch.matmul(used, level.transpose(1, 2)).squeeze(-1)
    return part, constant
