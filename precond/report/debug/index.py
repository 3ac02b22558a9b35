"""``Debugged`` → files: an index, a page for every wrong input, and three CSV tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from precond.apply.debugging.causes import Cause, Suspect
from precond.apply.debugging.debugged import Debugged, Finding
from precond.report.debug.input import input_page
from precond.report.debug.pictures import FOLDER, Link, page_address, page_name, thumb
from precond.report.debug.tables import CELLS, debug_tables, error_cells, ranks
from precond.report.debug.words import suspect_words
from precond.report.evidence import Subject
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.labels import percent

CAUSES = 20
FEWEST = 5  # causes shown even where each explains one error
PICTURES = 10
SHEETS = ("report.css", "debug.css")


@dataclass(frozen=True)
class CauseCard:
    """A cause as the index shows it."""

    rank: int
    title: str
    words: tuple[str, ...]
    pictures: tuple[Link, ...]
    rows: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class ErrorLine:
    """A wrong input in the table; ``href`` "" where it has no page."""

    picture: Link | None
    row: int
    href: str
    cells: tuple[str, ...]
    suspect: bool


@dataclass(frozen=True)
class IndexPage:
    """Everything the index shows."""

    title: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    causes: tuple[CauseCard, ...]
    causes_more: int
    suspects: tuple[tuple[Link | None, int, str, str], ...]
    heads: tuple[str, ...]
    errors: tuple[ErrorLine, ...]
    pictured: bool


def debug_files(subject: Subject, debugged: Debugged) -> dict[str, str]:
    """File name → content of the whole report."""
    doubted = {suspect.row: suspect for suspect in debugged.suspects}
    files = {"index.html": render_page("debug.html", _index(subject, debugged, doubted), SHEETS)}
    names = [page_name(finding.row) for finding in debugged.findings]
    for position, finding in enumerate(debugged.findings):
        page = input_page(
            subject,
            debugged,
            finding,
            suspect=doubted.get(finding.row),
            before=names[position - 1] if position else "",
            after=names[position + 1] if position + 1 < len(names) else "",
        )
        files[f"{FOLDER}/{names[position]}"] = render_page("debug_input.html", page, SHEETS)
    files |= debug_tables(debugged, doubted)
    return files


def cause_title(cause: Cause) -> str:
    """``labelled 9, predicted 4``."""
    return f"labelled {cause.label}, predicted {cause.predicted}"


def _figures(debugged: Debugged) -> tuple[Figure, ...]:
    late = np.isin(debugged.wrong, debugged.held_out)
    top = debugged.causes[0] if debugged.causes and debugged.causes[0].rule is not None else None
    shared = sum(len(c.rows) for c in debugged.causes if c.rule is not None and len(c.rows) > 1)
    parts = f"{late.sum()} held out, {(~late).sum()} training"
    return (
        Figure("✗ wrong", str(len(debugged.wrong)), parts),
        Figure(
            "Top cause",
            "–" if top is None else str(len(top.rows)),
            "" if top is None else f"errors {cause_title(top)}, by one rule",
        ),
        Figure("Share a cause", str(shared), "errors that share a rule with another of their pair"),
        Figure("? labels in doubt", str(len(debugged.suspects)), "look like the predicted class"),
    )


def _facts(subject: Subject, debugged: Debugged) -> tuple[tuple[str, str], ...]:
    book, late = debugged.book, debugged.held_out
    right = debugged.predicted == debugged.labels

    def accuracy(rows: np.ndarray) -> str:
        return percent(float(right[rows].mean())) if len(rows) else "–"

    return (
        ("Model", subject.model),
        ("Data", f"{subject.data}: {len(book.train)} training, {len(late)} held out"),
        ("Accuracy", f"{accuracy(late)} held out, {accuracy(book.train)} training"),
        ("Rules", f"{len(book.rules)}, mined on the training inputs"),
        ("Time", f"{debugged.seconds:.0f} s"),
    )


def _index(subject: Subject, debugged: Debugged, doubted: Mapping[int, Suspect]) -> IndexPage:
    explained = ranks(debugged)
    findings = {finding.row: finding for finding in debugged.findings}
    several = sum(c.rule is not None and len(c.rows) > 1 for c in debugged.causes)
    shown = min(len(debugged.causes), max(FEWEST, min(CAUSES, several)))
    return IndexPage(
        f"Wrong predictions of {subject.model}",
        facts=_facts(subject, debugged),
        notes=debugged.notes,
        figures=_figures(debugged),
        causes=tuple(
            _card(subject, debugged, rank, cause, findings)
            for rank, cause in enumerate(debugged.causes[:shown], 1)
        ),
        causes_more=len(debugged.causes) - shown,
        suspects=tuple(
            (
                _link(subject, debugged, s.row, findings, caption=f"{s.label}, or {s.likely}?"),
                s.row,
                page_address(s.row, findings),
                suspect_words(s),
            )
            for s in debugged.suspects
        ),
        heads=CELLS,
        errors=tuple(
            ErrorLine(
                _link(subject, debugged, row, findings),
                row=row,
                href=page_address(row, findings),
                cells=error_cells(debugged, row, findings.get(row), explained.get(row)),
                suspect=row in doubted,
            )
            for row in debugged.wrong.tolist()
        ),
        pictured=subject.image_shape is not None,
    )


def _link(
    subject: Subject,
    debugged: Debugged,
    row: int,
    findings: Mapping[int, Finding],
    caption: str = "",
) -> Link | None:
    picture = thumb(subject, debugged, row, caption)
    if picture is None:
        return None
    return Link(picture, page_address(row, findings))


def _card(
    subject: Subject, debugged: Debugged, rank: int, cause: Cause, findings: Mapping[int, Finding]
) -> CauseCard:
    count = len(cause.rows)
    errors = f"{count} error{'s' if count != 1 else ''}"
    if cause.rule is None:
        words = [f"{errors} of {cause.pair} of this pair, which satisfy no rule"]
    else:
        rule = debugged.book.rules[cause.rule]
        words = [
            f"{errors} of {cause.pair} of this pair satisfy {debugged.book.name(cause.rule)}: "
            f"{rule.pattern}",
            f"{cause.right} right training inputs of class {cause.predicted} share the rule",
        ]
    doubted = sum(s.row in set(cause.rows.tolist()) for s in debugged.suspects)
    if doubted:
        words.append(f"{doubted} of these labels in doubt")
    rows = cause.rows.tolist()
    links = (_link(subject, debugged, row, findings) for row in rows[:PICTURES])
    return CauseCard(
        rank,
        title=cause_title(cause),
        words=tuple(words),
        pictures=tuple(link for link in links if link is not None),
        rows=tuple((r, page_address(r, findings)) for r in rows[:PICTURES]),
    )
