"""The pages that a notebook shows: one for each kind of result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attribution.show.explain import Explained
from precond.errors import ArgumentError
from precond.report.explain import explain_page

PAGES: dict[type, Callable[[Any], str]] = {Explained: explain_page}


def page_of(result: object) -> str:
    """The page of a result, as one HTML document."""
    draw = PAGES.get(type(result))
    if draw is None:
        known = ", ".join(kind.__name__ for kind in PAGES)
        raise ArgumentError("result", expected=f"one of {known}", got=type(result).__name__)
    return draw(result)
