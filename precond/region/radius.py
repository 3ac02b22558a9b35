"""``Radius``: how far a value may move from where it is.

A radius is a number in the units of the values (0.05), or a share of each value's own range (5 %).
Columns of a table have units of their own, metres beside millimetres, so that one number says
little of all of them: a share moves each column by the same part of what it shows
(``value_ranges``).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from precond.basics.rounded import at_least
from precond.errors import QueryError

FORMS = "a number, or a share of each value's range such as 5%%"  # in the help of options
EXPECTED = "a number above 0, or a share of each value's range, up to 100%, such as 5%"


@dataclass(frozen=True)
class Radius:
    """``size``: in the units of the values, or with ``of_range`` as a share of each value's
    range."""

    size: float
    of_range: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.size < float("inf"):
            raise QueryError("radius", expected=EXPECTED, got=f"{self.size:g}")

    @classmethod
    def of(cls, value: Radius | float) -> Radius:
        """A number is one in the units of the values."""
        if isinstance(value, Radius):
            return value
        try:
            return cls(float(value))
        except (TypeError, ValueError):
            raise QueryError("radius", expected=EXPECTED, got=repr(value)) from None

    @classmethod
    def parse(cls, text: str, problem: str = "radius") -> Radius:
        """From ``0.05`` or ``5%``; QueryError, which names the ``problem``, for anything else."""
        digits, percent = text.strip(), text.strip().endswith("%")
        try:
            size = float(digits.rstrip("%")) if digits.count("%") == percent else None
        except ValueError:
            size = None
        if size is None or not 0 < size < float("inf") or (percent and size > 100):
            raise QueryError(problem, expected=EXPECTED, got=text)
        return cls(size / 100 if percent else size, of_range=percent)

    @property
    def option(self) -> str:
        """As one types it."""
        return f"{100 * self.size:g}%" if self.of_range else f"{self.size:g}"

    def __format__(self, spec: str) -> str:
        """``0.05`` or ``5 %``; ``spec`` is one of floats, by default ``g``."""
        if self.of_range:
            return f"{100 * self.size:{spec or 'g'}} %"
        return f"{self.size:{spec or 'g'}}"

    def __str__(self) -> str:
        return format(self, "g")

    def at_least(self, digits: int) -> str:
        """In so many digits, and no larger: what holds in this ball holds in that one."""
        if self.of_range:
            return f"{at_least(self.size, digits, times=100)} %"
        return at_least(self.size, digits)

    @property
    def words(self) -> str:
        """The same with what a share is of."""
        return f"{self} of each column's range" if self.of_range else str(self)

    @property
    def moves(self) -> str:
        """What the ball of this radius lets a value do."""
        return (
            f"each column within ±{self} of its range"
            if self.of_range
            else f"each value within ±{self}"
        )


def radius_option(text: str) -> Radius:
    """A radius on the command line; argparse's error for anything else."""
    try:
        return Radius.parse(text)
    except QueryError:
        raise argparse.ArgumentTypeError(f"expected {EXPECTED}, got {text!r}") from None
