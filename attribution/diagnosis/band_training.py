"""Training on one band of frequencies (Wang, Wu, Huang, Xing 2020), and how smooth kernels are.

For each radius r two networks are trained, on the low parts and on the high parts of the pictures
(``frequency.py``), and one on whole pictures.  Accuracies are those on held-out pictures: on the
band that the network was trained on, and on whole pictures, which it has not seen.

A convolution kernel w of a first layer is *smooth* where neighbouring weights are alike:

    roughness = Σ over pairs of neighbours (w_i − w_j)² / Σ over these pairs (w_i² + w_j²)

0: constant; 1: neighbours are unrelated on average; 2: signs alternate from weight to weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.diagnosis.frequency import frequency_parts
from attribution.evaluate import outputs
from attribution.slices import Slice
from attribution.training import TrainingSchedule, seeded, train_classifier
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """``pictures`` (N, …, H, W) as the network takes them, and their classes (N,)."""

    pictures: NDArray[np.floating]
    labels: Ints

    def __post_init__(self) -> None:
        if self.pictures.ndim < 3 or self.labels.shape != (len(self.pictures),):
            raise DataError(
                "labelled pictures",
                expected="(N, …, H, W) and (N,)",
                got=f"{self.pictures.shape} and {self.labels.shape}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class BandTraining:
    """Accuracies on held-out pictures of networks trained on parts of the others.  ``whole``: of
    the network trained on whole pictures; ``low`` and ``high`` (R,): on the network's own band;
    ``low_on_whole`` and ``high_on_whole`` (R,): on whole pictures; ``roughness`` (1 + 2 R,): of the
    first convolution of each network, whole, low, high, NaN without one."""

    radii: tuple[float, ...]
    whole: float
    low: Array
    high: Array
    low_on_whole: Array
    high_on_whole: Array
    roughness: Array


def band_training(
    build: Callable[[], nn.Module],
    learned: LabelledPictures,
    held_out: LabelledPictures,
    radii: Sequence[float],
    *,
    training: TrainingSchedule | None = None,
    done: Callable[[], None] = lambda: None,
) -> BandTraining:
    """Trains what ``build`` makes once on whole pictures and twice for each radius, always from the
    same first weights; ``done`` is called after each network."""
    if not radii:
        raise QueryError("radii of frequencies", expected="one or more", got="none")
    training = training or TrainingSchedule()
    roughness: list[float] = []

    def trained(pictures: NDArray[np.floating]) -> nn.Module:
        module = seeded(build, training.seed)
        inputs = torch.as_tensor(np.asarray(pictures, dtype=np.float32))
        labels = torch.as_tensor(learned.labels)
        train_classifier(module.float(), inputs, labels, training=training)
        roughness.append(_first_roughness(module))
        done()
        return module

    def accuracy(module: nn.Module, pictures: NDArray[np.floating]) -> float:
        return float((outputs(Slice(module), pictures).argmax(1) == held_out.labels).mean())

    whole = accuracy(trained(learned.pictures), held_out.pictures)
    own: list[list[float]] = [[], []]
    on_whole: list[list[float]] = [[], []]
    for place in (0, 1):
        for radius in radii:
            module = trained(frequency_parts(learned.pictures, radius)[place])
            own[place].append(accuracy(module, frequency_parts(held_out.pictures, radius)[place]))
            on_whole[place].append(accuracy(module, held_out.pictures))
    return BandTraining(
        radii=tuple(float(radius) for radius in radii),
        whole=whole,
        low=np.array(own[0]),
        high=np.array(own[1]),
        low_on_whole=np.array(on_whole[0]),
        high_on_whole=np.array(on_whole[1]),
        roughness=np.array(roughness),
    )


def kernel_roughness(kernels: NDArray[np.floating] | Tensor) -> Array:
    """Roughness (out,) of kernels (out, in, height, width); 0 for a kernel of zeros."""
    w = np.asarray(torch.as_tensor(kernels).detach().double().cpu().numpy())
    if w.ndim != 4 or max(w.shape[2:]) < 2:
        raise DataError(
            "kernels", expected="(out, in, height, width), of 2 weights or more", got=str(w.shape)
        )
    pairs = ((w[:, :, 1:], w[:, :, :-1]), (w[:, :, :, 1:], w[:, :, :, :-1]))
    differences = sum(((a - b) ** 2).sum((1, 2, 3)) for a, b in pairs)
    squares = sum((a**2 + b**2).sum((1, 2, 3)) for a, b in pairs)
    return np.where(squares > 0, differences / np.where(squares > 0, squares, 1.0), 0.0)


def _first_roughness(module: nn.Module) -> float:
    for one in module.modules():
        if isinstance(one, nn.Conv2d) and max(one.kernel_size) > 1:
            return float(kernel_roughness(one.weight).mean())
    return float("nan")
