"""``Analysis`` → ``Page``: everything the template needs, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from precond.basics.counting import percent
from precond.data.dataset import class_words
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status, Verdict
from precond.report.analysis.channels import ChannelPage
from precond.report.analysis.decisions import Decisions
from precond.report.analysis.first_page import FirstPage, is_single
from precond.report.cards import Card, make_card, needs_no_neuron, seconds, witness_outputs
from precond.report.coverage import (
    chart_series,
    class_coverage,
    class_meaning,
    class_names,
    match_held_out,
    rules_overall,
)
from precond.report.header import TERMS, Figure, key_figures, run_facts
from precond.report.plot.bars import BARS, ClassCoverage, Series, bar_chart
from precond.report.plot.curves import curve_chart
from precond.study.analysis import Analysis, DomainKind

DRAWN = 200
"""How many preconditions get pictures; more would make the file unwieldy."""

ICONS = {
    Status.PROVED: "✓",
    Status.REFUTED: "✗",
    Status.UNKNOWN: "?",
    Status.VACUOUS: "∅",
    Status.EMPIRICAL: "≈",
}

ORDER = (Status.PROVED, Status.UNKNOWN, Status.REFUTED, Status.VACUOUS, Status.EMPIRICAL)

HEADS = (
    ("id", "id", ""),
    ("kind", "kind", ""),
    ("label", "class", ""),
    ("status", "status", ""),
    ("property", "property", ""),
    ("layers", "layers", ""),
    ("literals", "literals", "neurons the pattern constrains"),
    ("train", "train", "training inputs with the pattern that the claim is about"),
    ("held_out", "held out", "held-out inputs with the pattern that the claim is about"),
    ("precision", "precision", "share of these held-out inputs with the label"),
    ("recall", "recall", "share of the label's held-out inputs among them"),
    (
        "seconds",
        "last proof",
        "time of the last proof only; in brackets how many proofs it took to find the pattern",
    ),
)
"""Columns: key, heading, explanation; those from ``literals`` on are a row's ``cells``."""

BALL_NOTE = (
    "Proved input preconditions are not shown: each is about a ball around one training "
    "input, which is not meant to hold others."
)


@dataclass(frozen=True)
class Cell:
    """One number of a row: what is shown, what it is sorted by, an explanation."""

    text: str
    order: float
    title: str = ""


@dataclass(frozen=True)
class Row:
    """One precondition's row in the table, and its card."""

    id: str
    kind: str
    label: str
    status: str
    icon: str
    tag: str
    property: str
    layers: str
    cells: tuple[Cell, ...]
    card: Card
    single: bool  # true for one input only


@dataclass(frozen=True)
class Page:
    """The report."""

    title: str
    first: FirstPage
    channels: ChannelPage
    facts: tuple[tuple[str, str], ...]
    interrupted: bool
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    classes: tuple[ClassCoverage, ...]
    class_meaning: str
    bars: Markup
    bars_left_out: int
    bars_note: str
    series: tuple[Series, ...]
    curve: Markup
    heads: tuple[tuple[str, str, str], ...]
    rows: tuple[Row, ...]
    kinds: tuple[str, ...]
    statuses: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    undrawn: int
    terms: tuple[tuple[str, str], ...]


def make_page(analysis: Analysis) -> Page:
    """Everything the report shows; evaluates the witnesses, writes nothing."""
    matches = match_held_out(analysis)
    series = chart_series(analysis)
    names = analysis.data.classes
    classes = tuple(
        replace(one, label=class_words(one.label, names))
        for one in (class_coverage(analysis, matches) if series else ())
    )
    items = analysis.preconditions
    decisions = Decisions(analysis)
    first = FirstPage.of(analysis, decisions)
    drawn = chosen_for_drawing(items, first=first.shown)
    at_witness = witness_outputs(analysis)

    def card(k: int) -> Card:
        made = make_card(analysis, items[k], matches[k], at_witness=at_witness, drawn=k in drawn)
        if k not in drawn or items[k].kind is not Kind.LAYER:
            return made
        return decisions.on_card(made, items[k], matches[k])

    rows = tuple(_row(items[k], analysis, card(k)) for k in in_order(items))
    used = {item.verdict.status for item in analysis.preconditions}
    return Page(
        analysis.model.name,
        first,
        channels=ChannelPage.of(analysis),
        facts=run_facts(analysis),
        interrupted=analysis.interrupted,
        notes=analysis.notes,
        figures=key_figures(analysis, *rules_overall(analysis, matches)),
        classes=classes,
        class_meaning=class_meaning(analysis),
        bars=bar_chart(classes[:BARS], series),
        bars_left_out=max(0, len(classes) - BARS),
        bars_note=_bars_note(analysis),
        series=series,
        curve=curve_chart(analysis.curve),
        heads=HEADS,
        rows=rows,
        kinds=tuple(k.value for k in Kind if any(p.kind is k for p in analysis.preconditions)),
        statuses=tuple((s.value, ICONS[s]) for s in Status if s in used),
        labels=tuple(
            class_words(n, names)
            for n in class_names(analysis)
            if any(p.label == n for p in analysis.preconditions)
        ),
        undrawn=len(rows) - len(drawn),
        terms=TERMS,
    )


