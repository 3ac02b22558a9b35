"""Which decisions of a layer an early answer looks at, and the module that computes them.

A *reading* is of all neurons of a layer, or of every k-th row and column of a convolution's
neurons, which cost 1/k² of the layer to compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from precond.errors import QueryError
from precond.network.graph import Network
from precond.network.layers import Affine, Conv2d


@dataclass(frozen=True)
class Reading:
    """The decisions of ``layer`` at every ``step``-th row and column of a convolution's
    neurons (every ``step``-th neuron of a dense layer)."""

    layer: str
    step: int = 1

    def check(self, network: Network) -> None:
        """QueryError unless the layer can be read that sparsely."""
        before = network.node.get(network.pre_activation(self.layer))
        if self.step < 1 or (
            self.step > 1 and not (before and isinstance(before.layer, Affine | Conv2d))
        ):
            raise QueryError(
                f"step {self.step} at {self.layer}",
                expected="1, or more where a convolution or a dense layer comes before it",
                got=str(self.step),
            )

    def cut(self, network: Network) -> str:
        """The value the reading starts from and the rest of the network goes on from."""
        self.check(network)
        before = network.pre_activation(self.layer)
        return before if self.step == 1 else network.node[before].inputs[0]

    def neurons(self, network: Network) -> NDArray[np.int64]:
        """Flat indices of the neurons that are read, in order."""
        shape = network.shapes[self.layer]
        every = np.arange(math.prod(shape)).reshape(shape)
        thinned = every[:, :: self.step, :: self.step] if len(shape) == 3 else every[:: self.step]
        return np.asarray(thinned.reshape(-1), dtype=np.int64)

    def __str__(self) -> str:
        return self.layer if self.step == 1 else f"{self.layer}:{self.step}"

    @classmethod
    def parse(cls, text: str) -> Reading:
        """From ``LAYER`` or ``LAYER:STEP``."""
        name, separator, step = text.rpartition(":")
        if separator and step.isdecimal():
            return cls(name, int(step))
        return cls(text)


class Probe(nn.Module):
    """Pre-activations (N, m) of a reading, from the value at its cut."""

    def __init__(self, network: Network, reading: Reading) -> None:
        super().__init__()
        reading.check(network)
        self.layer: Affine | Conv2d | None = None
        if reading.step == 1:
            return
        before = network.node[network.pre_activation(reading.layer)].layer
        assert isinstance(before, Affine | Conv2d)
        self.layer, self.step = before, reading.step
        thin = reading.step if isinstance(before, Affine) else 1
        self.register_buffer("weight", torch.tensor(before.weight[::thin], dtype=torch.float32))
        self.register_buffer("bias", torch.tensor(before.bias[::thin], dtype=torch.float32))

    def forward(self, value: Tensor) -> Tensor:
        layer = self.layer
        if layer is None:
            return value.flatten(1)
        weight, bias = cast(Tensor, self.weight), cast(Tensor, self.bias)
        if isinstance(layer, Affine):
            return F.linear(value, weight, bias).flatten(1)
        top, left, bottom, right = layer.padding
        padding = (top, left)
        if (top, left) != (bottom, right):
            value, padding = F.pad(value, (left, right, top, bottom)), (0, 0)
        stride = (layer.stride[0] * self.step, layer.stride[1] * self.step)
        found = F.conv2d(value, weight, bias, stride, padding, layer.dilation, layer.groups)
        return found.flatten(1)
