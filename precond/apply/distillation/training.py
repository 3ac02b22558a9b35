"""How the weighted rules of an early answer are learned.

Value thresholds are quantiles of a neuron's values.  Weights are learned by gradient descent on
the mean of the cross-entropy with the label and with the network's own softened scores
(Hinton, Vinyals, Dean 2015 for the network's scores as targets).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.reading import Probe, Reading
from precond.apply.distillation.runtime import OnnxRun
from precond.apply.distillation.samples import Sample
from precond.apply.distillation.settings import Training
from precond.apply.distillation.votes import VoteExit, VoteLearner
from precond.apply.distillation.write_onnx import part_model
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment

BATCH = 256
WARMTH = 4.0  # temperature of the scores that are learned from
LEVEL_ROWS = 512  # inputs that value thresholds are quantiles over
PASSES = 125  # through the inputs at most, unless told otherwise
Teacher = Callable[[Tensor], Tensor]


def learned_exit(
    network: Network, reading: Reading, sample: Sample, training: Training
) -> VoteExit:
    """An exit whose value thresholds and votes are learned on ``sample``; it answers nothing
    until it is given a threshold."""
    before = NetworkSegment(network, INPUT, [reading.cut(network)])
    with torch.no_grad():
        (value,) = before(sample.inputs[:LEVEL_ROWS])
        z = Probe(network, reading)(value)
    levels = quantiles(z, network.shapes[reading.layer], training.levels)
    exit = VoteExit(network, reading, training.rules, levels=levels)
    train_vote(exit, before, sample, training=training, teacher=teacher_of(network))
    return exit


def quantiles(values: Tensor, shape: tuple[int, ...], count: int) -> Tensor:
    """``count`` thresholds (count, m) of each neuron from ``values`` (N, m): quantiles at even
    shares of its values, or of its channel's where the layer has the ``shape`` of pictures."""
    channels = shape[0] if len(shape) == 3 else values.shape[1]
    grouped = values.reshape(len(values), channels, -1).numpy()
    found = np.quantile(grouped, np.arange(1, count + 1) / (count + 1), axis=(0, 2))
    found = found.repeat(grouped.shape[2], axis=1)
    return torch.as_tensor(found.astype(np.float32))


def teacher_of(network: Network) -> Teacher:
    """The network's scores of inputs."""
    run = OnnxRun(part_model(network, INPUT, network.output))
    return lambda inputs: network.classes.scores(run(inputs).flatten(1)).float()


def train_vote(
    exit: VoteExit, before: NetworkSegment, sample: Sample, *, training: Training, teacher: Teacher
) -> None:
    """Learn the exit's votes on ``sample``; ``before`` brings inputs to the exit's cut."""
    classes = sample.scores.shape[1]
    learner = VoteLearner(exit.levels.numel(), training.rules, classes)

    def scores(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            (value,) = before(inputs)
            bits = exit.bits(value)
        return cast(Tensor, learner(bits))

    descend(learner, scores, sample, training=training, teacher=teacher)
    exit.vote.settle(learner)


def descend(
    model: nn.Module,
    scores: Callable[[Tensor], Tensor],
    sample: Sample,
    *,
    training: Training,
    teacher: Teacher,
) -> None:
    """AdamW with a one-cycle rate on the parameters of ``model``; ``scores(inputs)`` has
    gradients.  Afterwards the parameters are constants.  ``teacher`` gives the scores of pictures
    that are moved, which those of the pictures themselves may not be."""
    stream = torch.Generator().manual_seed(training.seed)
    steps = max(20, training.rows // BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model.train()
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
            target = teacher(inputs) if training.shift else sample.scores[rows]
            found = scores(inputs)
            softened = (found / WARMTH).log_softmax(1)
            taught = F.kl_div(softened, (target / WARMTH).softmax(1), reduction="batchmean")
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
