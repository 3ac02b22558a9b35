"""``Debugged`` → files: an index, a page for every wrong input, and three CSV tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.findings import Debugged
from precond.basics.counting import percent
from precond.report.debug.answer import answer
from precond.report.debug.causes import CauseCard, card, link
from precond.report.debug.input import input_page
from precond.report.debug.pictures import FOLDER, Link, page_address, page_name
from precond.report.debug.tables import CELLS, debug_tables, error_cells, ranks
from precond.report.debug.words import suspect_words
from precond.report.evidence import Subject
from precond.report.header import Figure
from precond.report.pages import render_page

CAUSES = 20
SINGLE = 40
SHEETS = ("report.css", "debug.css")


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
    answer: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    causes: tuple[CauseCard, ...]
    causes_more: int
    single: tuple[Link, ...]
    singles: int
    suspects: tuple[tuple[Link | None, int, str, str], ...]
    heads: tuple[tuple[str, str], ...]
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


def _figures(debugged: Debugged) -> tuple[Figure, ...]:
    late = np.isin(debugged.wrong, debugged.held_out)
    parts = f"{late.sum()} held out, {(~late).sum()} training"
    return (
        Figure("✗ wrong", str(len(debugged.wrong)), parts),
        Figure("Causes", str(len(debugged.causes)), "each explains two errors or more"),
        Figure("Single", str(len(debugged.explained.single)), "errors that share no cause"),
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
    shown = min(len(debugged.causes), CAUSES)
    return IndexPage(
        f"Wrong predictions of {subject.model}",
        answer=answer(debugged),
        facts=_facts(subject, debugged),
        notes=debugged.notes,
        figures=_figures(debugged),
        causes=tuple(
            card(subject, debugged, rank, cause=cause, findings=findings)
            for rank, cause in enumerate(debugged.causes[:shown], 1)
        ),
        causes_more=len(debugged.causes) - shown,
        single=tuple(
            one
            for row in debugged.explained.single[:SINGLE].tolist()
            if (one := link(subject, debugged, row, findings=findings)) is not None
        ),
        singles=len(debugged.explained.single),
        suspects=tuple(
            (
                link(
                    subject,
                    debugged,
                    s.row,
                    findings=findings,
                    caption=f"{debugged.class_name(s.label)}, or {debugged.class_name(s.likely)}?",
                ),
                s.row,
                page_address(s.row, findings),
                suspect_words(debugged, s),
            )
            for s in debugged.suspects
        ),
        heads=CELLS,
        errors=tuple(
            ErrorLine(
                link(subject, debugged, row, findings=findings),
                row=row,
                href=page_address(row, findings),
                cells=error_cells(debugged, row, findings.get(row), cause=explained.get(row)),
                suspect=row in doubted,
            )
            for row in debugged.wrong.tolist()
        ),
        pictured=subject.image_shape is not None,
    )
