"""Tables with named columns: ``.csv`` and Parquet files."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.columns import (
    LABEL_NAMES,
    LABELS_OR_DROP,
    TableColumns,
    index_columns,
    numbered,
    split_table,
)
from precond.data.content import FileContent
from precond.data.parquet import parquet_columns
from precond.data.parts import places_of
from precond.errors import DataError


def read_csv(path: Path, columns: TableColumns) -> FileContent:
    """The rows of a ``.csv``, separated by commas, or by the semicolons or tabs of its line 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}", expected="UTF-8 text", got=str(error)) from error
    if "\0" in text:
        raise DataError(f"{path}", expected="text", got="a zero byte")
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    first = next(reader, [])
    header = None if all(map(_is_number, first)) else [cell.strip().lower() for cell in first]
    numbers = sum(map(_is_number, first))
    if header is not None and 2 * numbers > len(first) and not set(header) & set(LABEL_NAMES):
        raise _bad_cell(path, text, delimiter, has_header=False)  # a row with a slip, not a header
    names = [] if header is None else [cell.strip() for cell in first]
    if not columns.plain:
        if header is None:
            raise DataError(f"{path}, line 1", expected="names of columns", got="numbers")
        return _named_csv(path, text, names, columns=columns, delimiter=delimiter)
    skipped = 0 if header is None else reader.line_num
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's warning about no data; the next error says it
            table = np.loadtxt(
                io.StringIO(text),
                delimiter=delimiter,
                comments=None,
                quotechar='"',
                skiprows=skipped,
                ndmin=2,
            )
    except ValueError as error:
        if columns.label_of(names, str(path)) is not None:
            return _named_csv(path, text, names, columns=columns, delimiter=delimiter)
        raise _bad_cell(path, text, delimiter, has_header=header is not None) from error
    if not table.size:
        raise DataError(f"{path}", expected="a line per input", got="none")
    if header is None:
        return FileContent(inputs=table)
    if len(header) != table.shape[1]:
        raise DataError(
            f"{path}", expected=f"{len(header)} columns, as in line 1", got=str(table.shape[1])
        )
    label = columns.label_of(names, str(path))
    return _content(
        table,
        names,
        labels=None if label is None else table[:, label],
        label=label,
        path=path,
        columns=columns,
    )


def _named_csv(
    path: Path, text: str, names: list[str], columns: TableColumns, delimiter: str
) -> FileContent:
    """A table whose columns the user named, or whose labels are names."""
    table, labels, features = split_table(
        text, header=names, columns=columns, origin=str(path), delimiter=delimiter
    )
    marks = None if labels is None else numbered(labels, columns, str(path))
    return _content(
        table, names=list(features), labels=marks, label=None, path=path, columns=columns
    )


def _content(
    table: NDArray[np.float64],
    names: list[str],
    labels: NDArray[Any] | None,
    label: int | None,
    path: Path,
    columns: TableColumns,
) -> FileContent:
    """``table`` without the column of labels and those that only count the rows."""
    counting = [place for place in index_columns(names, table) if place != label]
    taken = [place for place in range(len(names)) if place != label and place not in counting]
    notes = [
        f"column {names[place] or place + 1!r} of {path.name} counts the rows: no input"
        for place in counting
    ]
    if columns.parts:
        order = places_of(columns.parts, [names[place] for place in taken])
        taken = taken if order is None else [taken[i] for i in order]
        inputs = ", ".join(part.name for part in columns.parts)
        told = f"the inputs {inputs}, one after another"
        how = "in the order of the file" if order is None else "by their names"
        notes.append(f"columns of {path.name} {how} are {told}")
    return FileContent(
        inputs=table[:, taken] if taken else None,
        labels=labels,
        features=tuple(names[place] for place in taken),
        notes=tuple(notes),
    )


