"""What stands for a pattern: examples, witness and box, as pictures or as tables of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.data.dataset import Dataset, class_name, class_words, input_name
from precond.proof.precondition import Precondition
from precond.region.box import Box
from precond.report.plot.pictures import row_picture
from precond.study.analysis import Analysis

THUMBS = 12
FEATURES = 40
CLASSES = 12  # names of classes in a line
EXAMPLES = "Held-out inputs with this pattern (anywhere)"
WRONG = "Misclassified inputs with this pattern (anywhere)"

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """What the run was given, in words, and how a row is shown."""

    model: str
    data: str
    image_shape: tuple[int, ...] | None
    natural: tuple[float, float]
    features: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, model: str, dataset: Dataset) -> Subject:
        """A model on a data set, whose classes are named where the data names them."""
        words = dataset.name
        if dataset.classes is not None and dataset.classes != tuple(
            map(str, range(len(dataset.classes)))
        ):
            shown = [f"{k} {name}" for k, name in enumerate(dataset.classes[:CLASSES])]
            more = ", …" if len(dataset.classes) > CLASSES else ""
            words += f" (classes: {', '.join(shown)}{more})"
        return cls(
            model,
            data=words,
            image_shape=dataset.image_shape,
            natural=dataset.natural,
            features=dataset.features,
            classes=dataset.classes,
        )


@dataclass(frozen=True)
class Thumb:
    """One picture: its address, the words below it and the ones for people who cannot see it."""

    uri: str
    caption: str
    title: str


@dataclass(frozen=True)
class Gallery:
    """A titled strip of pictures with a remark."""

    title: str
    remark: str
    thumbs: tuple[Thumb, ...]


@dataclass(frozen=True)
class Table:
    """A titled table of words with a remark."""

    title: str
    remark: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def says_classes(analysis: Analysis) -> bool:
    """Whether the network's outputs are read as classes: several are, and one where labels, or
    the question of the run, say so."""
    known = analysis.goal.by_class or analysis.data.labels is not None
    return not analysis.network.classes.binary or known


def misclassified(analysis: Analysis, rows: Rows) -> Rows:
    """Those of ``rows`` whose class is not their label, held-out ones first."""
    data = analysis.data
    if data.labels is None:
        return rows[:0]
    wrong = rows[analysis.signatures.predicted[rows] != data.labels[rows]]
    held_out = np.isin(wrong, data.held_out)
    return np.concatenate([wrong[held_out], wrong[~held_out]])


def labels_of(analysis: Analysis, row: int) -> str:
    """`` (true 3, predicted 8)`` as far as it is known."""
    words = []
    if analysis.data.labels is not None:
        words.append(f"true {class_name(int(analysis.data.labels[row]), analysis.data.classes)}")
    if says_classes(analysis):
        said = int(analysis.signatures.predicted[row])
        words.append(f"predicted {class_name(said, analysis.data.classes)}")
    return f" ({', '.join(words)})" if words else ""


def galleries(
    analysis: Analysis,
    item: Precondition,
    examples: Rows,
    wrong: Rows,
    at_witness: NDArray[np.float64] | None,
    inside: str,
) -> tuple[Gallery, ...]:
    """Pictures: the source, ``examples`` and ``wrong`` (row numbers), the witness, the box.

    ``inside`` says how many of the examples the claim is about; empty where it is all.
    """
    galleries = []
    if item.source is not None:
        source = _row_pictures(analysis, np.array([item.source], dtype=np.int64))
        galleries.append(Gallery("Input it was found from", f"input {item.source}", source))
    if len(examples):
        mean = np.asarray(analysis.data.inputs[examples], dtype=np.float64).mean(axis=0)
        first = _picture(analysis, mean, "mean", title="mean of all of them")
        thumbs = (first, *_row_pictures(analysis, examples))
        galleries.append(Gallery(EXAMPLES, _of(examples) + inside, thumbs))
    if len(wrong):
        galleries.append(Gallery(WRONG, _of(wrong), _row_pictures(analysis, wrong)))
    if item.verdict.witness is not None:
        galleries.append(_witness(analysis, item, item.verdict.witness, at_witness=at_witness))
    if item.box is not None:
        galleries.append(_box(analysis, item.box, item.verdict.is_proved))
    return tuple(galleries)


def _picture(analysis: Analysis, values: NDArray[np.floating], caption: str, title: str) -> Thumb:
    data = analysis.data
    return Thumb(row_picture(values, data.image_shape or (), data.natural), caption, title)


def _row_pictures(analysis: Analysis, rows: Rows) -> tuple[Thumb, ...]:
    return tuple(
        _picture(
            analysis,
            analysis.data.inputs[r],
            caption=_short(analysis, r),
            title=f"input {r}{labels_of(analysis, r)}",
        )
        for r in map(int, rows[:THUMBS])
    )


def _witness(
    analysis: Analysis,
    item: Precondition,
    witness: NDArray[np.float64],
    at_witness: NDArray[np.float64] | None,
) -> Gallery:
    caption, title = "witness", "the witness"
    if at_witness is not None and says_classes(analysis):
        number = int(analysis.network.classes.predicted(at_witness[None])[0])
        said = class_name(number, analysis.data.classes)
        caption, title = f"witness → {said}", f"the witness, predicted {said}"
    thumbs = [_picture(analysis, witness, caption, title=title)]
    remark = "in the region, without the property"
    if item.source is not None:
        source = analysis.data.inputs[item.source]
        thumbs.append(_picture(analysis, source, "source", title="the input it started from"))
        gap = np.abs(witness - np.asarray(source).reshape(-1)).max()
        remark = f"largest change of one value from the source: {gap:.4g}"
    return Gallery("Witness against the claim", remark, tuple(thumbs))


def _box(analysis: Analysis, box: Box, proved: bool) -> Gallery:
    what = "property" if proved else "pattern"
    width = analysis.data.natural[0] + box.width
    return Gallery(
        "Box inside the region",
        f"every picture between lowest and highest has the {what}",
        (
            _picture(analysis, box.lower, "lowest", title="lower bound of every value"),
            _picture(analysis, box.upper, "highest", title="upper bound of every value"),
            _picture(analysis, width, "width", title="white where a value is free"),
        ),
    )


def _of(rows: Rows) -> str:
    shown = min(len(rows), THUMBS)
    return f"{shown} of {len(rows)} shown" if shown < len(rows) else f"{shown} in all"


def _short(analysis: Analysis, row: int) -> str:
    """``3 → 8`` where the label is 3 and the prediction 8; one class where they agree."""
    if not says_classes(analysis):
        return f"#{row}"
    names, labels = analysis.data.classes, analysis.data.labels
    predicted = int(analysis.signatures.predicted[row])
    if labels is None or int(labels[row]) == predicted:
        return class_name(predicted, names)
    return f"{class_name(int(labels[row]), names)} → {class_name(predicted, names)}"


def feature_tables(
    analysis: Analysis, item: Precondition, examples: Rows, wrong: Rows, inside: str
) -> tuple[Table, ...]:
    """Ranges of every input over ``examples``, box and witness; the ``wrong`` rows."""
    data = analysis.data
    columns: list[tuple[str, NDArray[np.float64]]] = []
    if len(examples):
        values = np.asarray(data.flat[examples], dtype=np.float64)
        columns += [("lowest", values.min(axis=0)), ("mean", values.mean(axis=0))]
        columns += [("highest", values.max(axis=0))]
    if item.box is not None:
        columns += [("box from", item.box.lower), ("box to", item.box.upper)]
    if item.verdict.witness is not None:
        columns.append(("witness", item.verdict.witness))
    tables = []
    if columns:
        size = analysis.network.input_size
        remark = f"over {len(examples)} held-out inputs with this pattern (anywhere){inside}"
        if size > FEATURES:
            remark += f"; the first {FEATURES} of {size} inputs"
        cells = tuple(
            (input_name(k, data.features), *(f"{column[k]:.4g}" for _, column in columns))
            for k in range(min(size, FEATURES))
        )
        head = ("input", *(name for name, _ in columns))
        tables.append(Table("Input values", remark=remark, head=head, rows=cells))
    if len(wrong):
        assert data.labels is not None
        lines = tuple(
            (
                str(r),
                class_words(int(data.labels[r]), data.classes),
                class_words(int(analysis.signatures.predicted[r]), data.classes),
            )
            for r in wrong[:THUMBS]
        )
        tables.append(
            Table(WRONG, remark=_of(wrong), head=("row", "true label", "predicted"), rows=lines)
        )
    return tuple(tables)
