"""Inputs with labels and the network's scores, and the parts they are cut into.

A fast path takes four samples that have no row in common: votes are learned on one, tuning rows put
up the order of thresholds, calibration rows vouch for them, and test rows measure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.apply.distillation.risk import fewest_rows
from precond.apply.distillation.settings import Promise
from precond.apply.true_classes import check_classes
from precond.network.evaluate import check_inputs
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment

PART = 512  # inputs at a time
TUNING = 10  # one of so many rows to learn from
MOST_TUNING = 5_000
FEWEST, MOST = 0.2, 0.6  # shares of the training rows that calibrate
SPARE = 4  # times the fewest rows that can calibrate


@dataclass(frozen=True, eq=False)
class Sample:
    """Inputs (N, *input shape) float32, labels (N,), the network's score of each class (N, C)."""

    inputs: Tensor
    labels: Tensor
    scores: Tensor

    @property
    def predicted(self) -> Tensor:
        return self.scores.argmax(1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the network's own answers are right, (N,)."""
        return (self.predicted == self.labels).numpy()

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, which: NDArray[np.int64]) -> Sample:
        """Some of the inputs."""
        at = torch.as_tensor(which)
        return Sample(self.inputs[at], self.labels[at], self.scores[at])

    def parts(self) -> tuple[Tensor, ...]:
        """The inputs, some hundreds at a time."""
        return torch.split(self.inputs, PART)


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs to learn from (votes and the order of thresholds), to calibrate, and to measure on."""

    fit: Sample
    calibration: Sample
    test: Sample


def sample_of(
    network: Network, inputs: NDArray[np.floating], labels: NDArray[np.int64] | None
) -> Sample:
    """Inputs with the network's float32 scores; without ``labels`` its own classes are taken
    for right."""
    array = check_inputs(network, inputs)
    x = torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))
    whole = NetworkSegment(network, INPUT, [network.output])
    with torch.inference_mode():
        logits = torch.cat([whole(part)[0].flatten(1) for part in torch.split(x, PART)])
    scores = network.classes.scores(logits).clone()  # an ordinary tensor again, for training
    given = scores.argmax(1)
    if labels is not None:
        given = torch.as_tensor(check_classes(labels, len(array), network))
    return Sample(x, given, scores)


def augmented(sample: Sample, network: Network, shift: int) -> Sample:
    """A sample of pictures with copies moved by ``shift`` pixels in eight directions."""
    if not shift:
        return sample
    height, width = sample.inputs.shape[2:]
    padded = torch.nn.functional.pad(sample.inputs, (shift,) * 4)
    ways = [(a, b) for a in (0, shift, 2 * shift) for b in (0, shift, 2 * shift)]
    inputs = torch.cat([padded[:, :, a : a + height, b : b + width] for a, b in ways])
    every = sample_of(network, inputs=inputs.numpy(), labels=None)
    return replace(every, labels=sample.labels.repeat(len(ways)))


def tuning_rows(sample: Sample, seed: int) -> tuple[Sample, Sample]:
    """A sample in two: rows to learn votes from, and the fewer that order thresholds."""
    mixed = np.random.RandomState(seed).permutation(len(sample))
    count = min(MOST_TUNING, max(1, len(sample) // TUNING))
    return sample.rows(np.sort(mixed[count:])), sample.rows(np.sort(mixed[:count]))


def calibration_count(training_rows: int, promise: Promise) -> int:
    """How many of the training rows calibrate: a fifth, or as many more as the promise needs, but
    leaving two fifths to learn from."""
    wanted = SPARE * (fewest_rows(promise) or 0)
    low, high = (max(1, int(share * training_rows)) for share in (FEWEST, MOST))
    return min(high, max(low, wanted))
