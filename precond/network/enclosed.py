"""Values of a network whose constants lie in intervals: bounds at one point, in rationals.

Every value is a middle m and a radius r ≥ 0, both exact.  An affine layer with constants
W ± ΔW, b ± Δb gives ``W m + b ± (|W| r + ΔW (|m| + r) + Δb)``; an activation is monotone, so
the ends go through it.  W and b are the layer's floats.

Where every constant is one rational, and their denominators stay short, the radius is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from precond.network.deviation import deviation, with_constants
from precond.network.exact import DenominatorTooLong, ExactArray, apply_layer, exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Layer, Select


@dataclass(frozen=True, eq=False)
class Enclosed:
    """Values between ``low`` and ``high``; one object where they are exact."""

    low: ExactArray
    high: ExactArray

    def ends(self) -> list[tuple[Fraction, Fraction]]:
        """Flat values."""
        low = self.low.fractions()
        high = low if self.high is self.low else self.high.fractions()
        return list(zip(low, high, strict=True))


def enclosed_values(network: Network, point: ArrayLike) -> Mapping[str, Enclosed]:
    """Every node's value for one input (n,)."""
    if network.rational:
        try:
            return {name: Enclosed(v, v) for name, v in exact_values(network, point).items()}
        except DenominatorTooLong:
            pass
    return _values(network, np.asarray(point, dtype=np.float64).tobytes())


@lru_cache(maxsize=4)
def _values(network: Network, point: bytes) -> Mapping[str, Enclosed]:
    flat = np.frombuffer(point, dtype=np.float64).reshape(network.input_shape)
    x = ExactArray.of(flat)
    values = {INPUT: Enclosed(x, x)}
    for node in network.nodes:
        sources = [values[source] for source in node.inputs]
        if not network.is_affine(node.name):
            low, high = (
                apply_layer(network, node.name, node.layer, sources=[end])
                for end in (sources[0].low, sources[0].high)
            )
            values[node.name] = Enclosed(low, high)
            continue
        values[node.name] = _affine(network, node.name, node.layer, sources=sources)
    return values


def _affine(network: Network, name: str, layer: Layer, sources: list[Enclosed]) -> Enclosed:
    middle, size, away = _parts(layer)
    middles = [_half(s.low.plus(s.high)) for s in sources]
    radii = [_half(s.high.minus(s.low)) for s in sources]
    centre = apply_layer(network, name, middle, sources=middles)
    radius = apply_layer(network, name, size, sources=radii)
    if away is not None:
        reach = [m.like(abs(m.numbers)).plus(r) for m, r in zip(middles, radii, strict=True)]
        radius = radius.plus(apply_layer(network, name, away, sources=reach))
    return Enclosed(centre.minus(radius), centre.plus(radius))


def _parts(layer: Layer) -> tuple[Layer, Layer, Layer | None]:
    """The layer of floats, that of their sizes without any constant added, and ``deviation``."""
    if isinstance(layer, Select):
        return layer, replace(layer, fill=0.0), None
    if isinstance(layer, Add):
        return layer, Add(tuple(abs(c) for c in layer.coefficients)), None
    plain = with_constants(layer, lambda _name, stored, _known: stored)
    size = with_constants(
        layer,
        lambda name, stored, _known: (
            np.zeros_like(stored) if name in ("bias", "shift") else np.abs(stored)
        ),
    )
    return plain, size, deviation(layer)


def _half(value: ExactArray) -> ExactArray:
    return ExactArray(value.numbers, value.exponent + 1, value.divisor)
