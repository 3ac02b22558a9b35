"""The parts of a command within one budget: what time does not allow is left out, and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from precond.proof.deadline import Deadline, OutOfTime

if TYPE_CHECKING:
    from precond.basics.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class TimedParts:
    """``left_out``: notes about what was not done, or not to its end."""

    deadline: Deadline
    bars: Progress
    left_out: list[str] = field(default_factory=list)

    def step(self) -> None:
        """A step of a part is done; ``OutOfTime`` past the deadline."""
        self.bars.step()
        self.deadline.check()

    def whole(self, name: str, work: Callable[[], T], *, nothing: T) -> T:
        """What ``work`` gives; ``nothing``, and a note, where time runs out before its end."""
        try:
            self.deadline.check()
            return work()
        except OutOfTime:
            self.left_out.append(f"time ran out: {name} left out")
            return nothing
