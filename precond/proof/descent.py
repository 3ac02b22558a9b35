"""Gradient descent on inputs inside a box: the one loop of everything that looks for points.

Each search says what is to become less (``look``) and how long its steps are (``Pace``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import Operators

Look = Callable[[Tensor, dict[str, Tensor]], Tensor | None]


class Direction(Enum):
    """Where a step goes."""

    SIGNS = "signs"
    """Along the gradient's signs, in every input by the same share of the box."""
    TURNS = "turns"
    """By signs and along the gradient itself, in turns."""
    SCALED_TURNS = "scaled turns"
    """The same, with the gradient taken in units of the box's width."""


@dataclass(frozen=True, eq=False)
class Pace:
    """Step k moves by at most ``first · decay^k`` of the box's width; ``first`` may be (N, 1)."""

    first: float | Tensor
    decay: float
    direction: Direction = Direction.TURNS

    def move(self, gradient: Tensor, width: Tensor, step: int) -> Tensor:
        """What step number ``step`` takes from each input."""
        way = gradient.sign()
        if self.direction is not Direction.SIGNS and step % 2:
            way = gradient * width if self.direction is Direction.SCALED_TURNS else gradient
            tiny = torch.finfo(way.dtype).tiny
            way = way / way.abs().amax(1, keepdim=True).clamp(min=tiny)
        return self.first * self.decay**step * width * way


def descend(
    ops: Operators,
    x: Tensor,
    box: tuple[Tensor, Tensor],
    pace: Pace,
    look: Look,
    *,
    wanted: Sequence[str],
    steps: int,
) -> None:
    """Move points x (N, n) ``steps`` times inside ``box``, lower and upper (n,) or (N, n).

    ``look`` gets the points and the values of the ``wanted`` nodes there, before the first
    move and after each, and gives the scalar to lower; None ends the descent.
    """
    lower, upper = box
    for step in range(steps + 1):
        x = x.detach().requires_grad_(True)
        values = forward(ops, {INPUT: x.reshape(-1, *ops.network.input_shape)}, wanted)
        loss = look(x, values)
        if loss is None or step == steps:
            return
        (gradient,) = torch.autograd.grad(loss, x)
        with torch.no_grad():
            moved = x - pace.move(gradient, upper - lower, step)
            x = torch.minimum(torch.maximum(moved, lower), upper)
