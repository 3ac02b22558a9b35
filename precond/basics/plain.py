"""Values of a JSON file, taken as they are: 0.7 is no index, "1" no number, "false" no truth value,
and no name stands twice in one object.  ValueError for anything else."""

from __future__ import annotations

from typing import Any

# What it may raise to take fields from the content of a file that someone else wrote.
FOREIGN = (LookupError, AttributeError, TypeError, ValueError, ArithmeticError, RecursionError)


def plain_whole(value: Any) -> int:
    """A whole number."""
    if type(value) is not int:
        raise ValueError(f"{value!r:.40} is no whole number")
    return value


def plain_number(value: Any) -> float:
    """A number, whole or not."""
    if type(value) not in (int, float):
        raise ValueError(f"{value!r:.40} is no number")
    return float(value)


def plain_truth(value: Any) -> bool:
    """true or false."""
    if type(value) is not bool:
        raise ValueError(f"{value!r:.40} is neither true nor false")
    return value


def plain_numbers(values: Any) -> list[float]:
    """A list of numbers."""
    if type(values) is not list:
        raise ValueError(f"{values!r:.40} is no list of numbers")
    return [plain_number(value) for value in values]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ; for ``json.loads(…, object_pairs_hook=once)``."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r:.40} stands twice in one object")
    return found