def read_parquet(path: Path, columns: TableColumns) -> FileContent:
    """A Parquet file; each of its columns is one input, or a list of fixed length of them."""
    found = parquet_columns(path)
    header = list(found)
    label = columns.label_of(header, str(path))
    labels: NDArray[Any] | None = None
    if label is not None:
        values = found[header[label]].reshape(-1)
        texts = values.dtype.kind == "O"
        labels = numbered(list(map(str, values)), columns, str(path)) if texts else values
    parts, names = [], []
    for place in columns.features_of(header, str(path)):
        name, values = header[place], found[header[place]]
        if values.dtype.kind == "O":
            raise DataError(
                f"{path}, column {name!r}",
                expected="numbers",
                got=f"texts such as {str(values[0])[:40]!r}",
                fix="A column of labels is named by --label-column, others that are no "
                "features by --drop",
            )
        parts.append(values)
        width = values[0].size
        names += [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]
    if not parts:
        return FileContent(inputs=None, labels=labels)
    return _content(
        np.concatenate(parts, axis=1),
        names=names,
        labels=labels,
        label=None,
        path=path,
        columns=columns,
    )


def named_labels(path: Path, rows: Sequence[str], columns: TableColumns) -> NDArray[Any]:
    """The labels of the pictures ``rows`` (file names) in a ``.csv`` that lists both; names in it
    may lack the suffix."""
    text = path.read_text(encoding="utf-8-sig")
    table = [line for line in csv.reader(io.StringIO(text), delimiter=_delimiter(text)) if line]
    header, lines = [cell.strip() for cell in table[0]] if table else [], table[1:]
    if not lines or any(len(line) != len(header) for line in lines):
        raise DataError(f"{path}", expected="a header, and a line per picture", got="other lines")
    place = {stem: k for k, row in enumerate(rows) for stem in (row, row.rpartition(".")[0])}
    key = max(range(len(header)), key=lambda c: sum(line[c].strip() in place for line in lines))
    others = [name for column, name in enumerate(header) if column != key]
    label = columns.label_of(header, str(path))
    if label is None and len(others) == 1:
        label = header.index(others[0])
    if label is None or label == key:
        raise DataError(
            f"{path}: label column",
            expected="one beside the file names",
            got=", ".join(header),
            fix=f"Say which: --label-column {others[0] if others else 'NAME'}",
        )
    found: dict[int, str] = {}
    for line in lines:
        name = line[key].strip()
        if name not in place:
            raise DataError(f"{path}", expected="names of pictures in the folder", got=name[:60])
        if found.setdefault(place[name], line[label].strip()) != line[label].strip():
            raise DataError(f"{path}: {name}", expected="one label", got="two")
    missing = [row for k, row in enumerate(rows) if k not in found]
    if missing:
        raise DataError(
            f"{path}",
            expected=f"a label for each of {len(rows)} pictures",
            got=f"none for {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1)),
            fix="Move pictures without a label to another folder",
        )
    return numbered([found[k] for k in range(len(rows))], columns, str(path))


def _delimiter(text: str) -> str:
    """What separates the values of line 1: a comma, else a semicolon or tab where it has them."""
    first = text.partition("\n")[0]
    return next((mark for mark in ",;\t" if mark in first), ",")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cell_fix(cell: str, *, named: bool) -> str | None:
    """What to do about a cell that is no number, in a table with named columns or without."""
    if ";" in cell or "\t" in cell:
        return "Separate the values with commas"
    if named and cell.strip():
        return LABELS_OR_DROP
    return None


def _bad_cell(path: Path, text: str, delimiter: str, *, has_header: bool) -> DataError:
    """What is wrong with a table that numpy could not read: the first bad line and cell."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    width: int | None = None
    header: list[str] | None = None
    for position, row in enumerate(reader):
        if not row:
            continue
        if width is None:
            width = len(row)
            header = row if has_header else None
        if len(row) != width:
            return DataError(
                f"{path}, line {reader.line_num}", expected=f"{width} values", got=str(len(row))
            )
        for column, cell in enumerate(row):
            if not (_is_number(cell) or (position == 0 and has_header)):
                name = column if header is None else repr(header[column].strip())
                return DataError(
                    f"{path}, line {reader.line_num}, column {name}",
                    expected="a number",
                    got=repr(cell[:40]),
                    fix=_cell_fix(cell, named=header is not None),
                )
    return DataError(
        f"{path}", expected="rows of numbers separated by commas", got="something else"
    )
