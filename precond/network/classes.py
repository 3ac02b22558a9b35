"""The class a network says, from its logits: the one place where outputs become a class.

Two logits or more: the largest.  One logit z is a classifier of two classes: 1 where z exceeds
a threshold (0, which is probability ½ after a sigmoid), else 0.  A threshold need not be a
float (the logit of a probability is none), so it is held between two of them: inputs with
z < ``low`` surely are class 0, those with z > ``high`` surely are class 1.

``scores`` turns logits into one score a class, whose largest is the class and whose softmax is
the sigmoid of z − threshold: (−u/2, u/2) for u = z − threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """How logits (N, ``outputs``) are read as one of ``count`` classes."""

    outputs: int
    low: float = 0.0
    high: float = 0.0

    @property
    def binary(self) -> bool:
        """Whether one logit tells two classes apart."""
        return self.outputs == 1

    @property
    def count(self) -> int:
        return 2 if self.binary else self.outputs

    @overload
    def scores(self, logits: Array) -> Array: ...
    @overload
    def scores(self, logits: Tensor) -> Tensor: ...
    def scores(self, logits: Array | Tensor) -> Array | Tensor:
        """One score a class (N, ``count``) of logits (N, ``outputs``)."""
        if not self.binary:
            return logits
        half = 0.5 * (logits - self.low)
        if isinstance(half, np.ndarray):
            return np.concatenate([-half, half], axis=1)
        import torch

        return torch.cat([-half, half], dim=1)

    def predicted(self, logits: Array) -> NDArray[np.int64]:
        """The class (N,) of logits (N, ``outputs``)."""
        if self.binary:
            return np.asarray(logits[:, 0] > self.low, dtype=np.int64)
        return np.asarray(logits.argmax(axis=1), dtype=np.int64)

    def margins(self, label: int) -> tuple[Array, Array]:
        """Rows (R, ``outputs``) and constants (R,): the class is ``label`` where every
        row · z + constant > 0."""
        if self.binary:
            sign = 1.0 if label else -1.0
            return np.array([[sign]]), np.array([-self.high if label else self.low])
        every = np.eye(self.outputs)
        return every[label] - np.delete(every, label, axis=0), np.zeros(self.outputs - 1)

    def words(self, logit: str = "y0") -> str:
        """How one logit is read, for people."""
        return f"class 1 where {logit} > {self.high:g}, else class 0"

    def gap(self, label: int, other: int) -> str:
        """By how much ``label`` is ahead of ``other``, for people."""
        if not self.binary:
            return f"y{label} − y{other}"
        above = "y0" if not self.low else f"(y0 − {self.low:g})"
        return above if label else f"−{above}"
