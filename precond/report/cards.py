"""One precondition in detail, as plain values for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.basics.rounded import at_least
from precond.network.evaluate import outputs
from precond.proof.arithmetic import Arithmetic, words
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status, Verdict
from precond.report.coverage import Match, holding
from precond.report.evidence import (
    Gallery,
    Table,
    feature_tables,
    galleries,
    labels_of,
    misclassified,
)
from precond.report.plot.pattern import draw_pattern, literal_lines
from precond.study.analysis import Analysis, DomainKind

OUTPUTS = 10


@dataclass(frozen=True)
class Card:
    """Everything shown when a row is opened; ``drawing`` is None where none was made."""

    claim: str
    facts: tuple[tuple[str, str], ...]
    attempts: tuple[tuple[str, str, str], ...]
    literals: tuple[str, ...]
    unconstrained: str
    drawing: Markup | None
    has_bounds: bool
    galleries: tuple[Gallery, ...]
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]


def needs_no_neuron(item: Precondition) -> bool:
    """Whether the claim holds over its whole domain: no literal was left to drop."""
    return item.kind is not Kind.LAYER and item.verdict.is_proved and not len(item.pattern)


def witness_outputs(analysis: Analysis) -> dict[str, NDArray[np.float64]]:
    """Outputs (K,) at the witness of every precondition that has one, by its id."""
    witnesses = [(p.id, p.verdict.witness) for p in analysis.preconditions]
    rows = [(name, w) for name, w in witnesses if w is not None]
    if not rows:
        return {}
    values = outputs(analysis.network, np.stack([w for _, w in rows]))
    return {name: values[k] for k, (name, _) in enumerate(rows)}


def make_card(
    analysis: Analysis,
    item: Precondition,
    match: Match,
    at_witness: Mapping[str, NDArray[np.float64]],
    *,
    drawn: bool,
) -> Card:
    """The card of one precondition; with ``drawn`` its pattern, examples and boxes too."""
    pictures: tuple[Gallery, ...] = ()
    tables: tuple[Table, ...] = ()
    drawing = None
    if drawn:
        rows = np.zeros(0, dtype=np.int64)
        examples = wrong = rows
        if len(item.pattern):  # every input has the empty pattern: nothing to see
            drawing = draw_pattern(analysis.network, item.pattern, item.label)
            rows = np.flatnonzero(holding(item.pattern, analysis.signatures)[0])
            examples, wrong = analysis.data.held_out[match.pattern], misclassified(analysis, rows)
        inside = ""
        if match.inside.sum() < match.pattern.sum():
            count, place = match.pattern.sum(), _place(analysis, item)
            inside = f"; of the {count}, {match.inside.sum()} inside {place} too"
        if analysis.data.image_shape is not None:
            pictures = galleries(
                analysis,
                item,
                examples,
                wrong=wrong,
                at_witness=at_witness.get(item.id),
                inside=inside,
            )
        else:
            tables = feature_tables(analysis, item, examples, wrong=wrong, inside=inside)
    remarks = [text for text in (item.note, match.problem) if text]
    if not drawn:
        remarks.append("Not drawn: pictures are made for the first of each class only.")
    return Card(
        _claim(analysis, item),
        facts=_facts(analysis, item, match, at_witness=at_witness.get(item.id)),
        attempts=tuple((a.engine, seconds(a.seconds), a.text) for a in item.verdict.attempts),
        literals=literal_lines(item.pattern, analysis.unit_names),
        unconstrained=f"No neuron needed: every input of {_place(analysis, item)} has the property."
        if needs_no_neuron(item)
        else "No neuron is constrained.",
        drawing=drawing,
        has_bounds=bool(item.pattern.above or item.pattern.below),
        galleries=pictures,
        tables=tables,
        remarks=tuple(remarks),
    )


def _claim(analysis: Analysis, item: Precondition) -> str:
    implied = item.label if item.property is None else str(item.property)
    if item.verdict.status is Status.EMPIRICAL:
        return f"Seen on data, not proved: inputs with this pattern go with {implied}"
    where = _claimed(analysis, item)
    if not len(item.pattern):
        needed = ", no neuron needed" if needs_no_neuron(item) else ""
        return f"Claim: every input has {implied}{needed} (over {where})"
    return f"Claim: an input with this pattern has {implied} (over {where})"


def _claimed(analysis: Analysis, item: Precondition) -> str:
    """The inputs the claim is about, in words."""
    domain = analysis.domain
    if item.domain is None:
        return domain.claimed(item.kind)
    if item.source is None:
        return "a box of its own"
    if domain.kind is DomainKind.BALL:
        return f"the {domain.ball_words} around input {item.source}"
    return f"the box around input {item.source}"


def _place(analysis: Analysis, item: Precondition) -> str:
    """Short for ``_claimed``."""
    if item.domain is None:
        return "the domain"
    return "its ball" if analysis.domain.kind is DomainKind.BALL else "its own box"


def _facts(
    analysis: Analysis, item: Precondition, match: Match, at_witness: NDArray[np.float64] | None
) -> tuple[tuple[str, str], ...]:
    place = _place(analysis, item)
    facts = _answer(item)
    if item.near is not None:
        facts.append(("Near data", str(item.near)))
        if item.near.largest is not None:
            facts.append(("Near all of them", f"proved within {item.near.largest.words}"))
    if item.proofs:
        facts.append(("Proofs to find it", str(item.proofs)))
    if at_witness is not None:
        facts.append(("Outputs at the witness", _outputs(at_witness)))
    if item.source is not None:
        facts.append(("Found from input", f"{item.source}{labels_of(analysis, item.source)}"))
    if item.domain is not None:
        name = place.capitalize()
        facts.append((name, f"mean width {item.domain.width.mean():.4g} per input"))
    if needs_no_neuron(item):
        facts.append((f"Held-out inputs inside {place}", str(match.inside.sum())))
    elif not match.problem:
        facts.append(("Held-out inputs with this pattern (anywhere)", str(match.pattern.sum())))
        facts.append((f"Of these, inside {place} too", str(match.inside.sum())))
    if item.box is not None:
        facts.append(("Box inside the region", f"mean width {item.box.width.mean():.4g} per input"))
    if item.verdict.reason:
        facts.append(("Reason", item.verdict.reason))
    return tuple(facts)


def _answer(item: Precondition) -> list[tuple[str, str]]:
    """The verdict, where it comes from, and what it holds for."""
    verdict = item.verdict
    facts = [("Answer", verdict.status.value)]
    if verdict.status is not Status.EMPIRICAL:
        facts.append(("Engine", verdict.engine or "none"))
        name = "Time of the last proof" if item.proofs else "Time"
        facts.append((name, seconds(verdict.seconds)))
    if verdict.status in (Status.PROVED, Status.REFUTED, Status.VACUOUS):
        facts.append(("Confirmed", _confirmed(verdict)))
    if verdict.holds_in - {Arithmetic.REAL}:
        facts.append(("Holds in", f"{', '.join(words(verdict.holds_in))} (any order of sums)"))
    if verdict.bound is not None:
        name = "Proved margin" if verdict.is_proved else "Margin, at least"
        facts.append((name, at_least(verdict.bound, 6)))
    return facts


def _confirmed(verdict: Verdict) -> str:
    if verdict.exact:
        return "yes, in exact rational arithmetic"
    if verdict.status is Status.REFUTED:
        if verdict.confirmed:
            return "yes, the witness replays in float32 too"
        return "no: the witness replays in exact but not in float32 arithmetic"
    if verdict.confirmed:
        return "yes, by rigorous rounding or two independent checks"
    return "no: it rests on one floating-point solver"


def _outputs(values: NDArray[np.float64]) -> str:
    words = ", ".join(f"y{k} = {v:.4g}" for k, v in enumerate(values[:OUTPUTS]))
    more = f" … and {len(values) - OUTPUTS} more" if len(values) > OUTPUTS else ""
    largest = f"; largest: y{int(values.argmax())}" if len(values) > 1 else ""
    return words + more + largest


def seconds(value: float) -> str:
    """``0.012 s``, ``3.2 s``, ``4 min 05 s``, ``2 h 03 min``."""
    if value < 1:
        return f"{value:.3f} s"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
