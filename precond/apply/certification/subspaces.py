"""Certified margins in subspaces: lower bounds to set beside the changes that a search found.

For an input x, an orthonormal basis B (k, n) and a radius r, every x + δ with δ in the span of B
and ‖δ‖₂ ≤ r lies in the box |δ_i| ≤ r h_i, h_i the length of column i of B.  Where rigorous
bounds show that the network gives the whole box the class of x, r is certified.  Bisection of the
logarithm finds a large such r.  A basis is orthonormal up to an error that ``Subspace`` limits, and
h is enlarged to cover it; the ends of boxes are rounded outwards.

The box is larger than what it covers, so the certified radius may be far below the true margin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.diagnosis.subspaces import Subspace
from precond.apply.certification.batch import margin_bounds
from precond.network.graph import Network
from precond.proof.deadline import Deadline

Array = NDArray[np.float64]
SLACK = 1e-6
"""More than the error of a basis (1e-8) and the rounding of its columns' lengths together."""
ROUNDS = 8
OCTAVES = 12.0
"""No radius below 2⁻¹² of ``upper`` is tried."""


def certified_margins(
    network: Network,
    inputs: NDArray[np.floating],
    classes: NDArray[np.int64],
    subspaces: Sequence[Subspace],
    *,
    upper: Array,
    deadline: Deadline,
    done: Callable[[], None] = lambda: None,
) -> Array:
    """Radii (S, N) within which each input (N, …) surely keeps its class (N,); 0 where nothing was
    shown.  ``upper`` (S, N): no larger radius is tried, and none where it is infinite; what is not
    tried by the ``deadline`` stays uncertified.  ``done`` is called after each subspace and round.
    """
    network = network.logits
    points = np.asarray(inputs, dtype=np.float64).reshape(len(inputs), -1)
    limit = np.where(np.isfinite(upper), upper, 0.0)
    result = np.zeros(limit.shape)
    low, high = np.full(limit.shape, -OCTAVES), np.zeros(limit.shape)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        for place, space in enumerate(subspaces):
            if deadline.passed:
                return result
            radius = limit[place] * 2.0 ** middle[place]
            size = radius[:, None] * np.linalg.norm(space.basis, axis=0) * (1 + SLACK)
            bound = margin_bounds(
                network,
                np.nextafter(points - size, -np.inf),
                np.nextafter(points + size, np.inf),
                classes=classes,
                deadline=deadline,
            )
            shown = bound > 0
            result[place] = np.where(shown, radius, result[place])
            low[place] = np.where(shown, middle[place], low[place])
            high[place] = np.where(shown, high[place], middle[place])
            done()
    return result
