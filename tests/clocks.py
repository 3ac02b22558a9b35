"""Limits that say nothing of how fast a machine is.

A test that wants an answer gives a budget that no machine uses up (600 s: it ends with the
answer).  A test that wants to see a limit kept asks what would run for hours, and bounds the
wait by ``HANG``, which only what does not stop at all passes.  A test of cost counts calls.
"""

from __future__ import annotations

import cProfile
from collections.abc import Callable

HANG = 60.0  # seconds


def calls(act: Callable[[], object]) -> int:
    """How many functions, of Python and of C, ``act`` calls; what it raises is raised."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        act()
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())
