"""Boxes of a bisection: a batch of them, and the ones that wait.

The youngest go first: they are the smallest and nearest to being closed, so few wait.  Lowest
bound first was measured too (ACAS Xu, seconds of one core, depth-first / lowest first): 1_1:3
0.36 / 0.36, 3_3:2 5.5 / 5.0, 4_2:2 3.5 / 4.2, 4_5:1 0.27 / 0.35, and with a witness 5_3:2
1.4 / 2.2, 1_2:2 0.40 / 0.42.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from precond.proof.bounds.subdomains import Batch, youngest


@dataclass(frozen=True, eq=False)
class Boxes(Batch):
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


class WaitingBoxes:
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
        return youngest(self.blocks, count)
