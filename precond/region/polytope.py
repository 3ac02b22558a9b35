"""The polytope of a closed pattern, and the affine map the network is on it.

For a ≺-closed pattern every constrained pre-activation is affine in the input:
``z = J x + c`` with the phases of the layers before it fixed.  So the pattern is
``A x ≤ b`` with one row per literal (``−J_i x ≤ c_i − t`` for z ≥ t, ``J_i x ≤ t − c_i`` for
z ≤ t).  Computed in float64: the rounding of the composed map is not accounted for here,
so containment is always re-checked by rigorous bounds before it is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, ReLU
from precond.network.operators import operators
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Polytope:
    """``{x : matrix x ≤ bound}``; row k belongs to literal ``literals[k]`` = (layer, index, ±1)."""

    matrix: Array
    bound: Array
    literals: tuple[tuple[str, int, int], ...]

    def contains(self, inputs: Array, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which rows of (N, n) satisfy every inequality, up to ``tolerance``."""
        return np.asarray((inputs @ self.matrix.T <= self.bound + tolerance).all(axis=1))


def affine_maps(network: Network, pattern: DecisionPattern) -> dict[str, tuple[Array, Array]]:
    """``{node: (J, c)}``, J (m, n), c (m,), for every node the pattern makes affine.

    A decision layer is affine when each of its neurons is on or off in the pattern.
    """
    pattern.check(network)
    ops = operators(network, "cpu", torch.float64)
    size = network.input_size
    slopes: dict[str, Tensor] = {
        INPUT: torch.eye(size, dtype=torch.float64).reshape(size, *network.input_shape)
    }
    offsets: dict[str, Tensor] = {INPUT: torch.zeros(1, *network.input_shape, dtype=torch.float64)}
    for node in network.nodes:
        if any(source not in slopes for source in node.inputs):
            continue
        if node.name in ops.affine:
            operator = ops.affine[node.name]
            slopes[node.name] = operator.apply([slopes[s] for s in node.inputs], bias=False)
            offsets[node.name] = operator.apply([offsets[s] for s in node.inputs])
        elif isinstance(node.layer, ReLU | LeakyReLU):
            phases = pattern.phases(node.name, network.width(node.name))
            if (phases == 0).any():
                continue
            off = node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0
            factor = torch.tensor(np.where(phases > 0, 1.0, off)).reshape(network.shapes[node.name])
            (source,) = node.inputs
            slopes[node.name] = slopes[source] * factor
            offsets[node.name] = offsets[source] * factor
    return {
        name: (slope.reshape(size, -1).T.numpy().copy(), offsets[name].reshape(-1).numpy().copy())
        for name, slope in slopes.items()
    }


def polytope(
    network: Network,
    pattern: DecisionPattern,
    maps: Mapping[str, tuple[Array, Array]] | None = None,
) -> Polytope:
    """``A x ≤ b`` of a closed pattern; QueryError if it is not closed."""
    if not pattern.is_closed(network):
        raise QueryError(
            f"polytope of a pattern over {', '.join(pattern.layers) or 'nothing'}",
            expected="a closed pattern (every neuron that feeds a constrained one is constrained)",
            got="one with free neurons or a max-pool before a constrained layer",
        )
    maps = affine_maps(network, pattern) if maps is None else maps
    rows: list[Array] = [np.zeros((0, network.input_size))]
    bounds: list[Array] = [np.zeros(0)]
    literals: list[tuple[str, int, int]] = []
    for layer, (low, high) in sorted(pattern.intervals(network).items()):
        slope, offset = maps[network.pre_activation(layer)]
        for limit, sign in ((low, 1), (high, -1)):
            chosen = np.flatnonzero(np.isfinite(limit))
            rows.append(-sign * slope[chosen])
            bounds.append(sign * (offset[chosen] - limit[chosen]))
            literals.extend((layer, int(i), sign) for i in chosen)
    return Polytope(np.concatenate(rows), np.concatenate(bounds), tuple(literals))
