"""Several named arrays in one file: numpy's ``.npz``, and tensors that torch saved.

The arrays of inputs and labels are found by their names, else where only one can be meant by
its shape; the user may name them, ``data.npz:images``.  What a file holds is listed wherever
the choice is not clear.  Nothing is unpickled but tensors in plain containers (torch's
``weights_only``).
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.columns import LABEL_NAMES, TableColumns, numbered
from precond.data.content import FileContent
from precond.data.npy import npy_header
from precond.data.parts import has_all, side_by_side
from precond.errors import DataError, ModelError

INPUT_NAMES = ("inputs", "x")
SUFFIXES = (".npz", ".pt", ".pth")
SHOWN = 12


@dataclass(frozen=True)
class ArrayEntry:
    """One array of a file: its name, and what can be said before it is read."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]

    def __str__(self) -> str:
        sizes = " × ".join(map(str, self.shape)) or "one value"
        return f"{self.name} ({sizes}, {self.kind})"

    @property
    def may_be_labels(self) -> bool:
        return len(self.shape) == 1 and self.kind.kind in "iubUS"


@dataclass(frozen=True)
class Roles:
    """The arrays that hold inputs and labels; ``notes`` say which were told by shape alone.
    ``parts``: one array for each input of a network that reads several, instead of ``inputs``."""

    inputs: str | None
    labels: str | None
    notes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name for name in (self.inputs, self.labels, *self.parts) if name is not None]


def split_name(spec: str) -> tuple[str, str | None]:
    """``data.npz:images`` → the file and the array's name; None where none is given."""
    for suffix in SUFFIXES:
        place = spec.lower().rfind(f"{suffix}:")
        if place >= 0 and not Path(spec).exists():
            end = place + len(suffix)
            return spec[:end], spec[end + 1 :]
    return spec, None


def roles_of(entries: list[ArrayEntry], path: str, key: str | None, columns: TableColumns) -> Roles:
    """Which arrays are meant; DataError, with all there are, where that is not clear."""
    names = [entry.name for entry in entries]
    if columns.drop:
        raise DataError(f"{path}", expected="a table for --drop", got="arrays")
    for name in (key, columns.label):
        if name is not None and name not in names:
            raise DataError(f"{path}: {name}", expected=_listed(entries), got=name)
    label = columns.label or _by_name(entries, names=LABEL_NAMES, path=path, role="labels")
    if key is None and has_all(columns.parts, names):
        parts = tuple(part.name for part in columns.parts)
        return Roles(
            inputs=None,
            labels=label,
            notes=(f"inputs are arrays {', '.join(parts)} of {Path(path).name}",),
            parts=parts,
        )
    if key is not None:
        return Roles(key, None if columns.label is None and label == key else columns.label)
    inputs = _by_name(entries, names=INPUT_NAMES, path=path, role="inputs")
    notes = []
    if inputs is None:
        wide = [e for e in entries if len(e.shape) >= 2 and e.name != label]
        if len(wide) == 1:
            inputs = wide[0].name
            notes.append(f"inputs are array {inputs} of {Path(path).name}, the only one of rows")
        elif wide or label is None:
            raise _unclear(entries, path, columns)
    if label is None:
        rows = next(e.shape[:1] for e in entries if e.name == inputs)
        lists = [e.name for e in entries if e.may_be_labels and e.shape == rows]
        if len(lists) == 1:
            label = lists[0]
            notes.append(f"labels are array {label} of {Path(path).name}, the only one that fits")
    return Roles(inputs, label, tuple(notes))


def read_npz(path: Path, key: str | None, columns: TableColumns) -> FileContent:
    """The arrays of an ``.npz``; the caller words what numpy finds wrong."""
    entries = _npz_entries(path)
    roles = roles_of(entries, path=str(path), key=key, columns=columns)
    with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
        found = {name: archive[name] for name in roles.names}
    return _content(found, roles=roles, columns=columns, path=path)


