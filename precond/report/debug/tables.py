"""``Debugged`` → four CSV tables, and the cells of a wrong input in a table."""

from __future__ import annotations

from collections.abc import Mapping

from precond.apply.debugging.actions import Act, Action
from precond.apply.debugging.causes import Cause
from precond.apply.debugging.conditions import details
from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import Unproved
from precond.region.radius import Radius
from precond.report.debug.answer import what
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
    *("rank", "cause", "exactly", "errors"),
    *("found_errors", "found_of", "found_right", "found_of_right"),
    *("checked_errors", "checked_of", "checked_right", "checked_of_right"),
    *("bits", "tried", "rows"),
)
ACTIONS = (
    *("cause", "action", "what", "errors", "of_errors", "right", "of_right"),
    *("control_errors", "control_right", "gain", "near_right", "near_usual", "seconds"),
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
            "–" if isinstance(own, Unproved) else Radius(own.radius, own.of_range).at_least(3),
        ]
    cells.append("–" if cause is None else str(cause))
    return tuple(cells)


def debug_tables(debugged: Debugged, doubted: Mapping[int, Suspect]) -> dict[str, str]:
    """File name → text: wrong inputs, causes, what was tried, labels in doubt."""
    explained = ranks(debugged)
    findings = {finding.row: finding for finding in debugged.findings}
    errors = []
    for row in debugged.wrong.tolist():
        cells = error_cells(debugged, row, finding=findings.get(row), cause=explained.get(row))
        plain = [None if cell == "–" else cell for cell in cells]
        errors.append([row, *plain, int(row in doubted), page_address(row, findings)])
    causes = [_cause(rank, cause) for rank, cause in enumerate(debugged.causes, 1)]
    actions = [
        _action(rank, action)
        for rank, cause in enumerate(debugged.causes, 1)
        for action in cause.actions
    ]
    suspects = [
        (s.row, s.label, s.likely, f"{s.strength:.6g}", f"{s.typical:.6g}", s.rules)
        for s in debugged.suspects
    ]
    return {
        "errors.csv": csv_text(ERRORS, errors),
        "causes.csv": csv_text(CAUSES, causes),
        "actions.csv": csv_text(ACTIONS, actions),
        "suspects.csv": csv_text(SUSPECTS, suspects),
    }


def _cause(rank: int, cause: Cause) -> tuple[object, ...]:
    counts = [
        number
        for c in (cause.found, cause.checked)
        for number in (c.errors, c.of_errors, c.right, c.of_right)
    ]
    rows = " ".join(map(str, cause.rows.tolist()))
    exactly = details(cause.condition)
    bits = f"{cause.bits:.3g}"
    return (rank, cause.title, exactly, len(cause.rows), *counts, bits, cause.tried, rows)


def _action(rank: int, action: Action) -> tuple[object, ...]:
    one, control = action.effect, action.control
    effect = (None,) * 4 if one is None else (one.errors, one.of_errors, one.right, one.of_right)
    without = (None, None) if control is None else (control.errors, control.right)
    gain = None if one is None or action.act is Act.WATCH else action.gain
    near = (action.like, action.usual)
    return (rank, action.act.value, what(action), *effect, *without, gain, *near, action.seconds)
