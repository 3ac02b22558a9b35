"""A cause as the index shows it: errors and right inputs as pictures, and what was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from precond.apply.debugging.causes import Cause
from precond.apply.debugging.conditions import UsualRegion, details
from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.report.debug.answer import effect, helps, what
from precond.report.debug.pictures import Link, page_address, thumb
from precond.report.evidence import Subject, Thumb
from precond.report.plot.pictures import row_picture

PICTURES = 12
RIGHT = 6


@dataclass(frozen=True)
class CauseCard:
    """``actions``: what is done, and what it does."""

    rank: int
    title: str
    words: tuple[str, ...]
    pictures: tuple[Link, ...]
    more: int
    right: tuple[Link, ...]
    rows: tuple[tuple[int, str], ...]
    actions: tuple[tuple[str, str], ...]
    exactly: str


def link(
    subject: Subject,
    debugged: Debugged,
    row: int,
    findings: Mapping[int, Finding],
    caption: str = "",
) -> Link | None:
    """A row as a picture that leads to its page."""
    picture = thumb(subject, debugged, row, caption=caption)
    return None if picture is None else Link(picture, page_address(row, findings))


def card(
    subject: Subject, debugged: Debugged, rank: int, cause: Cause, findings: Mapping[int, Finding]
) -> CauseCard:
    """The card of a cause."""
    rows = cause.rows.tolist()
    links = [link(subject, debugged, row, findings=findings) for row in rows[:PICTURES]]
    right = [link(subject, debugged, row, findings={}) for row in _nearest(debugged, cause)]
    region = _region(subject, cause)
    return CauseCard(
        rank=rank,
        title=cause.title,
        words=_words(debugged, cause),
        pictures=tuple(one for one in [region, *links] if one is not None),
        more=max(0, len(rows) - PICTURES),
        right=tuple(one for one in right if one is not None),
        rows=tuple((row, page_address(row, findings)) for row in rows[:PICTURES]),
        actions=tuple(
            (what(action), f"{'' if helps(action) else 'No help: '}{effect(action)}.")
            for action in sorted(cause.actions, key=helps, reverse=True)
        ),
        exactly=details(cause.condition),
    )


def _words(debugged: Debugged, cause: Cause) -> tuple[str, ...]:
    found, checked = cause.found, cause.checked
    count = len(cause.rows)
    pairs = {(int(debugged.labels[r]), int(debugged.predicted[r])) for r in cause.rows.tolist()}
    across = (
        f"of {len(pairs)} pairs of classes"
        if len(pairs) > 1
        else _pair(debugged, next(iter(pairs)))
    )
    words = [f"{count} errors, {across}."]
    common = f"{found.lift:.0f} times" if found.lift >= 2 else f"{found.lift:.1f} times"
    shares = (
        f"{found.errors} of {found.of_errors} errors meet it and {found.right} of {found.of_right} "
        f"right inputs: {common} as common among errors."
    )
    words.append(shares)
    if checked.of_errors:
        again = (
            f"Checked on the other half: {checked.errors} of {checked.of_errors} errors and "
            f"{checked.right} of {checked.of_right} right inputs"
        )
        sure = "" if checked.lift > 1 and checked.errors else "; not confirmed there"
        words.append(f"{again}{sure}.")
    if cause.weak:
        words.append(f"Weak: of {cause.tried} conditions of this kind, one fits so much by chance.")
    return tuple(words)


def _pair(debugged: Debugged, pair: tuple[int, int]) -> str:
    label, said = map(debugged.class_name, pair)
    return f"labelled {label}, predicted {said}"


def _nearest(debugged: Debugged, cause: Cause) -> list[int]:
    """Right inputs that share the cause, the ones nearest to one of its errors first."""
    if not len(cause.right):
        return []
    inputs = debugged.book.inputs
    errors = np.asarray(inputs[cause.rows[:PICTURES]], dtype=np.float64)
    own = np.asarray(inputs[cause.right], dtype=np.float64)
    far = ((own**2).sum(1)[:, None] - 2 * own @ errors.T + (errors**2).sum(1)[None]).min(axis=1)
    return [int(row) for row in cause.right[np.argsort(far, kind="stable")[:RIGHT]]]


def _region(subject: Subject, cause: Cause) -> Link | None:
    """The region of an edit as a picture: white where it is edited."""
    condition, shape = cause.condition, subject.image_shape
    if shape is None or not isinstance(condition, UsualRegion):
        return None
    plane = np.zeros(int(np.prod(shape)))
    plane[list(condition.features)] = 1.0
    words = f"white: {condition.name}"
    return Link(Thumb(row_picture(plane, shape, (0.0, 1.0)), "region", words), "")
