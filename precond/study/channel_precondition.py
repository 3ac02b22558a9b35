"""``ChannelPrecondition``: a rule over the channels of one layer, and how data supports it.

It stands beside a run's preconditions, in a list of its own: "fires somewhere" is a disjunction,
so the rule is no ``DecisionPattern`` and no claim that a prover reads.  ``near`` says how far
around the training inputs that support it its silent part is proved, which holds of the rule too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from precond.basics.notebook import NotebookLine
from precond.errors import QueryError
from precond.printable import printable
from precond.proof.near_data import NearData
from precond.proof.precondition import Support
from precond.property import Property
from precond.region.channels import ChannelPattern

FIELDS = {"id", "label", "class", "property", "pattern", "support", "confidence", "near"}


@dataclass(frozen=True, kw_only=True)
class ChannelPrecondition(NotebookLine):
    """``pattern`` implies ``implied`` (None: nothing that can be proved) by count.

    ``name``: the class as text, ``label`` as the goal numbers it.  ``confidence``: the lower end of
    the 95 % interval of the rule's precision on training inputs.
    """

    id: str
    label: int
    name: str
    implied: Property | None
    pattern: ChannelPattern
    counts: Support
    confidence: float
    near: NearData | None = None

    @property
    def support(self) -> int:
        """Training inputs with the pattern."""
        return self.counts.train

    @property
    def sentence(self) -> str:
        """What it says, in words."""
        (layer,) = self.pattern.layers
        words = [literal.words for literal in self.pattern.in_order]
        listed = " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
        return f"Where in {layer} {listed}, the network says {self.name}."

    @property
    def proved_words(self) -> str:
        """How far it is proved, and why no further."""
        if self.near is not None and self.near.proved:
            return str(self.near)
        if not self.pattern.is_silence:
            return "counted, not proved: “fires somewhere” is no convex region"
        return "counted, not proved" if self.near is None else str(self.near)

    def __repr__(self) -> str:
        return f"ChannelPrecondition({self.id}: {self.pattern} ⇒ {self.name})"

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "label": self.label,
            "class": self.name,
            "property": None if self.implied is None else self.implied.to_json(),
            "pattern": self.pattern.to_json(),
            "support": self.counts.to_json(),
            "confidence": self.confidence,
            "near": None if self.near is None else self.near.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChannelPrecondition:
        """The inverse of ``to_json``; QueryError on anything else."""
        try:
            if set(data) != FIELDS:
                raise ValueError(f"the fields {', '.join(map(str, data))}")
            own, near = data["property"], data["near"]
            return cls(
                id=printable(str(data["id"])),
                label=int(data["label"]),
                name=printable(str(data["class"])),
                implied=None if own is None else Property.from_json(own),
                pattern=ChannelPattern.from_json(data["pattern"]),
                counts=Support.from_json(data["support"]),
                confidence=float(data["confidence"]),
                near=None if near is None else NearData.from_json(near),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise QueryError(
                "channel rule", expected="an entry as docs/format.md describes", got=repr(error)
            ) from error
