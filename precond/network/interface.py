"""The tensors that a model reads and gives, by the names its file has for them.

A network has one flat input and one flat output.  A model of several inputs reads them from the
one side by side, in the order of the file, and its outputs stand side by side in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from precond.network.layers import Shape


@dataclass(frozen=True)
class NamedTensor:
    """One of several inputs or outputs: its name in the file, its shape without the batch."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def places(parts: Sequence[NamedTensor]) -> Iterator[tuple[NamedTensor, int, int]]:
    """Every part with where it begins and ends among the values of all."""
    start = 0
    for part in parts:
        yield part, start, start + part.size
        start += part.size
