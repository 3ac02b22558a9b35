"""Fields of settings that are options of a command too: the default and its words, once.

A field made by ``option`` has its default for callers from Python, and what the command line
needs to offer it (``commands/arguments.py: add_settings``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T", int, float)
KEY = "option"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a command: ``help`` says what the field is, without its default, which is
    added, or is ``default`` in words.  ``parse`` reads the text and refuses what does not fit;
    ``name`` is the option's where it is not the field's; ``nargs`` "+" reads a tuple."""

    help: str
    parse: Callable[[str], Any] | None = None
    name: str | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    default: str | None = None
    nargs: str | None = None


def option(value: Any, help: str, **more: Any) -> Any:
    """A field of a dataclass whose default is ``value``; ``more``: fields of ``Option``."""
    return field(default=value, metadata={KEY: Option(help=help, **more)})


def option_of(one: Field[Any]) -> Option | None:
    """The option that a field is, if it is one."""
    found = one.metadata.get(KEY)
    return found if isinstance(found, Option) else None


def seconds(text: str) -> float:
    return checked(text, float, lambda v: 0 < v < float("inf"), expected="seconds above 0")


def positive(text: str) -> float:
    return checked(text, float, lambda v: 0 < v < float("inf"), expected="a number above 0")


def share(text: str) -> float:
    return checked(text, float, lambda v: 0 < v <= 1, expected="a share in (0, 1]")


def count(text: str) -> int:
    return checked(text, int, lambda v: v >= 1, expected="a whole number of 1 or more")


def seed(text: str) -> int:
    return checked(text, int, lambda v: 0 <= v < 2**32, expected="a whole number from 0 to 2³² − 1")


def checked(text: str, kind: type[T], fits: Callable[[T], bool], expected: str) -> T:
    """``text`` as a number that ``fits``, or argparse's error that says what was expected."""
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value
