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
from precond.region.radius import Radius


@dataclass(frozen=True, kw_only=True)
class NearData:
    """``radius``: of the balls.  Of ``inputs`` balls
    ``proved`` are proved and ``refuted`` hold a counterexample; the rest were not decided.
    ``largest``: the largest radius of the ladder within which all are proved, None for none.
    """

    radius: Radius
    inputs: int
    proved: int
    refuted: int
    largest: Radius | None = None

    def __post_init__(self) -> None:
        if self.proved < 0 or self.refuted < 0:
            raise QueryError("near data", expected="counts", got=repr(self))
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
            "radius": self.radius.size,
            "of_range": self.radius.of_range,
            "inputs": self.inputs,
            "proved": self.proved,
            "refuted": self.refuted,
            "largest": None if self.largest is None else self.largest.size,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NearData:
        largest, of_range = data.get("largest"), bool(data.get("of_range", False))
        return cls(
            radius=Radius(float(data["radius"]), of_range),
            inputs=int(data["inputs"]),
            proved=int(data["proved"]),
            refuted=int(data["refuted"]),
            largest=None if largest is None else Radius(float(largest), of_range),
        )

    def __str__(self) -> str:
        words = (
            f"proved within {self.radius.words} around {self.proved} of its {self.inputs} inputs"
            if self.radius.of_range
            else f"proved within {self.radius} of {self.proved} of its {self.inputs} inputs"
        )
        if self.refuted:
            words += f", refuted near {self.refuted}"
        return f"{words}, undecided near {self.undecided}" if self.undecided else words
