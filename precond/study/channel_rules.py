"""``ChannelResult``: the channel rules of a run, and how data supports them.

A ``ChannelPrecondition`` stands beside a run's preconditions, in a list of its own: "fires
somewhere" is a disjunction, so the rule is no ``DecisionPattern`` and no claim that a prover reads.
``near`` says how far around the training inputs that support it its silent part is proved, which
holds of the rule too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.counting import how_many, percent
from precond.basics.notebook import NotebookLine
from precond.basics.plain import FOREIGN
from precond.errors import QueryError
from precond.mine.labels import NO_LABEL
from precond.mine.support import voted
from precond.printable import printable
from precond.proof.near_data import NearData
from precond.proof.precondition import Support
from precond.property import Property
from precond.region.channels import ChannelPattern
from precond.region.signature import Signatures

SURE = 0.97  # the least confidence of the surest rules
Rows = NDArray[np.int64]
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
        except FOREIGN as error:
            raise QueryError(
                "channel rule", expected="an entry as docs/format.md describes", got=repr(error)
            ) from error


@dataclass(frozen=True)
class HeldOutShare:
    """Of ``inputs`` held-out inputs ``covered`` have the pattern of some of ``rules`` rules, and
    of these ``right`` have what the rules say together."""

    rules: int
    inputs: int
    covered: int
    right: int

    @classmethod
    def of(
        cls, rules: Sequence[ChannelPrecondition], signatures: Signatures, labels: Rows
    ) -> HeldOutShare:
        """Counted on the recorded inputs, which have ``labels``."""
        said = voted(rules, signatures)
        covered = said != NO_LABEL
        right = int((said == labels)[covered].sum())
        return cls(len(rules), len(signatures), int(covered.sum()), right=right)

    @property
    def coverage(self) -> float | None:
        return self.covered / self.inputs if self.inputs else None

    @property
    def precision(self) -> float | None:
        return self.right / self.covered if self.covered else None

    @property
    def words(self) -> str:
        """``68.8 % of 1000 held-out predictions at 97.2 % precision``."""
        at = "" if self.precision is None else f" at {percent(self.precision)} precision"
        return f"{percent(self.coverage)} of {self.inputs} held-out predictions{at}"

    def to_json(self) -> dict[str, float | int | None]:
        return {"rules": self.rules, "coverage": self.coverage, "precision": self.precision}


@dataclass(frozen=True)
class ChannelResult:
    """``rules``, and what all of them and the ``surest`` (confidence ``SURE`` or more) explain."""

    rules: tuple[ChannelPrecondition, ...]
    every: HeldOutShare
    surest: HeldOutShare

    @classmethod
    def of(
        cls, rules: tuple[ChannelPrecondition, ...], signatures: Signatures, labels: Rows
    ) -> ChannelResult:
        """``signatures`` and ``labels`` of the held-out inputs."""
        sure = [rule for rule in rules if rule.confidence >= SURE]
        every, surest = (HeldOutShare.of(some, signatures, labels) for some in (rules, sure))
        return cls(rules, every, surest)

    @property
    def proved(self) -> int:
        """Rules proved around every training input that supports them."""
        return sum(rule.near is not None and rule.near.is_proved for rule in self.rules)

    @property
    def silent(self) -> int:
        """Rules in which no channel fires."""
        return sum(rule.pattern.is_silence for rule in self.rules)

    def sentences(self) -> tuple[str, ...]:
        """For people."""
        if not self.rules:
            return ()
        first = f"Rules over channels explain {self.every.words}"
        if self.surest.rules:
            first += (
                f"; the surest {self.surest.rules} of {how_many(len(self.rules), 'rule')} explain "
                f"{percent(self.surest.coverage)} at {percent(self.surest.precision)}"
            )
        radii = {rule.near.radius.words for rule in self.rules if rule.near is not None}
        if radii:
            first += (
                f"; {self.proved} are proved within {radii.pop()} of every training input that "
                "supports them, the rest is counted on data"
            )
        else:
            first += "; they are counted on data, not proved"
        return (f"{first}.",)
