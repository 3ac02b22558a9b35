"""Replay of a witness: nothing is refuted that does not hold up here.

A point counts when rational arithmetic on the network as given says it lies in the box,
satisfies the pattern's closure and the input constraints, and violates the property.  Where a
constant of the network is known only to lie in an interval, all of it must hold for every
value there.
Whether ordinary float32 evaluation shows the violation too is reported beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from precond.network.enclosed import enclosed_values
from precond.network.evaluate import iterate, values_at
from precond.network.graph import Network
from precond.proof.claim import Claim, Problem
from precond.region.inequality import Inequality

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Replay:
    """``in_region`` and ``violates`` are exact; ``in_float32``: float32 shows it too."""

    in_region: bool
    violates: bool
    in_float32: bool

    @property
    def counts(self) -> bool:
        return self.in_region and self.violates


OUTSIDE = Replay(in_region=False, violates=False, in_float32=False)


def replay(claim: Claim, point: ArrayLike) -> Replay:
    """Evaluate ``point`` (n,) exactly against every part of ``claim``."""
    x = np.asarray(point, dtype=np.float64).reshape(-1)
    if x.size != claim.box.size or not np.isfinite(x).all():
        return OUTSIDE
    if not bool(claim.box.contains(x[None])[0]):
        return OUTSIDE
    network, problem = claim.network, claim.problem
    exact_x = [Fraction(float(v)) for v in x]
    if problem.halfspaces is not None:
        for row, bound in zip(problem.halfspaces.matrix, problem.halfspaces.bound, strict=True):
            total = sum(
                (Fraction(float(row[i])) * exact_x[i] for i in np.flatnonzero(row)), Fraction(0)
            )
            if total > Fraction(float(bound)):
                return OUTSIDE
    values = enclosed_values(network, x)
    for layer, (low, high) in problem.intervals.items():
        z = values[network.pre_activation(layer)]
        if z.low.any_below(low) or z.high.any_above(high):
            return OUTSIDE
    y = values[network.output].ends()
    violates = not all(
        any(_may_hold(inequality, y, exact_x) for inequality in clause)
        for clause in claim.property.clauses
    )
    return Replay(in_region=True, violates=violates, in_float32=_in_float32(claim, x))


def _in_float32(claim: Claim, x: Array) -> bool:
    """Whether float32 evaluation shows the violation; nothing is shown beyond its range."""
    with np.errstate(over="ignore"):
        if not np.isfinite(x.astype(np.float32)).all():
            return False
    network = claim.network
    y = values_at(network, x[None], network.output, dtype=torch.float32)
    return bool(np.isfinite(y).all()) and not bool(claim.property.holds(y, x[None])[0])


def in_region(problem: Problem, points: ArrayLike) -> NDArray[np.bool_]:
    """Which points (N, n) lie in the region in float64 (not exact: a filter), (N,)."""
    x = np.asarray(points, dtype=np.float64)
    x = x.reshape(len(x), problem.box.size)
    inside = problem.box.contains(x)
    if problem.halfspaces is not None:
        inside &= (x @ problem.halfspaces.matrix.T <= problem.halfspaces.bound).all(1)
    network: Network = problem.network
    if problem.intervals and inside.any():
        sources = {layer: network.pre_activation(layer) for layer in problem.intervals}
        rows = np.flatnonzero(inside)
        for part, found in iterate(network, x[rows], list(dict.fromkeys(sources.values()))):
            for layer, (low, high) in problem.intervals.items():
                z = found[sources[layer]].flatten(1).cpu().numpy()
                inside[rows[part]] &= ((z >= low) & (z <= high)).all(1)
    return inside


def _may_hold(
    inequality: Inequality, outputs: list[tuple[Fraction, Fraction]], inputs: list[Fraction]
) -> bool:
    """Whether it holds of some outputs between these ends."""
    total = sum((Fraction(v) * outputs[i][v > 0] for i, v in inequality.outputs), Fraction(0))
    total += sum((Fraction(v) * inputs[i] for i, v in inequality.inputs), Fraction(0))
    bound = Fraction(inequality.bound)
    return total > bound if inequality.strict else total >= bound
