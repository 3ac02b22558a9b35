"""An early answer by a linear map of a layer's values: what votes have to be compared with."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.reading import Probe, Reading
from precond.apply.distillation.votes import lead
from precond.network.graph import Network
from precond.network.layers import MaxPool2d


class LinearExit(nn.Module):
    """Softmax regression on a layer's values (max(z, 0), after its max-pool if one follows),
    or, with ``thin``, on the values of the neurons that a reading reads."""

    def __init__(self, network: Network, reading: Reading, *, thin: bool) -> None:
        super().__init__()
        self.name = f"linear exit at {reading if thin else reading.layer}"
        self.probe = Probe(network, reading) if thin else None
        self.cut = reading.cut(network) if thin else _after(network, reading.layer)
        width = len(reading.neurons(network)) if thin else network.width(self.cut)
        self.linear = nn.Linear(width, network.classes.count)
        self.register_buffer("threshold", torch.tensor(math.inf))

    def scores(self, value: Tensor) -> Tensor:
        flat = value.flatten(1) if self.probe is None else F.relu(self.probe(value))
        return cast(Tensor, self.linear(flat))

    def judge(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Label and confidence, (N,) each."""
        return lead(self.scores(value))

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        label, confidence = self.judge(value)
        return label, confidence >= cast(Tensor, self.threshold)


def _after(network: Network, layer: str) -> str:
    readers = [node for node in network.nodes if layer in node.inputs]
    pooled = len(readers) == 1 and isinstance(readers[0].layer, MaxPool2d)
    return readers[0].name if pooled else layer
