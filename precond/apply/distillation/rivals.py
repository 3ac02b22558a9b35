"""What a fast path has to be compared with: a linear early exit, and a smaller network.

All are learned on the same inputs, by the same descent for as many steps, and a linear exit's
threshold is chosen by the same rule.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.learn import costs
from precond.apply.distillation.path import FastPath
from precond.apply.distillation.reading import Probe, Reading
from precond.apply.distillation.thresholds import Answers, choose
from precond.apply.distillation.training import Sample, descend
from precond.apply.distillation.votes import Training
from precond.network.graph import INPUT, Network
from precond.network.layers import MaxPool2d
from precond.network.module import NetworkSegment

PART = 512


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
        confidence, label = self.scores(value).softmax(1).max(1)
        return label, confidence

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        label, confidence = self.judge(value)
        return label, confidence >= cast(Tensor, self.threshold)


def _after(network: Network, layer: str) -> str:
    readers = [node for node in network.nodes if layer in node.inputs]
    pooled = len(readers) == 1 and isinstance(readers[0].layer, MaxPool2d)
    return readers[0].name if pooled else layer


def linear_path(
    network: Network,
    reading: Reading,
    fit: Sample,
    validation: Sample,
    *,
    thin: bool,
    max_loss: float,
    training: Training,
) -> FastPath:
    """The network with a linear exit at the layer of ``reading``; its threshold is infinite
    where the loss allowed leaves it nothing to answer."""
    exit = LinearExit(network, reading, thin=thin)
    before = NetworkSegment(network, INPUT, [exit.cut])

    def scores(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            (value,) = before(inputs)
        return exit.scores(value.clone())

    descend(exit.linear, scores, fit, training)
    with torch.inference_mode():
        parts = torch.split(validation.inputs, PART)
        found = [exit.judge(before(part)[0]) for part in parts]
    label = torch.cat([f[0] for f in found])
    confidence = torch.cat([f[1] for f in found]).numpy()
    right = (label == validation.labels).numpy()
    path = FastPath(network, [exit])
    stages, prices = costs(path, validation.inputs[:256])
    answers = Answers(confidence, right, right & False)
    own = (validation.predicted == validation.labels).numpy()
    (threshold,) = choose([answers], own, stages, prices, max_loss).thresholds
    exit.threshold = torch.tensor(threshold, dtype=torch.float32)
    return path


class SmallNetwork(nn.Module):
    """Two convolutions of 8 and 16 channels with stride 2 and a dense layer for pictures, one
    hidden layer of 32 otherwise."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.shape = network.input_shape
        classes = network.classes.count
        self.body: nn.Sequential
        if len(self.shape) == 3 and min(self.shape[1:]) >= 8:
            channels, height, width = self.shape
            flat = 16 * math.ceil(height / 4) * math.ceil(width / 4)
            self.body = nn.Sequential(
                nn.Conv2d(channels, 8, 3, 2, 1),
                nn.ReLU(),
                nn.Conv2d(8, 16, 3, 2, 1),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(flat, classes),
            )
            self.name = "smaller network (conv8 conv16 dense)"
        else:
            size = network.input_size
            self.body = nn.Sequential(
                nn.Flatten(), nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, classes)
            )
            self.name = "smaller network (32 hidden)"

    def forward(self, inputs: Tensor) -> Tensor:
        """Predicted classes (N,)."""
        return self.scores(inputs).argmax(1)

    def scores(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.body(inputs.reshape(len(inputs), *self.shape)))


def small_network(network: Network, fit: Sample, training: Training) -> SmallNetwork:
    """A smaller network that learned what the votes learned."""
    small = SmallNetwork(network)
    descend(small.body, small.scores, fit, training)
    return small
