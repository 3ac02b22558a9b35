"""Points tried as witnesses of a bisection."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import Operators
from precond.proof.limits import Limits
from precond.proof.rows import Rows


class Points:
    """``witnesses[conjunct]``: the first point (n,) tried that lies in the region and violates."""

    def __init__(self, ops: Operators, rows: Rows, limits: Limits) -> None:
        self.ops = ops
        self.rows = rows
        self.half = limits.half
        network = ops.network
        self.limits = {network.pre_activation(layer): b for layer, b in limits.layers.items()}
        self.witnesses: dict[int, np.ndarray] = {}

    def try_all(self, points: Tensor) -> None:
        """Points (N, n) of the box."""
        network, rows = self.ops.network, self.rows
        wanted = list(dict.fromkeys([*self.limits, network.output]))
        values = forward(self.ops, {INPUT: points.reshape(-1, *network.input_shape)}, wanted)
        inside = torch.ones(len(points), dtype=torch.bool, device=points.device)
        for source, (low, high) in self.limits.items():
            z = values[source].flatten(1)
            inside &= ((z >= low) & (z <= high)).all(1)
        if self.half is not None:
            inside &= (points @ self.half[0].T <= self.half[1]).all(1)
        margin = rows.margins(values[network.output].flatten(1), points)
        full = ~rows.any(~rows.violated(margin)) & inside[:, None]
        for conjunct in full.any(0).nonzero().flatten().tolist():
            if conjunct not in self.witnesses:
                which = int(full[:, conjunct].nonzero()[0])
                self.witnesses[conjunct] = points[which].cpu().numpy().copy()
