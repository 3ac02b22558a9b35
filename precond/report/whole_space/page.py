"""``WholeSpace`` → one page, CSV tables, and a table for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from precond.basics.counting import how_many, percent
from precond.basics.terminal import fitted
from precond.data.dataset import class_words
from precond.proof.precondition import Precondition
from precond.proof.verdict import Status
from precond.report.evidence import Table
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.curves import share_chart
from precond.report.tables import csv_text
from precond.report.whole_space.cards import ClassSection, class_section, counted
from precond.study.whole_space.result import (
    ClassResult,
    WholeSpace,
    recall_by_literals,
    recall_by_time,
)

SHEETS = ("report.css", "debug.css", "whole_space.css")


@dataclass(frozen=True)
class WholeSpacePage:
    """Everything the page shows."""

    title: str
    lead: str
    has_patterns: bool
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
    lines = [_csv_line(result, entry) for result in run.classes for entry in result.entries]
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
        f"network        {model} ({run.study.network.neurons} neurons)",
        f"data           {run.study.data.name}: {len(run.study.data.train)} training, "
        f"{len(run.study.data.held_out)} held-out inputs",
        *(f"{what:<14} {names}" for what, names in run.study.data.legend()),
        f"domain         {run.study.domain}",
        "",
        f"{'class':<10} {'cut':<14} {'patterns':>8} {'literals':>8} {'training':>8} "
        f"{'held out':>8} {'95 % range':>13} {'seconds':>8}  proof",
    ]
    for result in run.classes:
        low, high = result.held_out.interval
        lines.append(
            f"{fitted(_class(run, result), 10)} {fitted(result.cut, 14)} {len(result.entries):>8} "
            f"{result.literals:>8} {percent(result.train.value):>8} "
            f"{percent(result.held_out.value):>8} {f'{100 * low:.1f}–{100 * high:.1f} %':>13} "
            f"{result.seconds:>8.1f}  {_proof_words(result)}"
        )
    low, high = run.held_out.interval
    proved = sum(result.proved for result in run.classes)
    lines += [
        "",
        f"proved         {proved} of {len(run.classes)} classes, "
        f"{how_many(len(run.entries), 'pattern')}, {twice(run)} of them proved twice"
        + (f", {len(run.certified)} with a certificate" if run.certified else ""),
        f"recall         {percent(run.held_out.value)} of held-out inputs "
        f"({100 * low:.1f}–{100 * high:.1f} %), {percent(run.train.value)} of training inputs",
        *[f"note           {note}" for note in run.notes],
        f"time           {run.seconds:.1f} s of {run.budget:g} s"
        + (" (stopped early)" if run.interrupted else ""),
    ]
    return "\n".join(lines)


def twice(run: WholeSpace) -> int:
    """Patterns that a second engine proved too, or that have a checked certificate."""
    return sum(entry.verdict.is_proved_twice for entry in run.entries)


def _figures(run: WholeSpace) -> tuple[Figure, ...]:
    proved = [result for result in run.classes if result.proved]
    literals = sorted(result.literals for result in proved)
    low, high = run.held_out.interval
    return (
        Figure(
            "✓ classes proved",
            value=f"{len(proved)} of {len(run.classes)}",
            hint=how_many(len(run.entries), "pattern"),
            tone="proved",
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
        Figure(
            "proved twice",
            f"{twice(run)} of {len(run.entries)}",
            "by engines of both kinds, or with a certificate",
        ),
    )


def make_page(run: WholeSpace, model: str) -> WholeSpacePage:
    """The page's content."""
    network = run.study.network
    widths = " – ".join(str(network.width(name)) for name in network.decision_layers[:12])
    by_time = [(x, y, "") for x, y in recall_by_time(run)[:1]]
    by_time += [
        (x, y, f"{x:.1f} s: a pattern of {e.label} adds {e.added} inputs")
        for (x, y), e in zip(recall_by_time(run)[1:], run.events, strict=True)
    ]
    return WholeSpacePage(
        f"Patterns over the whole domain: {Path(model).name}",
        lead=lead(run),
        has_patterns=bool(run.entries),
        facts=(
            ("Model", Path(model).name),
            ("Network", f"{network.input_size} inputs, layers of {widths} neurons"),
            (
                "Data",
                f"{run.study.data.name}: {len(run.study.data.train)} training, "
                f"{len(run.study.data.held_out)} held-out inputs",
            ),
            *((what.capitalize(), names) for what, names in run.study.data.legend()),
            ("Domain", str(run.study.domain)),
            ("Time", f"{run.seconds:.1f} s of {run.budget:g} s"),
        ),
        notes=(("The run was stopped early.",) if run.interrupted else ()) + run.notes,
        figures=_figures(run),
        by_time=share_chart(
            by_time, across="seconds", up="recall", title="Training recall over time",
            end=run.seconds, stairs=True,
        ),
        by_literals=share_chart(
            [
                (float(x), y, f"{x} literals: {percent(y)}, last a pattern of {label}")
                for x, y, label in recall_by_literals(run)
            ],
            across="literals of all patterns together",
            up="recall",
            title="Held-out recall over the number of literals",
        ),
        classes=_class_table(run),
        sections=tuple(class_section(run, result) for result in run.classes),
    )  # fmt: skip


