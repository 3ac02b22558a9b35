"""``Dataset``: inputs, one row of numbers each, with what is known of them; and its two parts.

``split`` divides a data set into training and held-out rows by a rule that never changes, so
that a model and the analysis of it can agree on which rows the model has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import number, require_kind
from precond.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs (N, …), float32 or memory-mapped, and labels (N,) if there are any.

    ``image_shape`` is (H, W) or (C, H, W) where a row is a picture; ``natural`` the range one
    value can take; ``classes`` the name of each label, ``features`` of each column; ``parts``
    the row numbers to learn from and those held out, for a data set that is published in two
    parts (without it ``split`` says which); ``notes`` what was taken for what, for people to check.
    """

    name: str
    inputs: NDArray[np.floating]
    labels: Rows | None = None
    image_shape: tuple[int, ...] | None = None
    natural: tuple[float, float] = (0.0, 1.0)
    classes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    parts: tuple[Rows, Rows] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def flat(self) -> NDArray[np.floating]:
        """The inputs as rows, (N, n)."""
        return np.asarray(self.inputs).reshape(len(self.inputs), -1)

    @cached_property
    def _split(self) -> tuple[Rows, Rows]:
        return split(self)

    @property
    def train(self) -> Rows:
        """Numbers of the rows to learn from: those of ``parts``, else of ``split``."""
        return self._split[0]

    @property
    def held_out(self) -> Rows:
        """Numbers of the rows that nothing is learned from."""
        return self._split[1]

    def legend(self, most: int = 40) -> list[tuple[str, str]]:
        """What the numbers of classes and inputs stand for, where the data names them otherwise."""
        named = (("classes", self.classes), ("inputs", self.features))
        return [
            (what, ", ".join(f"{i} {name}" for i, name in enumerate(names[:most])))
            for what, names in named
            if names and any(name != str(i) for i, name in enumerate(names))
        ]


def class_name(label: int | str, classes: Sequence[str] | None) -> str:
    """What people call a class: its name where it has one, else its number.  What is no number, a
    property for example, is its own name."""
    number = str(label)
    if classes is None or not number.isdecimal() or int(number) >= len(classes):
        return number
    return classes[int(number)]


def class_words(label: int | str, classes: Sequence[str] | None) -> str:
    """A class by its number, and by its name where that is another: ``0 malignant``."""
    name = class_name(label, classes)
    return name if name == str(label) else f"{label} {name}"


def input_name(index: int, features: Sequence[str] | None) -> str:
    """What people call an input: the name of its column, or x0, x1, …"""
    return f"x{index}" if features is None else features[index] or f"x{index}"


def split(
    dataset: Dataset, held_out: float = 0.2, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(training rows, held-out rows), each in ascending order.

    A data set published in two parts keeps them, whatever ``held_out`` and ``seed`` say.
    Otherwise a part ``held_out`` of the rows, drawn with ``seed``, is held out; with labels,
    the same part of every class, up to one row.
    """
    require_kind(
        "data set", value=dataset, kind=Dataset, fix="load_dataset(name or file) gives one"
    )
    if not 0 < number("held-out part", held_out) < 1:
        raise DataError("held-out part", expected="more than 0, less than 1", got=f"{held_out:g}")
    count = len(dataset)
    if count < 2:
        raise DataError(f"{dataset.name} to be split", expected="two rows or more", got=str(count))
    if dataset.parts is not None:
        return dataset.parts
    rows: Rows = np.arange(count)
    groups = np.zeros(count, dtype=np.int64) if dataset.labels is None else dataset.labels
    # RandomState, because numpy promises that its stream never changes.
    shuffled = np.random.RandomState(seed).permutation(count)
    classes, sizes = np.unique(groups, return_counts=True)
    total = min(max(1, round(held_out * count)), count - 1)
    taken = np.zeros(count, dtype=np.bool_)
    for label, part in zip(classes, _shares(sizes, total), strict=True):
        taken[shuffled[groups[shuffled] == label][:part]] = True
    return rows[~taken], rows[taken]


def joined(train: Dataset, test: Dataset) -> Dataset:
    """``train`` with ``test`` as the part that is held out."""
    shapes = train.inputs.shape[1:], test.inputs.shape[1:]
    if shapes[0] != shapes[1] or train.features != test.features:
        raise DataError(
            f"held-out data {test.name}",
            expected=f"the columns of {train.name}" if shapes[0] == shapes[1] else str(shapes[0]),
            got="others" if shapes[0] == shapes[1] else str(shapes[1]),
        )
    if (train.labels is None) != (test.labels is None):
        raise DataError(
            f"labels of {test.name}",
            expected="labels in both parts, or in none",
            got="some" if test.labels is not None else "none",
            fix="Another file of labels is given by --labels, of held-out data by --test-labels",
        )
    if train.classes != test.classes:
        raise DataError(
            f"classes of {test.name}",
            expected=", ".join(train.classes or ("none",)),
            got=", ".join(test.classes or ("none",)),
            fix="Name all, in the order of the outputs: --classes",
        )
    labels = None
    if train.labels is not None and test.labels is not None:
        labels = np.concatenate([train.labels, test.labels])
    low = min(train.natural[0], test.natural[0])
    return replace(
        train,
        name=f"{train.name} + {test.name}",
        inputs=np.concatenate([train.inputs, test.inputs]),
        labels=labels,
        natural=(low, max(train.natural[1], test.natural[1])),
        parts=(np.arange(len(train)), np.arange(len(train), len(train) + len(test))),
        notes=tuple(dict.fromkeys((*train.notes, *test.notes))),
    )


def _shares(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """``total`` shared out in proportion to ``sizes``: whole numbers, largest remainders first."""
    exact = sizes * (total / sizes.sum())
    shares = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - int(shares.sum())]] += 1
    return np.asarray(shares)


def class_numbers(values: NDArray[Any], rows: int, name: str) -> NDArray[np.int64]:
    """``values`` as (rows,) whole numbers from 0, or an error that says what does not fit."""
    if values.dtype.kind not in "fiub":
        raise DataError(
            f"labels of {name}", expected="whole numbers", got=f"values of type {values.dtype}"
        )
    if values.size != rows or values.shape[:1] != (rows,):
        raise DataError(
            f"labels of {name}",
            expected=f"one for each of {rows} rows",
            got=f"an array of shape {values.shape}",
        )
    flat = values.reshape(rows)
    if np.isin(flat, (-1, 1)).all():
        flat = np.asarray(flat > 0, dtype=np.int64)  # two classes, as −1 and 1
    with np.errstate(invalid="ignore"):
        bad = ~((flat >= 0) & (flat == np.floor(flat)) & (flat < 2**31))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"labels of {name}, row {row} (counted from 0)",
            expected="a whole number, 0 or more (or all of −1 and 1)",
            got=str(flat[row]),
            fix="Numbers to be fitted are no classes: leave --labels away (of a table, --drop the "
            "column), and state ranges with 'robustness --range' or a .vnnlib file",
        )
    return flat.astype(np.int64)
