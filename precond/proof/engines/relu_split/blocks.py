"""Subdomains of a phase search: a batch of them, and the ones that wait.

While the waiting ones take less than a cap, the block with the lowest bound goes first, and
in it the subdomains with the lowest bounds; beyond it the youngest block, whose subdomains
are the deepest, so that memory stays near the cap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.subdomains import Batch


@dataclass(frozen=True, eq=False)
class Subdomains(Batch):
    """Subdomains: their numbers (G,), phases (G, neurons) in {−1, 0, 1}, the conjunct each is
    about (G,), the share of it that each is (G,), 2^−depth, the bound of the subdomain it was
    split from (G,), and the multipliers to start from."""

    node: Tensor
    phases: Tensor
    conjunct: Tensor
    share: Tensor
    bound: Tensor
    start: Multipliers | None

    @property
    def bytes(self) -> int:
        tensors = [self.phases]
        if self.start is not None:
            for part in (self.start.alpha, self.start.low, self.start.high):
                tensors.extend(part.values())
        return sum(t.numel() * t.element_size() for t in tensors)


@dataclass
class WaitingSubdomains:
    """``cap``: bytes of subdomains up to which the worst bound goes first."""

    cap: float
    blocks: list[tuple[float, Subdomains]] = field(default_factory=list)
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.blocks)

    def put(self, blocks: Sequence[Subdomains]) -> None:
        """These wait, and no others."""
        self.blocks, self.bytes = [], 0
        for block in blocks:
            self.push(block)

    def push(self, block: Subdomains) -> None:
        if len(block):
            self._add(block.rows(block.bound.argsort(stable=True)))

    def pop(self, count: int) -> Subdomains:
        """Up to ``count`` subdomains that go next."""
        at = len(self.blocks) - 1
        if self.bytes < self.cap:
            at = min(range(len(self.blocks)), key=lambda k: self.blocks[k][0])
        _, block = self.blocks.pop(at)
        self.bytes -= block.bytes
        if len(block) > count:
            index = torch.arange(len(block), device=block.phases.device)
            self._add(block.rows(index[count:]))
            block = block.rows(index[:count])
        return block

    def _add(self, block: Subdomains) -> None:
        self.blocks.append((float(block.bound[0]), block))
        self.bytes += block.bytes


def take(multipliers: Multipliers | None, rows: Tensor) -> Multipliers | None:
    return None if multipliers is None else multipliers.changed(lambda value: value[rows])


def twice(multipliers: Multipliers | None) -> Multipliers | None:
    return None if multipliers is None else multipliers.changed(lambda value: value.repeat(2, 1, 1))
