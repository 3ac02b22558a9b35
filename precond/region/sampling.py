"""Points drawn inside a polytope within a box, by hit-and-run.

From a point inside, take a random direction, find the segment that stays inside, move to a
uniform point of it, repeat.  Many chains run side by side.  The limit is the uniform
distribution (Smith 1984); a few hundred steps from one start are close enough to attack a
proof with, and every returned point satisfies the inequalities in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.errors import QueryError
from precond.region.box import Box
from precond.region.polytope import Polytope

Array = NDArray[np.float64]


def hit_and_run(
    polytope: Polytope,
    box: Box,
    start: ArrayLike,
    count: int,
    rng: np.random.Generator,
    *,
    chains: int = 256,
) -> Array:
    """``count`` points (count, n) of the polytope ∩ box; ``start`` (n,) must lie in it."""
    x0 = np.asarray(start, dtype=np.float64).reshape(-1)
    if not bool(box.contains(x0[None])[0]) or not bool(polytope.contains(x0[None])[0]):
        raise QueryError("hit-and-run", expected="a start inside the region", got="one outside it")
    chains = min(chains, count)
    x = np.repeat(x0[None], chains, axis=0)
    result = np.empty((count, x0.size))
    filled = 0
    moving = box.width > 0
    while filled < count:
        direction = rng.normal(size=x.shape) * np.where(moving, np.maximum(box.width, 1e-12), 0.0)
        if filled // chains % 2:  # every other step along one coordinate: corners are narrow
            axis = rng.choice(np.flatnonzero(moving), size=chains) if moving.any() else None
            direction = np.zeros_like(x)
            if axis is not None:
                direction[np.arange(chains), axis] = 1.0
        low, high = _segment(polytope, box, x, direction=direction)
        step = low + rng.uniform(size=chains) * (high - low)
        moved = np.clip(x + step[:, None] * direction, box.lower, box.upper)
        inside = polytope.contains(moved)
        x = np.where(inside[:, None], moved, x)
        taken = min(chains, count - filled)
        result[filled : filled + taken] = x[:taken]
        filled += taken
    return result


def _segment(polytope: Polytope, box: Box, x: Array, direction: Array) -> tuple[Array, Array]:
    """Per chain the interval of t with ``x + t·direction`` inside, (chains,) and (chains,)."""
    low, high = np.full(len(x), -np.inf), np.full(len(x), np.inf)
    parts = [
        (box.upper - x, direction),
        (x - box.lower, -direction),
    ]
    if len(polytope.bound):
        room = polytope.bound - x @ polytope.matrix.T
        parts.append((room, direction @ polytope.matrix.T))
    for room, speed in parts:
        with np.errstate(divide="ignore", invalid="ignore"):
            limit = np.maximum(room, 0.0) / speed
        high = np.minimum(high, np.where(speed > 0, limit, np.inf).min(axis=1))
        low = np.maximum(low, np.where(speed < 0, limit, -np.inf).max(axis=1))
    still = ~np.isfinite(low) | ~np.isfinite(high)
    return np.where(still, 0.0, low), np.where(still, 0.0, np.maximum(high, low))
