"""``NearData``: how far around the inputs that support a rule the rule is proved.

A rule over the whole domain is often refuted by an input that looks like nothing.  Near data it
says something: for each training input that supports it, every input of the ball around it that
has the rule's pattern has the property too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from precond.errors import QueryError


@dataclass(frozen=True, kw_only=True)
class NearData:
    """``radius``: of the balls, a share of each input value's range.  Of ``inputs`` balls
    ``proved`` are proved and ``refuted`` hold a counterexample; the rest were not decided.
    ``largest``: the largest radius of the ladder within which all are proved, None for none.
    """

    radius: float
    inputs: int
    proved: int
    refuted: int
    largest: float | None = None

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.proved >= 0 and self.refuted >= 0):
            raise QueryError("near data", expected="a radius above 0, counts", got=repr(self))
        if self.proved + self.refuted > self.inputs:
            raise QueryError("near data", expected="no more answers than inputs", got=repr(self))

    @property
    def undecided(self) -> int:
        return self.inputs - self.proved - self.refuted

    @property
    def is_proved(self) -> bool:
        """Whether the rule is proved around every input that supports it."""
        return 0 < self.inputs == self.proved

    def to_json(self) -> dict[str, Any]:
        return {
            "radius": self.radius,
            "inputs": self.inputs,
            "proved": self.proved,
            "refuted": self.refuted,
            "largest": self.largest,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NearData:
        largest = data.get("largest")
        return cls(
            radius=float(data["radius"]),
            inputs=int(data["inputs"]),
            proved=int(data["proved"]),
            refuted=int(data["refuted"]),
            largest=None if largest is None else float(largest),
        )

    def __str__(self) -> str:
        words = f"proved within {self.radius:g} of {self.proved} of its {self.inputs} inputs"
        if self.refuted:
            words += f", refuted near {self.refuted}"
        return f"{words}, undecided near {self.undecided}" if self.undecided else words
