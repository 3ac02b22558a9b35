"""``WholeSpace``: what a search for patterns over a whole domain found, and how well they do.

The report, the CSV files and ``preconditions.json`` are views of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.basics.notebook import NotebookPage
from precond.checker.certificate import Certificate
from precond.mine.support import wilson
from precond.proof.claim import Claim
from precond.proof.precondition import Precondition
from precond.region.literals import Literal
from precond.study.analysis import Analysis
from precond.study.goals import Target
from precond.study.study import Study

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Forced:
    """A literal that a counterexample made necessary.

    ``values`` (m,): the counterexample, as values of the
    cut layer; no other literal of the pattern excludes it where ``alone``.  ``output``: the
    network's answer there (its largest output).  ``nearest``: the training row whose values of
    the cut layer point the same way most nearly, ``distance`` degrees away; a counterexample
    of a tail is often longer than the values of any input.
    """

    literal: Literal
    values: Array
    output: int
    nearest: int
    distance: float
    alone: bool
    excluded: int


@dataclass(frozen=True, eq=False)
class CutTrial:
    """One cut that was tried for a class: patterns proved, recall on training rows, seconds."""

    cut: str
    patterns: int
    recall: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Event:
    """A moment (``seconds`` after the start) when a pattern of ``label`` was proved, with the
    training inputs of its class that it adds and its ``literals``."""

    seconds: float
    label: str
    added: int
    literals: int


@dataclass(frozen=True, eq=False)
class ClassResult:
    """The patterns of one class, in the order they were found.

    ``train`` and ``held_out``: recall of their union, with 95 % Wilson intervals.
    ``forced[k]``: literals of pattern k with their counterexamples.  ``rounds``, ``proofs``
    and ``seconds`` of the whole search, all cuts.
    """

    target: Target
    cut: str
    entries: tuple[Precondition, ...]
    forced: tuple[tuple[Forced, ...], ...]
    train: Share
    held_out: Share
    rounds: int
    proofs: int
    seconds: float
    cuts: tuple[CutTrial, ...]

    @property
    def literals(self) -> int:
        """Literals of all patterns together."""
        return sum(len(entry.pattern) for entry in self.entries)

    @property
    def proved(self) -> bool:
        """Whether there is a pattern, and all are proved."""
        return bool(self.entries) and all(e.verdict.is_proved for e in self.entries)


@dataclass(frozen=True)
class Share:
    """``hits`` of ``total``."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.total)

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.total + other.total)


@dataclass(frozen=True, eq=False)
class WholeSpace(NotebookPage):
    """One run over all classes.  The study's signatures hold pre-activations; ``interrupted``
    says that it was stopped and holds what was done."""

    study: Study
    classes: tuple[ClassResult, ...]
    events: tuple[Event, ...]
    seconds: float
    budget: float
    interrupted: bool = False
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        proved = sum(found.proved for found in self.classes)
        return f"WholeSpace({proved} of {len(self.classes)} classes proved)"

    @property
    def entries(self) -> tuple[Precondition, ...]:
        return tuple(entry for result in self.classes for entry in result.entries)

    @property
    def certified(self) -> list[tuple[Claim, Certificate]]:
        """The claims that a certificate of this run proves."""
        return [
            (
                Claim(self.study.network, self.study.domain.box, e.pattern, property=e.property),
                e.verdict.certificate,
            )
            for e in self.entries
            if e.property is not None and e.verdict.certificate is not None
        ]

    @property
    def train(self) -> Share:
        return sum((result.train for result in self.classes), Share(0, 0))

    @property
    def held_out(self) -> Share:
        """Of all held-out inputs of the domain with a class, those that some pattern holds for
        and that have its class."""
        return sum((result.held_out for result in self.classes), Share(0, 0))

    def analysis(self) -> Analysis:
        """The same as an ``Analysis``, which ``preconditions.json`` is written from."""
        return self.study.analysis(
            self.entries,
            model=Path(self.study.network.whole.origin),
            seconds=self.seconds,
            budget=self.budget,
            interrupted=self.interrupted,
            notes=self.notes,
        )


def recall_by_time(run: WholeSpace) -> list[tuple[float, float]]:
    """(seconds, training recall of everything proved by then), from (0, 0)."""
    total = max(run.train.total, 1)
    points, reached = [(0.0, 0.0)], 0
    for event in sorted(run.events, key=lambda e: e.seconds):
        reached += event.added
        points.append((event.seconds, reached / total))
    return points


def recall_by_literals(run: WholeSpace) -> list[tuple[int, float, str]]:
    """(literals in all, held-out recall of all classes, class of the last pattern), from
    (0, 0): patterns in order of the held-out inputs that each adds per literal."""
    study, held = run.study, run.study.data.held_out
    part = study.signatures.rows(held)
    holds: list[tuple[Precondition, Flags]] = []
    for result in run.classes:
        own = (study.carries(result.target.label) & study.within)[held]
        holds += [(entry, entry.pattern.holds(part) & own) for entry in result.entries]
    total = max(run.held_out.total, 1)
    reached = np.zeros(len(held), dtype=np.bool_)
    points, literals = [(0, 0.0, "")], 0
    while holds:
        gain = [int((flags & ~reached).sum()) / max(len(e.pattern), 1) for e, flags in holds]
        best = int(np.argmax(gain))
        if gain[best] <= 0:
            break
        entry, flags = holds.pop(best)
        reached |= flags
        literals += len(entry.pattern)
        points.append((literals, float(reached.sum()) / total, entry.label))
    return points
