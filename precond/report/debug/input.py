"""One wrong input → the plain values of its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.apply.debugging.causes import Suspect
from precond.apply.debugging.debugged import Debugged, Finding
from precond.apply.debugging.own_precondition import Unproved
from precond.apply.debugging.rule_book import Counterfactual
from precond.data.dataset import input_name
from precond.report.debug.words import flip_words, flips_short, own_words, suspect_words
from precond.report.evidence import THUMBS, Gallery, Given, Table, Thumb
from precond.report.plot.bars import score_chart
from precond.report.plot.labels import percent
from precond.report.plot.pattern import draw_pattern, literal_lines
from precond.report.plot.pictures import row_picture, signed_picture
from precond.report.plot.profiles import profile_chart

RULES = 12
FEATURES = 30
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Link:
    """A picture that leads to another page ("" where there is none)."""

    thumb: Thumb
    href: str


@dataclass(frozen=True)
class RuleLine:
    """A rule in the table: name, layer, literals, counts and precision as words."""

    name: str
    layer: str
    literals: int
    right: int
    precision: str
    errors: int


@dataclass(frozen=True)
class InputPage:
    """Everything on the page of one wrong input."""

    title: str
    lead: str
    before: str
    after: str
    facts: tuple[tuple[str, str], ...]
    picture: Thumb | None
    scores: Markup
    suspect: str
    rules: tuple[RuleLine, ...]
    rules_more: int
    best: str
    best_words: tuple[str, ...]
    best_drawing: Markup | None
    shared: tuple[Gallery, ...]
    others: tuple[Link, ...]
    own_words: tuple[str, ...]
    own_lines: tuple[str, ...]
    own_drawing: Markup | None
    boxes: tuple[Gallery, ...]
    flips: tuple[str, ...]
    flip_table: Table | None
    gradients: tuple[Gallery, ...]
    profile: Markup
    profile_words: str
    label: int
    predicted: int
    tables: tuple[Table, ...]


def page_name(row: int) -> str:
    """File name of the page of an input."""
    return f"input-{row}.html"


def thumb(given: Given, debugged: Debugged, row: int, caption: str = "") -> Thumb | None:
    """A row as a picture with its labels; None where rows are no pictures."""
    if given.image_shape is None:
        return None
    label, said = int(debugged.labels[row]), int(debugged.predicted[row])
    words = str(label) if label == said else f"{label} → {said}"
    title = f"input {row} (labelled {label}, predicted {said})"
    picture = row_picture(debugged.book.inputs[row], given.image_shape, given.natural)
    return Thumb(picture, caption or words, title)


def input_page(
    given: Given,
    debugged: Debugged,
    finding: Finding,
    suspect: Suspect | None,
    before: str,
    after: str,
) -> InputPage:
    """The page of one finding; ``before`` and ``after`` are the neighbours' file names."""
    book, row = debugged.book, finding.row
    shared, others = _sharing(given, debugged, finding)
    own_claims, own_lines = own_words(finding)
    picture = given.image_shape is not None
    pattern = None if isinstance(finding.own, Unproved) else finding.own.found.pattern
    part = "held out" if row in set(debugged.held_out.tolist()) else "training"
    best = finding.rules[0] if finding.rules else None
    profile = finding.profile
    return InputPage(
        f"Input {row}: labelled {finding.label}, predicted {finding.predicted}",
        f"{given.model} on {given.data}",
        before,
        after,
        (
            ("Input", f"row {row}, {part}"),
            ("Labelled", str(finding.label)),
            ("Predicted", str(finding.predicted)),
            (
                "Margin",
                f"{finding.outputs[finding.predicted] - finding.outputs[finding.label]:.4g} "
                f"({_gap(debugged, finding)}: predicted minus labelled class's output)",
            ),
            ("Rules", f"{len(finding.rules)} of class {finding.predicted} hold"),
            ("Flips", flips_short(finding)),
        ),
        thumb(given, debugged, row),
        score_chart(finding.outputs, finding.label, finding.predicted),
        "" if suspect is None else suspect_words(suspect),
        tuple(_line(debugged, number) for number in finding.rules[:RULES]),
        max(0, len(finding.rules) - RULES),
        "" if best is None else book.name(best),
        () if best is None else literal_lines(book.rules[best].pattern),
        None
        if best is None
        else draw_pattern(book.network, book.rules[best].pattern, str(finding.predicted)),
        shared,
        others,
        own_claims,
        own_lines,
        None
        if pattern is None or not len(pattern)
        else draw_pattern(book.network, pattern, str(finding.predicted)),
        _boxes(given, finding) if picture else (),
        flip_words(debugged, finding),
        _flip_table(finding.switching or finding.nearest),
        _gradients(given, debugged, finding) if picture else (),
        Markup("") if profile is None else profile_chart(profile, finding.label, finding.predicted),
        ""
        if profile is None
        else f"{percent(profile.further_than)} of the inputs rightly predicted as "
        f"{finding.predicted} are nearer to that class's usual influences at {profile.layer} "
        "(by rank distance) than this one.",
        finding.label,
        finding.predicted,
        () if picture else _tables(given, debugged, finding),
    )


