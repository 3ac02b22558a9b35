"""Affine maps that only move values: other shapes, chosen entries, several values side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from precond.network.affine import AffineOperator
from precond.network.layers import Concat, Shape


class Reshaped(AffineOperator):
    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        return values[0].reshape(values[0].shape[0], *self.output)

    def transpose(self, form: Tensor) -> list[Tensor]:
        return [form.reshape(form.shape[0], *self.inputs[0])]


class Selected(AffineOperator):
    def __init__(self, inputs: Sequence[Shape], output: Shape, index: Tensor, fill: Tensor) -> None:
        super().__init__(inputs, output)
        self.index = index
        self.outside = index < 0
        self.padded = bool(self.outside.any())
        self.source = index.clamp(min=0)
        self.fill = fill

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        taken = values[0].flatten(1).index_select(1, self.source)
        if self.padded:
            fill = self.fill if bias else torch.zeros_like(self.fill)
            taken = torch.where(self.outside, fill, taken)
        return taken.reshape(taken.shape[0], *self.output)

    def transpose(self, form: Tensor) -> list[Tensor]:
        flat = form.flatten(1)
        if self.padded:
            flat = flat.masked_fill(self.outside, 0.0)
        result = flat.new_zeros(flat.shape[0], math.prod(self.inputs[0]))
        result.index_add_(1, self.source, flat)
        return [result.reshape(form.shape[0], *self.inputs[0])]

    def absolute(self) -> AffineOperator:
        return Selected(self.inputs, self.output, self.index, fill=self.fill.abs())

    def bias_dot(self, form: Tensor) -> Tensor:
        return (form.flatten(1) * self.outside).sum(1) * self.fill

    @property
    def terms(self) -> int:
        # One input may be read often; its form is then a sum.
        counts = np.bincount(self.source.cpu().numpy()) if self.index.numel() else [1]
        return int(max(counts)) + (math.prod(self.output) if self.padded else 0)


class Concatenated(AffineOperator):
    def __init__(self, inputs: Sequence[Shape], output: Shape, layer: Concat) -> None:
        super().__init__(inputs, output)
        self.axis = layer.axis + 1
        self.sizes = [shape[layer.axis] for shape in inputs]

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        return torch.cat(list(values), self.axis)

    def transpose(self, form: Tensor) -> list[Tensor]:
        return [part.contiguous() for part in torch.split(form, self.sizes, self.axis)]
