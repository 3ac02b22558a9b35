"""Folders of pictures: one folder a class, or one folder and a CSV of file names and labels.

All pictures have one size.  Grey ones are (H, W), coloured ones (3, H, W), channels first, as
bytes (16 bits where a file has them); ``shape`` is that of the network's input, which
decides where it says so: grey pictures for a network of three channels are repeated, coloured
ones whose channels agree are taken for grey, and channels stand last where the network's do.
Classes are numbered in the order of their folders' names, as torchvision's ``ImageFolder``
does it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.columns import TableColumns
from precond.data.content import FileContent
from precond.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
SHOWN = 8


@dataclass(frozen=True)
class PictureFolder:
    """Files in order, and the folder (class) of each where classes are folders."""

    path: Path
    files: tuple[Path, ...]
    kinds: tuple[str, ...] | None


def picture_folder(path: Path) -> PictureFolder | None:
    """The pictures below ``path``; None where it holds none."""
    flat = _pictures(path)
    if flat:
        return PictureFolder(path, tuple(flat), None)
    groups = {p.name: _pictures(p) for p in sorted(path.iterdir()) if _is_class(p)}
    files = [(file, name) for name, group in groups.items() for file in group]
    if not files:
        _require_no_parts(path, list(groups))
        return None
    empty = [name for name, group in groups.items() if not group]
    if empty:
        raise DataError(
            f"{path}/{empty[0]}",
            expected=f"pictures ({', '.join(SUFFIXES)}), as in the other folders",
            got="none",
            fix="Remove the folder, or put the pictures of its class there",
        )
    return PictureFolder(path, tuple(f for f, _ in files), tuple(name for _, name in files))


def read_pictures(
    folder: PictureFolder, columns: TableColumns, shape: Sequence[int] | None
) -> FileContent:
    """All pictures of a folder, and their classes."""
    if columns.label is not None or columns.drop:
        raise DataError(
            f"{folder.path}", expected="a table for --label-column and --drop", got="pictures"
        )
    inputs = _stacked(folder.files, shape)
    rows = tuple(file.name for file in folder.files)
    if folder.kinds is None:
        return FileContent(inputs=inputs, rows=rows)
    names = _order(sorted(set(folder.kinds)), columns, folder.path)
    place = {name: number for number, name in enumerate(names)}
    note = "classes are folders in the order of their names, as torchvision's ImageFolder reads "
    note += "them; --classes gives another order"
    return FileContent(
        inputs=inputs,
        labels=np.array([place[kind] for kind in folder.kinds]),
        classes=tuple(names),
        rows=rows,
        notes=() if columns.classes or names == _numbers(names) else (note,),
    )


def _order(folders: list[str], columns: TableColumns, path: Path) -> list[str]:
    if columns.classes:
        if not set(folders) <= set(columns.classes):
            raise DataError(
                f"folders of {path}",
                expected=f"names of --classes {','.join(columns.classes)}",
                got=", ".join(folders[:SHOWN]),
            )
        return list(columns.classes)
    if all(name.isdecimal() for name in folders) and folders != _numbers(folders):
        raise DataError(
            f"folders of {path}",
            expected="names, or the numbers 0 to K − 1, K at most 10",
            got=", ".join(folders[:SHOWN]),
            fix="Say which output each is, in their order: "
            f"--classes {','.join(sorted(folders, key=int))}",
        )
    return folders


def _numbers(names: Sequence[str]) -> list[str]:
    return [str(number) for number in range(len(names))]


def _require_no_parts(path: Path, names: list[str]) -> None:
    """DataError where the folders of ``path`` are data sets themselves, such as train and test."""
    parts = [n for n in names if any(_pictures(p) for p in (path / n).iterdir() if p.is_dir())]
    if parts:
        test = next((n for n in parts if n != "train"), "test")
        train = "train" if "train" in parts else parts[0]
        raise DataError(
            f"{path}",
            expected="a folder of pictures for each class",
            got=f"folders of such folders: {', '.join(parts[:SHOWN])}",
            fix=f"Say which is which: --inputs {path / train} --test {path / test}",
        )


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith((".", "__"))


def _pictures(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _stacked(files: Sequence[Path], shape: Sequence[int] | None) -> NDArray[Any]:
    pictures = [_read(file) for file in files]
    sizes = Counter(picture.shape[:2] for picture in pictures)
    if len(sizes) > 1:
        common = sizes.most_common(1)[0][0]
        other = next(f for f, p in zip(files, pictures, strict=True) if p.shape[:2] != common)
        raise DataError(
            f"pictures of {files[0].parent}",
            expected="one size",
            got=", ".join(f"{n} of {h} × {w}" for (h, w), n in sizes.most_common(4))
            + f", such as {other.name}",
            fix="Resize them as the network's training did",
        )
    height, width = next(iter(sizes))
    room = np.uint8 if all(p.dtype == np.uint8 for p in pictures) else np.uint16
    coloured = any(p.ndim == 3 and not _is_grey(p) for p in pictures)
    shape = tuple(shape or ())
    if shape in ((3, height, width), (height, width, 3)):
        coloured = True
    result = np.empty((len(pictures), height, width, 3 if coloured else 1), room)
    for place, picture in enumerate(pictures):
        if picture.ndim == 2:
            result[place] = picture[:, :, None]
        else:
            result[place] = picture if coloured else picture[:, :, :1]
    if not coloured:
        return result[..., 0]
    return result if shape == (height, width, 3) else np.moveaxis(result, 3, 1)


def _is_grey(picture: NDArray[Any]) -> bool:
    return bool((picture == picture[:, :, :1]).all())


def _read(path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, 3), bytes or 16 bits; a transparent ground is not guessed at."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return _values(picture, path)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        got = str(error).splitlines()[0][:80] or type(error).__name__
        raise DataError(f"{path}", expected="a whole picture", got=got) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{path}", expected="a picture that a network reads", got="one far too large"
        ) from None


def _values(picture: Any, path: Path) -> NDArray[Any]:
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{path}", expected="8 or 16 bits a value", got="more")
        return values.astype(np.uint16)
    if picture.mode == "F":
        raise DataError(f"{path}", expected="8 or 16 bits a value", got="floats")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        whole = np.asarray(picture.convert("RGBA"))
        if (whole[:, :, 3] < 255).any():
            raise DataError(
                f"{path}",
                expected="pictures without transparency",
                got="transparent pixels",
                fix="Lay them on the ground that the network's training had",
            )
    return np.asarray(picture.convert("RGB"))