def _line(debugged: Debugged, number: int) -> RuleLine:
    book = debugged.book
    rule, holds = book.rules[number], book.holds(number)
    inside = np.flatnonzero(holds)
    carried = debugged.labels[inside] == rule.label
    late = np.isin(inside, debugged.held_out)
    share = float(carried[late].mean()) if late.any() else None
    return RuleLine(
        book.name(number),
        rule.layer,
        len(rule.pattern),
        int((carried & ~late).sum()),
        f"{percent(share)} of {int(late.sum())}",
        int((debugged.predicted[inside] != debugged.labels[inside]).sum()),
    )


def _sharing(
    given: Given, debugged: Debugged, finding: Finding
) -> tuple[tuple[Gallery, ...], tuple[Link, ...]]:
    """Right training inputs, and other wrong ones, that satisfy the best-supported rule."""
    if not finding.rules or given.image_shape is None:
        return (), ()
    book = debugged.book
    holds = book.holds(finding.rules[0])
    right = debugged.predicted == debugged.labels
    train = book.train[(holds & right)[book.train]]
    gap = np.abs(book.inputs[train] - book.inputs[finding.row]).sum(axis=1)
    nearest = train[np.argsort(gap, kind="stable")]
    found: list[Gallery] = []
    if len(train):
        rows = np.asarray(book.inputs[train], dtype=np.float64)
        extremes = [(rows.min(0), "lowest"), (rows.mean(0), "mean"), (rows.max(0), "highest")]
        thumbs = [
            Thumb(row_picture(v, given.image_shape, given.natural), w, f"{w} of each value")
            for v, w in extremes
        ]
        thumbs += [t for r in nearest[:THUMBS].tolist() if (t := thumb(given, debugged, r))]
        name = book.name(finding.rules[0])
        remark = f"{len(train)} with {name}; their lowest, mean and highest value, then the nearest"
        found.append(Gallery("Right training inputs that share the rule", remark, tuple(thumbs)))
    examined = {f.row for f in debugged.findings}
    wrong = [r for r in np.flatnonzero(holds & ~right).tolist() if r != finding.row]
    links = [
        Link(t, page_name(r) if r in examined else "")
        for r in wrong[:THUMBS]
        if (t := thumb(given, debugged, r))
    ]
    return tuple(found), tuple(links)


def _boxes(given: Given, finding: Finding) -> tuple[Gallery, ...]:
    own = finding.own
    if isinstance(own, Unproved) or own.box is None or given.image_shape is None:
        return ()
    low, high = given.natural
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
        Thumb(row_picture(v, given.image_shape, given.natural), word, title)
        for v, word, title in parts
    )
    remark = f"mean width {own.box.width.mean():.4g}, widest {widest:.4g} (white in the third)"
    return (Gallery("Box around it: every picture between is predicted alike", remark, thumbs),)


def _gap(debugged: Debugged, finding: Finding) -> str:
    return debugged.book.network.classes.gap(finding.predicted, finding.label)


def _flip_table(way: Counterfactual | None) -> Table | None:
    if way is None or not way.flips:
        return None
    rows = tuple(
        (
            f"{flip.layer}[{flip.index}]",
            "off → on" if flip.on else "on → off",
            f"{flip.value:.4g}",
            f"{flip.usual:.4g}",
        )
        for flip in way.flips
    )
    said = f"the network then answers {way.predicted_then}"
    return Table("Neurons to switch", said, ("neuron", "switch", "now", "usual value"), rows)


def _gradients(given: Given, debugged: Debugged, finding: Finding) -> tuple[Gallery, ...]:
    assert given.image_shape is not None
    values = finding.gradients
    own = row_picture(debugged.book.inputs[finding.row], given.image_shape, given.natural)
    return (
        Gallery(
            f"Why {finding.predicted} rather than {finding.label}",
            f"integrated gradients of {_gap(debugged, finding)}",
            (
                Thumb(own, "input", "the input"),
                Thumb(
                    signed_picture(values, given.image_shape),
                    f"red: for {finding.predicted}",
                    f"red speaks for {finding.predicted}, blue for {finding.label}; "
                    f"sum {values.sum():.4g}",
                ),
            ),
        ),
    )


def _tables(given: Given, debugged: Debugged, finding: Finding) -> tuple[Table, ...]:
    """For rows that are no pictures: value, attribution and box of the leading inputs."""
    values, gradients = debugged.book.inputs[finding.row], finding.gradients
    box = None if isinstance(finding.own, Unproved) else finding.own.box
    order: Sequence[int] = np.argsort(-np.abs(gradients), kind="stable")[:FEATURES].tolist()
    rows = tuple(
        (
            input_name(i, given.features),
            f"{values[i]:.4g}",
            f"{gradients[i]:+.4g}",
            "–" if box is None else f"{box.lower[i]:.4g}",
            "–" if box is None else f"{box.upper[i]:.4g}",
        )
        for i in order
    )
    head = ("input", "value", f"for {finding.predicted}", "box from", "box to")
    remark = f"integrated gradients of {_gap(debugged, finding)}, largest first"
    return (Table("Inputs that decide", remark, head, rows),)
