"""Bounds of all values of a network in one region, in integers, and the lines they allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from precond.network.dyadic import Dyadic


@dataclass(eq=False)
class Bounds:
    """Lower bounds (2, m) of every value and its negative; lines: slope below, slope above,
    intercept above, where the slope below may be chosen; of a max-pool: weights below, the input
    above, its slope and intercept (``pools``).  ``slack``: minus what affine values are
    off, whose constants no float holds.  ``empty``: no input is in the region."""

    bits: int
    values: dict[str, Dyadic] = field(default_factory=dict)
    lines: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    slack: dict[str, Dyadic] = field(default_factory=dict)
    empty: bool = False

    def cut(self, name: str, x: Dyadic) -> Dyadic:
        """Enter a value's bounds; where they clash the region is empty."""
        self.empty |= bool((x.n[0] + x.n[1] > 0).any())
        ends = np.stack([x.n[0], np.minimum(x.n[1], -x.n[0])])
        self.values[name] = Dyadic(ends, x.e).short(self.bits)
        return self.values[name]
