"""``Debugged`` → files: an index, a page for every wrong input, and three CSV tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from precond.apply.debugging.causes import Cause, Suspect
from precond.apply.debugging.debugged import Debugged, Finding
from precond.apply.debugging.own_precondition import Unproved
from precond.report.debug.input import Link, input_page, page_name, thumb
from precond.report.debug.words import suspect_words
from precond.report.evidence import Given
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.labels import percent
from precond.report.tables import csv_text

CAUSES = 20
FEWEST = 5  # causes shown even where each explains one error
PICTURES = 10
SHEETS = ("report.css", "debug.css")
FOLDER = "inputs"


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


HEADS = (
    "part",
    "labelled",
    "predicted",
    "margin",
    "rules that hold",
    "flips to a rule",
    "flips to answer",
    "proved radius",
    "cause",
)


def debug_files(given: Given, debugged: Debugged) -> dict[str, str]:
    """File name → content of the whole report."""
    doubted = {suspect.row: suspect for suspect in debugged.suspects}
    files = {"index.html": render_page("debug.html", _index(given, debugged, doubted), SHEETS)}
    names = [page_name(finding.row) for finding in debugged.findings]
    for position, finding in enumerate(debugged.findings):
        page = input_page(
            given,
            debugged,
            finding,
            doubted.get(finding.row),
            names[position - 1] if position else "",
            names[position + 1] if position + 1 < len(names) else "",
        )
        files[f"{FOLDER}/{names[position]}"] = render_page("debug_input.html", page, SHEETS)
    files |= _tables(debugged, doubted)
    return files


def cause_title(cause: Cause) -> str:
    """``labelled 9, predicted 4``."""
    return f"labelled {cause.label}, predicted {cause.predicted}"


def _index(given: Given, debugged: Debugged, doubted: Mapping[int, Suspect]) -> IndexPage:
    book, wrong = debugged.book, debugged.wrong
    late = np.isin(wrong, debugged.held_out)
    explained = {row: rank for rank, c in enumerate(debugged.causes, 1) for row in c.rows.tolist()}
    findings = {finding.row: finding for finding in debugged.findings}
    right = debugged.predicted == debugged.labels
    top = debugged.causes[0] if debugged.causes and debugged.causes[0].rule is not None else None
    several = sum(c.rule is not None and len(c.rows) > 1 for c in debugged.causes)
    shown = min(len(debugged.causes), max(FEWEST, min(CAUSES, several)))
    shared = sum(len(c.rows) for c in debugged.causes if c.rule is not None and len(c.rows) > 1)
    figures = (
        Figure("✗ wrong", str(len(wrong)), f"{late.sum()} held out, {(~late).sum()} training"),
        Figure(
            "Top cause",
            "–" if top is None else str(len(top.rows)),
            "" if top is None else f"errors {cause_title(top)}, by one rule",
        ),
        Figure("Share a cause", str(shared), "errors that share a rule with another of their pair"),
        Figure("? labels in doubt", str(len(debugged.suspects)), "look like the predicted class"),
    )

    def part_accuracy(rows: np.ndarray) -> str:
        return percent(float(right[rows].mean())) if len(rows) else "–"

    return IndexPage(
        f"Wrong predictions of {given.model}",
        (
            ("Model", given.model),
            (
                "Data",
                f"{given.data}: {len(book.train)} training, {len(debugged.held_out)} held out",
            ),
            (
                "Accuracy",
                f"{part_accuracy(debugged.held_out)} held out, "
                f"{part_accuracy(book.train)} training",
            ),
            ("Rules", f"{len(book.rules)}, mined on the training inputs"),
            ("Time", f"{debugged.seconds:.0f} s"),
        ),
        debugged.notes,
        figures,
        tuple(
            _card(given, debugged, rank, cause, findings)
            for rank, cause in enumerate(debugged.causes[:shown], 1)
        ),
        len(debugged.causes) - shown,
        tuple(
            (
                _link(given, debugged, s.row, findings, f"{s.label}, or {s.likely}?"),
                s.row,
                f"{FOLDER}/{page_name(s.row)}" if s.row in findings else "",
                suspect_words(s),
            )
            for s in debugged.suspects
        ),
        HEADS,
        tuple(
            ErrorLine(
                _link(given, debugged, row, findings),
                row,
                f"{FOLDER}/{page_name(row)}" if row in findings else "",
                _cells(debugged, row, findings.get(row), explained.get(row)),
                row in doubted,
            )
            for row in wrong.tolist()
        ),
        given.image_shape is not None,
    )


def _link(
    given: Given, debugged: Debugged, row: int, findings: Mapping[int, Finding], caption: str = ""
) -> Link | None:
    picture = thumb(given, debugged, row, caption)
    if picture is None:
        return None
    return Link(picture, f"{FOLDER}/{page_name(row)}" if row in findings else "")


def _card(
    given: Given, debugged: Debugged, rank: int, cause: Cause, findings: Mapping[int, Finding]
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
    links = (_link(given, debugged, row, findings) for row in rows[:PICTURES])
    return CauseCard(
        rank,
        cause_title(cause),
        tuple(words),
        tuple(link for link in links if link is not None),
        tuple((r, f"{FOLDER}/{page_name(r)}" if r in findings else "") for r in rows[:PICTURES]),
    )


def _cells(
    debugged: Debugged, row: int, finding: Finding | None, cause: int | None
) -> tuple[str, ...]:
    label, said = int(debugged.labels[row]), int(debugged.predicted[row])
    outputs = debugged.book.signatures.outputs[row]
    y = debugged.book.network.classes.scores(outputs[None])[0]
    cells = [
        "held out" if row in debugged.held_out else "training",
        str(label),
        str(said),
        f"{y[said] - y[label]:.3g}",
    ]
    if finding is None:
        cells += ["–"] * 4
    else:
        own = finding.own
        cells += [
            str(len(finding.rules)),
            "–" if finding.nearest is None else str(len(finding.nearest.flips)),
            "–" if finding.switching is None else str(len(finding.switching.flips)),
            "–" if isinstance(own, Unproved) else f"{own.radius:.3g}",
        ]
    cells.append("–" if cause is None else str(cause))
    return tuple(cells)


def _tables(debugged: Debugged, doubted: Mapping[int, Suspect]) -> dict[str, str]:
    book = debugged.book
    explained = {row: rank for rank, c in enumerate(debugged.causes, 1) for row in c.rows.tolist()}
    findings = {finding.row: finding for finding in debugged.findings}
    keys = (
        "row",
        "part",
        "label",
        "predicted",
        "margin",
        "rules",
        "flips_to_rule",
        "flips_to_answer",
        "proved_radius",
        "cause",
        "suspect",
        "page",
    )
    errors = []
    for row in debugged.wrong.tolist():
        cells = _cells(debugged, row, findings.get(row), explained.get(row))
        page = f"{FOLDER}/{page_name(row)}" if row in findings else ""
        plain = [None if cell == "–" else cell for cell in cells]
        errors.append([row, *plain, int(row in doubted), page])
    causes = [
        (
            rank,
            c.label,
            c.predicted,
            len(c.rows),
            c.pair,
            None if c.rule is None else book.name(c.rule),
            None if c.rule is None else book.rules[c.rule].pattern,
            c.right,
            " ".join(map(str, c.rows.tolist())),
        )
        for rank, c in enumerate(debugged.causes, 1)
    ]
    suspects = [
        (s.row, s.label, s.likely, f"{s.strength:.6g}", f"{s.typical:.6g}", s.rules)
        for s in debugged.suspects
    ]
    return {
        "errors.csv": csv_text(keys, errors),
        "causes.csv": csv_text(
            (
                "rank",
                "label",
                "predicted",
                "errors",
                "errors_of_pair",
                "rule",
                "pattern",
                "right_training_inputs",
                "rows",
            ),
            causes,
        ),
        "suspects.csv": csv_text(
            ("row", "label", "likely", "strength", "typical_strength", "rules"), suspects
        ),
    }
