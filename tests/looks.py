"""A deadline that no clock decides: it passes after so many looks at it."""

from __future__ import annotations

from precond.proof.deadline import Deadline


class Looks(Deadline):
    """``left`` is 10 s for the first ``count`` looks, then 0; ``earlier`` is the same deadline."""

    def __init__(self, count: int) -> None:
        super().__init__(float("inf"))
        object.__setattr__(self, "looks", [count])

    @property
    def left(self) -> float:
        looks: list[int] = self.looks  # type: ignore[attr-defined]  # set above, past "frozen"
        looks[0] -= 1
        return 10.0 if looks[0] >= 0 else 0.0

    def earlier(self, seconds: float) -> Deadline:
        return self
