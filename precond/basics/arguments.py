"""Arguments of public calls: each is of the kind a call takes, or an error names it.

Every error says what the argument is called, what was expected, what came, and what to do.
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from precond.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = TypeVar("Kind")


def require_kind(name: str, value: object, kind: type[Kind], fix: str | None = None) -> Kind:
    """``value``, an instance of ``kind``."""
    if not isinstance(value, kind):
        word = f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
        raise ArgumentError(name, expected=word, got=described(value), fix=fix)
    return value


def described(value: object) -> str:
    """An argument in a few words: what it is, and its value where that is short."""
    text = repr(value)
    kind = type(value).__name__
    short = isinstance(value, str | int | float | type(None)) and len(text) <= 40
    return f"{text} ({kind})" if short else f"a {kind}"


def numbers(name: str, values: object) -> NDArray[np.float64]:
    """``values`` as a float64 array of its own."""
    import numpy as np

    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise ArgumentError(
                name, expected="rows of one length", got="rows that differ in length"
            ) from None
        raise ArgumentError(name, expected="numbers", got=described(values)) from None


def number(name: str, value: Any) -> float:
    """``value`` as one float; a text is none."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(name, expected="a number", got=described(value)) from None


def whole(name: str, value: Any) -> int:
    """``value`` as an integer; 1.5 and ``"1"`` are none."""
    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentError(name, expected="a whole number", got=described(value)) from None


def items(name: str, values: Any, each: str) -> tuple[Any, ...]:
    """What ``values`` holds; ``each`` says what that should be."""
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise ArgumentError(name, expected=f"a sequence of {each}", got=described(values))
    return tuple(values)


def path_of(name: str, value: Any) -> Path:
    """``value`` as a path."""
    try:
        return Path(value)
    except TypeError:
        raise ArgumentError(name, expected="a path", got=described(value)) from None
