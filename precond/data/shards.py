"""Data in several files: a folder of ``.npy``, ``.npz`` and ``.parquet``, in the order of names.

A shard holds rows of one shape; labels are in all shards or in none (``datafiles`` says where
in a file).  ``blocks`` reads one piece at a time, so that a recording of any size needs the
memory of one shard; ``stack`` writes all rows to one ``.npy`` that can be memory-mapped.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.archives import INPUT_NAMES
from precond.data.columns import LABEL_NAMES
from precond.data.content import FileContent
from precond.data.files import BROKEN, read_file
from precond.data.npy import check_npy
from precond.data.parquet import parquet_blocks, parquet_rows
from precond.errors import DataError, OutputError

SUFFIXES = (".npy", ".npz", ".parquet")
ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Shards:
    """``files`` in order and the rows of each."""

    files: tuple[Path, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return sum(self.counts)

    def blocks(self, rows: int = ROWS) -> Iterator[NDArray[Any]]:
        """Inputs, at most ``rows`` at a time; DataError where a shard has another shape."""
        for inputs, _ in self._pieces(rows):
            yield inputs

    def labels(self, rows: int = ROWS) -> NDArray[Any] | None:
        """All labels, (N,); None where there are none."""
        found = [labels for _, labels in self._pieces(rows)]
        with_some = [part for part in found if part is not None]
        if not with_some:
            return None
        if len(with_some) < len(found):
            raise DataError(
                f"labels of {self.files[0].parent}",
                expected="labels in all shards, or in none",
                got=f"some pieces without, of {len(found)}",
            )
        return np.concatenate(with_some)

    def content(self) -> FileContent:
        """Everything, in memory; DataError where it would not fit."""
        first = next(self.blocks(1))
        size, room = first.nbytes * len(self), _memory()
        if size > room / 2:
            raise DataError(
                f"{self.files[0].parent}",
                expected=f"at most {room // 2 >> 20} MiB, half of what is free",
                got=f"{size >> 20} MiB",
                fix="Make one memory-mapped file of it with precond.data.shards: "
                "open_shards(FOLDER).stack('all.npy')",
            )
        return FileContent(inputs=np.concatenate(list(self.blocks())), labels=self.labels())

    def stack(self, path: Path) -> NDArray[Any]:
        """All inputs as one ``.npy`` file, written piece by piece; memory-mapped."""
        first = next(self.blocks(1))
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            target = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=first.dtype, shape=(len(self), *first.shape[1:])
            )
            done = 0
            for block in self.blocks():
                target[done : done + len(block)] = block
                done += len(block)
            target.flush()
            os.replace(temporary, path)
        except OSError as error:
            raise OutputError(
                f"{path}", expected="a file that can be written", got=error.strerror or str(error)
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return np.lib.format.open_memmap(path, mode="r")

    def _pieces(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        shape: tuple[int, ...] | None = None
        for path in self.files:
            for inputs, labels in _of(path, rows):
                if shape is not None and inputs.shape[1:] != shape:
                    raise DataError(
                        f"{path}",
                        expected=f"rows of shape {shape}, as in {self.files[0].name}",
                        got=str(inputs.shape[1:]),
                    )
                shape = inputs.shape[1:]
                yield inputs, labels


def open_shards(source: Path | str | Sequence[Path]) -> Shards:
    """The shards in a folder, or the files given; only their headers are read."""
    if isinstance(source, Path | str):
        source = Path(source)
        if not source.is_dir():
            raise DataError(f"shards {source}", expected="a folder of files", got="no folder")
        files = [p for p in sorted(source.iterdir()) if p.suffix.lower() in SUFFIXES]
        name = str(source)
    else:
        files, name = list(source), "shards"
    if not files:
        raise DataError(
            name,
            expected=f"files ending in {', '.join(SUFFIXES)}, or pictures in one folder a class",
            got="a folder without any",
        )
    return Shards(tuple(files), tuple(_rows(path) for path in files))


def _rows(path: Path) -> int:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}", expected=f"one of {', '.join(SUFFIXES)}", got=suffix or "none")
    if not path.is_file():
        raise DataError(f"{path}", expected="a file", got="none")
    if suffix == ".parquet":
        return parquet_rows(path)
    try:
        if suffix == ".npy":
            with path.open("rb") as file:
                shape = check_npy(file, path.stat().st_size, str(path))
        else:
            shape = _shape_in_archive(path)
    except BROKEN as error:
        raise DataError(f"{path}", expected="a whole numpy file", got=str(error)) from error
    if len(shape) < 2:
        raise DataError(f"{path}", expected="an array of shape (rows, …)", got=f"shape {shape}")
    return shape[0]


def _shape_in_archive(path: Path) -> tuple[int, ...]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename in tuple(f"{name}.npy" for name in INPUT_NAMES):
                with archive.open(entry) as packed:
                    return check_npy(packed, entry.file_size, f"{path}: {entry.filename}")
    raise DataError(f"{path}", expected="an array named inputs or x", got="none")


def _of(path: Path, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
    """The pieces of one shard."""
    if path.suffix.lower() == ".parquet":
        yield from parquet_blocks(path, LABEL_NAMES, rows)
        return
    content = read_file(path)
    inputs, labels = content.inputs, content.labels
    if inputs is None:
        raise DataError(f"{path}", expected="inputs", got="labels only")
    if labels is not None and len(labels) != len(inputs):
        raise DataError(f"labels of {path}", expected=f"{len(inputs)}", got=str(len(labels)))
    for start in range(0, len(inputs), rows):
        part = slice(start, start + rows)
        yield inputs[part], None if labels is None else labels[part]


def _memory() -> int:
    """Bytes that are free now; a guess where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30
