"""What suffices for a wrong prediction, on the page of its input: the pixels or columns that keep
it as it is, whatever the others are in the ball of its own precondition."""

from __future__ import annotations

from dataclasses import dataclass

from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import OwnPrecondition, Unproved
from precond.region.radius import Radius
from precond.report.evidence import Subject, Table, Thumb
from precond.report.sufficient.page import kept_pictures, kept_table
from precond.report.sufficient.words import InputAnswer, sentence


@dataclass(frozen=True)
class Enough:
    """``command`` finds more; "" where there is nothing to find."""

    title: str
    words: tuple[str, ...]
    pictures: tuple[Thumb, ...] = ()
    tables: tuple[Table, ...] = ()
    command: str = ""


def enough(subject: Subject, debugged: Debugged, finding: Finding) -> Enough | None:
    """None where the input has no precondition of its own, or there was no time."""
    own, found = finding.own, finding.sufficient
    if isinstance(own, Unproved):
        return None
    said = debugged.class_name(finding.predicted)
    word = "column" if subject.image_shape is None else "pixel"
    title = f"Which {word}s suffice for {said}"
    free = _free(subject, own)
    if found is None:
        if own.precondition.pattern:
            return None
        words = f"No {word} has to stay: it is class {said} whatever the {word}s are {free}."
        return Enough(title, (words,))
    if not found.verdict.is_proved or found.size == found.question.units.count:
        return Enough(title, (f"No {word} was proved to be free in {found.seconds:.1f} s.",))
    answer = InputAnswer(finding.row, f"class {said}", free)
    text = sentence(found, answer)
    label = debugged.class_name(finding.label)
    more = f"Its label is {label}: a mend has to change one of these, or go beyond these limits."
    tables = () if word == "pixel" or not found.size else (kept_table(found),)
    radius = Radius(own.radius, own.of_range)
    return Enough(
        title,
        words=(text, more) if found.size else (text,),
        pictures=kept_pictures(subject, found) if found.size else (),
        tables=tables,
        command=f"precond explain MODEL --inputs DATA --index {finding.row} --sufficient "
        f"--radius {radius.option} --out why.html",
    )


def _free(subject: Subject, own: OwnPrecondition) -> str:
    """Where free features may be, in words."""
    radius = Radius(own.radius, own.of_range)
    if own.of_range:
        return f"within ± {radius.at_least(4)} of their columns' ranges and within the data's range"
    low, high = subject.natural
    cut = "the data's range" if subject.image_shape is None else f"[{low:g}, {high:g}]"
    return f"within ± {radius.at_least(4)} of their values and within {cut}"
