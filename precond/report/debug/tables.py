"""``Debugged`` → four CSV tables of plain values, and the cells of a wrong input in a table."""

from __future__ import annotations

from collections.abc import Mapping

from precond.apply.debugging.actions import Act, Action
from precond.apply.debugging.causes import Cause
from precond.apply.debugging.conditions import details
from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import Unproved
from precond.basics.rounded import at_least
from precond.region.radius import Radius
from precond.report.debug.answer import what
from precond.report.debug.pictures import page_address
from precond.report.tables import csv_text

CELLS = (
    ("part", "whether the input is one of the training or of the held-out inputs"),
    ("labelled", "the class that the data give"),
    ("predicted", "the class that the network gives"),
    ("margin", "the predicted class's output less the labelled class's: how sure the mistake is"),
    ("rules that hold", "how many of the rules, which tell classes by neurons, hold for it"),
    ("flips to a rule", "how many neurons switch before a rule of the labelled class holds"),
    ("flips to answer", "how many neurons were switched before the network's answer changed"),
    ("proved radius", "inputs nearer than this with its precondition get the same class: proved"),
    ("cause", "the number of the cause above that explains it"),
)  # head of a column, and what it says
ERRORS = (
    *("row", "part", "label", "label_name", "predicted", "predicted_name", "margin", "rules"),
    *("flips_to_rule", "flips_to_answer", "proved_radius", "radius_of_range", "cause"),
    *("suspect", "page"),
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
SUSPECTS = (
    *("row", "label", "label_name", "likely", "likely_name"),
    *("strength", "typical_strength", "rules"),
)


def ranks(debugged: Debugged) -> dict[int, int]:
    """Wrong input → rank of the cause that explains it."""
    return {row: rank for rank, c in enumerate(debugged.causes, 1) for row in c.rows.tolist()}


def error_cells(
    debugged: Debugged, row: int, finding: Finding | None, cause: int | None
) -> tuple[str, ...]:
    """A wrong input under ``CELLS``; – where there is nothing to say."""
    cells = [
        _part(debugged, row),
        debugged.class_name(int(debugged.labels[row])),
        debugged.class_name(int(debugged.predicted[row])),
        f"{_margin(debugged, row):.3g}",
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


def _part(debugged: Debugged, row: int) -> str:
    return "held out" if row in debugged.held_out else "training"


def _margin(debugged: Debugged, row: int) -> float:
    """The predicted less the labelled class's output."""
    label, said = int(debugged.labels[row]), int(debugged.predicted[row])
    y = debugged.book.network.classes.scores(debugged.book.signatures.outputs[row][None])[0]
    return float(y[said] - y[label])


def debug_tables(debugged: Debugged, doubted: Mapping[int, Suspect]) -> dict[str, str]:
    """File name → text: wrong inputs, causes, what was tried, labels in doubt."""
    explained = ranks(debugged)
    findings = {finding.row: finding for finding in debugged.findings}
    errors = [
        (
            *_error(debugged, row, findings.get(row)),
            explained.get(row),
            int(row in doubted),
            page_address(row, findings),
        )
        for row in debugged.wrong.tolist()
    ]
    causes = [_cause(rank, cause) for rank, cause in enumerate(debugged.causes, 1)]
    actions = [
        _action(rank, action)
        for rank, cause in enumerate(debugged.causes, 1)
        for action in cause.actions
    ]
    suspects = [
        (
            s.row,
            *_named(debugged, s.label),
            *_named(debugged, s.likely),
            f"{s.strength:.6g}",
            f"{s.typical:.6g}",
            s.rules,
        )
        for s in debugged.suspects
    ]
    return {
        "errors.csv": csv_text(ERRORS, errors),
        "causes.csv": csv_text(CAUSES, causes),
        "actions.csv": csv_text(ACTIONS, actions),
        "suspects.csv": csv_text(SUSPECTS, suspects),
    }


def _named(debugged: Debugged, label: int) -> tuple[int, str]:
    return label, debugged.class_name(label)


def _error(debugged: Debugged, row: int, finding: Finding | None) -> tuple[object, ...]:
    """The first columns of ``ERRORS``, up to the radius; None where there is nothing to say."""
    known = (
        *(row, _part(debugged, row)),
        *_named(debugged, int(debugged.labels[row])),
        *_named(debugged, int(debugged.predicted[row])),
        f"{_margin(debugged, row):.6g}",
    )
    if finding is None:
        return (*known, *(None,) * 5)
    own, nearest, switching = finding.own, finding.nearest, finding.switching
    return (
        *known,
        len(finding.rules),
        None if nearest is None else len(nearest.flips),
        None if switching is None else len(switching.flips),
        *(
            (None, None)
            if isinstance(own, Unproved)
            else (at_least(own.radius, 6), int(own.of_range))
        ),
    )


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
