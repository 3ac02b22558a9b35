"""Data sets by name: those that are built in, and a user's own files and folders.

Values are float32, as networks read them; a ``.npy`` of floating numbers stays on disk
(memory-mapped, in its own type).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import number, path_of
from precond.data.archives import split_name
from precond.data.builtin import BUILT_IN
from precond.data.columns import PLAIN, TableColumns
from precond.data.content import FileContent
from precond.data.dataset import Dataset as Dataset
from precond.data.dataset import class_numbers
from precond.data.dataset import split as split
from precond.data.files import first_not_finite, read_file, read_labels
from precond.data.pictures import picture_folder, read_pictures
from precond.data.shards import open_shards
from precond.data.tables import named_labels
from precond.errors import DataError
from precond.printable import printable


def load_dataset(
    spec: str,
    labels: str | None = None,
    *,
    divide: float = 1.0,
    columns: TableColumns = PLAIN,
    picture: Sequence[int] | None = None,
) -> Dataset:
    """The data set that ``spec`` names: a built-in name or a file.

    Built in: ``digits`` (1,797 × 8×8), ``mnist-5k`` (5,000 × 28×28), ``fashion-mnist``
    (60,000 + 10,000 × 28×28), all scaled to [0, 1].  Files: see ``files``; folders of pictures:
    ``pictures``, of other files: ``shards``.  Their values are divided by ``divide`` (255 for
    pictures stored as bytes).  ``labels`` names a file with one whole number per row, or with
    file names of pictures beside their labels; it takes the place of labels that the data set
    has.  ``columns`` says what the columns of a table mean, and which class each label's name
    is; ``picture`` is the shape of one picture that a network wants.

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
        found, rows = BUILT_IN[spec](), None
    elif os.sep not in spec and not Path(spec).suffix and not Path(spec).exists():
        raise DataError(f"data {spec!r}", expected=f"{', '.join(BUILT_IN)} or a file", got=spec)
    else:
        file, key = split_name(spec)
        content = _read(Path(file), key, columns, picture)
        found, rows = _dataset(Path(file), content, divide, columns), content.rows
    return (
        found
        if labels is None
        else dataclasses.replace(found, labels=_own_labels(labels, len(found), rows, columns))
    )


def _own_labels(
    spec: str, count: int, rows: Sequence[str] | None, columns: TableColumns
) -> NDArray[np.int64]:
    """The labels of another file, one for each row."""
    file, key = split_name(spec)
    path = Path(file)
    if rows is not None and path.suffix.lower() in (".csv", ".tsv"):
        return class_numbers(named_labels(path, rows, columns), count, spec)
    given = dataclasses.replace(columns, label=None, drop=())
    return class_numbers(read_labels(path, given, key=key), count, spec)


def _read(
    path: Path, key: str | None, columns: TableColumns, picture: Sequence[int] | None
) -> FileContent:
    if not path.is_dir():
        return read_file(path, columns, key=key)
    pictures = picture_folder(path)
    if pictures is None:
        return open_shards(path).content()
    return read_pictures(pictures, columns, picture)


def _dataset(path: Path, content: FileContent, divide: float, columns: TableColumns) -> Dataset:
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
        labels=None if labels is None else class_numbers(labels, len(inputs), str(path)),
        image_shape=_picture(raw.shape[1:]),
        natural=_natural(raw, inputs, divide),
        classes=columns.classes or content.classes,
        features=content.features,
        notes=content.notes,
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
    if raw.dtype in (np.uint8, np.uint16):
        return (0.0, float(np.iinfo(raw.dtype).max) / divide)
    low, high = float(inputs.min()), float(inputs.max())
    return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)
