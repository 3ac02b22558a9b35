"""Multipliers of a backward pass that close one row of one subdomain, as a ``Leaf``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.proof.bounds.backward import Multipliers, Region, lower_bound
from precond.proof.bounds.multipliers import improve
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.trace import Leaf


def closing_leaf(
    region: Region,
    form: Tensor,
    constant: Tensor,
    inputs: Tensor | None,
    tried: Sequence[Multipliers],
    *,
    strict: bool,
    steps: int,
    deadline: Deadline,
) -> Leaf | None:
    """A leaf for one row (1, 1, ·) of one subdomain: the first of ``tried`` that shows the row
    to be positive (≥ 0 where ``strict``), or what ``steps`` of ascent from the last of them find.
    """
    output = region.ops.network.output
    with torch.no_grad():
        for used in tried:
            value = float(lower_bound(region, output, form, constant, used, inputs).value)
            if excludes(value, strict):
                return _leaf(used)
    # With one row, the multipliers that come back are those of the bound that does.
    initial = tried[-1] if tried else None
    bound, used = improve(
        region,
        output,
        form,
        constant,
        steps=steps,
        deadline=deadline,
        input_form=inputs,
        initial=initial,
    )
    return _leaf(used) if excludes(float(bound.value)) else None


def _leaf(multipliers: Multipliers) -> Leaf:
    """Multipliers (1, 1, m) as a leaf's."""

    def arrays(values: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
        return {name: value[0, 0].cpu().numpy() for name, value in values.items()}

    half = multipliers.half
    return Leaf(
        None,
        arrays(multipliers.alpha),
        arrays(multipliers.low),
        arrays(multipliers.high),
        None if half is None else half[0, 0].cpu().numpy(),
    )
