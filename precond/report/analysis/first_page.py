"""The first page of a run: what was learned, then the rules by what each adds."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.counting import percent
from precond.data.dataset import class_words
from precond.proof.near_data import NearData
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status
from precond.report.analysis.decisions import Decisions, ShownLiteral
from precond.study.analysis import Analysis
from precond.study.learned import Learned, RuleGain

FIRST = 15  # rules that are shown before the rest

EVERYWHERE = {
    Status.PROVED: "✓ proved for every input",
    Status.REFUTED: "✗ refuted by an input that is not data",
    Status.UNKNOWN: "? not decided",
    Status.VACUOUS: "∅ no input has the pattern",
    Status.EMPIRICAL: "≈ not asked",
}


@dataclass(frozen=True, kw_only=True)
class GainLine:
    """One rule in the order in which rules add to what is explained."""

    id: str
    label: str
    literals: tuple[ShownLiteral, ...]
    more: int
    words: str
    adds: str
    reached: str
    near: str
    near_tone: str
    everywhere: str
    everywhere_tone: str


@dataclass(frozen=True)
class FirstPage:
    """``rules`` come first, at positions ``shown``; ``more`` are those after them that add
    something; ``nothing`` rules add nothing to these."""

    sentences: tuple[str, ...]
    shown: tuple[int, ...]
    rules: tuple[GainLine, ...]
    more: tuple[GainLine, ...]
    nothing: int

    @classmethod
    def of(cls, analysis: Analysis, decisions: Decisions) -> FirstPage:
        """What ``Learned`` says of an analysis, in words."""
        learned = Learned.of(analysis)
        channels = () if analysis.channels is None else analysis.channels.sentences()
        lines = tuple(_line(analysis, decisions, added) for added in learned.order)
        rules = sum(item.kind is Kind.LAYER for item in analysis.preconditions)
        return cls(
            sentences=(*learned.sentences(), *channels),
            shown=tuple(added.position for added in learned.order[:FIRST]),
            rules=lines[:FIRST],
            more=lines[FIRST:],
            nothing=rules - len(lines),
        )


def is_single(item: Precondition) -> bool:
    """Whether a precondition is true for one input only: its claim holds none but its source."""
    return (
        item.kind is Kind.INPUT
        and item.domain is not None
        and item.support.train + item.support.held_out <= 1
    )


def _line(analysis: Analysis, decisions: Decisions, added: RuleGain) -> GainLine:
    item = analysis.preconditions[added.position]
    literals = decisions.telling(item)
    return GainLine(
        id=item.id,
        label=class_words(item.label, analysis.data.classes),
        literals=literals,
        more=len(item.pattern) - len(literals),
        words=str(item.pattern),
        adds=f"+{added.held_out}",
        reached=percent(added.reached),
        near="as everywhere" if item.verdict.is_proved else _near(item.near),
        near_tone=_tone(item),
        everywhere=EVERYWHERE[item.verdict.status],
        everywhere_tone=item.verdict.status.value,
    )


def _tone(item: Precondition) -> str:
    sure = item.verdict.is_proved or (item.near is not None and item.near.is_proved)
    return Status.PROVED.value if sure else Status.EMPIRICAL.value


def _near(near: NearData | None) -> str:
    if near is None:
        return "–"
    if near.is_proved:
        more = near.largest is not None and near.largest.size > near.radius.size
        largest = f" (also within {near.largest})" if more else ""
        return f"✓ within {near.radius} of all {near.inputs}{largest}"
    words = f"within {near.radius} of {near.proved} of {near.inputs}"
    return words + (f"; of all within {near.largest}" if near.largest else "")
