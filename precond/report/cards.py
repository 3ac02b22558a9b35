"""One precondition in detail, as plain values for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.analysis import Analysis
from precond.network.evaluate import outputs
from precond.proof.precondition import Precondition
from precond.proof.verdict import Status, Verdict
from precond.report.coverage import Match, holding
from precond.report.drawing import draw_pattern, literal_lines
from precond.report.evidence import (
    Gallery,
    Table,
    feature_tables,
    galleries,
    labels_of,
    misclassified,
)

OUTPUTS = 10


@dataclass(frozen=True)
class Card:
    """Everything shown when a row is opened; ``drawing`` is None where none was made."""

    claim: str
    facts: tuple[tuple[str, str], ...]
    attempts: tuple[tuple[str, str, str], ...]
    literals: tuple[str, ...]
    drawing: Markup | None
    has_bounds: bool
    galleries: tuple[Gallery, ...]
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]


def witness_outputs(analysis: Analysis) -> dict[str, NDArray[np.float64]]:
    """Outputs (K,) at the witness of every precondition that has one, by its id."""
    found = [(p.id, p.verdict.witness) for p in analysis.preconditions]
    rows = [(name, w) for name, w in found if w is not None]
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
        drawing = draw_pattern(analysis.network, item.pattern, item.label)
        all_rows = np.flatnonzero(holding(item.pattern, analysis.signatures)[0])
        examples = analysis.data.held_out[match.pattern]
        wrong = misclassified(analysis, all_rows)
        if analysis.data.image_shape is not None:
            pictures = galleries(analysis, item, examples, wrong, at_witness.get(item.id))
        else:
            tables = feature_tables(analysis, item, examples, wrong)
    remarks = [text for text in (item.note, match.problem) if text]
    if not drawn:
        remarks.append("Not drawn: pictures are made for the best-supported of each class only.")
    return Card(
        _claim(analysis, item),
        _facts(analysis, item, match, at_witness.get(item.id)),
        tuple((a.engine, seconds(a.seconds), a.outcome) for a in item.verdict.attempts),
        literal_lines(item.pattern),
        drawing,
        bool(item.pattern.above or item.pattern.below),
        pictures,
        tables,
        tuple(remarks),
    )


def _claim(analysis: Analysis, item: Precondition) -> str:
    implied = item.label if item.property is None else str(item.property)
    if item.verdict.status is Status.EMPIRICAL:
        return f"Seen on data, not proved: inputs with this pattern go with {implied}"
    where = str(analysis.domain) if item.domain is None else "a box of its own"
    if item.source is not None and item.domain is not None:
        where = f"the box around input {item.source}"
    return f"Claim: an input with this pattern has {implied} (over {where})"


def _facts(
    analysis: Analysis, item: Precondition, match: Match, at_witness: NDArray[np.float64] | None
) -> tuple[tuple[str, str], ...]:
    verdict = item.verdict
    facts = [("Answer", verdict.status.value)]
    if verdict.status is not Status.EMPIRICAL:
        facts.append(("Engine", verdict.engine or "none"))
        facts.append(("Time", seconds(verdict.seconds)))
    if verdict.status in (Status.PROVED, Status.REFUTED, Status.VACUOUS):
        facts.append(("Confirmed", _confirmed(verdict)))
    if verdict.bound is not None:
        facts.append(("Proved margin", f"{verdict.bound:.6g}"))
    if item.proofs:
        facts.append(("Proofs to find it", str(item.proofs)))
    if at_witness is not None:
        facts.append(("Outputs at the witness", _outputs(at_witness)))
    if item.source is not None:
        facts.append(("Found from input", f"{item.source}{labels_of(analysis, item.source)}"))
    if item.domain is not None:
        facts.append(("Own box", f"mean width {item.domain.width.mean():.4g} per input"))
        facts.append(("Held-out inputs in that box", str(int(match.inside.sum()))))
    if item.box is not None:
        facts.append(("Box inside the region", f"mean width {item.box.width.mean():.4g} per input"))
    if verdict.reason:
        facts.append(("Reason", verdict.reason))
    return tuple(facts)


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
