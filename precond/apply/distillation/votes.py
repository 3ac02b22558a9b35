"""An early answer by weighted rules over a layer's decisions.

A *reading* says which decisions are looked at: all neurons of a layer, or every k-th row and
column of a convolution's neurons, which cost 1/k² of the layer to compute.  A neuron gives
decisions z > t, t being quantiles of its values on data (of all neurons of its channel): with one
level the median, which tells more than 0 where a channel is nearly always on or off.  Over the
decisions d ∈ {0, 1}^m stand H weighted rules, each of which fires when its literals weigh
enough, and every rule that fires votes with its weight for each class:

    r_j = [Σ_i w_ji d_i + b_j > 0],    s = V r + c,    confidence = max softmax(s)

(a rule of unit weights is the usual "all of" or "k of" its literals).  That is two matrix
products and a comparison.  The weights are learned by gradient descent on the mean of the
cross-entropy with the label and with the network's own softened scores; the comparison passes
gradients where its argument lies within ±1 (the straight-through estimator; Bengio, Léonard,
Courville 2013; Hinton, Vinyals, Dean 2015 for the network's scores as targets).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.settings import ROWS as ROWS
from precond.apply.distillation.settings import Training as Training
from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d
from precond.network.module import Stage

DROPPED = 0.2  # share of decisions hidden from a training step
BATCH = 256
WARMTH = 4.0  # temperature of the scores that are learned from
LEVEL_ROWS = 512  # inputs that value thresholds are quantiles over
PASSES = 125  # through the inputs at most, unless told otherwise


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


class _Fires(torch.autograd.Function):
    """[z > 0], with the gradient of clip(z, −1, 1)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        passed: Tensor = gradients[0] * (z.abs() < 1).to(z.dtype)
        return passed


def _fires(z: Tensor) -> Tensor:
    return cast(Tensor, _Fires.apply(z))  # type: ignore[no-untyped-call]  # untyped in torch


class Vote(nn.Module):
    """H weighted rules over m decisions, voting for C classes."""

    def __init__(self, decisions: int, rules: int, classes: int) -> None:
        super().__init__()
        self.rules = nn.Linear(decisions, rules)
        self.votes = nn.Linear(rules, classes)

    def forward(self, bits: Tensor) -> Tensor:
        """Scores (N, C) of decisions (N, m), bool or 0 and 1."""
        weight = self.rules.weight
        # A comparison written over its own operand leaves 0 and 1: no conversion of types.
        fired = F.linear(bits.to(weight.dtype), weight, self.rules.bias).gt_(0)
        return F.linear(fired, self.votes.weight, self.votes.bias)

    def trained(self, bits: Tensor) -> Tensor:
        """The same scores, with gradients, some decisions hidden."""
        seen = F.dropout(bits.to(self.rules.weight.dtype), DROPPED)
        return cast(Tensor, self.votes(_fires(self.rules(seen))))


class VoteExit(nn.Module):
    """Probe, vote and threshold: from the value at the cut to (label, whether sure enough)."""

    def __init__(self, network: Network, reading: Reading, rules: int, levels: Tensor) -> None:
        """``levels`` (L, m): the thresholds of each of the reading's m neurons."""
        super().__init__()
        self.reading, self.cut = reading, reading.cut(network)
        self.name = f"votes at {reading}"
        self.probe = Probe(network, reading)
        self.vote = Vote(levels.numel(), rules, network.classes.count)
        self.register_buffer("levels", levels.to(torch.float32))
        self.register_buffer("threshold", torch.tensor(math.inf))

    def bits(self, value: Tensor) -> Tensor:
        """Decisions (N, L · m), level by level, as 0 and 1."""
        z, levels = cast(Tensor, self.probe(value)), cast(Tensor, self.levels)
        if len(levels) > 1:
            return (z.unsqueeze(1) > levels).flatten(1).to(z.dtype)
        # The probe's own values may be written over, the network's may not.
        return z.gt_(levels) if self.reading.step > 1 else (z > levels).to(z.dtype)

    def judge(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Label and confidence, (N,) each."""
        confidence, label = self.vote(self.bits(value)).softmax(1).max(1)
        return label, confidence

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        label, confidence = self.judge(value)
        return label, confidence >= cast(Tensor, self.threshold)


@dataclass(frozen=True, eq=False)
class Sample:
    """Inputs (N, *input shape) float32, labels (N,), the network's score of each class (N, C)."""

    inputs: Tensor
    labels: Tensor
    scores: Tensor

    @property
    def predicted(self) -> Tensor:
        return self.scores.argmax(1)

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, which: NDArray[np.int64]) -> Sample:
        """Some of the inputs."""
        at = torch.as_tensor(which)
        return Sample(self.inputs[at], self.labels[at], self.scores[at])


