"""Limits that say nothing of how fast a machine is.

A test that wants an answer gives a budget that no machine uses up (600 s: it ends with the
answer).  A test that wants to see a limit kept asks what would run for hours, and bounds the
wait by ``HANG``, which only what does not stop at all passes.  A test of cost counts calls.
"""

from __future__ import annotations

import cProfile
from collections.abc import Callable, Container, Iterable
from itertools import count
from types import SimpleNamespace
from typing import TypeVar

import pytest

HANG = 60.0  # seconds
T = TypeVar("T")


def calls(act: Callable[[], object]) -> int:
    """How many functions, of Python and of C, ``act`` calls; what it raises is raised."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        act()
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look at a deadline take a second."""
    clock = count()
    ticks = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr("precond.proof.deadline.time", ticks)


def slow_but(fast: Container[T], values: Iterable[T]) -> list[object]:
    """Parameters of a test: those of ``fast`` as they are, the others marked slow."""
    return [v if v in fast else pytest.param(v, marks=pytest.mark.slow) for v in values]
