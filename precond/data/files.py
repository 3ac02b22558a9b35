"""A user's data files → arrays: ``.npy``, ``.npz``, ``.csv`` and IDX.

A file holds inputs, one row per input, and perhaps labels: in an ``.npz`` as ``inputs`` or
``x`` and ``labels`` or ``y``, in a ``.csv`` as a column named ``label`` or ``y`` (a first
line of numbers only is a row, not a header).  Nothing is ever unpickled.  Rows and columns
in messages count from 0, lines of a text file from 1.
"""

from __future__ import annotations

import csv
import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.columns import LABEL_NAMES, PLAIN, Columns, numbered, split_table
from precond.data.idx import read_idx
from precond.data.npy import check_npy
from precond.data.parquet import parquet_blocks
from precond.errors import DataError

KINDS = ".npy, .npz, .csv, .parquet, .idx or …-ubyte (IDX files may end in .gz)"
INPUT_NAMES = ("inputs", "x")
# What numpy and zipfile raise for a damaged, encrypted or unusually packed file.
BROKEN = (
    ValueError,
    OverflowError,
    EOFError,
    RuntimeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
FINITE_BYTES = 32 << 20  # values checked at once, roughly


@dataclass(frozen=True, eq=False)
class FileContent:
    """``inputs`` (N, …), ``labels`` (N,) and names of features as a file has them, or None."""

    inputs: NDArray[Any] | None
    labels: NDArray[Any] | None
    features: tuple[str, ...] | None = None


def read_file(path: Path, columns: Columns = PLAIN) -> FileContent:
    """Arrays of one file; an ``.npy`` stays on disk (memory-mapped).

    ``columns`` says what the columns of a ``.csv`` mean.

    Errors: DataError for a file that is missing, of another kind, or broken.
    """
    if path.is_dir():
        raise DataError(f"{path}", expected=f"a file: {KINDS}", got="a folder")
    if not path.exists():
        raise DataError(f"{path}", expected=f"a file: {KINDS}", got="no such file")
    name = path.name.lower()
    bare = name.removesuffix(".gz")
    if not name.endswith(".csv") and (columns.label is not None or columns.drop):
        raise DataError(
            f"{path}",
            expected="a .csv file with a header for --label-column and --drop",
            got=path.suffix or "no suffix",
        )
    try:
        if name.endswith(".npy"):
            return FileContent(_read_npy(path), None)
        if name.endswith(".npz"):
            return _read_npz(path)
        if name.endswith(".csv"):
            return _read_csv(path, columns)
        if name.endswith(".parquet"):
            return _read_parquet(path)
        if bare.endswith((".idx", "-ubyte")) or (bare != name and "." not in bare):
            return FileContent(read_idx(path), None)
    except csv.Error as error:
        raise DataError(f"{path}", expected="rows of numbers", got=str(error)) from error
    except OSError as error:
        raise DataError(
            f"{path}", expected="a readable file", got=error.strerror or str(error)
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{path}",
            expected="data that fits in memory",
            got="more",
            fix="Save the inputs as .npy, which is read from disk in pieces",
        ) from error
    raise DataError(f"{path}", expected=KINDS, got=path.suffix or "no suffix")


def read_labels(path: Path, columns: Columns = PLAIN) -> NDArray[Any]:
    """The labels of a file: its label column or array, or else all it holds."""
    content = read_file(path, columns)
    values = content.inputs if content.labels is None else content.labels
    if values is None:
        raise DataError(f"{path}", expected="labels", got="none")
    return values


def first_not_finite(values: NDArray[Any]) -> tuple[int, int] | None:
    """(row, column) of the first NaN or infinity in (N, …) values, read in pieces; or None."""
    if values.dtype.kind != "f" or not values.size:
        return None
    rows = max(1, FINITE_BYTES // max(1, values[:1].nbytes))
    for start in range(0, len(values), rows):
        finite = np.isfinite(values[start : start + rows])
        if not finite.all():
            row, column = divmod(int(np.argmin(finite)), finite[0].size)
            return start + row, column
    return None


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            check_npy(file, path.stat().st_size, str(path))
        return np.lib.format.open_memmap(path, mode="r")
    except BROKEN as error:
        raise _numpy_error(path, error) from error


def _read_npz(path: Path) -> FileContent:
    try:
        _check_entries(path)
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            found = {
                role: _only(path, role, [n for n in names if n in archive.files], archive.files)
                for role, names in (("inputs", INPUT_NAMES), ("labels", LABEL_NAMES))
            }
            arrays = {r: None if n is None else archive[n] for r, n in found.items()}
    except BROKEN as error:
        raise _numpy_error(path, error) from error
    if all(array is None for array in arrays.values()):
        raise DataError(
            f"{path}",
            expected="an array named inputs or x (and perhaps labels or y)",
            got=", ".join(archive.files) or "an empty archive",
        )
    for role, array in arrays.items():
        if array is not None and not isinstance(array, np.ndarray):
            raise DataError(f"{path}: {role}", expected="an array", got="a file of another kind")
    return FileContent(arrays["inputs"], arrays["labels"])


def _check_entries(path: Path) -> None:
    """The headers of the arrays that are read, before any is."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name, dot, suffix = entry.filename.rpartition(".")
            if f"{dot}{suffix}" == ".npy" and name in (*INPUT_NAMES, *LABEL_NAMES):
                with archive.open(entry) as file:
                    check_npy(file, entry.file_size, f"{path}: {entry.filename}")


def _only(path: Path, role: str, found: list[str], every: list[str]) -> str | None:
    if len(found) > 1:
        raise DataError(f"{path}: {role}", expected="one name", got=" and ".join(found))
    return found[0] if found else None


def _numpy_error(path: Path, error: Exception) -> DataError:
    text = str(error)
    if "object" in text.lower() or "pickle" in text.lower():
        return DataError(
            f"{path}",
            expected="an array of numbers",
            got="Python objects, which are never unpickled",
            fix="Save it again with a number type, as in array.astype('float32')",
        )
    return DataError(f"{path}", expected="a whole numpy file", got=text or "the file's end")


def _read_parquet(path: Path) -> FileContent:
    blocks = list(parquet_blocks(path, LABEL_NAMES))
    labels = [own for _, own in blocks if own is not None]
    if not blocks:
        raise DataError(f"{path}", expected="a row per input", got="none")
    inputs = np.concatenate([rows for rows, _ in blocks])
    return FileContent(
        inputs if inputs.shape[1] else None, np.concatenate(labels) if labels else None
    )


def _read_csv(path: Path, columns: Columns) -> FileContent:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}", expected="UTF-8 text", got=str(error)) from error
    if "\0" in text:
        raise DataError(f"{path}", expected="text", got="a zero byte")
    reader = csv.reader(io.StringIO(text))
    first = next(reader, [])
    header = None if all(map(_is_number, first)) else [cell.strip().lower() for cell in first]
    numbers = sum(map(_is_number, first))
    if header is not None and 2 * numbers > len(first) and not set(header) & set(LABEL_NAMES):
        raise _bad_cell(path, text, has_header=False)  # a row with a slip, not a header
    names = [] if header is None else [cell.strip() for cell in first]
    if not columns.plain:
        if header is None:
            raise DataError(f"{path}, line 1", expected="names of columns", got="numbers")
        return _named_csv(path, text, names, columns)
    skipped = 0 if header is None else reader.line_num
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's warning about no data; the next error says it
            table = np.loadtxt(
                io.StringIO(text),
                delimiter=",",
                comments=None,
                quotechar='"',
                skiprows=skipped,
                ndmin=2,
            )
    except ValueError as error:
        if columns.label_of(names, str(path)) is not None:
            return _named_csv(path, text, names, columns)
        raise _bad_cell(path, text, has_header=header is not None) from error
    if not table.size:
        raise DataError(f"{path}", expected="a line per input", got="none")
    if header is None:
        return FileContent(table, None)
    if len(header) != table.shape[1]:
        raise DataError(
            f"{path}", expected=f"{len(header)} columns, as in line 1", got=str(table.shape[1])
        )
    label = columns.label_of(names, str(path))
    if label is None:
        return FileContent(table, None, tuple(names))
    rest = np.delete(table, [label], axis=1)
    names.pop(label)
    return FileContent(rest if names else None, table[:, label], tuple(names))


def _named_csv(path: Path, text: str, names: list[str], columns: Columns) -> FileContent:
    """A table whose columns the user named, or whose labels are names."""
    inputs, labels, features = split_table(text, names, columns, str(path))
    return FileContent(
        inputs if features else None,
        None if labels is None else numbered(labels, columns, str(path)),
        features,
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _bad_cell(path: Path, text: str, *, has_header: bool) -> DataError:
    """What is wrong with a table that numpy could not read: the first bad line and cell."""
    reader = csv.reader(io.StringIO(text))
    width: int | None = None
    for position, row in enumerate(reader):
        if not row:
            continue
        if width is None:
            width = len(row)
        if len(row) != width:
            return DataError(
                f"{path}, line {reader.line_num}", expected=f"{width} values", got=str(len(row))
            )
        for column, cell in enumerate(row):
            if not (_is_number(cell) or (position == 0 and has_header)):
                fix = "Separate the values with commas" if ";" in cell or "\t" in cell else None
                return DataError(
                    f"{path}, line {reader.line_num}, column {column}",
                    expected="a number",
                    got=repr(cell[:40]),
                    fix=fix,
                )
    return DataError(
        f"{path}", expected="rows of numbers separated by commas", got="something else"
    )
