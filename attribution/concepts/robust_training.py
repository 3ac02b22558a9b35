"""Adversarial training, and what it does to gradients (Madry et al. 2018; Tsipras et al. 2019, §3;
Engstrom et al. 2019).

A *robust* network is trained on the worst picture near each picture rather than on the picture:

    min_θ E[ max_{‖δ‖ ≤ ε} loss(θ, x + δ, y) ]

The inner maximum is searched by projected gradient ascent, in the ℓ∞ or the ℓ2 ball, inside
[0, 1].  What the papers show, and ``gradient_look`` measures on g = ∇_x loss:

    inside      Σ_{mask} |g| / Σ |g|, the share of g on the object, beside the mask's own share
    roughness   Σ |g_p − g_q| / Σ |g_p| over neighbours p, q: 0 for a flat picture, 4 for one in
                which no value has a neighbour of its kind

``large_change`` follows the gradient far (a large ε) towards a class: for a robust network the
result looks like that class.  ``maximised`` starts anywhere and raises one value of the model, a
class score or a unit (feature maximisation, Engstrom et al. 2019, §4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.model import as_module, type_of, undisturbed
from attribution.slices import flat_output
from attribution.training import TrainingSchedule, train
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Norm(Enum):
    """The size of a change."""

    LARGEST = "linf"
    EUCLIDEAN = "l2"


@dataclass(frozen=True)
class Ascent:
    """Projected gradient ascent: ``radius`` ε of the ball, ``steps`` of size ``stride`` · ε."""

    radius: float
    norm: Norm = Norm.LARGEST
    steps: int = 7
    stride: float = 0.3

    def __post_init__(self) -> None:
        if not (0 <= self.radius < np.inf and self.steps >= 1 and self.stride > 0):
            raise QueryError(
                "gradient ascent",
                expected="a finite radius of 0 or more, one step or more, a stride above 0",
                got=f"{self.radius:g}, {self.steps}, {self.stride:g}",
            )

    def run(self, x: Tensor, rise: Callable[[Tensor], Tensor]) -> Tensor:
        """A point of the ball around each row of ``x`` where Σ ``rise`` is large, in [0, 1]."""
        moved = x.clone()
        for _ in range(self.steps):
            leaf = moved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(rise(leaf).sum(), leaf)
            moved = moved + self.stride * self.radius * self._direction(gradient)
            moved = (x + self._inside(moved - x)).clamp(0, 1)
        return moved.detach()

    def _direction(self, gradient: Tensor) -> Tensor:
        if self.norm is Norm.LARGEST:
            return gradient.sign()
        return gradient / _lengths(gradient).clamp(min=1e-12)

    def _inside(self, change: Tensor) -> Tensor:
        if self.norm is Norm.LARGEST:
            return change.clamp(-self.radius, self.radius)
        return change * (self.radius / _lengths(change).clamp(min=1e-12)).clamp(max=1)


def _lengths(values: Tensor) -> Tensor:
    """ℓ2 length of each row, shaped to multiply it."""
    lengths: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return lengths.reshape(-1, *[1] * (values.dim() - 1))


def adversarial_training(
    module: nn.Module,
    pictures: Floats,
    labels: Ints,
    ascent: Ascent | None,
    *,
    training: TrainingSchedule | None = None,
    done: Callable[[], None] = lambda: None,
) -> nn.Module:
    """``module``, trained in place on the worst pictures; ``ascent`` None: on the pictures.

    ``done`` is called after every epoch.
    """
    if labels.shape != (len(pictures),) or not len(pictures):
        raise DataError("labels", expected=f"({len(pictures)},)", got=str(labels.shape))
    x, y = torch.as_tensor(pictures), torch.as_tensor(labels)

    def loss(rows: Tensor) -> Tensor:
        by_row = _loss(module, y[rows])
        inputs = x[rows] if ascent is None else ascent.run(x[rows], by_row)
        return by_row(inputs).mean()

    module.train()
    training = training or TrainingSchedule()
    train(module.parameters(), len(x), loss, training=training, after=lambda _: done())
    return module.eval()


def _loss(module: nn.Module, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Cross-entropy of each row."""
    return lambda x: nn.functional.cross_entropy(module(x), labels, reduction="none")


@dataclass(frozen=True, eq=False)
class GradientLook:
    """``gradients`` (N, C, H, W) of the loss; ``inside`` and ``area`` (N,): the share of the
    gradient, and of the pixels, in the mask; ``roughness`` (N,)."""

    gradients: Array
    inside: Array
    area: Array
    roughness: Array


def gradient_look(
    model: nn.Module | Network, pictures: Floats, labels: Ints, masks: NDArray[np.bool_]
) -> GradientLook:
    """Loss gradients at ``pictures`` (N, C, H, W), and how they go with ``masks`` (N, H, W)."""
    if pictures.ndim != 4 or masks.shape != (len(pictures), *pictures.shape[2:]):
        raise DataError(
            "pictures and masks",
            expected="(N, C, H, W) and (N, H, W)",
            got=f"{pictures.shape} and {masks.shape}",
        )
    module = as_module(model.logits if isinstance(model, Network) else model)
    with undisturbed(module):
        leaf = torch.as_tensor(pictures).to(type_of(module)).requires_grad_()
        loss = _loss(module, torch.as_tensor(labels))(leaf)
        (found,) = torch.autograd.grad(loss.sum(), leaf)
    gradients = np.asarray(found.double().numpy())
    size = np.abs(gradients).sum(1)
    total = np.maximum(size.sum((1, 2)), np.finfo(np.float64).tiny)
    down, across = (np.abs(np.diff(gradients, axis=axis)).sum((1, 2, 3)) for axis in (2, 3))
    return GradientLook(
        gradients,
        inside=(size * masks).sum((1, 2)) / total,
        area=masks.mean((1, 2)),
        roughness=(down + across) / total,
    )


def large_change(
    model: nn.Module | Network, pictures: Floats, targets: Ints, ascent: Ascent
) -> Floats:
    """``pictures`` changed, inside the ball, so that the loss of ``targets`` (N,) falls."""
    module = as_module(model.logits if isinstance(model, Network) else model)
    chosen = torch.as_tensor(targets)
    with undisturbed(module):
        x = torch.as_tensor(pictures).to(type_of(module))
        found = ascent.run(x, lambda leaf: -_loss(module, chosen)(leaf))
    return np.asarray(found.numpy(), dtype=np.float32)


def maximised(model: nn.Module | Network, start: Floats, place: int, ascent: Ascent) -> Floats:
    """``start`` (N, …) changed, inside the ball, so that the flat output ``place`` rises.

    To raise a unit, give the part of the network that ends there.
    """
    module = as_module(model.logits if isinstance(model, Network) else model)
    with undisturbed(module):
        x = torch.as_tensor(start).to(type_of(module))
        found = ascent.run(x, lambda leaf: flat_output(module(leaf))[:, place])
    return np.asarray(found.numpy(), dtype=np.float32)
