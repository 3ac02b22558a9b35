"""``Analysis`` → ``Page``: everything the template needs, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from precond.analysis import Analysis
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status, Verdict
from precond.report.cards import Card, make_card, seconds, witness_outputs
from precond.report.charts import BARS, ClassCoverage, bar_chart, curve_chart, percent
from precond.report.coverage import class_coverage, class_names, match_held_out, rules_overall

DRAWN = 200
"""How many preconditions get pictures; more would make the file unwieldy."""

ICONS = {
    Status.PROVED: "✓",
    Status.REFUTED: "✗",
    Status.UNKNOWN: "?",
    Status.VACUOUS: "∅",
    Status.EMPIRICAL: "≈",
}

TERMS = (
    ("neuron on / off", "a unit of the network that passes its value on, or one that is cut to 0"),
    ("pattern", "some neurons on, some off, the rest free: a region of inputs"),
    ("layer rule", "a pattern over one layer, learned from data, that goes with one answer"),
    ("input precondition", "a pattern from the inputs up, around one input; a polytope of inputs"),
    ("support", "how many inputs have the pattern"),
    ("precision, recall", "share of them with the label; share of the label's inputs among them"),
    ("proved", "every input of the region has the property: shown by mathematics, not by trying"),
    ("unconfirmed", "an answer that rests on one floating-point check; counted apart"),
    ("refuted", "a witness, one input of the region without the property, was found and replayed"),
    ("unknown", "no engine answered within its time; a larger budget may"),
    ("empirical", "counted on data only: no proof was tried, or none can be given"),
    ("vacuous", "no input at all has the pattern: true, but it says nothing"),
)


@dataclass(frozen=True)
class Figure:
    """One key figure."""

    label: str
    value: str
    hint: str
    tone: str = ""


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


@dataclass(frozen=True)
class Page:
    """The report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    interrupted: bool
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    classes: tuple[ClassCoverage, ...]
    class_meaning: str
    bars: Markup
    bars_left_out: int
    curve: Markup
    rows: tuple[Row, ...]
    kinds: tuple[str, ...]
    statuses: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    undrawn: int
    terms: tuple[tuple[str, str], ...]


def make_page(analysis: Analysis) -> Page:
    """Everything the report shows; evaluates the witnesses, writes nothing."""
    matches = match_held_out(analysis)
    classes = tuple(class_coverage(analysis, matches))
    drawn = chosen_for_drawing(analysis.preconditions)
    at_witness = witness_outputs(analysis)
    rows = tuple(
        _row(item, analysis, make_card(analysis, item, match, at_witness, drawn=position in drawn))
        for position, (item, match) in enumerate(zip(analysis.preconditions, matches, strict=True))
    )
    used = {item.verdict.status for item in analysis.preconditions}
    return Page(
        analysis.model.name,
        _facts(analysis),
        analysis.interrupted,
        analysis.notes,
        _figures(analysis, *rules_overall(analysis, matches)),
        classes,
        "its true label" if analysis.data.labels is not None else "the network's own answer",
        bar_chart(classes[:BARS]),
        max(0, len(classes) - BARS),
        curve_chart(analysis.curve),
        rows,
        tuple(k.value for k in Kind if any(p.kind is k for p in analysis.preconditions)),
        tuple((s.value, ICONS[s]) for s in Status if s in used),
        tuple(
            n for n in class_names(analysis) if any(p.label == n for p in analysis.preconditions)
        ),
        len(rows) - len(drawn),
        TERMS,
    )


def chosen_for_drawing(preconditions: Sequence[Precondition], most: int = DRAWN) -> set[int]:
    """Positions of the preconditions that get pictures: the best-supported of every class.

    Classes take turns, each giving its next best by held-out support, until ``most``.
    """
    order: dict[str, list[int]] = {}
    by_support = sorted(range(len(preconditions)), key=lambda k: -preconditions[k].support.held_out)
    for position in by_support:
        order.setdefault(preconditions[position].label, []).append(position)
    turns = sorted(
        (rank, position) for found in order.values() for rank, position in enumerate(found)
    )
    return {position for _, position in turns[:most]}


