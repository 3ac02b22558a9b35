"""What a region says beside its boxes, as tensors: bounds of pre-activations, and half-spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.claim import Array, Problem

LayerBounds = Mapping[str, tuple[Float[Tensor, "_ units"], Float[Tensor, "_ units"]]]
HalfSpaceTensors = tuple[Float[Tensor, "halfspaces inputs"], Float[Tensor, " halfspaces"]]


@dataclass(frozen=True, eq=False)
class Limits:
    """``layers``: per decision layer low and high, (G or 1, m); ``half``: ``M x ≤ b``, (k, n)
    and (k,)."""

    layers: LayerBounds = field(default_factory=dict)
    half: HalfSpaceTensors | None = None


NO_LIMITS = Limits()


def limits_of(problem: Problem, device: str = "cpu") -> Limits:
    """The problem's, for its one box and all parts of it."""
    half = None
    if (spaces := problem.halfspaces) is not None:
        half = as_tensor(spaces.matrix, device), as_tensor(spaces.bound, device)
    return Limits(layer_tensors(problem.intervals, device), half)


def layer_tensors(
    bounds: Mapping[str, tuple[Array, Array]], device: str = "cpu"
) -> dict[str, tuple[Tensor, Tensor]]:
    """Bounds (m,) of layers as tensors (1, m)."""
    return {
        name: (as_tensor(low, device)[None], as_tensor(high, device)[None])
        for name, (low, high) in bounds.items()
    }


def as_tensor(values: Array, device: str = "cpu") -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device)