def lead(run: WholeSpace) -> str:
    """What was found, in a sentence or two."""
    proved = sum(found.proved for found in run.classes)
    if not run.entries:
        return (
            f"No pattern was found for any of {len(run.classes)} classes: nothing is proved. The "
            "remarks below say what to try."
        )
    asked = (
        "Which few neurons decide a class: every input of the domain that has a class's pattern is "
        "answered with that class."
    )
    if proved == len(run.classes):
        return f"{asked} This is proved for each class, not counted."
    return f"{asked} This is proved for {proved} of {len(run.classes)} classes."


def _class_table(run: WholeSpace) -> Table:
    rows = []
    for result in run.classes:
        low, high = result.held_out.interval
        rows.append(
            (
                _class(run, result),
                result.cut,
                str(len(result.entries)),
                str(result.literals),
                counted(result.train),
                counted(result.held_out),
                f"{percent(low)} to {percent(high)}",
                str(result.rounds),
                str(result.proofs),
                f"{result.seconds:.1f} s",
                _proof_words(result),
            )
        )
    head = (
        "class", "cut after", "patterns", "literals", "training recall", "held-out recall",
        "95 % interval", "rounds", "proofs", "time", "proof",
    )  # fmt: skip
    return Table("Classes", remark="patterns and what they took", head=head, rows=tuple(rows))


def _class(run: WholeSpace, result: ClassResult) -> str:
    return class_words(result.target.name, run.study.data.classes)


def _csv_line(result: ClassResult, entry: Precondition) -> tuple[object, ...]:
    support, verdict = entry.support, entry.verdict
    low, high = support.recall_interval or (None, None)
    second = verdict.second
    engines, outcome = ("", "") if second is None else (second.names, second.text)
    return (
        entry.id, result.target.name, result.cut, len(entry.pattern), len(entry.pattern.on),
        len(entry.pattern.off), support.train, support.held_out, _number(support.precision),
        _number(support.recall), _number(low), _number(high), verdict.status.value,
        verdict.engine, int(verdict.confirmed), engines, outcome, _number(verdict.bound),
        entry.proofs, f"{verdict.seconds:.3f}",
    )  # fmt: skip


def _proof_words(result: ClassResult) -> str:
    if not result.entries:
        return "none found"
    engines = sorted({entry.verdict.engine for entry in result.entries})
    seconds = [entry.verdict.second for entry in result.entries]
    proofs = [second for second in seconds if second is not None and second.is_proved]
    again = sorted({second.names for second in proofs})
    status = {entry.verdict.status for entry in result.entries}
    words = ", ".join(engines) if status == {Status.PROVED} else "not all proved"
    if not proofs:
        return f"{words}; no second"
    more = "" if len(proofs) == len(seconds) else f" ({len(proofs)} of {len(seconds)})"
    return f"{words}; again {' / '.join(again)}{more}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"
