"""``WholeSpace`` → one page, CSV tables, and a table for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.proof.confirm import second_of
from precond.proof.precondition import Precondition
from precond.proof.verdict import Status
from precond.report.charts import percent
from precond.report.drawing import draw_pattern, literal_lines
from precond.report.evidence import Gallery, Table, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.pictures import grid_size, row_picture
from precond.report.tables import csv_text
from precond.report.whole_space_charts import share_chart
from precond.whole_space import (
    ClassResult,
    Forced,
    Share,
    WholeSpace,
    recall_by_literals,
    recall_by_time,
)

SHEETS = ("report.css", "debug.css", "whole_space.css")
THUMBS = 12
FEATURES = 12
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ForcedRow:
    """A literal, the counterexample that asked for it, and the training input nearest to it."""

    literal: str
    values: Thumb
    nearest: Thumb | None
    words: str
    output: str
    excluded: str
    alone: str


@dataclass(frozen=True)
class PatternCard:
    """One pattern."""

    title: str
    remark: str
    facts: tuple[tuple[str, str], ...]
    drawing: Markup
    words: tuple[str, ...]
    galleries: tuple[Gallery, ...]
    tables: tuple[Table, ...]
    forced: tuple[ForcedRow, ...]
    forced_remark: str


@dataclass(frozen=True)
class ClassSection:
    """One class and its patterns."""

    title: str
    remark: str
    patterns: tuple[PatternCard, ...]


@dataclass(frozen=True)
class WholeSpacePage:
    """Everything the page shows."""

    title: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    by_time: Markup
    by_literals: Markup
    classes: Table
    sections: tuple[ClassSection, ...]


def whole_space_files(run: WholeSpace, model: str) -> dict[str, str]:
    """File name → content: the page, one line a pattern, and the two curves."""
    head = (
        "id", "class", "cut", "literals", "on", "off", "train", "held_out", "precision",
        "recall", "recall_low", "recall_high", "status", "engine", "confirmed", "second_engine",
        "second", "bound", "proofs", "seconds",
    )  # fmt: skip
    lines = [_csv_line(found, entry) for found in run.classes for entry in found.entries]
    curves = [("time", f"{x:.3f}", f"{y:.6f}") for x, y in recall_by_time(run)]
    curves += [("literals", str(x), f"{y:.6f}") for x, y, _ in recall_by_literals(run)]
    return {
        "report.html": render_page("whole_space.html", make_page(run, model), SHEETS),
        "patterns.csv": csv_text(head, lines),
        "curves.csv": csv_text(("curve", "x", "recall"), curves),
    }


def table_text(run: WholeSpace, model: str) -> str:
    """What was found, for the terminal."""
    lines = [
        f"network        {model} ({run.network.neurons} neurons)",
        f"data           {run.data.name}: {len(run.data.train)} training, "
        f"{len(run.data.held_out)} held-out inputs",
        f"domain         {run.domain}",
        "",
        f"{'class':<8} {'cut':<10} {'patterns':>8} {'literals':>8} {'training':>9} "
        f"{'held out':>9} {'95 %':>15} {'rounds':>7} {'proofs':>7} {'seconds':>8}  proof",
    ]
    for found in run.classes:
        low, high = found.held_out.interval
        lines.append(
            f"{found.target.name:<8} {found.cut:<10} {len(found.entries):>8} "
            f"{found.literals:>8} {percent(found.train.value):>9} "
            f"{percent(found.held_out.value):>9} {f'{100 * low:.1f}–{100 * high:.1f} %':>15} "
            f"{found.rounds:>7} {found.proofs:>7} {found.seconds:>8.1f}  {_proof_words(found)}"
        )
    low, high = run.held_out.interval
    proved = sum(found.proved for found in run.classes)
    lines += [
        "",
        f"proved         {proved} of {len(run.classes)} classes, "
        f"{len(run.entries)} patterns, {twice(run)} of them proved twice",
        f"recall         {percent(run.held_out.value)} of held-out inputs "
        f"({100 * low:.1f}–{100 * high:.1f} %), {percent(run.train.value)} of training inputs",
        *[f"note           {note}" for note in run.notes],
        f"time           {run.seconds:.1f} s of {run.budget:g} s"
        + (" (stopped early)" if run.interrupted else ""),
    ]
    return "\n".join(lines)


def twice(run: WholeSpace) -> int:
    """Patterns that a second engine proved too."""
    return sum(second_of(entry.verdict)[1] == "proved" for entry in run.entries)


def make_page(run: WholeSpace, model: str) -> WholeSpacePage:
    """The page's content."""
    network = run.network
    widths = " – ".join(str(network.width(name)) for name in network.decision_layers[:12])
    proved = [found for found in run.classes if found.proved]
    literals = sorted(found.literals for found in proved)
    low, high = run.held_out.interval
    figures = (
        Figure(
            "✓ classes proved",
            f"{len(proved)} of {len(run.classes)}",
            f"{len(run.entries)} patterns",
            "proved",
        ),
        Figure(
            "held-out recall",
            percent(run.held_out.value),
            f"95 % interval {percent(low)} to {percent(high)}",
        ),
        Figure(
            "literals of a class",
            "–" if not literals else str(literals[len(literals) // 2]),
            "–" if not literals else f"median; {literals[0]} to {literals[-1]}",
        ),
        Figure("proved twice", f"{twice(run)} of {len(run.entries)}", "by engines of both kinds"),
    )
    by_time = [(x, y, "") for x, y in recall_by_time(run)[:1]]
    by_time += [
        (x, y, f"{x:.1f} s: a pattern of {e.label} adds {e.added} inputs")
        for (x, y), e in zip(recall_by_time(run)[1:], run.events, strict=True)
    ]
    return WholeSpacePage(
        f"Patterns over the whole domain: {Path(model).name}",
        (
            ("Model", Path(model).name),
            ("Network", f"{network.input_size} inputs, layers of {widths} neurons"),
            (
                "Data",
                f"{run.data.name}: {len(run.data.train)} training, "
                f"{len(run.data.held_out)} held-out inputs",
            ),
            ("Domain", str(run.domain)),
            ("Time", f"{run.seconds:.1f} s of {run.budget:g} s"),
        ),
        (("The run was stopped early.",) if run.interrupted else ()) + run.notes,
        figures,
        share_chart(
            by_time, across="seconds", up="recall", title="Training recall over time",
            end=run.seconds, stairs=True,
        ),
        share_chart(
            [
                (float(x), y, f"{x} literals: {percent(y)}, last a pattern of {label}")
                for x, y, label in recall_by_literals(run)
            ],
            across="literals of all patterns together",
            up="recall",
            title="Held-out recall over the number of literals",
        ),
        _class_table(run),
        tuple(_section(run, found) for found in run.classes),
    )  # fmt: skip


def _class_table(run: WholeSpace) -> Table:
    rows = []
    for found in run.classes:
        low, high = found.held_out.interval
        rows.append(
            (
                found.target.name,
                found.cut,
                str(len(found.entries)),
                str(found.literals),
                _count(found.train),
                _count(found.held_out),
                f"{percent(low)} to {percent(high)}",
                str(found.rounds),
                str(found.proofs),
                f"{found.seconds:.1f} s",
                _proof_words(found),
            )
        )
    head = (
        "class", "cut after", "patterns", "literals", "training recall", "held-out recall",
        "95 % interval", "rounds", "proofs", "time", "proof",
    )  # fmt: skip
    return Table("Classes", "patterns and what they took", head, tuple(rows))


def _section(run: WholeSpace, found: ClassResult) -> ClassSection:
    tried = "; ".join(
        f"{t.cut}: {t.patterns} patterns, {percent(t.recall)} of training inputs, {t.seconds:.1f} s"
        for t in found.tried
    )
    cards = tuple(_card(run, found, number) for number in range(len(found.entries)))
    name = f"{found.target.name}: {found.target.property}"
    return ClassSection(
        f"Class {name}",
        f"{_count(found.held_out)} of its held-out inputs have one of its patterns. "
        f"Cuts tried: {tried}.",
        cards,
    )


def _card(run: WholeSpace, found: ClassResult, number: int) -> PatternCard:
    entry = found.entries[number]
    data = run.data
    within = run.domain.box.contains(np.asarray(data.inputs).reshape(len(data.inputs), -1))
    holds = entry.pattern.holds(run.signatures) & within
    own = (run.goal.labels == found.target.label) & within
    held = data.held_out
    inside, outside = held[(holds & own)[held]], held[(~holds & own)[held]]
    verdict, support = entry.verdict, entry.support
    engines, outcome = second_of(verdict)
    facts = [
        (
            "Literals",
            f"{len(entry.pattern)} ({len(entry.pattern.on)} on, {len(entry.pattern.off)} off)",
        ),
        ("Held-out recall", f"{percent(support.recall)}{_interval(support.recall_interval)}"),
        ("Precision", f"{percent(support.precision)}{_interval(support.precision_interval)}"),
        ("Proof", f"{verdict.status.value} by {verdict.engine} in {verdict.seconds:.2f} s"),
        ("Second proof", f"{outcome} by {engines}" if outcome else "–"),
    ]
    if verdict.bound is not None:
        facts.append(("Margin proved", f"≥ {verdict.bound:.4g}"))
    if data.labels is not None and len(inside):
        right = float((data.labels[inside] == found.target.label).mean())
        facts.append(("True labels", f"{percent(right)} of its held-out inputs carry the class"))
    forced = tuple(_forced(run, one) for one in found.forced[number])
    return PatternCard(
        entry.id,
        entry.note,
        tuple(facts),
        draw_pattern(run.network, entry.pattern, found.target.name),
        literal_lines(entry.pattern),
        _galleries(run, inside, outside),
        _tables(run, inside, outside),
        forced,
        f"values of {found.cut} with the pattern but for that literal, and another answer",
    )


def _forced(run: WholeSpace, one: Forced) -> ForcedRow:
    layer, index, on = one.literal
    columns, rows = grid_size(one.values.size)
    padded = np.zeros(rows * columns)
    padded[: one.values.size] = one.values
    top = max(float(one.values.max()), 1e-12)
    name = f"{layer}[{index}] {'on' if on else 'off'}"
    values = Thumb(
        row_picture(padded, (rows, columns), (0.0, top)),
        f"up to {top:.3g}",
        f"values of the cut layer that forced {name}; black 0, white {top:.3g}",
    )
    said = _labels(run, one.nearest)
    nearest = None
    if run.data.image_shape is not None:
        nearest = Thumb(
            row_picture(run.data.inputs[one.nearest], run.data.image_shape, run.data.natural),
            f"#{one.nearest}{said}",
            f"training input {one.nearest}{said}, {one.distance:.3g} away in the cut layer",
        )
    words = f"#{one.nearest}{said}: {_numbers(run.data.inputs[one.nearest])}"
    alone = "yes" if one.alone else "no"
    return ForcedRow(name, values, nearest, words, str(one.output), str(one.excluded), alone)


def _galleries(run: WholeSpace, inside: Rows, outside: Rows) -> tuple[Gallery, ...]:
    data = run.data
    if data.image_shape is None:
        return ()
    shape = data.image_shape
    found = []
    for title, rows in (
        ("Held-out inputs of the class that have it", inside),
        ("Held-out inputs of the class that do not", outside),
    ):
        thumbs = tuple(
            Thumb(
                row_picture(data.inputs[r], shape, data.natural),
                f"#{r}",
                f"input {r}{_labels(run, r)}",
            )
            for r in rows[:THUMBS].tolist()
        )
        if thumbs:
            found.append(Gallery(title, f"{len(thumbs)} of {len(rows)}", thumbs))
    return tuple(found)


def _tables(run: WholeSpace, inside: Rows, outside: Rows) -> tuple[Table, ...]:
    """Ranges of the inputs, where a row is no picture."""
    if run.data.image_shape is not None or not len(inside):
        return ()
    flat = np.asarray(run.data.inputs, dtype=np.float64).reshape(len(run.data.inputs), -1)
    columns = [("lowest", flat[inside].min(0)), ("mean", flat[inside].mean(0))]
    columns.append(("highest", flat[inside].max(0)))
    if len(outside):
        columns.append(("mean of those without", flat[outside].mean(0)))
    size = min(flat.shape[1], FEATURES)
    rows = tuple((f"x{k}", *(f"{c[k]:.4g}" for _, c in columns)) for k in range(size))
    remark = f"{len(inside)} held-out inputs that have it, {len(outside)} of the class without"
    return (Table("Input values", remark, ("input", *(n for n, _ in columns)), rows),)


def _csv_line(found: ClassResult, entry: Precondition) -> tuple[object, ...]:
    support, verdict = entry.support, entry.verdict
    low, high = support.recall_interval or (None, None)
    engines, outcome = second_of(verdict)
    return (
        entry.id, found.target.name, found.cut, len(entry.pattern), len(entry.pattern.on),
        len(entry.pattern.off), support.train, support.held_out, _number(support.precision),
        _number(support.recall), _number(low), _number(high), verdict.status.value,
        verdict.engine, int(verdict.confirmed), engines, outcome, _number(verdict.bound),
        entry.proofs, f"{verdict.seconds:.3f}",
    )  # fmt: skip


def _proof_words(found: ClassResult) -> str:
    if not found.entries:
        return "none found"
    engines = sorted({entry.verdict.engine for entry in found.entries})
    seconds = [second_of(entry.verdict) for entry in found.entries]
    again = sorted({engines for engines, outcome in seconds if outcome == "proved"})
    status = {entry.verdict.status for entry in found.entries}
    words = ", ".join(engines) if status == {Status.PROVED} else "not all proved"
    count = sum(outcome == "proved" for _, outcome in seconds)
    if not count:
        return f"{words}; no second"
    more = "" if count == len(seconds) else f" ({count} of {len(seconds)})"
    return f"{words}; again {' / '.join(again)}{more}"


def _count(share: Share) -> str:
    return f"{percent(share.value)} ({share.hits} of {share.total})"


def _interval(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f" ({percent(pair[0])} to {percent(pair[1])})"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _labels(run: WholeSpace, row: int) -> str:
    """`` (true 3, predicted 8)`` as far as it is known."""
    words = [] if run.data.labels is None else [f"true {int(run.data.labels[row])}"]
    if run.network.output_size > 1:
        words.append(f"predicted {int(run.signatures.predicted[row])}")
    return f" ({', '.join(words)})" if words else ""


def _numbers(row: NDArray[np.floating]) -> str:
    flat = np.asarray(row).reshape(-1)
    return (
        "("
        + ", ".join(f"{v:.4g}" for v in flat[:FEATURES])
        + (", …)" if flat.size > FEATURES else ")")
    )