def in_order(preconditions: Sequence[Precondition]) -> list[int]:
    """Positions as the table shows them: proved first (``ORDER``), then by support."""

    def key(position: int) -> tuple[int, int, int]:
        item = preconditions[position]
        return ORDER.index(item.verdict.status), -item.support.held_out, -item.support.train

    return sorted(range(len(preconditions)), key=key)


def chosen_for_drawing(
    preconditions: Sequence[Precondition], most: int = DRAWN, *, first: Sequence[int] = ()
) -> set[int]:
    """Positions of the preconditions that get pictures: those that come ``first``, then the first
    of every class.

    Classes take turns, each giving its next in the table's order, until ``most``.
    """
    order: dict[str, list[int]] = {}
    for position in in_order(preconditions):
        order.setdefault(preconditions[position].label, []).append(position)
    turns = sorted(
        (rank, position) for found in order.values() for rank, position in enumerate(found)
    )
    return set(list(dict.fromkeys([*first, *(position for _, position in turns)]))[:most])


def _bars_note(analysis: Analysis) -> str:
    proved = any(p.kind is Kind.INPUT and p.verdict.is_proved for p in analysis.preconditions)
    return BALL_NOTE if proved and analysis.domain.kind is DomainKind.BALL else ""


def _layers(item: Precondition, analysis: Analysis) -> str:
    """Constrained layers from input to output; of many the first and the last."""
    if needs_no_neuron(item):
        return "no neuron needed"
    names = [n for n in analysis.network.decision_layers if n in item.pattern.layers]
    if len(names) > 2:
        return f"{names[0]} … {names[-1]} ({len(names)} layers)"
    return ", ".join(names) or "–"


def _row(item: Precondition, analysis: Analysis, card: Card) -> Row:
    support, verdict = item.support, item.verdict
    tag = ""
    if verdict.status in (Status.PROVED, Status.REFUTED, Status.VACUOUS):
        tag = "exact" if verdict.exact else "" if verdict.confirmed else "unconfirmed"
    return Row(
        item.id,
        item.kind.value,
        class_words(item.label, analysis.data.classes),
        status=verdict.status.value,
        icon=ICONS[verdict.status],
        tag=tag,
        property=item.label if item.property is None else str(item.property),
        layers=_layers(item, analysis),
        cells=(
            Cell(str(len(item.pattern)), len(item.pattern)),
            Cell(str(support.train), support.train),
            Cell(str(support.held_out), support.held_out),
            _share(support.precision, support.precision_interval),
            _share(support.recall, support.recall_interval),
            _time(verdict, item.proofs),
        ),
        card=card,
        single=is_single(item),
    )


def _time(verdict: Verdict, proofs: int) -> Cell:
    if verdict.status is Status.EMPIRICAL and not verdict.seconds:
        return Cell("–", -1.0)
    text = seconds(verdict.seconds)
    if not proofs:
        return Cell(text, verdict.seconds)
    many = f"{proofs} proof{'s' if proofs > 1 else ''}"
    title = f"the last proof took {text}; finding the pattern took {many}"
    return Cell(f"{text} ({many})", verdict.seconds, title)


def _share(value: float | None, interval: tuple[float, float] | None) -> Cell:
    title = ""
    if interval is not None:
        title = f"95 % interval: {percent(interval[0])} to {percent(interval[1])}"
    if value is None or not np.isfinite(value):
        return Cell("–", -1.0, title)
    return Cell(percent(value), value, title)
