"""How many processor cores a proof may use.

``PRECOND_CORES`` in the environment is the most; without it, as many as there are.
"""

from __future__ import annotations

import contextlib
import os

VARIABLE = "PRECOND_CORES"


def free_cores(own: int = 1) -> float:
    """Cores that nothing but this process uses, by the load of the last minute, of which ``own``
    processes were its own; at most as many as the environment allows."""
    try:
        cores = float(len(os.sched_getaffinity(0)))
        free = cores - max(0.0, os.getloadavg()[0] - own)
    except (AttributeError, OSError):
        free = 1.0
    with contextlib.suppress(ValueError):
        free = min(free, max(1.0, float(os.environ.get(VARIABLE, "inf"))))
    return free
