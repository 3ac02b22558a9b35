"""Multipliers of a backward pass that close one row of one subdomain, as a ``Leaf``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.proof.bounds.backward import Multipliers, Region
from precond.proof.bounds.row_bounds import improved_bounds, row_bounds
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.rows import Forms
from precond.proof.trace import Leaf


def closing_leaf(
    region: Region,
    row: Forms,
    tried: Sequence[Multipliers],
    *,
    steps: int,
    deadline: Deadline,
) -> Leaf | None:
    """A leaf for one row of one subdomain: the first of ``tried`` that shows the row to be
    positive (≥ 0 where it is strict), or what ``steps`` of ascent from the last of them find.
    """
    with torch.no_grad():
        for used in tried:
            if excludes(float(row_bounds(region, row, used).value), bool(row.strict)):
                return leaf_of(used)
    # With one row, the multipliers that come back are those of the bound that does.
    initial = tried[-1] if tried else None
    bound, used = improved_bounds(region, row, steps=steps, deadline=deadline, initial=initial)
    return leaf_of(used) if excludes(float(bound.value)) else None


def leaf_of(
    multipliers: Multipliers,
    row: int = 0,
    *,
    subdomain: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> Leaf:
    """One row's multipliers in one subdomain as a leaf's."""

    def arrays(values: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
        return {name: value[subdomain, row].cpu().numpy() for name, value in values.items()}

    half = multipliers.half
    return Leaf(
        weights,
        arrays(multipliers.alpha),
        arrays(multipliers.low),
        high=arrays(multipliers.high),
        half=None if half is None else half[subdomain, row].cpu().numpy(),
    )
