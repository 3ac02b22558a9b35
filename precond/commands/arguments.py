"""Checked argument types and options that several commands share."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from precond.basics.options import checked, option_of
from precond.basics.options import count as count
from precond.basics.options import seconds as seconds
from precond.basics.options import seed as seed
from precond.basics.options import share as share
from precond.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
EXIT_NOT_WORTH_IT = 3
EXIT_INTERRUPTED = 130
S = TypeVar("S", bound="DataclassInstance")


def sizes(text: str) -> tuple[str, tuple[int, ...]]:
    """Sizes of one input, such as 1,28,28, or of one of several by its name: image=1,28,28."""
    name, _, numbers = text.rpartition("=")
    expected = "sizes such as 1,28,28, or NAME=1,28,28"
    found = tuple(
        checked(part, kind=int, fits=lambda v: v >= 1, expected=expected)
        for part in numbers.split(",")
    )
    return name, found


class InputShapes(argparse.Action):
    """--input-shape: the sizes of the one input, or given again and again those of several."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        name, numbers = values
        before = getattr(namespace, self.dest)
        if before is not None and not (name and isinstance(before, dict)):
            parser.error(
                f"argument {option_string}: expected NAME=N,N,… for each of several inputs"
            )
        setattr(namespace, self.dest, {**(before or {}), name: numbers} if name else numbers)


def add_settings(
    command: argparse.ArgumentParser, settings: type[DataclassInstance], *names: str, **words: str
) -> None:
    """Options for the fields ``names`` of a dataclass of settings, by default for all that are
    options; each says its default.  ``words``: help of a field that this command says better."""
    for one in fields(settings):
        said = option_of(one)
        if said is None or (names and one.name not in names):
            continue
        name = f"--{(said.name or one.name).replace('_', '-')}"
        help = words.get(one.name, said.help)
        value: Any = one.default
        if isinstance(value, bool):
            command.add_argument(name, action="store_true", help=help)
            continue
        choices = said.choices
        if isinstance(value, Enum):
            value, choices = value.value, tuple(member.value for member in type(value))
        command.add_argument(
            name,
            type=said.parse or str,
            default=value,
            choices=choices,
            nargs=said.nargs,
            metavar=said.metavar or (None if choices else name[2:].upper()),
            help=f"{help} (default: {said.default or _words(value).replace('%', '%%')})",
        )


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_of(arguments: argparse.Namespace, settings: type[S], **given: object) -> S:
    """The settings that the options say, with the fields ``given``."""
    values: dict[str, object] = {}
    for one in fields(settings):
        said = option_of(one)
        name = None if said is None else said.name or one.name
        if name is None or not hasattr(arguments, name):
            continue
        value, default = getattr(arguments, name), one.default
        if isinstance(default, Enum):
            value = type(default)(value)
        values[one.name] = tuple(value) if isinstance(default, tuple) else value
    return settings(**{**values, **given})


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