def read_tensors(path: Path, key: str | None, columns: TableColumns) -> FileContent:
    """Tensors saved by torch: one, a pair of inputs and labels, or a dict of named ones."""
    import torch

    from precond.formats.torch.archive import check_entries

    fix = "Save tensors: torch.save({'inputs': x, 'labels': y}, 'data.pt')"
    try:
        with zipfile.ZipFile(path) as archive:
            check_entries(archive, path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ModelError) as e:
        got = "objects of Python classes, which are never unpickled"
        if not isinstance(e, pickle.UnpicklingError):
            got = (str(e).strip() or type(e).__name__).splitlines()[0][:120]
        raise DataError(f"{path}", expected="tensors that torch saved", got=got, fix=fix) from None
    if isinstance(saved, torch.Tensor):
        saved = {"inputs": saved}
    elif isinstance(saved, tuple | list) and len(saved) == 2:
        saved = dict(zip(("inputs", "labels"), saved, strict=True))
    if not isinstance(saved, Mapping):
        raise DataError(
            f"{path}",
            expected="a tensor, a pair (inputs, labels) or a dict of tensors",
            got=f"a {type(saved).__name__}",
            fix=fix,
        )
    arrays = {str(name): _array(value) for name, value in saved.items() if _is_array(value)}
    entries = [ArrayEntry(name, value.shape, value.dtype) for name, value in arrays.items()]
    roles = roles_of(entries, path=str(path), key=key, columns=columns)
    return _content(arrays, roles, columns, path=path)


def _content(
    arrays: Mapping[str, NDArray[Any]], roles: Roles, columns: TableColumns, path: Path
) -> FileContent:
    for name in roles.names:
        if not isinstance(arrays[name], np.ndarray):
            raise DataError(f"{path}: {name}", expected="an array", got="a file of another kind")
    labels = None if roles.labels is None else arrays[roles.labels]
    if labels is not None and labels.dtype.kind in "US":
        labels = numbered([str(v) for v in labels.astype(str).reshape(-1)], columns, str(path))
    inputs = None if roles.inputs is None else arrays[roles.inputs]
    if roles.parts:
        inputs = side_by_side(arrays, columns.parts, str(path))
    return FileContent(inputs=inputs, labels=labels, notes=roles.notes)


def _npz_entries(path: Path) -> list[ArrayEntry]:
    """The headers of all arrays, before any is read."""
    entries = []
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            if item.filename.endswith(".npy") and "/" not in item.filename:
                with archive.open(item) as file:
                    head = npy_header(file, item.file_size, f"{path}: {item.filename}")
                entries.append(ArrayEntry(item.filename.removesuffix(".npy"), *head))
    return entries


def _by_name(entries: list[ArrayEntry], names: tuple[str, ...], path: str, role: str) -> str | None:
    found = [entry.name for entry in entries if entry.name.lower() in names]
    if len(found) > 1:
        raise DataError(f"{path}: {role}", expected="one name", got=" and ".join(found))
    return found[0] if found else None


def _unclear(entries: list[ArrayEntry], path: str, columns: TableColumns) -> DataError:
    fix = None
    parts = ", ".join(part.name for part in columns.parts)
    if entries:
        first = max(entries, key=lambda e: len(e.shape)).name
        fix = f"Say which: --inputs {Path(path).name}:{first}"
        if lists := [e.name for e in entries if e.may_be_labels]:
            fix += f" --labels {Path(path).name}:{lists[0]}"
    return DataError(
        f"{path}",
        expected="an array named inputs or x, or only one of rows"
        + (f", or one for each of {parts}" if parts else ""),
        got=_listed(entries),
        fix=fix,
    )


def _listed(entries: list[ArrayEntry]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return (", ".join(map(str, entries[:SHOWN])) or "no array") + more


def _is_array(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and not value.is_sparse and not value.is_complex()


def _array(value: Any) -> NDArray[Any]:
    import torch

    plain = value.detach()
    if plain.is_quantized:
        plain = plain.dequantize()
    if plain.dtype in (torch.bfloat16, torch.float16):
        plain = plain.float()
    return np.asarray(plain.contiguous().numpy())
