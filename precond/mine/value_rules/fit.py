"""Boxes of activations that imply a class, fitted so that together they hold many inputs.

A box is a centre with room below and above each activation, scaled as a whole until its worst
margin is nearly zero: every box that is tried implies the class, and nothing of the margin stays
unused.  Gradient steps (Adam) move centres and rooms so that many inputs lie in some box, at
least ``INSIDE`` away from its sides: an input counts exp(−v/τ) for a box, v its summed distance
from the box, and 1 − Π (1 − count) for all boxes of the class.  Inputs are the training inputs
of the class and mixes of two of them, which stand for inputs that were not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.proof.bounds.adam import Adam
from precond.proof.deadline import Deadline

Array = NDArray[np.float64]
STEPS = 200
RATE = 0.1
BATCH = 96
MIX = 0.5  # largest share of the second of two inputs
INSIDE = 0.2  # units from a side that an input should keep
BLUR = (1.0, 0.2)  # τ, from the first step to the last
LEFT = 1e-3  # of the margin that is left, for rounding


@dataclass(frozen=True, eq=False)
class Margins:
    """Of a class, over activations in units of ``scale`` (m,); ``cap`` (m,) is what they reach."""

    form: Tensor
    constant: Tensor
    cap: Tensor

    def at(self, points: Tensor) -> Tensor:
        """The margins (N, R) at points (N, m)."""
        return points @ self.form.T + self.constant

    def room(self, below: Tensor, above: Tensor) -> Tensor:
        """What each margin (B, R) loses over boxes of such rooms (B, m)."""
        return below @ self.form.clamp(min=0).T + above @ (-self.form).clamp(min=0).T


@dataclass(frozen=True, eq=False)
class _Boxes:
    centre: Tensor
    below: Tensor
    above: Tensor

    def sides(self, margins: Margins) -> tuple[Tensor, Tensor, Tensor]:
        """Lower and upper sides (B, m), and the margins at the centres (B, R)."""
        centre = self.centre.clamp(min=0)
        below, above = centre * self.below.sigmoid(), self.above.exp()
        at = margins.at(centre)
        loss = margins.room(below, above).clamp(min=1e-9)
        size = ((at - LEFT).clamp(min=1e-6) / loss).amin(1, keepdim=True)
        low = (centre - size * below).clamp(min=0)
        return low, torch.minimum(centre + size * above, margins.cap), at


def fitted(
    activations: Array,
    margins: tuple[Array, Array],
    cap: Array,
    *,
    scale: Array,
    boxes: int,
    seed: int,
    deadline: Deadline,
) -> tuple[Array, Array]:
    """Lower and upper sides (B, m) of at most ``boxes`` boxes for a class.

    ``activations`` (N, m): of its training inputs; ``margins``: form (R, m) and constant (R,);
    ``cap`` (m,): the largest activations of the domain; ``scale`` (m,): the unit of each.
    """
    generator = torch.Generator().manual_seed(seed)

    def tensor(values: Array) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)

    points = tensor(activations / scale)
    units = Margins(tensor(margins[0] * scale), tensor(margins[1]), tensor(cap / scale))
    start = points[_spread(points, units, boxes, generator=generator)]
    parameters = [start.clone(), torch.zeros_like(start), torch.zeros_like(start)]
    for parameter in parameters:
        parameter.requires_grad_()
    ascent = Adam(parameters)
    for step in range(STEPS):
        if deadline.passed:
            break
        blur = BLUR[0] * (BLUR[1] / BLUR[0]) ** (step / STEPS)
        with torch.enable_grad():
            gain = _gain(_Boxes(*parameters), units, _mixed(points, generator), blur=blur)
            slopes = torch.autograd.grad(gain, parameters)
        with torch.no_grad():
            ascent.step(slopes, RATE)
    with torch.no_grad():
        low, high, _ = _Boxes(*parameters).sides(units)
    return low.double().numpy() * scale, high.double().numpy() * scale


def _gain(boxes: _Boxes, margins: Margins, points: Tensor, *, blur: float) -> Tensor:
    """The share of ``points`` in some box, blurred; less what centres lack of their class."""
    low, high, at = boxes.sides(margins)
    inner = torch.where(low <= 0, low, low + INSIDE)
    outer = torch.where(high >= margins.cap, high, high - INSIDE)
    outside = (inner - points[:, None]).clamp(min=0) + (points[:, None] - outer).clamp(min=0)
    held = torch.exp(-outside.sum(-1) / blur) * 0.999
    share = 1 - torch.log1p(-held).sum(1).exp().mean()
    return share - 0.1 * (0.01 - at).clamp(min=0).mean()


def _mixed(points: Tensor, generator: torch.Generator) -> Tensor:
    """Mixes of two inputs each, nearer to the first."""
    pairs = torch.randint(len(points), (2, min(BATCH, 4 * len(points))), generator=generator)
    share = MIX * torch.rand(pairs.shape[1], 1, generator=generator, dtype=points.dtype)
    return (1 - share) * points[pairs[0]] + share * points[pairs[1]]


def _spread(
    points: Tensor, margins: Margins, count: int, *, generator: torch.Generator
) -> list[int]:
    """Inputs to start from: the surest, then such as are far from those before (k-means++)."""
    chosen = [int(margins.at(points).amin(1).argmax())]
    distance = (points - points[chosen[0]]).abs().sum(1)
    while len(chosen) < min(count, len(points)) and bool((distance > 0).any()):
        chosen.append(int(torch.multinomial(distance**2, 1, generator=generator)))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).abs().sum(1))
    return chosen
