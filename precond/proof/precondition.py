"""``Precondition``: a claim that was answered, and how data supports it.

``preconditions.json`` holds a list of these; ``to_json`` and ``from_json`` define its
format (version 1, documented in ``docs/format.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from precond.basics.notebook import NotebookLine
from precond.basics.plain import FOREIGN, plain_numbers
from precond.errors import QueryError
from precond.printable import printable
from precond.proof.near_data import NearData
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern


class Kind(Enum):
    """Where a precondition comes from."""

    LAYER = "layer"
    """A rule over one layer's decisions, learned from data."""
    INPUT = "input"
    """A closed pattern around one input, found by relaxation."""
    SPACE = "space"
    """A pattern meant to hold over the whole domain."""


@dataclass(frozen=True)
class Support:
    """How data supports a pattern.

    ``train`` and ``held_out`` count the inputs that satisfy it.  ``precision``: the share of
    held-out inputs in the pattern that carry the label; ``recall``: the share of held-out
    inputs with the label that are in the pattern; None where the denominator is zero.
    ``precision_low`` and ``precision_high`` (and recall's) bound a 95 % Wilson interval.
    """

    train: int
    held_out: int
    precision: float | None
    recall: float | None
    precision_interval: tuple[float, float] | None = None
    recall_interval: tuple[float, float] | None = None
    train_precision: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "train": self.train,
            "held_out": self.held_out,
            "precision": self.precision,
            "recall": self.recall,
            "precision_interval": self.precision_interval,
            "recall_interval": self.recall_interval,
            "train_precision": self.train_precision,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Support:
        def number(name: str) -> float | None:
            return None if data.get(name) is None else float(data[name])

        def pair(name: str) -> tuple[float, float] | None:
            value = data.get(name)
            return None if value is None else (float(value[0]), float(value[1]))

        return cls(
            int(data["train"]),
            int(data["held_out"]),
            number("precision"),
            recall=number("recall"),
            precision_interval=pair("precision_interval"),
            recall_interval=pair("recall_interval"),
            train_precision=number("train_precision"),
        )


@dataclass(frozen=True, eq=False)
class Precondition(NotebookLine):
    """``pattern`` (in ``domain``) implies ``property``: verdict and support.

    ``domain`` is this claim's own box when it differs from the file's (a ball around one
    input).  ``box`` is an under-approximation box inside the region.  ``source`` is the row
    of the input it was relaxed from; ``proofs`` how many proofs finding it took.
    """

    id: str
    kind: Kind
    label: str
    property: Property | None
    pattern: DecisionPattern
    support: Support
    verdict: Verdict
    box: Box | None = None
    domain: Box | None = None
    source: int | None = None
    proofs: int = 0
    note: str = ""
    near: NearData | None = None

    def __repr__(self) -> str:
        literals = f"{len(self.pattern)} literals" if len(self.pattern) else "no literal"
        status = self.verdict.status.value
        return f"Precondition({self.id}: {literals} ⇒ {self.label}, {status})"

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "label": self.label,
            "property": None if self.property is None else self.property.to_json(),
            "pattern": self.pattern.to_json(),
            "support": self.support.to_json(),
            "verdict": self.verdict.to_json(),
            "box": _box_json(self.box),
            "domain": _box_json(self.domain),
            "source": self.source,
            "proofs": self.proofs,
            "note": self.note,
            "near": None if self.near is None else self.near.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Precondition:
        try:
            prop = data["property"]
            return cls(
                printable(str(data["id"])),
                Kind(data["kind"]),
                printable(str(data["label"])),
                property=None if prop is None else Property.from_json(prop),
                pattern=DecisionPattern.from_json(data["pattern"]),
                support=Support.from_json(data["support"]),
                verdict=Verdict.from_json(dict(data["verdict"])),
                box=_box_of(data.get("box")),
                domain=_box_of(data.get("domain")),
                source=None if data.get("source") is None else int(data["source"]),
                proofs=int(data.get("proofs", 0)),
                note=printable(str(data.get("note", ""))),
                near=None if data.get("near") is None else NearData.from_json(data["near"]),
            )
        except FOREIGN as error:
            raise QueryError(
                "precondition", expected="an entry as docs/format.md describes", got=repr(error)
            ) from error


def _box_json(box: Box | None) -> dict[str, list[float]] | None:
    if box is None:
        return None
    return {"lower": box.lower.tolist(), "upper": box.upper.tolist()}


def _box_of(data: Mapping[str, Any] | None) -> Box | None:
    if data is None:
        return None
    return Box(np.array(plain_numbers(data["lower"])), np.array(plain_numbers(data["upper"])))
