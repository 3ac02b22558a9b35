"""How far a node's computed values may be from its map of the computed inputs.

Per value of an affine node ``|e| ≤ γ_r (|L||x̂| + |b|) + least × (products + Σ|x̂|)``, see
``arithmetic``.  r counts what a term passes: the product, unless all factors of that value are
powers of two; an addition for each further term that is not zero; and one more where a constant
is no number of the format and is rounded before it is used (then Σ|x̂| counts too).  So moves,
changes of sign and doubling are exact, and ties that rest on them can be decided.

A leaky ReLU rounds one product; ReLU and max-pool are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.deviation import deviation
from precond.network.graph import Network
from precond.network.layers import (
    Add,
    Affine,
    Array,
    Concat,
    Conv2d,
    Layer,
    LeakyReLU,
    Reshape,
    Scale,
    Select,
    Shape,
    Sum,
)
from precond.proof.arithmetic import Arithmetic

Counts = NDArray[np.int64]
ROOM = 1.0 + 2.0**-20  # for the float64 sums that |L||x| + |b| is computed with


@dataclass(frozen=True, eq=False)
class Rounding:
    """Of one node: ``relative`` and ``fixed`` (1, *shape): γ_r, and what underflow adds;
    ``moved``: what it adds per unit of Σ|x̂|."""

    relative: Tensor
    fixed: Tensor
    moved: float

    def slack(self, size: Tensor, reach: list[Tensor]) -> Tensor:
        """A bound of |e|, (G, *shape), where ``size`` bounds |L||x̂| + |b| and ``reach`` the
        |inputs|."""
        total = (self.relative * size + self.fixed) * ROOM
        if self.moved:
            sums = sum(part.flatten(1).sum(1) for part in reach)
            assert isinstance(sums, Tensor)
            total = total + self.moved * ROOM * sums.reshape(-1, *[1] * (total.dim() - 1))
        return total


def leaky_slack(layer: LeakyReLU, lower: Tensor, arithmetic: Arithmetic) -> Tensor:
    """A bound of the error of ``slope · z`` for z ≥ ``lower``."""
    slope = np.array(layer.slope)
    depth = (-lower).clamp(min=0)
    held = bool(is_held(slope, arithmetic))
    steps = int(not _simple(slope)) + int(not held)
    moved = 0.0 if held else arithmetic.least
    fixed = arithmetic.least if steps else 0.0
    return ((arithmetic.gamma(steps) * layer.slope + moved) * depth + fixed) * ROOM


@lru_cache(maxsize=32)
def roundings(network: Network, device: str, arithmetic: Arithmetic) -> dict[str, Rounding]:
    """Of every affine node that rounds."""
    found = {}
    for node in network.nodes:
        shapes = [network.shapes[source] for source in node.inputs]
        counted = _counted(node.layer, shapes, network.shapes[node.name], arithmetic=arithmetic)
        if counted is None:
            continue
        steps, products, held = counted
        if deviation(node.layer) is not None:  # constants that no float holds
            steps, products, held = steps + 1, products + 1, False
        if not (steps.any() or products.any()):
            continue
        gammas = {int(r): arithmetic.gamma(int(r)) for r in np.unique(steps)}
        relative = np.vectorize(gammas.__getitem__, otypes=[np.float64])(steps)
        found[node.name] = Rounding(
            torch.tensor(relative, device=device)[None],
            torch.tensor(products * arithmetic.least, device=device)[None],
            0.0 if held else arithmetic.least,
        )
    return found


def is_held(values: Array, arithmetic: Arithmetic) -> NDArray[np.bool_]:
    """Which numbers the format has."""
    if arithmetic is not Arithmetic.FLOAT32:
        return np.ones(np.shape(values), dtype=np.bool_)
    with np.errstate(over="ignore", under="ignore"):
        same: NDArray[np.bool_] = np.asarray(values, dtype=np.float32).astype(np.float64) == values
    return same


def _simple(values: Array) -> NDArray[np.bool_]:
    """Which factors cannot round a product: 0 and powers of two from 1 on."""
    mantissa, exponent = np.frexp(np.abs(values))
    result: NDArray[np.bool_] = (values == 0.0) | ((mantissa == 0.5) & (exponent >= 1))
    return result


def _counted(
    layer: Layer, sources: list[Shape], output: Shape, arithmetic: Arithmetic
) -> tuple[Counts, Counts, bool] | None:
    """Roundings that a term passes and products that may underflow, of every value, and
    whether all constants are numbers of the format; None for nodes that only move."""
    match layer:
        case Affine(weight, bias) | Conv2d(weight, bias):
            rows = weight.reshape(len(weight), -1)
            steps, products, held = _of_rows(rows, bias, arithmetic)
            if isinstance(layer, Conv2d):
                steps, products = steps[:, None, None], products[:, None, None]
        case Scale(factor, shift):
            factors, shifts = np.broadcast_arrays(factor, shift)
            steps, products, held = _of_rows(factors.reshape(-1, 1), shifts.reshape(-1), arithmetic)
            steps, products = steps.reshape(factors.shape), products.reshape(factors.shape)
        case Add(coefficients):
            factors = np.array([coefficients])
            steps, products, held = _of_rows(factors, np.zeros(1), arithmetic)
        case Sum(axes, _, scale):
            terms = int(np.prod([sources[0][axis] for axis in axes]))
            steps, products, held = _of_rows(np.full((1, terms), scale), np.zeros(1), arithmetic)
        case Select(_, _, fill):
            held = bool(is_held(np.array(fill), arithmetic))
            steps, products = np.array([int(not held)]), np.zeros(1, dtype=np.int64)
        case Reshape() | Concat():
            return None
        case _:
            return None
    return np.broadcast_to(steps, output), np.broadcast_to(products, output), held


def _of_rows(weight: Array, bias: Array, arithmetic: Arithmetic) -> tuple[Counts, Counts, bool]:
    """``_counted`` of rows ``weight`` (m, n) with ``bias`` (m,)."""
    terms = (weight != 0.0).sum(1) + (bias != 0.0)
    rounds = ~_simple(weight)
    missing = (~is_held(weight, arithmetic)).any(1) | ~is_held(bias, arithmetic)
    steps = np.maximum(terms - 1, 0) + rounds.any(1) + missing
    products = rounds.sum(1) + missing
    return steps.astype(np.int64), products.astype(np.int64), not bool(missing.any())
