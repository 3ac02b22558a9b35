"""The patterns of one class as the page of a whole-domain search shows them.

For each pattern: its numbers, its drawing, inputs with and without it, and what forced its
literals: the counterexample as values of the cut layer, and the training input nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.basics.counting import percent
from precond.basics.rounded import at_least
from precond.data.dataset import class_name, class_words, input_name
from precond.proof.attempt import SecondProof
from precond.proof.status import Status
from precond.report.evidence import Gallery, Table, Thumb
from precond.report.plot.pattern import draw_pattern, literal_lines
from precond.report.plot.pictures import grid_size, row_picture
from precond.study.whole_space.result import ClassResult, Forced, Share, WholeSpace

THUMBS = 12
FEATURES = 12
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ForcedRow:
    """A literal, the counterexample that asked for it, and the training input nearest to it."""

    literal: str
    values: Thumb
    nearest: Thumb | None
    words: str
    output: str
    excluded: str
    alone: str


@dataclass(frozen=True)
class PatternCard:
    """One pattern."""

    title: str
    remark: str
    facts: tuple[tuple[str, str], ...]
    drawing: Markup
    words: tuple[str, ...]
    galleries: tuple[Gallery, ...]
    tables: tuple[Table, ...]
    forced: tuple[ForcedRow, ...]
    forced_remark: str


@dataclass(frozen=True)
class ClassSection:
    """One class and its patterns."""

    title: str
    remark: str
    patterns: tuple[PatternCard, ...]


def class_section(run: WholeSpace, result: ClassResult) -> ClassSection:
    tried = "; ".join(
        f"{t.cut}: {t.patterns} patterns, {percent(t.recall)} of training inputs, {t.seconds:.1f} s"
        for t in result.cuts
    )
    cards = tuple(_card(run, result, number) for number in range(len(result.entries)))
    words = class_words(result.target.name, run.study.data.classes)
    name = f"{words}: {result.target.property}"
    return ClassSection(
        f"Class {name}",
        f"{counted(result.held_out)} of its held-out inputs have one of its patterns. "
        f"Cuts tried: {tried}.",
        cards,
    )


def _card(run: WholeSpace, result: ClassResult, number: int) -> PatternCard:
    entry = result.entries[number]
    study, data = run.study, run.study.data
    holds = entry.pattern.holds(study.signatures) & study.within
    own = study.carries(result.target.label) & study.within
    held = data.held_out
    inside, outside = held[(holds & own)[held]], held[(~holds & own)[held]]
    verdict, support = entry.verdict, entry.support
    facts = [
        (
            "Literals",
            f"{len(entry.pattern)} ({len(entry.pattern.on)} on, {len(entry.pattern.off)} off)",
        ),
        ("Held-out recall", f"{percent(support.recall)}{_interval(support.recall_interval)}"),
        ("Precision", f"{percent(support.precision)}{_interval(support.precision_interval)}"),
        ("Proof", f"{verdict.status.value} by {verdict.engine} in {verdict.seconds:.2f} s"),
        ("Second proof", _second_words(verdict.second)),
    ]
    if verdict.bound is not None:
        facts.append(("Margin proved", f"≥ {at_least(verdict.bound, 4)}"))
    if data.labels is not None and len(inside):
        right = float((data.labels[inside] == result.target.label).mean())
        facts.append(("True labels", f"{percent(right)} of its held-out inputs carry the class"))
    forced = tuple(_forced(run, one) for one in result.forced[number])
    return PatternCard(
        entry.id,
        remark=entry.note,
        facts=tuple(facts),
        drawing=draw_pattern(run.study.network, entry.pattern, result.target.name),
        words=literal_lines(entry.pattern),
        galleries=_galleries(run, inside, outside),
        tables=_tables(run, inside, outside),
        forced=forced,
        forced_remark=f"values of {result.cut} with the pattern but for that literal, "
        "and another answer",
    )


def _forced(run: WholeSpace, one: Forced) -> ForcedRow:
    layer, index, on = one.literal
    columns, rows = grid_size(one.values.size)
    padded = np.zeros(rows * columns)
    padded[: one.values.size] = one.values
    top = max(float(one.values.max()), 1e-12)
    name = f"{layer}[{index}] {'on' if on else 'off'}"
    values = Thumb(
        row_picture(padded, (rows, columns), (0.0, top)),
        f"up to {top:.3g}",
        f"values of the cut layer that forced {name}; black 0, white {top:.3g}",
    )
    said = _labels(run, one.nearest)
    nearest = None
    if run.study.data.image_shape is not None:
        nearest = Thumb(
            row_picture(
                run.study.data.inputs[one.nearest],
                run.study.data.image_shape,
                run.study.data.natural,
            ),
            f"#{one.nearest}{said}",
            f"training input {one.nearest}{said}, {one.distance:.3g}° away in the cut layer",
        )
    words = f"#{one.nearest}{said}: {_numbers(run.study.data.inputs[one.nearest])}"
    alone = "yes" if one.alone else "no"
    return ForcedRow(
        name,
        values=values,
        nearest=nearest,
        words=words,
        output=str(one.output),
        excluded=str(one.excluded),
        alone=alone,
    )


def _galleries(run: WholeSpace, inside: Rows, outside: Rows) -> tuple[Gallery, ...]:
    data = run.study.data
    if data.image_shape is None:
        return ()
    shape = data.image_shape
    galleries = []
    for title, rows in (
        ("Held-out inputs of the class that have it", inside),
        ("Held-out inputs of the class that do not", outside),
    ):
        thumbs = tuple(
            Thumb(
                row_picture(data.inputs[r], shape, data.natural),
                f"#{r}",
                f"input {r}{_labels(run, r)}",
            )
            for r in rows[:THUMBS].tolist()
        )
        if thumbs:
            galleries.append(Gallery(title, f"{len(thumbs)} of {len(rows)}", thumbs))
    return tuple(galleries)


def _tables(run: WholeSpace, inside: Rows, outside: Rows) -> tuple[Table, ...]:
    """Ranges of the inputs, where a row is no picture."""
    if run.study.data.image_shape is not None or not len(inside):
        return ()
    flat = np.asarray(run.study.data.flat, dtype=np.float64)
    columns = [("lowest", flat[inside].min(0)), ("mean", flat[inside].mean(0))]
    columns.append(("highest", flat[inside].max(0)))
    if len(outside):
        columns.append(("mean of those without", flat[outside].mean(0)))
    size = min(flat.shape[1], FEATURES)
    names = [input_name(k, run.study.data.features) for k in range(size)]
    rows = tuple((names[k], *(f"{c[k]:.4g}" for _, c in columns)) for k in range(size))
    remark = f"{len(inside)} held-out inputs that have it, {len(outside)} of the class without"
    return (
        Table("Input values", remark=remark, head=("input", *(n for n, _ in columns)), rows=rows),
    )


def counted(share: Share) -> str:
    """``97.0 % (97 of 100)``."""
    return f"{percent(share.value)} ({share.hits} of {share.total})"


def _interval(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f" ({percent(pair[0])} to {percent(pair[1])})"


def _labels(run: WholeSpace, row: int) -> str:
    """`` (true 3, predicted 8)`` as far as it is known."""
    data, said = run.study.data, int(run.study.signatures.predicted[row])
    words = [f"predicted {class_name(said, data.classes)}"]
    if data.labels is not None:
        words.insert(0, f"true {class_name(int(data.labels[row]), data.classes)}")
    return f" ({', '.join(words)})" if words else ""


def _numbers(row: NDArray[np.floating]) -> str:
    flat = np.asarray(row).reshape(-1)
    return (
        "("
        + ", ".join(f"{v:.4g}" for v in flat[:FEATURES])
        + (", …)" if flat.size > FEATURES else ")")
    )


def _second_words(second: SecondProof | None) -> str:
    """What became of the second proof; why none was found is in the table."""
    if second is None:
        return "–"
    if second.status is Status.UNKNOWN:
        return "not decided (the reasons are in patterns.csv)"
    return f"{second.text} by {second.names}"
