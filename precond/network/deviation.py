"""A layer's constants beside its floats: which ones differ, and by how much at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from precond.network.constants import Range
from precond.network.layers import Array, Layer

CONSTANTS = ("weight", "bias", "factor", "shift", "scale")


def ranges(layer: Layer) -> dict[str, Range]:
    """By name, where the constants lie that are not the layer's floats."""
    found = {name: getattr(layer, f"{name}_range", None) for name in CONSTANTS}
    return {name: known for name, known in found.items() if known is not None}


def constants(layer: Layer) -> int:
    """How many numbers of weights, biases, factors and the like a layer has."""
    return sum(np.size(getattr(layer, name)) for name in CONSTANTS if hasattr(layer, name))


def with_constants(layer: Layer, change: Callable[[str, Array, Range | None], Array]) -> Layer:
    """A layer with other floats as its constants: ``change`` of name, floats and range."""
    named: dict[str, object] = {}
    for name in CONSTANTS:
        if hasattr(layer, name):
            known = getattr(layer, f"{name}_range")
            named[name] = change(name, np.asarray(getattr(layer, name)), known)
            named[f"{name}_range"] = None
    changed: Layer = replace(layer, **named)  # type: ignore[arg-type]  # names are the layer's own
    return changed


def deviation(layer: Layer) -> Layer | None:
    """The layer whose constants bound what the true ones differ by; None if they do not."""
    if not ranges(layer):
        return None
    return with_constants(
        layer, lambda _, stored, known: np.zeros_like(stored) if known is None else known.radius
    )
