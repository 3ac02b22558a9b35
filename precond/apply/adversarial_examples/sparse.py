"""Adversarial examples that change as few values as possible.

From a real input the value whose change promises most is set to an end of its range,
again and again, until the class changes: greedy on the gradient of (largest rival − own class).
Then every changed value that turns out not to be needed is put back, the least promising first.

Source: Papernot et al. 2016 (saliency-map attack), here with the best rival at every step.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.apply.certification.batch import chunk
from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.operators import Operators, operators
from precond.proof.deadline import FOREVER, Deadline
from precond.region.value_ranges import ValueRanges, ranges_of

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MARGIN = 1e-3  # of the spread of the outputs


def fewest_changes(
    network: Network,
    anchors: Array,
    classes: Rows,
    natural: ValueRanges | tuple[float, float],
    *,
    most: int = 40,
    device: str = "cpu",
    deadline: Deadline = FOREVER,
) -> Array:
    """For real inputs ``anchors`` (M, n) of ``classes`` (M,) points (M, n) with few changed
    values that are given another class; NaN rows where ``most`` changes were not enough, or
    the time was not."""
    ops = operators(network, device, torch.float64)
    result = np.full(anchors.shape, np.nan)
    size, ranges = chunk(network, 2), ranges_of(natural, anchors.shape[1])
    for start in range(0, len(anchors), size):
        rows = slice(start, start + size)
        if deadline.passed:
            break
        result[rows] = _greedy(
            ops, anchors[rows], classes[rows], ranges=ranges, most=most, deadline=deadline
        )
    return result


def _greedy(
    ops: Operators,
    anchors: Array,
    classes: Rows,
    ranges: ValueRanges,
    most: int,
    deadline: Deadline,
) -> Array:
    own = torch.tensor(classes, device=ops.device)[:, None]
    begin = torch.tensor(anchors, device=ops.device)
    x, order = begin.clone(), torch.zeros_like(begin)
    box = ranges.box
    low, high = (torch.tensor(side, device=ops.device) for side in (box.lower, box.upper))
    far = torch.where(begin > (low + high) / 2, low, high).to(begin.dtype)
    for step in range(1, most + 1):
        x = x.detach().requires_grad_(True)
        gain = _gain(ops, x, own)
        open_ = gain <= 0
        if deadline.passed or not bool(open_.any()):
            break
        (gradient,) = torch.autograd.grad(gain.sum(), x)
        with torch.no_grad():
            goal = torch.where(gradient > 0, high, low).to(x.dtype)
            goal = torch.where(gradient == 0, far, goal)  # unread as yet: the end further away
            promise = (gradient * (goal - x)).masked_fill(order > 0, -torch.inf)
            best = promise.argmax(1, keepdim=True)
            moved = x.scatter(1, best, goal.gather(1, best))
            x = torch.where(open_[:, None], moved, x)
            order = torch.where(
                open_[:, None], order.scatter(1, best, torch.full_like(x[:, :1], step)), order
            )
    with torch.no_grad():
        x = x.detach()
        for step in range(most, 0, -1):  # later changes promised less
            if deadline.passed:
                break
            back = torch.where(order == step, begin, x)
            fine = (_gain(ops, back, own) > 0)[:, None]
            x = torch.where(fine, back, x)
        solved = _gain(ops, x, own) > 0
        x[~solved] = torch.nan
    return np.asarray(x.cpu().numpy())


def _gain(ops: Operators, x: Tensor, own: Tensor) -> Tensor:
    """By how much a rival is ahead of the own class, less the margin asked for, (M,)."""
    network = ops.network
    y = forward(ops, {INPUT: x.reshape(-1, *network.input_shape)}, [network.output])
    scores = network.classes.scores(y[network.output].flatten(1))
    rival = scores.scatter(1, own, -torch.inf).amax(1)
    spread = (scores.amax(1) - scores.amin(1)).detach()
    return rival - scores.gather(1, own)[:, 0] - MARGIN * spread
