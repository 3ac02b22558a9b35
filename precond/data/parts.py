"""The inputs of a network that reads several, by their names, put side by side in its order.

A file of named arrays holds one array for each input, a table one column for each value: named
as the input is where that is one number, else as ``NAME[3]``, ``NAME_3`` or ``NAME.3``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.network.interface import NamedTensor

SPELLINGS = ("{}[{}]", "{}_{}", "{}.{}")


def has_all(parts: Sequence[NamedTensor], names: Iterable[str]) -> bool:
    """Whether there is an array for each of several inputs."""
    return bool(parts) and {part.name for part in parts} <= set(names)


def side_by_side(
    arrays: Mapping[str, NDArray[Any]], parts: Sequence[NamedTensor], origin: str
) -> NDArray[Any]:
    """Rows (N, values of all parts) of one array (N, …) for each."""
    rows = {len(arrays[part.name]) if arrays[part.name].ndim else 0 for part in parts}
    if len(rows) != 1:
        raise DataError(
            f"{origin}: {', '.join(part.name for part in parts)}",
            expected="as many rows of each",
            got=" and ".join(str(arrays[part.name].shape) for part in parts),
        )
    flat = []
    for part in parts:
        values = arrays[part.name].reshape(rows.copy().pop(), -1)
        if values.shape[1] != part.size:
            raise DataError(
                f"{origin}: {part.name}",
                expected=f"rows of {part.size} values, of shape {part.shape}",
                got=f"rows of {values.shape[1]}",
            )
        flat.append(values)
    return np.concatenate(flat, axis=1)


def places_of(parts: Sequence[NamedTensor], header: Sequence[str]) -> list[int] | None:
    """Where the columns of each value stand; None unless all are there, each once."""
    place = {name: i for i, name in enumerate(header)}
    if not parts or len(place) < len(header):
        return None
    found = []
    for part in parts:
        for i in range(part.size):
            spelt = [text.format(part.name, i) for text in SPELLINGS]
            names = [name for name in (*spelt, *([part.name] * (part.size == 1))) if name in place]
            if len(names) != 1:
                return None
            found.append(place[names[0]])
    return found
