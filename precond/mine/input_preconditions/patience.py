"""When a bisection stops waiting: how much work without news counts as no proof."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

PATIENCE = 2000  # pieces bounded without news, for a pattern to count as not proved
IDLE = 3  # ends of patience at which no literal helps, before a layer is given up
HASTE = 10_000  # pieces after which literals are granted sooner


@dataclass(frozen=True)
class LastNews:
    """When there was some, in pieces bounded and on the clock."""

    pieces: int
    at: float = field(default_factory=time.monotonic)

    def old(self, pieces: int, patience: float, seconds: float) -> bool:
        return pieces - self.pieces > patience or time.monotonic() - self.at > seconds
