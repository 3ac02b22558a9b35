"""Boxes of a bisection: a batch of them, and the ones that wait.

The youngest go first: they are the smallest and nearest to being closed, so few wait.  Lowest
bound first was measured too (ACAS Xu, seconds of one core, depth-first / lowest first): 1_1:3
0.36 / 0.36, 3_3:2 5.5 / 5.0, 4_2:2 3.5 / 4.2, 4_5:1 0.27 / 0.35, and with a witness 5_3:2
1.4 / 2.2, 1_2:2 0.40 / 0.42.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from precond.proof.bounds.subdomains import Batch, youngest
from precond.proof.claim import Problem
from precond.proof.limits import as_tensor


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


def whole_box(problem: Problem, conjuncts: int, device: str) -> Boxes:
    """The whole region, with everything open."""
    lower = as_tensor(problem.box.lower, device)[None]
    return Boxes(
        lower,
        as_tensor(problem.box.upper, device)[None],
        torch.zeros(1, dtype=torch.int64, device=device),
        open=torch.ones(1, conjuncts, dtype=torch.bool, device=device),
        bound=lower.new_full((1, conjuncts), -torch.inf),
        share=torch.ones(1, dtype=torch.float64, device=device),
        known={},
    )


def where_to_cut(boxes: Boxes, form: Tensor) -> tuple[Boxes, Tensor, Tensor, Boxes]:
    """The input that matters most to ``form`` (G, n), and its middle: the boxes that can be cut,
    both of these for each, and the boxes that are too narrow for it."""
    lower, upper = boxes.lower, boxes.upper
    weight = form.abs() + 0.02 * form.abs().amax(1, keepdim=True) + 1e-300
    axis = (weight * (upper - lower)).argmax(1)
    index = torch.arange(len(axis), device=boxes.device)
    middle = (lower[index, axis] + upper[index, axis]) / 2
    splittable = (middle > lower[index, axis]) & (middle < upper[index, axis])
    whole = boxes.rows((~splittable).nonzero().squeeze(1))
    if len(whole):
        kept = splittable.nonzero().squeeze(1)
        boxes, axis, middle = boxes.rows(kept), axis[kept], middle[kept]
    return boxes, axis, middle, whole


def both_halves(boxes: Boxes, axis: Tensor, middle: Tensor, first: int) -> Boxes:
    """The boxes cut at ``middle`` (G,) of ``axis`` (G,), numbered from ``first``."""
    index = torch.arange(len(boxes), device=boxes.device)
    left, right = boxes.upper.clone(), boxes.lower.clone()
    left[index, axis] = middle
    right[index, axis] = middle
    twice = boxes.rows(index.repeat(2))
    return replace(
        twice,
        lower=torch.cat([boxes.lower, right]),
        upper=torch.cat([left, boxes.upper]),
        node=torch.arange(first, first + 2 * len(boxes), device=boxes.device),
        share=twice.share / 2,
    )
