"""``Analysis``: everything one run of ``precond analyze`` found; the report and the JSON file
are two views of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.basics.notebook import NotebookPage
from precond.data.datasets import Dataset
from precond.errors import QueryError
from precond.mine.support import CurvePoint as CurvePoint
from precond.network.graph import Network
from precond.proof.precondition import Kind, Precondition
from precond.region.box import Box
from precond.region.radius import Radius
from precond.region.signature import Signatures
from precond.region.unit_names import UnitNames
from precond.region.value_ranges import ValueRanges, ranges_of
from precond.study.channel_rules import ChannelResult
from precond.study.goals import GoalKind


class DomainKind(Enum):
    """Over which inputs a claim is made."""

    DATA = "data"
    """The smallest box that holds the training inputs."""
    UNIT = "unit"
    """[0, 1] for every input."""
    RANGE = "range"
    """[LO, HI] for every input."""
    BALL = "ball"
    """An L∞ ball around each source input, cut to the data's natural range."""


@dataclass(frozen=True, eq=False)
class Domain:
    """The box claims are made over; with BALL the outer box, that of ``ranges``, and ``radius``
    of each ball."""

    kind: DomainKind
    box: Box
    radius: Radius | None = None
    ranges: ValueRanges | None = None

    @classmethod
    def balls(cls, radius: Radius, ranges: ValueRanges) -> Domain:
        """A ball of ``radius`` around each input, cut to its ``ranges``."""
        return cls(DomainKind.BALL, ranges.box, radius=ranges.plain(radius), ranges=ranges)

    @classmethod
    def parse(
        cls,
        text: str,
        inputs: NDArray[np.floating],
        natural: ValueRanges | tuple[float, float],
    ) -> Domain:
        """From ``data``, ``unit``, ``LO:HI`` or ``ball:R``, R as in 0.05 or 5%; ``natural``, of
        all values or of each, bounds a ball, ``inputs`` are the data's."""
        size = int(np.prod(inputs.shape[1:]))
        problem = QueryError(
            "--domain",
            expected="data, unit, LO:HI or ball:R, R a number or a share of each value's range",
            got=text,
            fix="For example ball:0.05, or ball:5% of each column's range",
        )
        if text == "data":
            return cls(DomainKind.DATA, Box.around(inputs))
        if text == "unit":
            return cls(DomainKind.UNIT, Box.uniform(size, 0.0, 1.0))
        first, separator, second = text.partition(":")
        if not separator:
            raise problem
        if first == "ball":
            try:
                radius = Radius.parse(second)
            except QueryError:
                raise problem from None
            return cls.balls(radius, ranges_of(natural, size))
        try:
            low, high = float(first), float(second)
            return cls(DomainKind.RANGE, Box.uniform(size, low, high))
        except ValueError:
            raise problem from None
        except QueryError as error:
            raise QueryError(f"--domain {text}: {error}") from None

    def claimed(self, kind: Kind) -> str:
        """The inputs that claims of ``kind`` are about, in words."""
        if self.kind is DomainKind.BALL and kind is not Kind.INPUT:
            return _interval(self.box) if self.ranges is None else self.ranges.over
        return str(self)

    def around(self, row: NDArray[np.floating]) -> Box:
        """The box for claims about one input: its ball, or the whole domain."""
        if self.radius is None or self.ranges is None:
            return self.box
        return self.ranges.ball(row, self.radius)

    def __str__(self) -> str:
        if self.kind is DomainKind.BALL:
            return f"{self.ball_words} around each input"
        if self.kind is DomainKind.DATA:
            return "the box of the training data"
        return _interval(self.box)

    @property
    def ball_words(self) -> str:
        """What a ball is."""
        assert self.radius is not None
        if self.radius.of_range:
            return f"box of {self.radius.moves}"
        return f"L∞ ball of radius {self.radius}"


def _interval(box: Box) -> str:
    return f"[{box.lower.min():g}, {box.upper.max():g}] for every input"


@dataclass(frozen=True, eq=False)
class Analysis(NotebookPage):
    """One run: what was given, what was found.

    ``property``: the question, for people; ``goal``: of which kind it is.
    ``signatures`` covers all rows of ``data.inputs`` in order.  ``interrupted`` says that
    the run was stopped early and holds what was proved until then.  ``channels``: rules over
    channels, of a network with convolutional layers.
    """

    model: Path
    network: Network
    data: Dataset
    domain: Domain
    property: str
    signatures: Signatures
    preconditions: tuple[Precondition, ...]
    curve: tuple[CurvePoint, ...] = ()
    seconds: float = 0.0
    budget: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = field(default=())
    goal: GoalKind = GoalKind.CLASSES
    unit_names: UnitNames = field(default_factory=UnitNames)
    channels: ChannelResult | None = None

    def __repr__(self) -> str:
        proved = sum(p.verdict.is_proved for p in self.preconditions)
        count = len(self.preconditions)
        return f"Analysis({self.model.name}: {count} preconditions, {proved} proved)"
