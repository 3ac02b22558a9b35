"""Two-sided tests against a sample, of a sample or of one case (Welch 1947; Crawford, Howell 1998).

Where nothing varies, p is 1 for equal means and 0 for others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def one_case(case: float, sample: Array) -> float:
    """Two-sided p of one value that it is of the same normal distribution as a sample."""
    from scipy.stats import t as student

    error = float(sample.std(ddof=1)) * np.sqrt(1 + 1 / len(sample))
    return float(2 * student.sf(_ratio(abs(case - float(sample.mean())), error), len(sample) - 1))


def welch(first: Array, second: Array) -> float:
    """Two-sided p; also where one sample or both do not vary."""
    from scipy.stats import t as student

    parts = [float(one.var(ddof=1)) / len(one) for one in (first, second)]
    error = sum(parts)
    statistic = _ratio(abs(float(first.mean() - second.mean())), np.sqrt(error))
    squares = sum(v**2 / (len(one) - 1) for v, one in zip(parts, (first, second), strict=True))
    freedom = error**2 / squares if squares else len(first) + len(second) - 2
    return float(2 * student.sf(statistic, freedom))


def _ratio(distance: float, error: float) -> float:
    return distance / error if error > 0 else (np.inf if distance > 0 else 0.0)
