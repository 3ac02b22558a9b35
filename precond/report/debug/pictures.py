"""Wrong inputs as pictures: one with its labels, beside its like, its box and its gradients."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import Unproved
from precond.report.evidence import THUMBS, Gallery, Subject, Thumb
from precond.report.plot.pictures import row_picture, signed_picture

FOLDER = "inputs"


@dataclass(frozen=True)
class Link:
    """A picture that leads to another page ("" where there is none)."""

    thumb: Thumb
    href: str


def page_name(row: int) -> str:
    """File name of the page of an input."""
    return f"input-{row}.html"


def page_address(row: int, pages: Container[int]) -> str:
    """Address of an input's page from the index; "" where it has none."""
    return f"{FOLDER}/{page_name(row)}" if row in pages else ""


def thumb(subject: Subject, debugged: Debugged, row: int, caption: str = "") -> Thumb | None:
    """A row as a picture with its labels; None where rows are no pictures."""
    if subject.image_shape is None:
        return None
    label, said = (debugged.class_name(int(k[row])) for k in (debugged.labels, debugged.predicted))
    words = label if label == said else f"{label} → {said}"
    title = f"input {row} (labelled {label}, predicted {said})"
    picture = row_picture(debugged.book.inputs[row], subject.image_shape, subject.natural)
    return Thumb(picture, caption or words, title)


def sharing(
    subject: Subject, debugged: Debugged, finding: Finding
) -> tuple[tuple[Gallery, ...], tuple[Link, ...]]:
    """Right training inputs, and other wrong ones, that satisfy the best-supported rule."""
    if not finding.rules or subject.image_shape is None:
        return (), ()
    book = debugged.book
    holds = book.holds(finding.rules[0])
    right = debugged.predicted == debugged.labels
    train = book.train[(holds & right)[book.train]]
    gap = np.abs(book.inputs[train] - book.inputs[finding.row]).sum(axis=1)
    nearest = train[np.argsort(gap, kind="stable")]
    galleries: list[Gallery] = []
    if len(train):
        rows = np.asarray(book.inputs[train], dtype=np.float64)
        extremes = [(rows.min(0), "lowest"), (rows.mean(0), "mean"), (rows.max(0), "highest")]
        thumbs = [
            Thumb(row_picture(v, subject.image_shape, subject.natural), w, f"{w} of each value")
            for v, w in extremes
        ]
        thumbs += [t for r in nearest[:THUMBS].tolist() if (t := thumb(subject, debugged, r))]
        name = book.name(finding.rules[0])
        remark = f"{len(train)} with {name}; their lowest, mean and highest value, then the nearest"
        galleries.append(
            Gallery("Right training inputs that share the rule", remark, tuple(thumbs))
        )
    examined = {f.row for f in debugged.findings}
    wrong = [r for r in np.flatnonzero(holds & ~right).tolist() if r != finding.row]
    links = [
        Link(t, page_name(r) if r in examined else "")
        for r in wrong[:THUMBS]
        if (t := thumb(subject, debugged, r))
    ]
    return tuple(galleries), tuple(links)


def box_gallery(subject: Subject, finding: Finding) -> tuple[Gallery, ...]:
    own = finding.own
    if isinstance(own, Unproved) or own.box is None or subject.image_shape is None:
        return ()
    low, high = subject.natural
    widest = float(own.box.width.max()) or 1.0
    parts = (
        (own.box.lower, "lowest", "lower bound of every value"),
        (own.box.upper, "highest", "upper bound of every value"),
        (
            low + (high - low) * own.box.width / widest,
            "width",
            f"width of every value's interval; white is {widest:.3g}",
        ),
    )
    thumbs = tuple(
        Thumb(row_picture(v, subject.image_shape, subject.natural), word, title)
        for v, word, title in parts
    )
    remark = f"mean width {own.box.width.mean():.4g}, widest {widest:.4g} (white in the third)"
    return (Gallery("Box around it: every picture between is predicted alike", remark, thumbs),)


def class_gap(debugged: Debugged, finding: Finding) -> str:
    """The predicted minus the labelled class's output, in words."""
    return debugged.book.network.classes.gap(finding.predicted, finding.label)


def gradient_gallery(subject: Subject, debugged: Debugged, finding: Finding) -> tuple[Gallery, ...]:
    assert subject.image_shape is not None
    values = finding.gradients
    said, label = map(debugged.class_name, (finding.predicted, finding.label))
    own = row_picture(debugged.book.inputs[finding.row], subject.image_shape, subject.natural)
    return (
        Gallery(
            f"Why {said} rather than {label}",
            f"integrated gradients of {class_gap(debugged, finding)}",
            (
                Thumb(own, "input", "the input"),
                Thumb(
                    signed_picture(values, subject.image_shape),
                    f"red: for {said}",
                    f"red speaks for {said}, blue for {label}; sum {values.sum():.4g}",
                ),
            ),
        ),
    )
