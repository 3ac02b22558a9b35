"""What a user's file or folder holds, before it is checked and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, kw_only=True)
class FileContent:
    """``inputs`` (N, …) and ``labels`` (N,) as a file has them, or None.

    ``features`` names columns, ``classes`` the number of each label, ``rows`` each row (a
    picture's file); ``notes`` say what was taken for what.
    """

    inputs: NDArray[Any] | None
    labels: NDArray[Any] | None = None
    features: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    rows: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
