"""A linear program's duals as the multipliers of a backward pass that gives the same bound.

A program says ``f ≤ y · (M v) + ρ · v`` with multipliers y of rows and reduced costs ρ.  For a
ReLU with bounds l ≤ z ≤ u let y_z be the multiplier of its row ``z = p − q`` and C the
coefficient of its value that rows behind it leave.  A pass for −f arrives at the value with −C.  It
takes the upper line, of slope λ, where C > 0, else a lower line, whose slope α may be chosen; what
then lacks in z's coefficient, ``y_z − C λ`` or ``y_z − C α``, are β of z ≥ l or of z ≤ u.  With
α = y_z / C, as far as that is a slope, the pass subtracts the largest value that C p − y_z z takes
in the triangle, and no multipliers of the triangle's sides subtract less.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.network.layers import LeakyReLU
from precond.proof.linear.system import LayerMap, LinearSystem
from precond.proof.trace import Leaf
from precond.region.pattern import Neuron

Array = NDArray[np.float64]
NOISE = 1e-9  # of the largest multiplier: less is the solver's rounding


def leaf_of_duals(
    network: Network,
    system: LinearSystem,
    duals: Array,
    inequalities: int,
    unit: Mapping[Neuron, float],
) -> Leaf:
    """For duals (rows,) of ``Σ unit · z``, maximal over a system whose last rows are the conjunct's
    ``inequalities``; without a ``unit``, of a ray that shows the system to be empty."""
    y = np.where(np.isfinite(duals), duals, 0.0)
    y[(y > 0) & ~np.isfinite(system.row_upper) | (y < 0) & ~np.isfinite(system.row_lower)] = 0.0
    weights = np.maximum(-y[len(y) - inequalities :], 0.0)
    if not unit:  # a ray has any length
        largest = weights.max(initial=0.0) or np.abs(y).max(initial=0.0) or 1.0
        y, weights = y / largest, weights / largest
    noise = NOISE * np.abs(y).max(initial=0.0)
    reduced = -(system.matrix.T @ y)
    own = {layer: np.zeros(len(part.low)) for layer, part in system.layers.items()}
    for (layer, neuron), sign in unit.items():
        own[layer][neuron] = sign
        where = system.layers[layer]
        reduced[where.column[neuron]] += sign
        reduced[where.negative[neuron]] -= sign
    alpha, low, high = {}, {}, {}
    for layer, where in system.layers.items():
        kind = network.node[layer].layer
        slope = kind.slope if isinstance(kind, LeakyReLU) else 0.0
        alpha[layer], difference = _of_layer(where, y, reduced, unit=own[layer], slope=slope)
        difference -= np.append(y, 0.0)[where.row]
        difference[np.abs(difference) < noise] = 0.0
        low[layer], high[layer] = np.maximum(difference, 0.0), np.maximum(-difference, 0.0)
    half = np.maximum(y[system.half], 0.0) if len(system.half) else None
    return Leaf(weights, alpha, low, high=high, half=half)


def _of_layer(
    where: LayerMap, y: Array, reduced: Array, unit: Array, slope: float
) -> tuple[Array, Array]:
    """Slopes α of lower lines, and what lacks in the coefficients of z, (m,)."""
    rows, columns = np.append(y, 0.0), np.append(reduced, 0.0)
    high, depth = where.high, -where.low
    alpha = np.where(where.low >= 0, 1.0, slope)
    lacks = np.where(where.free, 0.0, -columns[where.column])
    width = np.where(where.free, high + depth, 1.0)
    side = depth / np.where(where.free, np.maximum(high, depth), 1.0)
    through = rows[where.equal]
    value = columns[where.column] + through + np.maximum(rows[where.triangle], 0.0) * side - unit
    wanted = through - unit
    steep = np.clip(wanted / np.where(value < 0, value, -1.0), slope, 1.0)
    line = np.where(value > 0, (high + slope * depth) / width, steep)
    default = np.where(high > depth, 1.0, slope)
    alpha = np.where(where.free, np.where(value < 0, steep, default), alpha)
    return alpha, np.where(where.free, wanted - value * line, lacks)
