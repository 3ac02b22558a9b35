"""Adam, upwards (Kingma and Ba 2015), for the multipliers of bounds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Adam:
    """The moments of ``parameters``, which ``step`` moves in place."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.mean = [torch.zeros_like(p) for p in parameters]
        self.square = [torch.zeros_like(p) for p in parameters]
        self.count = 0

    @torch.no_grad()
    def step(self, slopes: Sequence[Tensor | None], rate: float) -> None:
        """One step up the ``slopes``; a parameter without one stays."""
        self.count += 1
        shrink, shrink_square = 1 - 0.9**self.count, 1 - 0.99**self.count
        for parameter, mean, square, slope in zip(
            self.parameters, self.mean, self.square, slopes, strict=True
        ):
            if slope is None:
                continue
            mean.mul_(0.9).add_(slope, alpha=0.1)
            square.mul_(0.99).addcmul_(slope, slope, value=0.01)
            size = (square / shrink_square).sqrt_().add_(1e-12)
            parameter.addcdiv_(mean, size, value=rate / shrink)
