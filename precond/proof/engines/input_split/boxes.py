"""Boxes of a bisection: a batch of them, and the ones that wait.

The youngest go first: they are the smallest and nearest to being closed, so few wait.  Lowest
bound first was measured too (ACAS Xu, seconds of one core, depth-first / lowest first): 1_1:3
0.36 / 0.36, 3_3:2 5.5 / 5.0, 4_2:2 3.5 / 4.2, 4_5:1 0.27 / 0.35, and with a witness 5_3:2
1.4 / 2.2, 1_2:2 0.40 / 0.42.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes (G, n), their numbers (G,), their open conjuncts (G, C), lower bounds of how far
    each conjunct is from holding in them (G, C), their share of the volume (G,), and the layer
    bounds of the box they were cut from."""

    lower: Tensor
    upper: Tensor
    node: Tensor
    open: Tensor
    bound: Tensor
    share: Tensor
    known: dict[str, tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return len(self.lower)

    def rows(self, which: Tensor) -> Boxes:
        return Boxes(
            self.lower[which],
            self.upper[which],
            self.node[which],
            self.open[which],
            self.bound[which],
            self.share[which],
            {name: (low[which], high[which]) for name, (low, high) in self.known.items()},
        )


class Waiting:
    """Boxes that wait, in blocks that were cut together."""

    def __init__(self) -> None:
        self.blocks: list[Boxes] = []

    def __bool__(self) -> bool:
        return bool(self.blocks)

    def push(self, boxes: Boxes) -> None:
        if len(boxes):
            self.blocks.append(boxes)

    def pop(self, count: int) -> Boxes:
        """Up to ``count`` boxes, the youngest first."""
        taken: list[Boxes] = []
        room = count
        while self.blocks and room > 0:
            block = self.blocks[-1]
            if taken and taken[0].known.keys() != block.known.keys():
                break
            self.blocks.pop()
            if len(block) > room:
                index = torch.arange(len(block), device=block.lower.device)
                self.blocks.append(block.rows(index[:-room]))
                block = block.rows(index[-room:])
            taken.append(block)
            room -= len(block)
        return joined(taken)


def joined(blocks: Sequence[Boxes]) -> Boxes:
    if len(blocks) == 1:
        return blocks[0]
    return Boxes(
        torch.cat([b.lower for b in blocks]),
        torch.cat([b.upper for b in blocks]),
        torch.cat([b.node for b in blocks]),
        torch.cat([b.open for b in blocks]),
        torch.cat([b.bound for b in blocks]),
        torch.cat([b.share for b in blocks]),
        {
            name: (
                torch.cat([b.known[name][0] for b in blocks]),
                torch.cat([b.known[name][1] for b in blocks]),
            )
            for name in blocks[0].known
        },
    )
