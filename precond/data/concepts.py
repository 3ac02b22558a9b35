"""Concepts of a user: examples of each, or a mask of each over the data.

A folder holds a folder of pictures for each concept, named after it.  An ``.npz`` file holds an
array for each: numbers (M, …) are M examples, truth values (N, H, W) are the pixels that have the
concept in each of the N inputs of the data.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.columns import TableColumns
from precond.data.dataset import Dataset
from precond.data.pictures import picture_folder, read_pictures
from precond.errors import DataError


@dataclass(frozen=True, eq=False)
class ConceptData:
    """``examples``: concept → rows (M, …); ``masks``: concept → (N, H, W) truth values."""

    examples: Mapping[str, NDArray[np.floating]]
    masks: Mapping[str, NDArray[np.bool_]]


def read_concepts(path: Path, *, shape: Sequence[int], divide: float = 1.0) -> ConceptData:
    """The concepts at ``path``; ``shape``: of the network's input, which every example has.

    DataError for a concept with no example, or examples of another size.
    """
    raw = _from_folder(path, shape) if path.is_dir() else _from_file(path)
    size = int(np.prod(shape))
    examples: dict[str, NDArray[np.floating]] = {}
    masks = {}
    for name, values in raw.items():
        what = f"concept {name} of {path}"
        if values.dtype == np.bool_:
            masks[name] = values
            continue
        if values.dtype.kind not in "fiu" or values.ndim < 2:
            got = f"{values.dtype} of shape {values.shape}"
            raise DataError(what, expected="numbers, one row per example", got=got)
        if not len(values):
            raise DataError(what, expected="one example or more", got="none")
        if values[0].size != size:
            expected = f"examples of {' × '.join(map(str, shape))} values"
            raise DataError(what, expected=expected, got=" × ".join(map(str, values.shape[1:])))
        rows = (values / divide).astype(np.float32).reshape(-1, *shape)
        if not np.isfinite(rows).all():
            raise DataError(what, expected="finite numbers", got="NaN or infinity")
        examples[name] = rows
    return ConceptData(examples, masks)


def require_masks(masks: Mapping[str, NDArray[np.bool_]], data: Dataset) -> None:
    """DataError for masks of another number or size than the inputs of ``data``."""
    size = data.image_shape and tuple(data.image_shape[-2:])
    for name, mask in masks.items():
        if len(mask) != len(data) or (size and mask.shape[1:] != size):
            raise DataError(
                f"mask {name}",
                expected=f"({len(data)}, {', '.join(map(str, size or 'HW'))}), as the data",
                got=str(mask.shape),
            )


def _from_folder(path: Path, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
    folder = picture_folder(path)
    if folder is None or folder.kinds is None:
        raise DataError(
            f"{path}",
            expected="a folder of pictures for each concept",
            got="no folder" if folder is None else "pictures beside each other",
        )
    names = tuple(dict.fromkeys(folder.kinds))
    content = read_pictures(folder, TableColumns(classes=names), shape)
    assert content.inputs is not None and content.labels is not None
    return {name: content.inputs[content.labels == k] for k, name in enumerate(names)}


def _from_file(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix.lower() != ".npz":
        raise DataError(
            f"concepts {path}", expected="a folder of pictures, or an .npz file", got=path.suffix
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
        got = str(error).splitlines()[0][:80] or type(error).__name__
        raise DataError(f"concepts {path}", expected="a whole .npz file", got=got) from None
    if not found:
        raise DataError(f"concepts {path}", expected="an array for each concept", got="none")
    return found
