"""Affine nodes and max-pool windows on flat values.

The exact method keeps every value as a (rows, n) matrix, images with channels innermost:
rows are then copied whole, and convolutions read them in the layout they are fastest in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from precond.basics.shapes import Float, Int, Shaped
from precond.network.affine import AffineOperator, Convolution, EvenConvolution
from precond.network.graph import Network
from precond.network.layers import MaxPool2d, Node, Shape
from precond.network.operators import Operators


def flatten(value: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "rows units"]:
    """(R, *shape) as (R, n)."""
    if value.dim() == 4:
        value = value.permute(0, 2, 3, 1)
    return value.reshape(len(value), -1)


def shaped(flat: Float[Tensor, "rows units"], shape: Shape) -> Float[Tensor, "rows ..."]:
    """The inverse of ``flatten``."""
    if len(shape) != 3:
        return flat.reshape(len(flat), *shape)
    channels, height, width = shape
    return flat.reshape(len(flat), height, width, channels).permute(0, 3, 1, 2)


def places(shape: Shape, device: torch.device) -> Int[Tensor, " units"]:
    """(n,): the position in ``network`` order of each flat position here."""
    return flatten(torch.arange(torch.Size(shape).numel(), device=device).reshape(1, *shape))[0]


@dataclass(frozen=True, eq=False)
class Map:
    """An affine node on flat values."""

    operator: AffineOperator

    @classmethod
    def of(cls, node: Node, ops: Operators) -> Map:
        operator = ops.affine[node.name]
        if isinstance(operator, Convolution) and EvenConvolution.fits(operator.layer):
            operator = EvenConvolution(operator)
        return cls(operator)

    def apply(
        self, values: Sequence[Float[Tensor, "rows _"]], bias: bool = True
    ) -> Float[Tensor, "rows units"]:
        """``L(values) + b`` (or ``L(values)``), (R, m)."""
        whole = [shaped(v, s) for v, s in zip(values, self.operator.inputs, strict=True)]
        return flatten(self.operator.apply(whole, bias))

    def transpose(self, form: Float[Tensor, "rows _"]) -> list[Float[Tensor, "rows _"]]:
        """Gradients (R, n) at each input from one (R, m) at the output."""
        return [
            flatten(part) for part in self.operator.transpose(shaped(form, self.operator.output))
        ]


@dataclass(frozen=True, eq=False)
class PoolWindows:
    """PoolWindows ``members`` (m, k) of a max-pool, flat positions, −1 for none."""

    members: Tensor
    layer: MaxPool2d | None
    shape: Shape

    @classmethod
    def of(cls, network: Network, source: str, pool: str, ops: Operators) -> PoolWindows:
        layer = next(node.layer for node in network.nodes if node.name == pool)
        assert isinstance(layer, MaxPool2d)
        before, after = network.shapes[source], network.shapes[pool]
        members = ops.windows[pool]
        order = places(before, members.device)
        here = torch.empty_like(order)
        here[order] = torch.arange(len(order), device=order.device)
        moved = torch.where(members < 0, -1, here[members.clamp(min=0)])
        plain = None if any(layer.padding) or layer.ceil_mode else layer
        return cls(moved[places(after, members.device)], plain, before)

    @classmethod
    def single(cls, width: int, device: torch.device) -> PoolWindows:
        """All ``width`` columns as one window."""
        return cls(torch.arange(width, device=device)[None], None, (width,))

    def maximum(
        self, flat: Float[Tensor, "rows _"]
    ) -> tuple[Float[Tensor, "rows windows"], Int[Tensor, "rows windows"]]:
        """Maxima (R, m) and the flat positions (R, m) of those that lead."""
        layer = self.layer
        if layer is None:
            gathered = self.gather(flat)
            top, leader = gathered.max(-1)
            column = torch.gather(
                self.members.expand(len(flat), *self.members.shape), 2, leader[..., None]
            )
            return top, column.squeeze(-1)
        top, place = F.max_pool2d(
            shaped(flat, self.shape),
            layer.kernel,
            layer.stride,
            0,
            layer.dilation,
            return_indices=True,
        )
        channel = torch.arange(self.shape[0], device=flat.device)
        column = place.permute(0, 2, 3, 1) * self.shape[0] + channel
        return flatten(top), column.reshape(len(flat), -1)

    def gather(self, flat: Float[Tensor, "rows _"]) -> Float[Tensor, "rows windows members"]:
        """(R, m, k) candidates; a finite number below all others for none."""
        return lowered(flat[:, self.members.clamp(min=0)], self.members)


def lowered(candidates: Tensor, members: Tensor) -> Tensor:
    """Candidates with those of no member (−1) far below."""
    if bool((members < 0).any()):
        return candidates.masked_fill(members < 0, -torch.finfo(candidates.dtype).max / 8)
    return candidates
