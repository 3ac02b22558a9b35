"""A user's data files → arrays: ``.npy``, ``.npz``, ``.pt``, ``.csv``, Parquet and IDX.

A file holds inputs, one row per input, and perhaps labels: of several arrays ``archives`` says
which, of the columns of a table ``tables`` does (a first line of numbers only is a row, not a
header).  Nothing is ever unpickled but plain tensors.  Rows and columns in messages count from
0, lines of a text file from 1.
"""

from __future__ import annotations

import csv
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.archives import SUFFIXES, read_npz, read_tensors
from precond.data.columns import PLAIN, TableColumns
from precond.data.content import FileContent
from precond.data.idx import read_idx
from precond.data.npy import check_npy
from precond.data.tables import read_csv, read_parquet
from precond.errors import DataError

KINDS = ".npy, .npz, .pt, .csv, .parquet, .idx or …-ubyte (IDX files may end in .gz)"
TABLES = (".csv", ".tsv", ".parquet")
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


def read_file(path: Path, columns: TableColumns = PLAIN, *, key: str | None = None) -> FileContent:
    """Arrays of one file; an ``.npy`` stays on disk (memory-mapped).

    ``columns`` says what the columns of a table mean, ``key`` which array of several holds
    the inputs.

    Errors: DataError for a file that is missing, of another kind, or broken.
    """
    if path.is_dir():
        raise DataError(f"{path}", expected=f"a file: {KINDS}", got="a folder")
    if not path.exists():
        raise DataError(f"{path}", expected=f"a file: {KINDS}", got="no such file")
    name = path.name.lower()
    if not name.endswith((*TABLES, *SUFFIXES)) and (columns.label is not None or columns.drop):
        raise DataError(
            f"{path}",
            expected="a table (.csv or .parquet) for --label-column and --drop",
            got=path.suffix or "no suffix",
        )
    try:
        return _by_suffix(path, columns, key)
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


def _by_suffix(path: Path, columns: TableColumns, key: str | None) -> FileContent:
    name = path.name.lower()
    bare = name.removesuffix(".gz")
    if name.endswith(".npy"):
        return FileContent(inputs=_read_npy(path))
    if name.endswith(".npz"):
        return _read_npz(path, key, columns)
    if name.endswith(SUFFIXES):
        return read_tensors(path, key, columns)
    if name.endswith((".csv", ".tsv")):
        return read_csv(path, columns)
    if name.endswith(".parquet"):
        return read_parquet(path, columns)
    if bare.endswith((".idx", "-ubyte")) or (bare != name and "." not in bare):
        return FileContent(inputs=read_idx(path))
    raise DataError(f"{path}", expected=KINDS, got=path.suffix or "no suffix")


def read_labels(
    path: Path, columns: TableColumns = PLAIN, *, key: str | None = None
) -> NDArray[Any]:
    """The labels of a file: its label column or array, or else all it holds."""
    content = read_file(path, columns, key=key)
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


def _read_npz(path: Path, key: str | None, columns: TableColumns) -> FileContent:
    try:
        return read_npz(path, key, columns)
    except BROKEN as error:
        raise _numpy_error(path, error) from error


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
