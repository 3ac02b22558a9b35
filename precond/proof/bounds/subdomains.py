"""Subdomains in a batch: what every search does with them, whatever it splits.

A ``Batch`` is a dataclass of tensors with one entry a subdomain (and of layer bounds and
multipliers, which hold such tensors).  In what order the waiting ones go is each search's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from precond.proof.bounds.backward import Multipliers

B = TypeVar("B", bound="Batch")


@dataclass(frozen=True, eq=False)
class Batch:
    """Base of dataclasses whose first field is a tensor."""

    def __len__(self) -> int:
        return len(self._values()[0])

    @property
    def device(self) -> torch.device:
        first: Tensor = self._values()[0]
        return first.device

    def rows(self: B, which: Tensor) -> B:
        """The subdomains ``which``; one may be repeated."""
        return type(self)(*(_changed(value, lambda part: part[which]) for value in self._values()))

    def joins(self: B, other: B) -> bool:
        """Whether both hold values of the same layers."""
        pairs = zip(self._values(), other._values(), strict=True)
        return all(a.keys() == b.keys() for a, b in pairs if isinstance(a, dict))

    def _values(self) -> list[Any]:
        return [getattr(self, item.name) for item in fields(self)]


def youngest(blocks: list[B], count: int) -> B:
    """Up to ``count`` subdomains, the youngest first, taken out of ``blocks``."""
    taken: list[B] = []
    while blocks and count > 0:
        block = blocks[-1]
        if taken and not taken[0].joins(block):
            break
        blocks.pop()
        if len(block) > count:
            index = torch.arange(len(block), device=block.device)
            blocks.append(block.rows(index[:-count]))
            block = block.rows(index[-count:])
        taken.append(block)
        count -= len(block)
    return joined(taken)


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Multipliers):
        return value.changed(change)
    if value is None:
        return None
    return {name: (change(low), change(high)) for name, (low, high) in value.items()}


def joined(batches: Sequence[B]) -> B:
    """One batch of all; their layer bounds are of the same layers."""
    if len(batches) == 1:
        return batches[0]
    parts: list[Any] = []
    for values in zip(*(batch._values() for batch in batches), strict=True):
        if isinstance(values[0], Tensor):
            parts.append(torch.cat(values))
        else:
            parts.append(
                {
                    name: tuple(torch.cat([value[name][k] for value in values]) for k in range(2))
                    for name in values[0]
                }
            )
    return type(batches[0])(*parts)
