"""``Debugged`` → three CSV tables, and the cells of a wrong input in a table."""

from __future__ import annotations

from collections.abc import Mapping

from precond.apply.debugging.causes import Cause, Suspect
from precond.apply.debugging.debugged import Debugged, Finding
from precond.apply.debugging.own_precondition import Unproved
from precond.report.debug.pictures import page_address
from precond.report.tables import csv_text

CELLS = (
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
ERRORS = (
    *("row", "part", "label", "predicted", "margin", "rules", "flips_to_rule"),
    *("flips_to_answer", "proved_radius", "cause", "suspect", "page"),
)
CAUSES = (
    *("rank", "label", "predicted", "errors", "errors_of_pair"),
    *("rule", "pattern", "right_training_inputs", "rows"),
)
SUSPECTS = ("row", "label", "likely", "strength", "typical_strength", "rules")


def ranks(debugged: Debugged) -> dict[int, int]:
    """Wrong input → rank of the cause that explains it."""
    return {row: rank for rank, c in enumerate(debugged.causes, 1) for row in c.rows.tolist()}


def error_cells(
    debugged: Debugged, row: int, finding: Finding | None, cause: int | None
) -> tuple[str, ...]:
    """A wrong input under ``CELLS``; – where there is nothing to say."""
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


def debug_tables(debugged: Debugged, doubted: Mapping[int, Suspect]) -> dict[str, str]:
    """File name → text: wrong inputs, causes, labels in doubt."""
    explained = ranks(debugged)
    findings = {finding.row: finding for finding in debugged.findings}
    errors = []
    for row in debugged.wrong.tolist():
        cells = error_cells(debugged, row, finding=findings.get(row), cause=explained.get(row))
        plain = [None if cell == "–" else cell for cell in cells]
        errors.append([row, *plain, int(row in doubted), page_address(row, findings)])
    causes = [_cause(debugged, rank, cause) for rank, cause in enumerate(debugged.causes, 1)]
    suspects = [
        (s.row, s.label, s.likely, f"{s.strength:.6g}", f"{s.typical:.6g}", s.rules)
        for s in debugged.suspects
    ]
    return {
        "errors.csv": csv_text(ERRORS, errors),
        "causes.csv": csv_text(CAUSES, causes),
        "suspects.csv": csv_text(SUSPECTS, suspects),
    }


def _cause(debugged: Debugged, rank: int, cause: Cause) -> tuple[object, ...]:
    book, rule = debugged.book, cause.rule
    name, pattern = (None, None) if rule is None else (book.name(rule), book.rules[rule].pattern)
    rows = " ".join(map(str, cause.rows.tolist()))
    counts = (len(cause.rows), cause.pair)
    return (rank, cause.label, cause.predicted, *counts, name, pattern, cause.right, rows)
