"""The garbage collector stands still while many small objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Python looks through all objects again each time their number has grown by a share, to find
    unused cycles.  Where a file becomes a million objects without one, that is half of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
