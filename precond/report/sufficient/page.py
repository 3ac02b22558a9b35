"""``SufficientFeatures`` → one page, or one JSON object."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from precond.basics.counting import how_many, percent
from precond.data.dataset import class_name
from precond.mine.sufficient_features.minimal import Needed
from precond.mine.sufficient_features.question import Array
from precond.mine.sufficient_features.sufficient import SufficientFeatures
from precond.mine.sufficient_features.units import Flags
from precond.network.evaluate import outputs
from precond.report.evidence import Subject, Table, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.pictures import data_uri, row_picture
from precond.report.sufficient.words import (
    InputAnswer,
    bound_words,
    conditions,
    contrast_words,
    needed_words,
    plural,
    sentence,
    shown,
)

SHEETS = ("report.css", "debug.css")
SHOWN = 40  # rows of the table
VIOLATORS = 4  # pictures of them
KEPT, FREE = np.array((194, 87, 12)), np.array((221, 221, 221))
WHY = {
    Needed.VIOLATOR: "a violator changes it and free ones only",
    Needed.UNPROVED: "no proof was found without it",
    Needed.NOT_ASKED: "not asked: time ran out",
}


@dataclass(frozen=True)
class SufficientPage:
    """Everything the page shows."""

    title: str
    answer: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    pictures: tuple[Thumb, ...]
    violators: tuple[Thumb, ...]
    contrast: str
    table: Table
    attempts: Table


def sufficient_page(
    subject: Subject,
    found: SufficientFeatures,
    answer: InputAnswer,
    classes: tuple[str, ...] | None,
) -> str:
    """The page as HTML text."""
    page = SufficientPage(
        title=f"What suffices for input {answer.row}",
        answer=sentence(found, answer),
        facts=_facts(subject, found, answer),
        figures=_figures(found),
        pictures=kept_pictures(subject, found),
        violators=_violators(subject, found, classes),
        contrast=_contrast(found, classes),
        table=kept_table(found),
        attempts=_attempts(found),
    )
    return render_page("sufficient.html", page, SHEETS)


def sufficient_json(found: SufficientFeatures, answer: InputAnswer) -> str:
    """The same as data."""
    wide, other = found.widened, found.contrast
    data: dict[str, Any] = {
        "input": answer.row,
        "answer": answer.says,
        "sentence": sentence(found, answer),
        "units": found.question.units.count,
        "unit": found.question.units.word,
        "kept": list(found.kept),
        "names": list(found.names),
        "needed": {str(unit): why.value for unit, why in sorted(found.needed.why.items())},
        "least": found.least,
        "verdict": found.verdict.to_json(),
        "lower": found.claim.box.lower.tolist(),
        "upper": found.claim.box.upper.tolist(),
        "intervals": None
        if wide is None
        else {
            "conditions": conditions(found),
            "lower": wide.box.lower.tolist(),
            "upper": wide.box.upper.tolist(),
            "verdict": wide.verdict.to_json(),
        },
        "contrast": None
        if other is None
        else {
            "class": other.label,
            "units": list(other.units),
            "least": other.least,
            "input": None if other.point is None else other.point.tolist(),
        },
        "proofs": found.proofs,
        "seconds": round(found.seconds, 3),
    }
    return json.dumps(data, indent=1)


def _facts(
    subject: Subject, found: SufficientFeatures, answer: InputAnswer
) -> tuple[tuple[str, str], ...]:
    verdict = found.verdict
    checked = ", with a certificate checked in exact arithmetic" if verdict.exact else ""
    return (
        ("Model", subject.model),
        ("Data", subject.data),
        ("Input", f"row {answer.row}, {answer.says}"),
        ("Free", f"{plural(found.question.units.word, 2)} that are not kept are {answer.free}"),
        ("Verdict", f"{verdict.status.value} by {verdict.engine}{checked}"),
        ("Smallest", bound_words(found)),
        ("Kept", needed_words(found)),
        ("Time", f"{found.seconds:.1f} s, {how_many(found.proofs, 'claim')} put to the prover"),
    )


def _figures(found: SufficientFeatures) -> tuple[Figure, ...]:
    units = found.question.units
    tone = "proved" if found.verdict.is_proved else "unknown"
    figures = [
        Figure(
            "Kept",
            str(found.size),
            f"of {units.count} {plural(units.word, units.count)}",
            tone=tone,
        ),
        Figure("At least", str(found.least), "in every sufficient set, proved"),
        Figure("Gap", percent(found.gap), "how much smaller a set could be"),
    ]
    if found.contrast is not None and found.contrast.point is not None:
        hint = f"to reach the other class; at least {found.contrast.least}"
        figures.append(Figure("To change", str(len(found.contrast.units)), hint, tone="refuted"))
    return tuple(figures)


def kept_pictures(subject: Subject, found: SufficientFeatures) -> tuple[Thumb, ...]:
    """The input, its kept pixels, and an input of the other class where one was looked for."""
    shape, question = subject.image_shape, found.question
    if shape is None:
        return ()
    kept = question.units.features(~found.needed.free)
    thumbs = [
        Thumb(row_picture(question.x, shape, subject.natural), "the input", "the input"),
        Thumb(
            _marked(question.x, kept, shape, natural=subject.natural),
            f"kept: {found.size}",
            "the kept pixels in colour, the free ones in grey",
        ),
    ]
    other = found.contrast
    if other is not None and other.point is not None:
        moved = row_picture(other.point, shape, subject.natural)
        changed = question.units.features(question.changed(other.point[None])[0])
        words = f"{len(other.units)} changed"
        thumbs.append(Thumb(moved, "other class", "an input of the other class"))
        marked = _marked(other.point, changed, shape, natural=subject.natural)
        thumbs.append(Thumb(marked, words, "the pixels that it changes, in colour"))
    return tuple(thumbs)


def _marked(
    values: Array, kept: Flags, shape: tuple[int, ...], natural: tuple[float, float]
) -> str:
    """A picture with the flagged pixels in colour, light where it is light."""
    low, high = natural
    level = np.clip((values - low) / ((high - low) or 1.0), 0, 1).reshape(shape)
    flags: Flags = kept.reshape(shape)
    if len(shape) == 3:
        level, flags = level.mean(0), np.asarray(flags.any(0))
    strength = (0.6 + 0.4 * level)[..., None]
    colour = np.where(flags[..., None], KEPT * strength, FREE * (0.8 + 0.2 * level[..., None]))
    return data_uri(Image.fromarray(np.rint(colour).astype(np.uint8)))


def _violators(
    subject: Subject, found: SufficientFeatures, classes: tuple[str, ...] | None
) -> tuple[Thumb, ...]:
    """Inputs that change one kept unit and free ones, for the units that matter most."""
    shape, question = subject.image_shape, found.question
    if shape is None:
        return ()
    thumbs = []
    for unit in [u for u in found.kept if u in found.needed.violators][:VIOLATORS]:
        point = found.needed.violators[unit]
        value = outputs(question.network, point.reshape(1, *question.network.input_shape))
        said = class_name(int(question.network.classes.predicted(value)[0]), classes)
        name = question.units.names[unit]
        title = f"an input that changes {name} and free {plural(question.units.word, 2)} only"
        picture = row_picture(point, shape, subject.natural)
        thumbs.append(Thumb(picture, f"{name} too: {said}", title))
    return tuple(thumbs)


def _contrast(found: SufficientFeatures, classes: tuple[str, ...] | None) -> str:
    if found.contrast is None:
        return ""
    words = contrast_words(found, class_name(found.contrast.label, classes))
    return f"{words[0].upper()}{words[1:]}."


def kept_table(found: SufficientFeatures) -> Table:
    """The kept features, with their values and why they are kept."""
    question = found.question
    plain = question.units.plain
    said = conditions(found)
    wide = found.widened is not None
    rows = []
    for place, (name, unit) in enumerate(zip(found.names, found.kept, strict=True)):
        value = shown(question.x[unit]) if plain else f"{question.units.sizes[unit]} features"
        interval = (said[place],) if wide else ()
        rows.append((name, value, *interval, WHY[found.needed.why.get(unit, Needed.NOT_ASKED)]))
    what = ("what suffices",) if wide else ()
    head = (question.units.word, "value" if plain else "size", *what, "why it is kept")
    remark = "those that matter most first"
    if len(rows) > SHOWN:
        remark += f"; the first {SHOWN} of {len(rows)}"
    return Table(f"Kept {plural(question.units.word, 2)}", remark, head, rows=tuple(rows[:SHOWN]))


def _attempts(found: SufficientFeatures) -> Table:
    rows = [(a.engine, f"{a.seconds:.2f} s", a.text) for a in found.verdict.attempts]
    return Table("How the set was proved", "", ("engine", "time", "answers"), rows=tuple(rows))
