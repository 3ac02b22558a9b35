"""``Coverage``: the account of a search that divides a region, beside the search's own queues.

A search starts with one subdomain for each conjunct, the whole of its region.  From then on a
subdomain is split in two halves, or closed, and nothing else may become of it.  So at any
time closed + open = all, by count and by share (a half has half of its parent's share).  When
a search ends, what its queues still hold must be what the account says is open: a conjunct
is closed only where both say that nothing is.  A search that loses a subdomain (a number that
is neither ≤ 0 nor > 0 has done so) thereby ends undecided, and says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

ROUNDING = 1e-6  # of the whole: shares are sums of many small powers of two


class Coverage:
    """How many subdomains of each of ``conjuncts`` are open, and what share of the whole."""

    def __init__(self, conjuncts: int) -> None:
        self.count = np.ones(conjuncts, dtype=np.int64)
        self.share = np.ones(conjuncts)

    def close(self, conjunct: Any, share: Any) -> None:
        """Subdomains of these conjuncts (k,), with these shares (k,), are closed."""
        which = _array(conjunct)
        np.subtract.at(self.count, which, 1)
        np.subtract.at(self.share, which, _array(share))

    def split(self, conjunct: Any) -> None:
        """A subdomain of each of these conjuncts (k,) has become two halves."""
        np.add.at(self.count, _array(conjunct), 1)

    def fault(self, conjunct: int, count: int = 0, share: float = 0.0) -> str | None:
        """What is wrong where a search holds ``count`` open subdomains, ``share`` of the whole;
        None where that is what the account says."""
        lost = int(self.count[conjunct]) - count
        missing = float(self.share[conjunct]) - share
        if lost == 0 and abs(missing) <= ROUNDING:
            return None
        return (
            f"internal error: {lost} subdomains ({100 * missing:.4g} % of the region) are neither "
            "closed nor open"
        )


def _array(values: Any) -> Any:
    return np.atleast_1d(values.cpu().numpy() if isinstance(values, Tensor) else values)
