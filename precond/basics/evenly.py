"""Some of many, evenly spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Places among ``count``, ``most`` of them at most: the first, the last, and evenly between."""
    return np.linspace(0, max(count - 1, 0), min(most, count)).astype(np.int64)
