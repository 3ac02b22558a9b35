"""``Refusal``: why an engine does not take a problem."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """``reason`` for people.  ``of_floats``: the numbers are more than float64 can carry, so
    every engine that computes in it says the same."""

    reason: str
    of_floats: bool = False

    def __str__(self) -> str:
        return self.reason