def learned_exit(
    network: Network, reading: Reading, sample: Sample, training: Training
) -> VoteExit:
    """An exit whose value thresholds and votes are learned on ``sample``; it answers nothing
    until it is given a threshold."""
    before = Stage(network, INPUT, [reading.cut(network)])
    with torch.no_grad():
        (value,) = before(sample.inputs[:LEVEL_ROWS])
        z = Probe(network, reading)(value)
    levels = quantiles(z, network.shapes[reading.layer], training.levels)
    exit = VoteExit(network, reading, training.rules, levels)
    train_vote(exit, before, sample, training)
    return exit


def quantiles(values: Tensor, shape: tuple[int, ...], count: int) -> Tensor:
    """``count`` thresholds (count, m) of each neuron from ``values`` (N, m): quantiles at even
    shares of its values, or of its channel's where the layer has the ``shape`` of pictures."""
    channels = shape[0] if len(shape) == 3 else values.shape[1]
    grouped = values.reshape(len(values), channels, -1).numpy()
    found = np.quantile(grouped, np.arange(1, count + 1) / (count + 1), axis=(0, 2))
    found = found.repeat(grouped.shape[2], axis=1)
    return torch.as_tensor(found.astype(np.float32))


def train_vote(exit: VoteExit, before: Stage, sample: Sample, training: Training) -> None:
    """Learn the exit's votes on ``sample``; ``before`` brings inputs to the exit's cut."""

    def scores(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            (value,) = before(inputs)
            bits = exit.bits(value)
        return exit.vote.trained(bits)

    descend(exit.vote, scores, sample, training)


def descend(
    model: nn.Module, scores: Callable[[Tensor], Tensor], sample: Sample, training: Training
) -> None:
    """AdamW with a one-cycle rate on the parameters of ``model``; ``scores(inputs)`` has
    gradients.  Afterwards the parameters are constants."""
    stream = torch.Generator().manual_seed(training.seed)
    targets = (sample.scores / WARMTH).softmax(1)
    steps = max(20, training.rows // BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.reset_parameters()
        optimizer = torch.optim.AdamW(model.parameters(), training.rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, training.rate, total_steps=steps, pct_start=0.1
        )
        for _ in range(steps):
            rows = torch.randint(len(sample), (min(BATCH, len(sample)),), generator=stream)
            inputs = moved(sample.inputs[rows], training.shift, stream)
            found = scores(inputs)
            softened = (found / WARMTH).log_softmax(1)
            taught = F.kl_div(softened, targets[rows], reduction="batchmean")
            loss = F.cross_entropy(found, sample.labels[rows]) + WARMTH**2 * taught
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()
            schedule.step()
    model.requires_grad_(False).eval()


def moved(pictures: Tensor, reach: int, stream: torch.Generator) -> Tensor:
    """Pictures (N, C, H, W), each moved by up to ``reach`` pixels each way, zeros coming in."""
    if not reach:
        return pictures
    count, _, height, width = pictures.shape
    windows = F.pad(pictures, (reach,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(2 * reach + 1, (2, count), generator=stream)
    return windows[torch.arange(count), :, down, right]