def _facts(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    network, data = analysis.network, analysis.data
    widths = " – ".join(str(network.width(name)) for name in network.decision_layers[:12])
    more = " …" if len(network.decision_layers) > 12 else ""
    facts = [
        ("Model", str(analysis.model)),
        (
            "Network",
            f"{network.input_size} inputs, {len(network.decision_layers)} decision layers "
            f"({widths}{more}), {network.neurons} neurons, {network.output_size} outputs",
        ),
        ("Content hash", network.hash[:12]),
        (
            "Data",
            f"{data.name}: {len(data.train)} inputs to learn from, {len(data.held_out)} held out",
        ),
    ]
    if data.labels is not None and network.output_size > 1:
        right = analysis.signatures.predicted == data.labels
        shares = [
            float(right[rows].mean()) if len(rows) else None for rows in (data.train, data.held_out)
        ]
        facts.append(("Accuracy", f"{percent(shares[0])} train, {percent(shares[1])} held out"))
    facts += [
        ("Domain", f"claims are about {analysis.domain}"),
        ("Property", analysis.property),
        (
            "Time",
            f"{seconds(analysis.seconds)}"
            + (f" of a budget of {seconds(analysis.budget)}" if analysis.budget else ""),
        ),
    ]
    return tuple(facts)


def _figures(
    analysis: Analysis, coverage: float | None, precision: float | None
) -> tuple[Figure, ...]:
    items = analysis.preconditions

    def count(status: Status, confirmed: bool | None = None) -> int:
        return sum(
            p.verdict.status is status and confirmed in (None, p.verdict.confirmed) for p in items
        )

    kinds = {kind: sum(p.kind is kind for p in items) for kind in Kind}
    figures = [
        Figure("layer rules", str(kinds[Kind.LAYER]), "patterns over one layer, from data"),
        Figure("input preconditions", str(kinds[Kind.INPUT]), "patterns around one input"),
    ]
    if kinds[Kind.SPACE]:
        figures.append(
            Figure("whole-domain preconditions", str(kinds[Kind.SPACE]), "over the whole domain")
        )
    unconfirmed = count(Status.REFUTED, False)
    figures += [
        Figure("rule coverage", percent(coverage), "held-out inputs with some rule's pattern"),
        Figure("rule precision", percent(precision), "of those, with the rule's label"),
        Figure("✓ proved", str(count(Status.PROVED, True)), "rigorous, or checked twice", "proved"),
        Figure(
            "✓ unconfirmed", str(count(Status.PROVED, False)), "proofs by one solver only", "proved"
        ),
        Figure(
            "✗ refuted",
            str(count(Status.REFUTED)),
            f"by a witness; {unconfirmed} unconfirmed" if unconfirmed else "by a witness",
            "refuted",
        ),
        Figure("? unknown", str(count(Status.UNKNOWN)), "not answered in time", "unknown"),
        Figure("≈ empirical", str(count(Status.EMPIRICAL)), "counted on data only", "empirical"),
        Figure("∅ vacuous", str(count(Status.VACUOUS)), "true of no input", "vacuous"),
    ]
    return tuple(figures)


def _layers(item: Precondition, analysis: Analysis) -> str:
    """Constrained layers from input to output; of many the first and the last."""
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
        item.label,
        verdict.status.value,
        ICONS[verdict.status],
        tag,
        item.label if item.property is None else str(item.property),
        _layers(item, analysis),
        (
            Cell(str(len(item.pattern)), len(item.pattern)),
            Cell(str(support.train), support.train),
            Cell(str(support.held_out), support.held_out),
            _share(support.precision, support.precision_interval),
            _share(support.recall, support.recall_interval),
            _time(verdict),
        ),
        card,
    )


def _time(verdict: Verdict) -> Cell:
    if verdict.status is Status.EMPIRICAL and not verdict.seconds:
        return Cell("–", -1.0)
    return Cell(seconds(verdict.seconds), verdict.seconds)


def _share(value: float | None, interval: tuple[float, float] | None) -> Cell:
    title = ""
    if interval is not None:
        title = f"95 % interval: {percent(interval[0])} to {percent(interval[1])}"
    if value is None or not np.isfinite(value):
        return Cell("–", -1.0, title)
    return Cell(percent(value), value, title)
