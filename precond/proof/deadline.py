"""``Deadline``: a moment on the monotonic clock by which work must end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Event


class OutOfTime(Exception):
    """A deadline passed within work that gives nothing by halves; whoever began the work knows
    what can be said without it."""


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, or the moment another thread sets ``cancelled``."""

    at: float
    cancelled: Event | None = field(default=None, compare=False, repr=False)

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        if self.cancelled is not None and self.cancelled.is_set():
            return 0.0
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left == 0.0

    def check(self) -> None:
        """``OutOfTime`` past the deadline."""
        if self.passed:
            raise OutOfTime

    def earlier(self, seconds: float) -> Deadline:
        """This deadline, or ``seconds`` from now if that is sooner."""
        return Deadline(min(self.at, time.monotonic() + seconds), self.cancelled)


FOREVER = Deadline(float("inf"))
