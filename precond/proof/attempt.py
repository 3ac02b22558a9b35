"""``Attempt``: what one engine, or one step between engines, added to a verdict.

Answers are counted by outcome, and an engine's line goes with them.  Text is made from them
where people read it (``text``); no program reads that text back.  ``SecondProof`` is what other
engines said when a proof was asked for once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any

from precond.printable import printable
from precond.proof.status import Status


class Outcome(Enum):
    """An engine's answer to one conjunct."""

    INFEASIBLE = "infeasible"
    WITNESS = "witness"
    UNDECIDED = "undecided"


class Line(Enum):
    """Two kinds of engines that share no code past the layer bounds; each can be asked alone."""

    PROPAGATION = "propagation"
    """Linear bounds pushed through the layers, with splitting; no solver."""
    SOLVERS = "solvers"
    """Linear and integer programs, z3 in rational arithmetic, Marabou; no propagated proof."""


Lines = frozenset[Line]
NO_LINE: Lines = frozenset()  # of an engine that proves nothing
PROPAGATION: Lines = frozenset({Line.PROPAGATION})
SOLVERS: Lines = frozenset({Line.SOLVERS})


@dataclass(frozen=True)
class Attempt:
    """An engine's or a step's name, and its seconds.

    ``counts``: how many conjuncts had each outcome, None where none was put to it.  ``lines``:
    the kinds of engine that took part.  ``note``: for people, what else there is to say.
    """

    engine: str
    seconds: float
    _: KW_ONLY
    counts: Mapping[Outcome, int] | None = None
    lines: Lines = NO_LINE
    note: str = ""

    @property
    def closes(self) -> bool:
        """Whether an engine excluded at least one way to fail."""
        return self.counts is not None and self.counts.get(Outcome.INFEASIBLE, 0) > 0

    @property
    def text(self) -> str:
        """For people: the counts, or the note."""
        if self.counts is None:
            return self.note
        return ", ".join(f"{self.counts.get(o, 0)} {o.value}" for o in Outcome)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what there is nothing of is left out."""
        data: dict[str, Any] = {"engine": self.engine, "seconds": round(self.seconds, 6)}
        if self.counts is not None:
            data["counts"] = {o.value: self.counts.get(o, 0) for o in Outcome}
        if self.lines:
            data["lines"] = sorted(line.value for line in self.lines)
        return data | ({"note": self.note} if self.note else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Attempt:
        counts = data.get("counts")
        return cls(
            printable(str(data["engine"])),
            float(data["seconds"]),
            counts=None
            if counts is None
            else {Outcome(o): int(n) for o, n in dict(counts).items()},
            lines=frozenset(Line(word) for word in data.get("lines", ())),
            note=printable(str(data.get("note", ""))),
        )


@dataclass(frozen=True)
class SecondProof:
    """What a second proof said: its ``status``, the ``engines`` that closed something in it,
    and ``seconds``.  UNKNOWN where one of the kinds asked did not finish; REFUTED where one
    found a witness of what was asked (of the tail, for a claim through a tail)."""

    status: Status
    engines: tuple[str, ...]
    seconds: float
    reason: str = ""

    @property
    def is_proved(self) -> bool:
        return self.status is Status.PROVED

    @property
    def names(self) -> str:
        """For people: who was asked."""
        return ", ".join(self.engines) or "no engine"

    @property
    def text(self) -> str:
        """For people: what came of it."""
        words = {Status.PROVED: "proved", Status.REFUTED: "contradicted"}
        return words.get(self.status, f"not decided ({self.reason})")

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "engines": list(self.engines),
            "seconds": round(self.seconds, 6),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SecondProof:
        return cls(
            Status(data["status"]),
            tuple(printable(str(name)) for name in data["engines"]),
            float(data["seconds"]),
            reason=printable(str(data.get("reason", ""))),
        )
