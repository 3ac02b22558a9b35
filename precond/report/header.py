"""The head of the report: facts of the run, key figures, and what the words mean."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.counting import percent
from precond.proof.precondition import Kind
from precond.proof.verdict import Status
from precond.report.cards import needs_no_neuron, seconds
from precond.report.evidence import says_classes
from precond.study.analysis import Analysis, DomainKind

PLURALS = {
    Kind.LAYER: "layer rules",
    Kind.INPUT: "input preconditions",
    Kind.SPACE: "whole-domain preconditions",
}

TERMS = (
    ("neuron on / off", "a unit of the network that passes its value on, or one that is cut to 0"),
    ("pattern", "some neurons on, some off, the rest free: a region of inputs"),
    ("layer rule", "a pattern over one layer, learned from data, that goes with one answer"),
    ("input precondition", "a pattern from the inputs up, around one input; a polytope of inputs"),
    ("support", "how many inputs of those the claim is about have the pattern"),
    ("no neuron needed", "every input of the ball or box has the property, whatever the pattern"),
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


def _domain(analysis: Analysis) -> str:
    """What the claims of each kind are about; one phrase where that is the same for all."""
    kinds = {item.kind for item in analysis.preconditions} or {Kind.LAYER, Kind.INPUT}
    words = {kind: analysis.domain.claimed(kind) for kind in Kind if kind in kinds}
    if len(set(words.values())) == 1:
        return f"claims are about {next(iter(words.values()))}"
    return "; ".join(f"{PLURALS[kind]}: {text}" for kind, text in words.items())


def run_facts(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    """Name and value of what was given: model, data, domain, property, time."""
    network, data = analysis.network, analysis.data
    widths = " – ".join(str(network.width(name)) for name in network.decision_layers[:12])
    binary = network.classes.binary and says_classes(analysis)
    more = " …" if len(network.decision_layers) > 12 else ""
    facts = [
        ("Model", str(analysis.model)),
        (
            "Network",
            f"{network.input_size} inputs, {len(network.decision_layers)} decision layers "
            f"({widths}{more}), {network.neurons} neurons, {network.output_size} outputs",
        ),
        *((("Outputs", network.output_words),) if network.output_words else ()),
        *((("Classes", network.classes.words()),) if binary else ()),
        ("Content hash", network.hash[:12]),
        (
            "Data",
            f"{data.name}: {len(data.train)} inputs to learn from, {len(data.held_out)} held out",
        ),
    ]
    if data.labels is not None:
        right = analysis.signatures.predicted == data.labels
        shares = [
            float(right[rows].mean()) if len(rows) else None for rows in (data.train, data.held_out)
        ]
        facts.append(("Accuracy", f"{percent(shares[0])} train, {percent(shares[1])} held out"))
    facts += [
        *((what.capitalize(), names) for what, names in data.legend()),
        ("Domain", _domain(analysis)),
        ("Property", analysis.property),
        (
            "Time",
            f"{seconds(analysis.seconds)}"
            + (f" of a budget of {seconds(analysis.budget)}" if analysis.budget else ""),
        ),
    ]
    return tuple(facts)


def key_figures(
    analysis: Analysis, coverage: float | None, precision: float | None
) -> tuple[Figure, ...]:
    """Counts by kind and status; ``coverage`` and ``precision`` of all layer rules."""
    items = analysis.preconditions

    def count(status: Status, confirmed: bool | None = None) -> int:
        return sum(
            p.verdict.status is status and confirmed in (None, p.verdict.confirmed) for p in items
        )

    kinds = {kind: sum(p.kind is kind for p in items) for kind in Kind}
    figures = [
        Figure(PLURALS[Kind.LAYER], str(kinds[Kind.LAYER]), "patterns over one layer, from data"),
        Figure(PLURALS[Kind.INPUT], str(kinds[Kind.INPUT]), _around_one(analysis)),
    ]
    if kinds[Kind.SPACE]:
        figures.append(Figure(PLURALS[Kind.SPACE], str(kinds[Kind.SPACE]), "over the whole domain"))
    unconfirmed = count(Status.REFUTED, confirmed=False)
    figures += [
        Figure("rule coverage", percent(coverage), "held-out inputs with some rule's pattern"),
        Figure("rule precision", percent(precision), "of those, with the rule's label"),
        Figure(
            "✓ proved",
            value=str(count(Status.PROVED, confirmed=True)),
            hint="rigorous, or checked twice",
            tone="proved",
        ),
        Figure(
            "✓ unconfirmed",
            value=str(count(Status.PROVED, confirmed=False)),
            hint="proofs by one solver only",
            tone="proved",
        ),
        Figure(
            "✗ refuted",
            value=str(count(Status.REFUTED)),
            hint=f"by a witness; {unconfirmed} unconfirmed" if unconfirmed else "by a witness",
            tone="refuted",
        ),
        Figure(
            "? unknown",
            value=str(count(Status.UNKNOWN)),
            hint="not answered in time",
            tone="unknown",
        ),
        Figure(
            "≈ empirical",
            value=str(count(Status.EMPIRICAL)),
            hint="counted on data only",
            tone="empirical",
        ),
        Figure(
            "∅ vacuous", value=str(count(Status.VACUOUS)), hint="true of no input", tone="vacuous"
        ),
    ]
    return tuple(figures)


def _around_one(analysis: Analysis) -> str:
    items = [p for p in analysis.preconditions if p.kind is Kind.INPUT]
    free = sum(needs_no_neuron(item) for item in items)
    if not free:
        return "patterns around one input"
    whole = "ball" if analysis.domain.kind is DomainKind.BALL else "domain"
    return f"of these {free} need no neuron: the whole {whole} proves"
