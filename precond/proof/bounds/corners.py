"""Corners of subdomains as candidate violations: where a linear bound is least."""

from __future__ import annotations

from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.proof.bounds.backward import Region
from precond.proof.claim import Problem
from precond.proof.rows import Rows


def violating(
    problem: Problem, region: Region, rows: Rows, *, points: Tensor, conjunct: Tensor
) -> int | None:
    """The first of ``points`` (G, n) in the region that violates as its ``conjunct`` (G,) says,
    in float64."""
    network = problem.network
    sources = {name: network.pre_activation(name) for name in problem.intervals}
    wanted = list(dict.fromkeys([*sources.values(), network.output]))
    values = forward(region.ops, {INPUT: points.reshape(-1, *network.input_shape)}, wanted)
    good = (points == points).all(1)
    for name, source in sources.items():
        low, high = region.constraints[name]
        z = values[source].flatten(1)
        good &= ((z >= low[:, 0]) & (z <= high[:, 0])).all(1)
    if region.half is not None:
        good &= (points @ region.half[0].T <= region.half[1]).all(1)
    own = rows.own(conjunct)
    margin = own.margins(values[network.output].flatten(1)[:, None], points[:, None])
    good &= own.violated(margin).flatten(1).all(1)
    return int(good.nonzero()[0]) if bool(good.any()) else None
