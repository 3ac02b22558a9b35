"""Checked argument types and options that several commands share."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from precond.errors import OutputError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
EXIT_INTERRUPTED = 130
T = TypeVar("T", int, float)


def seconds(text: str) -> float:
    return _checked(text, float, lambda v: 0 < v < float("inf"), "seconds above 0")


def share(text: str) -> float:
    return _checked(text, float, lambda v: 0 < v <= 1, "a share in (0, 1]")


def count(text: str) -> int:
    return _checked(text, int, lambda v: v >= 1, "a whole number of 1 or more")


def seed(text: str) -> int:
    return _checked(text, int, lambda v: 0 <= v < 2**32, "a whole number from 0 to 2³² − 1")


def sizes(text: str) -> tuple[int, ...]:
    """Sizes of one input, such as 1,28,28."""
    parts = [
        _checked(part, int, lambda v: v >= 1, "sizes such as 1,28,28") for part in text.split(",")
    ]
    return tuple(parts)


def _checked(text: str, kind: type[T], fits: Callable[[T], bool], expected: str) -> T:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def output_folder(path: Path, option: str = "--out") -> Path:
    """The output folder, made if need be, and checked to be writable before any work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(
            f"{option} {path}",
            expected="a folder that can be written",
            got=error.strerror or type(error).__name__,
            fix="Choose another folder",
        ) from error
    return path
