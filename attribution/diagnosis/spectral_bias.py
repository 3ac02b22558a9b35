"""Which frequencies a network learns first (Rahaman et al. 2019, "On the spectral bias of neural
networks").

The target is a sum of sinusoids on [0, 1]:

    λ(z) = Σ_i A_i sin(2π k_i z + φ_i)

A network is fitted to it by squared error on N even samples z_n = n / N.  The share of frequency k
that the network f has learned is the amplitude of its discrete Fourier transform over the target's

    |f̃_k| / A_k,   f̃_k = (2 / N) Σ_n f(z_n) exp(−2πi k n / N)

With whole k below N/2 this is exactly 1 where f is the target.  *Robustness*: the same
shares after all weights were moved by δ · ‖θ‖ · (a random unit vector), the mean over several.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.training import TrainingSchedule, seeded, train
from precond.errors import QueryError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sinusoids:
    """Whole ``frequencies`` k, their ``amplitudes`` (default: 1 each) and ``phases`` (radians,
    default: drawn from ``seed``), on ``samples`` even points."""

    frequencies: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    amplitudes: tuple[float, ...] = ()
    phases: tuple[float, ...] = ()
    samples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        count = len(self.frequencies)
        if not self.amplitudes:
            object.__setattr__(self, "amplitudes", (1.0,) * count)
        if not self.phases:
            drawn = np.random.default_rng(self.seed).uniform(0, 2 * np.pi, count)
            object.__setattr__(self, "phases", tuple(map(float, drawn)))
        within = all(0 < k < self.samples / 2 for k in self.frequencies)
        sizes = {count, len(self.amplitudes), len(self.phases)}
        if not count or not within or len(sizes) > 1 or min(self.amplitudes) <= 0:
            raise QueryError(
                "sinusoids",
                expected=f"frequencies from 1 to below {self.samples / 2:g}, one positive "
                "amplitude and one phase for each",
                got=f"{self.frequencies}, {self.amplitudes} and {self.phases}",
            )

    @property
    def points(self) -> Array:
        return np.asarray(np.arange(self.samples) / self.samples)

    @property
    def values(self) -> Array:
        """λ at the points (N,)."""
        waves = [
            a * np.sin(2 * np.pi * k * self.points + phase)
            for k, a, phase in zip(self.frequencies, self.amplitudes, self.phases, strict=True)
        ]
        return np.asarray(np.sum(waves, axis=0))

    def shares(self, values: NDArray[np.floating]) -> Array:
        """|f̃_k| / A_k for each frequency, of values (N,) at the points."""
        if values.shape != (self.samples,):
            raise QueryError("values", expected=f"({self.samples},)", got=str(values.shape))
        spectrum = 2 / self.samples * np.abs(np.fft.rfft(values))
        return np.asarray(spectrum[list(self.frequencies)] / np.array(self.amplitudes))


@dataclass(frozen=True)
class WeightNoise:
    """``sizes``: δ, shares of the weights' norm; ``draws`` of each."""

    sizes: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    draws: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SpectralBias:
    """``epochs`` (T,) and ``learned`` (T, K): the share of each frequency after so many epochs;
    ``noise`` (D,) and ``left`` (D, K): the share after weight noise of each size."""

    sinusoids: Sinusoids
    epochs: NDArray[np.int64]
    learned: Array
    noise: tuple[float, ...]
    left: Array

    def first(self, share: float = 0.9) -> Array:
        """The first epoch looked at after which each frequency was learned to ``share`` (K,), inf
        where none was."""
        reached = self.learned >= share
        first = self.epochs[reached.argmax(0)].astype(np.float64)
        return np.where(reached.any(0), first, np.inf)


def spectral_bias(
    build: Callable[[], nn.Module],
    sinusoids: Sinusoids,
    *,
    training: TrainingSchedule,
    every: int = 10,
    noise: WeightNoise | None = None,
    done: Callable[[], None] = lambda: None,
) -> SpectralBias:
    """Fits what ``build`` makes, inputs (N, 1) and outputs (N, 1), to the target; looks after every
    ``every`` epochs and calls ``done``."""
    if every < 1 or training.epochs < every:
        raise QueryError("looks", expected=f"every 1 to {training.epochs} epochs", got=str(every))
    module = seeded(build, training.seed)
    kind = next(module.parameters()).dtype
    points = torch.as_tensor(sinusoids.points, dtype=kind)[:, None]
    target = torch.as_tensor(sinusoids.values, dtype=kind)[:, None]
    epochs: list[int] = []
    learned: list[Array] = []

    def loss(rows: Tensor) -> Tensor:
        return torch.mean((module(points[rows]) - target[rows]) ** 2)

    def look(epoch: int) -> None:
        if epoch % every == 0:
            epochs.append(epoch)
            learned.append(sinusoids.shares(_values(module, points)))
            done()

    train(module.parameters(), len(points), loss, training=training, after=look)
    noise = noise or WeightNoise()
    return SpectralBias(
        sinusoids=sinusoids,
        epochs=np.array(epochs),
        learned=np.stack(learned),
        noise=noise.sizes,
        left=weight_noise(module, sinusoids, noise),
    )


def weight_noise(module: nn.Module, sinusoids: Sinusoids, noise: WeightNoise) -> Array:
    """Mean shares (D, K) after noise of each size on all weights; ``module`` is left alone."""
    kind = next(module.parameters()).dtype
    points = torch.as_tensor(sinusoids.points, dtype=kind)[:, None]
    theta = nn.utils.parameters_to_vector(module.parameters()).detach()
    moved = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(noise.seed)
    left = np.zeros((len(noise.sizes), len(sinusoids.frequencies)))
    for _ in range(noise.draws):
        direction = torch.randn(theta.shape, generator=generator, dtype=kind)
        direction /= direction.norm()
        for place, size in enumerate(noise.sizes):
            nn.utils.vector_to_parameters(
                theta + size * theta.norm() * direction, moved.parameters()
            )
            left[place] += sinusoids.shares(_values(moved, points)) / noise.draws
    return left


def _values(module: nn.Module, points: Tensor) -> Array:
    with torch.no_grad():
        return np.asarray(module(points)[:, 0].double().numpy())
