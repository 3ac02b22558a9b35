"""The one training loop of the methods that must train something: Adam on shuffled batches.

Adam is that of Kingma, Ba 2015.  Everything random comes from the schedule's seed, so that
the same data gives the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from precond.errors import QueryError


@dataclass(frozen=True)
class TrainingSchedule:
    """``epochs`` over all rows, in batches of ``batch`` rows, with steps of size ``rate``."""

    epochs: int = 10
    rate: float = 2e-3
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or not 0 < self.rate < float("inf") or self.batch < 1:
            raise QueryError(
                "training",
                expected="0 epochs or more, a finite rate above 0, batches of 1 row or more",
                got=f"{self.epochs} epochs, rate {self.rate:g}, batches of {self.batch}",
            )


def train(
    parameters: Iterable[nn.Parameter],
    rows: int,
    loss: Callable[[Tensor], Tensor],
    training: TrainingSchedule,
    *,
    after: Callable[[int], None] = lambda _: None,
) -> None:
    """Lower ``loss``, a function of the numbers of some of ``rows`` rows; ``after`` is called with
    the number of each finished epoch, from 1."""
    optimiser = torch.optim.Adam(list(parameters), training.rate)
    generator = torch.Generator().manual_seed(training.seed)
    for epoch in range(1, training.epochs + 1):
        for batch in torch.split(torch.randperm(rows, generator=generator), training.batch):
            optimiser.zero_grad()
            loss(batch).backward()  # type: ignore[no-untyped-call]  # torch has no types here
            optimiser.step()
        after(epoch)


def train_classifier(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    training: TrainingSchedule,
    *,
    after: Callable[[int], None] = lambda _: None,
) -> nn.Module:
    """``module``, trained in place by the cross-entropy of its outputs, in evaluation mode."""

    def loss(rows: Tensor) -> Tensor:
        return nn.functional.cross_entropy(module(inputs[rows]), labels[rows])

    module.train()
    train(module.parameters(), len(inputs), loss, training=training, after=after)
    return module.eval()


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What ``build`` makes when torch's generator starts from ``seed``; the generator is as it
    was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
