"""Inputs of a floating-point query whose run shows the violation.

The reference run is torch's, in the declared type, on that input alone; what it computes is
printed, and the file's assertions are judged exactly of it.  Near a threshold another order of
sums may say otherwise, so of the inputs at hand the one that violates most is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from precond.network.evaluate import outputs
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim
from precond.vnnlib.floats import TYPES
from precond.vnnlib.query import Query

Array = NDArray[np.float64]
SAMPLES = 512
AROUND = 128  # tried near each input that almost violates
MOST = 8  # judged by the file's decimals


def run_witness(query: Query, claim: int, near: Sequence[Array], seed: int) -> Array | None:
    """An input that the query admits by its run; ``near``: inputs that nearly violate."""
    asked, execution = query.claims[claim], query.execution
    rng = np.random.default_rng(seed)
    low, high = asked.box.lower, asked.box.upper
    drawn = low + rng.random((SAMPLES, len(low))) * (high - low)
    points = [*near, (low + high) / 2, low, high, *drawn]
    for x in near:
        reach = (high - low) * 10.0 ** rng.uniform(-7, -1, (AROUND, 1))
        points += list(x + reach * rng.normal(size=(AROUND, len(x))))
    tried = _held(np.array(points), asked, execution)
    dtype = torch.float32 if execution is Arithmetic.FLOAT32 else torch.float64
    lack = _violation(asked, outputs(asked.network, tried, dtype=dtype), tried)
    for row in np.argsort(-lack)[:MOST]:
        if lack[row] < 0.0:
            return None
        x = query.snap(claim, tried[row])
        if query.admits(x):
            return x
    return None


def _held(points: Array, claim: Claim, execution: Arithmetic) -> Array:
    """The points as numbers of the format, in the box where it has one there."""
    kind = TYPES[execution]
    low, high = claim.box.lower, claim.box.upper
    with np.errstate(over="ignore"):
        x = np.clip(points, low, high).astype(kind)
        x = np.where(x < low, np.nextafter(x, kind(np.inf)), x)
        x = np.where(x > high, np.nextafter(x, kind(-np.inf)), x)
    whole = x.astype(np.float64)
    return np.where(np.isfinite(whole), whole, np.clip(points, low, high))


def _violation(claim: Claim, y: Array, x: Array) -> Array:
    """How far the property fails, (N,): 0 or more where some clause does not hold."""
    clauses = [
        np.min([-i.margin(y, x) for i in clause], axis=0) for clause in claim.property.clauses
    ]
    worst: Array = np.max(clauses, axis=0)
    return np.where(np.isfinite(y).all(1), worst, -np.inf)
