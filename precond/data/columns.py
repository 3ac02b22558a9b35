"""What the columns of a user's table mean: which holds the labels, which are no features, and
in which order classes with names stand for the network's outputs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.network.interface import NamedTensor

LABEL_NAMES = ("labels", "label", "y", "target", "class")
INDEX_NAMES = ("", "unnamed: 0", "index", "id", "row", "__index_level_0__")
SHOWN = 12  # names in a message
LABELS_OR_DROP = (
    "A column of labels is named by --label-column, others that are no features by --drop"
)


@dataclass(frozen=True)
class TableColumns:
    """``label``: the column of labels (None: one named label, labels or y); ``drop``: columns
    that are no features; ``classes``: names of the classes, in the order of the outputs;
    ``parts``: the inputs of a network that reads several."""

    label: str | None = None
    drop: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    parts: tuple[NamedTensor, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes):
            raise DataError("--classes", expected="each name once", got=", ".join(self.classes))

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for."""
        return self == PLAIN

    def label_of(self, header: Sequence[str], origin: str) -> int | None:
        """Position of the label column; DataError for a name that the header lacks."""
        if self.label is not None:
            return _position(self.label, header, f"{origin}: --label-column")
        found = [
            i
            for i, name in enumerate(header)
            if name.lower() in LABEL_NAMES and name not in self.drop
        ]
        if len(found) > 1:
            names = " and ".join(header[i] for i in found)
            fix = f"Say which: --label-column {header[found[0]]}"
            raise DataError(f"{origin}: label column", expected="one name", got=names, fix=fix)
        return found[0] if found else None

    def features_of(self, header: Sequence[str], origin: str) -> list[int]:
        """Positions of the columns that are features."""
        dropped = {_position(name, header, f"{origin}: --drop") for name in self.drop}
        dropped.add(-1 if (own := self.label_of(header, origin)) is None else own)
        return [i for i in range(len(header)) if i not in dropped]


PLAIN = TableColumns()


def index_columns(header: Sequence[str], table: NDArray[np.float64]) -> list[int]:
    """Columns that only count the rows: the first or last, named as an index is (or not at
    all), whose values rise by one."""
    ends = sorted({0, len(header) - 1})
    return [
        place
        for place in ends
        if header[place].lower() in INDEX_NAMES
        and len(table) > 1
        and len(header) > 1
        and (np.diff(table[:, place]) == 1).all()
    ]


def split_table(
    text: str, header: Sequence[str], columns: TableColumns, origin: str, delimiter: str = ","
) -> tuple[NDArray[np.float64], list[str] | None, tuple[str, ...]]:
    """Features (N, n), the labels as they are written (None: no such column), feature names.

    ValueError where a feature is no number.
    """
    features, label = columns.features_of(header, origin), columns.label_of(header, origin)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    next(reader)
    rows, labels = [], []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"{origin}, line {reader.line_num}",
                expected=f"{len(header)} values, as in line 1",
                got=str(len(row)),
            )
        for place in features:
            try:
                float(row[place])
            except ValueError:
                raise DataError(
                    f"{origin}, line {reader.line_num}, column {header[place]!r}",
                    expected="a number",
                    got=repr(row[place][:40]),
                    fix=LABELS_OR_DROP,
                ) from None
        rows.append([float(row[place]) for place in features])
        labels.append("" if label is None else row[label].strip())
    if not rows:
        raise DataError(origin, expected="a line per input", got="none")
    names = tuple(header[place] for place in features)
    return np.array(rows, np.float64), None if label is None else labels, names


def numbered(labels: Sequence[str], columns: TableColumns, origin: str) -> NDArray[np.float64]:
    """Labels as class numbers.  Names need ``columns.classes``: their order is not guessed."""
    found = sorted(set(labels))
    if columns.classes and set(found) <= set(columns.classes):
        place = {name: number for number, name in enumerate(columns.classes)}
        return np.array([place[label] for label in labels], np.float64)
    try:
        return np.array([float(label) for label in labels])
    except ValueError:
        pass
    shown = ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
    if columns.classes:
        raise DataError(
            f"labels of {origin}",
            expected=f"class numbers, or names of --classes {','.join(columns.classes)}",
            got=shown,
        )
    raise DataError(
        f"labels of {origin}",
        expected="class numbers, 0 to K − 1 in the order of the network's outputs",
        got=f"names: {shown}",
        fix=f"Name them in the order of the network's outputs, which the data do not tell.  If the "
        f"order is that of the alphabet: --classes {','.join(found[:SHOWN])}",
    )


def _position(name: str, header: Sequence[str], problem: str) -> int:
    if list(header).count(name) != 1:
        raise DataError(
            problem,
            expected=f"one of {_some(name, header)}",
            got=name if name not in header else f"{name}, which stands there twice",
        )
    return list(header).index(name)


def _some(name: str, header: Sequence[str]) -> str:
    """The names of the header; of a long one the first, the last, and those like `name`."""
    if len(header) <= SHOWN:
        return ", ".join(header)
    like = get_close_matches(name, header, n=3)
    some = list(dict.fromkeys([*like, *header[: SHOWN - len(like) - 1], header[-1]]))
    return f"{', '.join(some)} and {len(set(header)) - len(some)} more"
