"""Parquet files, read block by block (extra ``precond[parquet]``); the only module with pyarrow.

Each column is one input value, or a list of fixed length of them; a column named as labels
are holds the labels.  TableColumns keep the file's order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, MissingDependency

ROWS = 1 << 16
Block = tuple[NDArray[Any], NDArray[Any] | None]


def parquet_rows(path: Path) -> int:
    """How many rows a file has."""
    return int(_opened(path).metadata.num_rows)


def parquet_blocks(path: Path, labels: Collection[str], rows: int = ROWS) -> Iterator[Block]:
    """(inputs (k, n), labels (k,) or None) of the next ``rows`` rows at most, in order."""
    import pyarrow

    file = _opened(path)
    try:
        for batch in file.iter_batches(batch_size=rows):
            inputs, found = [], None
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if column.null_count:
                    raise DataError(f"{path}, column {name}", expected="numbers", got="nulls")
                if name.lower() in labels:
                    found = _numbers(column, f"{path}, column {name}").reshape(-1)
                else:
                    inputs.append(_numbers(column, f"{path}, column {name}"))
            yield (
                np.concatenate(inputs, axis=1) if inputs else np.empty((batch.num_rows, 0)),
                found,
            )
    except (pyarrow.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def parquet_columns(path: Path) -> dict[str, NDArray[Any]]:
    """All columns by name: numbers (rows, values each), or texts (rows,) as objects."""
    import pyarrow

    table = _opened(path).read()
    if not table.num_rows:
        raise DataError(f"{path}", expected="a row per input", got="none")
    found: dict[str, NDArray[Any]] = {}
    for name, chunked in zip(table.schema.names, table.columns, strict=True):
        if chunked.null_count:
            raise DataError(f"{path}, column {name}", expected="numbers", got="nulls")
        column = chunked.combine_chunks()
        kind = column.type
        if pyarrow.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if pyarrow.types.is_boolean(kind):
            column = column.cast(pyarrow.uint8())
        if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
            found[name] = np.array(column.to_pylist(), dtype=object)
        else:
            found[name] = _numbers(column, f"{path}, column {name}")
    return found


def _opened(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependency(
            f"{path} needs pyarrow", fix="Install it with 'pip install precond[parquet]'"
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(path, memory_map=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def _numbers(column: Any, name: str) -> NDArray[Any]:
    """A column as (rows, values each)."""
    import pyarrow

    kind = column.type
    width = 1
    if pyarrow.types.is_fixed_size_list(kind):
        width, column = kind.list_size, column.flatten()
    elif pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) != 1:
            raise DataError(name, expected="lists of one length", got=f"{len(lengths)} lengths")
        width, column = int(lengths[0]), column.flatten()
    kind = column.type
    numeric = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
    if not numeric or column.null_count:
        raise DataError(name, expected="numbers", got="nulls" if numeric else str(kind))
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.reshape(-1, width)


def _broken(path: Path, error: Exception) -> DataError:
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return DataError(f"{path}", expected="a whole Parquet file", got=text)
