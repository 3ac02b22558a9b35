"""Constants of a layer, checked and made floats with the ranges they stand for."""

from __future__ import annotations

from collections.abc import Sequence

from precond.basics.arguments import numbers
from precond.errors import ModelError
from precond.network.constants import are_reals, settled


def settle(layer: object, *names: str) -> None:
    """Floats and ranges of the constants ``names``."""
    for name in names:
        value, known = getattr(layer, name), getattr(layer, f"{name}_range")
        if not are_reals(value):
            value = numbers("numbers of a layer", value)
        stored, known = settled(value, known)
        object.__setattr__(layer, name, stored)
        object.__setattr__(layer, f"{name}_range", known)


def require_positive(layer: str, sizes: Sequence[int]) -> None:
    """ModelError unless every size, step and count is 1 or more."""
    if any(size < 1 for size in sizes):
        raise ModelError(layer, expected="sizes, steps and groups of 1 or more", got=str(sizes))
