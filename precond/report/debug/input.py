"""One wrong input → the plain values of its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import Unproved
from precond.apply.debugging.rule_book import Counterfactual
from precond.basics.counting import percent
from precond.data.dataset import input_name
from precond.report.debug.enough import Enough, enough
from precond.report.debug.pictures import (
    Link,
    box_gallery,
    class_gap,
    gradient_gallery,
    sharing,
    thumb,
)
from precond.report.debug.words import flip_words, flips_short, own_words, suspect_words
from precond.report.evidence import Gallery, Subject, Table, Thumb
from precond.report.plot.bars import score_chart
from precond.report.plot.pattern import draw_pattern, literal_lines
from precond.report.plot.profiles import profile_chart

RULES = 12
FEATURES = 30
Rows = NDArray[np.int64]


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
    enough: Enough | None
    flips: tuple[str, ...]
    flip_table: Table | None
    gradients: tuple[Gallery, ...]
    profile: Markup
    profile_words: str
    label: str
    predicted: str
    tables: tuple[Table, ...]


def input_page(
    subject: Subject,
    debugged: Debugged,
    finding: Finding,
    suspect: Suspect | None,
    before: str,
    after: str,
) -> InputPage:
    """The page of one finding; ``before`` and ``after`` are the neighbours' file names."""
    book, row = debugged.book, finding.row
    shared, others = sharing(subject, debugged, finding)
    own_claims, own_lines = own_words(debugged, finding)
    picture = subject.image_shape is not None
    pattern = None if isinstance(finding.own, Unproved) else finding.own.precondition.pattern
    best = finding.rules[0] if finding.rules else None
    profile = finding.profile
    label, said = map(debugged.class_name, (finding.label, finding.predicted))
    return InputPage(
        f"Input {row}: labelled {label}, predicted {said}",
        lead=f"{subject.model} on {subject.data}",
        before=before,
        after=after,
        facts=_facts(debugged, finding),
        picture=thumb(subject, debugged, row),
        scores=score_chart(
            finding.outputs, finding.label, finding.predicted, classes=debugged.classes
        ),
        suspect="" if suspect is None else suspect_words(debugged, suspect),
        rules=tuple(_line(debugged, number) for number in finding.rules[:RULES]),
        rules_more=max(0, len(finding.rules) - RULES),
        best="" if best is None else book.name(best),
        best_words=()
        if best is None
        else literal_lines(book.rules[best].pattern, debugged.unit_names),
        best_drawing=None
        if best is None
        else draw_pattern(book.network, book.rules[best].pattern, said),
        shared=shared,
        others=others,
        own_words=own_claims,
        own_lines=own_lines,
        own_drawing=None
        if pattern is None or not len(pattern)
        else draw_pattern(book.network, pattern, said),
        boxes=box_gallery(subject, finding) if picture else (),
        enough=enough(subject, debugged, finding),
        flips=flip_words(debugged, finding),
        flip_table=_flip_table(debugged, finding.switching or finding.nearest),
        gradients=gradient_gallery(subject, debugged, finding) if picture else (),
        profile=Markup("") if profile is None else profile_chart(profile, label, said),
        profile_words=""
        if profile is None
        else f"{percent(profile.further_than)} of the inputs rightly predicted as "
        f"{said} are nearer to that class's usual influences at {profile.layer} "
        "(by rank distance) than this one.",
        label=label,
        predicted=said,
        tables=() if picture else _tables(subject, debugged, finding),
    )


def _facts(debugged: Debugged, finding: Finding) -> tuple[tuple[str, str], ...]:
    part = "held out" if finding.row in set(debugged.held_out.tolist()) else "training"
    margin = finding.outputs[finding.predicted] - finding.outputs[finding.label]
    gap = class_gap(debugged, finding)
    label, said = map(debugged.class_name, (finding.label, finding.predicted))
    return (
        ("Input", f"row {finding.row}, {part}"),
        ("Labelled", label),
        ("Predicted", said),
        ("Margin", f"{margin:.4g} ({gap}: predicted minus labelled class's output)"),
        ("Rules", f"{len(finding.rules)} of class {said} hold"),
        ("Flips", flips_short(debugged, finding)),
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
        layer=rule.layer,
        literals=len(rule.pattern),
        right=int((carried & ~late).sum()),
        precision=f"{percent(share)} of {int(late.sum())}",
        errors=int((debugged.predicted[inside] != debugged.labels[inside]).sum()),
    )


def _flip_table(debugged: Debugged, way: Counterfactual | None) -> Table | None:
    if way is None or not way.flips:
        return None
    names = debugged.unit_names
    rows = tuple(
        (
            f"{flip.layer}[{names.shown(flip.layer, flip.index)}]",
            "off → on" if flip.on else "on → off",
            f"{flip.value:.4g}",
            f"{flip.usual:.4g}",
        )
        for flip in way.flips
    )
    said = f"the network then answers {debugged.class_name(way.predicted_then)}"
    return Table(
        "Neurons to switch", remark=said, head=("neuron", "switch", "now", "usual value"), rows=rows
    )


def _tables(subject: Subject, debugged: Debugged, finding: Finding) -> tuple[Table, ...]:
    """For rows that are no pictures: value, attribution and box of the leading inputs."""
    values, gradients = debugged.book.inputs[finding.row], finding.gradients
    box = None if isinstance(finding.own, Unproved) else finding.own.box
    order: Sequence[int] = np.argsort(-np.abs(gradients), kind="stable")[:FEATURES].tolist()
    rows = tuple(
        (
            input_name(i, subject.features),
            f"{values[i]:.4g}",
            f"{gradients[i]:+.4g}",
            "–" if box is None else f"{box.lower[i]:.4g}",
            "–" if box is None else f"{box.upper[i]:.4g}",
        )
        for i in order
    )
    said = debugged.class_name(finding.predicted)
    head = ("input", "value", f"for {said}", "box from", "box to")
    remark = f"integrated gradients of {class_gap(debugged, finding)}, largest first"
    return (Table("Inputs that decide", remark=remark, head=head, rows=rows),)
