"""Rigorous interval arithmetic, forwards and batched.

Every value gets ``[lower, upper]`` (G, *shape) that contains the real network's value for
every input of the subdomain, rounding included: an affine layer maps centre c and radius r
to ``L c + b`` and ``|L| r + γ (|L|(|c| + r) + |b|)``, and where the true constants lie up to
ΔL and Δb beside the layer's floats, ``ΔL (|c| + r) + Δb`` is added.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float, Int
from precond.network.layers import LeakyReLU, MaxPool2d, Node, ReLU
from precond.network.operators import Operators
from precond.proof.bounds.rounding import TINY, UNIT, gamma
from precond.proof.gate import crossed

Interval = tuple[Float[Tensor, "subdomains ..."], Float[Tensor, "subdomains ..."]]


def affine_interval(ops: Operators, name: str, sources: Sequence[Interval]) -> Interval:
    """Bounds of an affine node from the bounds of what it reads."""
    operator, absolute = ops.affine[name], ops.absolute[name]
    centres, radii, sizes = [], [], []
    for lower, upper in sources:
        centre = (lower + upper) * 0.5
        radius = torch.maximum(upper - centre, centre - lower) * (1 + 4 * UNIT)
        centres.append(centre)
        radii.append(radius)
        sizes.append(centre.abs() + radius)
    centre = operator.apply(centres)
    spread = absolute.apply(radii, bias=False)
    error = gamma(operator.terms) * (absolute.apply(sizes) + spread)
    spread = spread + 2 * error
    if (more := constants_slack(ops, name, sizes)) is not None:
        spread = spread + more
    radius = spread * (1 + 8 * UNIT) + TINY
    return centre - radius, centre + radius


def constants_slack(ops: Operators, name: str, sizes: Sequence[Tensor]) -> Tensor | None:
    """How far the true value of an affine node may be from what its floats give of sources no
    larger than ``sizes``; None where the floats are the constants."""
    away = ops.deviation.get(name)
    if away is None:
        return None
    return away.apply(sizes) * (1 + 2 * gamma(away.terms)) + TINY


def node_interval(ops: Operators, node: Node, sources: Sequence[Interval]) -> Interval:
    """Bounds of any node from the bounds of what it reads."""
    match node.layer:
        case ReLU():
            return sources[0][0].clamp(min=0), sources[0][1].clamp(min=0)
        case LeakyReLU(slope):
            return _leaky(sources[0][0], slope, -1), _leaky(sources[0][1], slope, 1)
        case MaxPool2d():
            shape = ops.network.shapes[node.name]
            windows = ops.windows[node.name]
            lower, upper = (pooled(bound, windows) for bound in sources[0])
            return lower.reshape(-1, *shape), upper.reshape(-1, *shape)
        case _:
            return affine_interval(ops, node.name, sources)


def pooled(
    value: Float[Tensor, "subdomains ..."], windows: Int[Tensor, "outputs members"]
) -> Float[Tensor, "subdomains outputs"]:
    """Window maxima (G, outputs) of flat or shaped values (G, …)."""
    flat = value.flatten(1)
    gathered = flat[:, windows.clamp(min=0)].masked_fill(windows < 0, -torch.inf)
    return gathered.amax(-1)


def intersect(
    bounds: Interval,
    constraint: tuple[Float[Tensor, "some units"], Float[Tensor, "some units"]],
    shape: Sequence[int],
) -> tuple[Interval, Bool[Tensor, " subdomains"]]:
    """Bounds cut by a constraint (G or 1, m), and which subdomains that leaves empty, (G,)."""
    low, high = (c.reshape(-1, *shape) for c in constraint)
    lower, upper = torch.maximum(bounds[0], low), torch.minimum(bounds[1], high)
    empty = crossed(lower, upper).flatten(1).any(1)
    return (lower, torch.maximum(lower, upper)), empty


def _leaky(value: Tensor, slope: float, direction: int) -> Tensor:
    scaled = torch.where(value > 0, value, value * slope)
    # The product is rounded once; step outwards by its error.
    return torch.where(value > 0, scaled, scaled + direction * (scaled.abs() * 2 * UNIT + TINY))
