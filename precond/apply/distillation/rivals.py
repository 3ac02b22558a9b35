"""What a fast path has to be compared with: a linear early exit, and a smaller network.

All are learned on the same inputs, by the same descent for as many steps, and a linear exit's
threshold is chosen by the same rule.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from precond.apply.distillation.learn import answers_of
from precond.apply.distillation.linear_exit import LinearExit
from precond.apply.distillation.path import FastPath
from precond.apply.distillation.prices import measured_prices
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.samples import Sample, Samples, augmented, tuning_rows
from precond.apply.distillation.settings import Promise, Training
from precond.apply.distillation.thresholds import choose
from precond.apply.distillation.training import BATCH, descend, teacher_of
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Layer, Node, ReLU, Reshape
from precond.network.module import NetworkSegment


def linear_path(
    network: Network,
    reading: Reading,
    samples: Samples,
    *,
    thin: bool,
    promise: Promise,
    training: Training,
) -> FastPath:
    """The network with a linear exit at the layer of ``reading``; its threshold is infinite
    where the loss allowed leaves it nothing to answer."""
    exit = LinearExit(network, reading, thin=thin)
    before = NetworkSegment(network, INPUT, [exit.cut])
    learn, tuning = tuning_rows(samples.fit, training.seed)

    def scores(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            (value,) = before(inputs)
        return exit.scores(value.clone())

    descend(exit.linear, scores, learn, training=training, teacher=teacher_of(network))
    tuning = augmented(tuning, network, training.shift)
    tuned = answers_of(network, [exit], tuning)
    found = answers_of(network, [exit], samples.calibration)
    prices = measured_prices(network, [exit], learn.inputs[:BATCH])
    (threshold,) = choose(tuned, found, prices, promise=promise).thresholds
    exit.threshold = torch.tensor(threshold, dtype=torch.float32)
    return FastPath(network, [exit])


def small_network(network: Network, fit: Sample, training: Training) -> tuple[Network, str]:
    """A smaller network that learned what the votes learned, and its name: two convolutions of 8
    and 16 channels with stride 2 and a dense layer for pictures, else one hidden layer of 32."""
    shape, classes = network.input_shape, network.classes.count
    if len(shape) == 3 and min(shape[1:]) >= 8:
        channels, height, width = shape
        flat = 16 * math.ceil(height / 4) * math.ceil(width / 4)
        body = nn.Sequential(
            nn.Conv2d(channels, 8, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, classes),
        )
        name = "smaller network (conv8 conv16 dense)"
    else:
        size = network.input_size
        body = nn.Sequential(nn.Flatten(), nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, classes))
        name = "smaller network (32 hidden)"

    def scores(inputs: Tensor) -> Tensor:
        return cast(Tensor, body(inputs.reshape(len(inputs), *shape)))

    descend(body, scores, fit, training=training, teacher=teacher_of(network))
    return _network(body, shape), name


def _network(body: nn.Sequential, shape: tuple[int, ...]) -> Network:
    nodes: list[Node] = []
    flat = next(item.in_features for item in body if isinstance(item, nn.Linear))
    for item in body:
        layer: Layer
        match item:
            case nn.Conv2d():
                assert item.bias is not None
                weight, bias = item.weight.numpy(), item.bias.numpy()
                layer = Conv2d(weight, bias, stride=(2, 2), padding=(1, 1, 1, 1))
            case nn.Linear():
                layer = Affine(item.weight.numpy(), item.bias.numpy())
            case nn.ReLU():
                layer = ReLU()
            case _:
                layer = Reshape((flat,))
        nodes.append(Node(f"small{len(nodes)}", layer, (nodes[-1].name if nodes else INPUT,)))
    return Network(tuple(nodes), shape, origin="smaller network")
