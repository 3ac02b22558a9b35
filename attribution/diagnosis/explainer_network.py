"""An explainer beside a network (Zhang, Yang, Liu, Wu, Zhu 2018, "Unsupervised learning of neural
networks to explain neural networks").

The *performer*, a network that is left as it is, has maps x at a convolution layer and features z
behind it.  The *explainer* rebuilds z from x through two tracks and a decoder:

    ẑ = decoder(p · interpretable(x) + (1 − p) · ordinary(x)),   p = sigmoid(θ), learned

The filters of the interpretable track are held to one part each (``filter_loss.py``), the ordinary
track takes what they cannot say.  The loss, with Var z the variance of z over the data,

    ‖z − ẑ‖² / Var z − η log p + λ (filter loss)

asks for faithful features, for a large share p of the interpretable track, and for filters that
look for parts.  Three figures say what came out: p; the share of z's variance that ẑ explains; and
the accuracy of the performer with ẑ in the place of z, beside its own.  Location instability
(``location.py``) of both says whether the filters are firmer than the performer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.diagnosis.filter_loss import Templates, filter_loss, masked
from attribution.evaluate import outputs, outputs_from, values_at
from attribution.slices import Slice
from attribution.training import TrainingSchedule, seeded, train
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExplainerSettings:
    """``eta``: η; ``filter_weight``: λ; ``filters`` of each track (None: as many as the performer
    has); ``hidden`` units of the decoder."""

    eta: float = 0.1
    filter_weight: float = 1.0
    filters: int | None = None
    hidden: int = 128
    training: TrainingSchedule = field(default_factory=lambda: TrainingSchedule(epochs=8, batch=64))

    def __post_init__(self) -> None:
        if self.eta < 0 or self.filter_weight < 0 or self.hidden < 1 or self.filters == 0:
            raise QueryError(
                "explainer",
                expected="weights of 0 or more, 1 or more filters and hidden units",
                got=f"{self.eta:g}, {self.filter_weight:g}, {self.filters} and {self.hidden}",
            )


class ExplainerModule(nn.Module):
    """The two tracks and the decoder."""

    def __init__(self, maps: tuple[int, int, int], size: int, settings: ExplainerSettings) -> None:
        super().__init__()
        channels, side, _ = maps
        filters = settings.filters or channels
        self.templates = Templates.of(side)
        self.interpretable = nn.Conv2d(channels, filters, 3, padding=1)
        self.ordinary = nn.Conv2d(channels, filters, 3, padding=1)
        self.theta = nn.Parameter(torch.zeros(()))
        self.decoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(filters * side * side, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, size),
        )

    @property
    def share(self) -> Tensor:
        """p."""
        return torch.sigmoid(self.theta)

    def parts(self, x: Tensor) -> Tensor:
        """Maps of the interpretable track, before they are masked."""
        return torch.relu(self.interpretable(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(ẑ, maps of the interpretable track)."""
        parts = self.parts(x)
        one, other = masked(parts, self.templates), torch.relu(self.ordinary(x))
        return self.decoder(self.share * one + (1 - self.share) * other), parts


@dataclass(frozen=True, eq=False, kw_only=True)
class Explainer:
    """``share``: p; on held-out inputs: ``explained``, of z's variance; ``accuracy`` of the
    performer and ``explained_accuracy`` with ẑ in the place of z; ``part_maps`` (N, C, n, n) and
    ``performer_maps``, in which to see where filters peak."""

    share: float
    explained: float
    accuracy: float
    explained_accuracy: float
    part_maps: Array
    performer_maps: Array

    @property
    def gap(self) -> float:
        """How much accuracy is lost with the explainer's features."""
        return self.accuracy - self.explained_accuracy


def explainer_network(
    maps: Slice,
    features: Slice,
    inputs: NDArray[np.floating],
    labels: NDArray[np.int64],
    held_out: NDArray[np.int64],
    *,
    settings: ExplainerSettings | None = None,
    done: Callable[[], None] = lambda: None,
) -> Explainer:
    """Trains an explainer of the performer between two of its slices, ``maps`` and ``features``, on
    all ``inputs`` but ``held_out``; ``done`` is called after each epoch."""
    settings = settings or ExplainerSettings()
    x, z = values_at(maps, inputs), values_at(features, inputs)
    if x.ndim != 4 or x.shape[2] != x.shape[3]:
        raise DataError("maps of an explainer", expected="(N, C, n, n)", got=str(x.shape))
    if len(labels) != len(inputs) or not 0 < len(held_out) < len(inputs):
        raise DataError(
            "inputs of an explainer",
            expected="a label for each, and some of them held out",
            got=f"{len(labels)} labels, {len(held_out)} of {len(inputs)} held out",
        )
    fitted = np.setdiff1d(np.arange(len(inputs)), held_out)
    flat = z.reshape(len(z), -1)
    mean, unit = flat[fitted].mean(0), float(flat[fitted].std()) or 1.0
    scale = float(x[fitted].std()) or 1.0
    target = torch.as_tensor((flat - mean) / unit, dtype=torch.float32)
    given = torch.as_tensor(x / scale, dtype=torch.float32)
    shape = (int(x.shape[1]), int(x.shape[2]), int(x.shape[3]))
    module = seeded(lambda: ExplainerModule(shape, flat.shape[1], settings), settings.training.seed)
    assert isinstance(module, ExplainerModule)
    _fit(module, given[fitted], target[fitted], settings=settings, done=done)
    with torch.no_grad():
        rebuilt, parts = module(given[held_out])
    states = rebuilt.double().numpy() * unit + mean
    own = flat[held_out]
    rest = ((own - states) ** 2).sum() / ((own - flat[fitted].mean(0)) ** 2).sum()
    true, rows = labels[held_out], inputs[held_out]
    own_scores = outputs(Slice(features.model), rows)
    if own_scores.shape[1] < 2:
        raise DataError("outputs of the performer", expected="two classes or more", got="one")
    again = outputs_from(features, rows, states.reshape(-1, *z.shape[1:]))
    return Explainer(
        share=float(module.share.detach()),
        explained=1 - float(rest),
        accuracy=float((own_scores.argmax(1) == true).mean()),
        explained_accuracy=float((again.argmax(1) == true).mean()),
        part_maps=np.asarray(parts.double().numpy()),
        performer_maps=x[held_out],
    )


def _fit(
    module: ExplainerModule,
    given: Tensor,
    target: Tensor,
    *,
    settings: ExplainerSettings,
    done: Callable[[], None],
) -> None:
    def loss(rows: Tensor) -> Tensor:
        rebuilt, parts = module(given[rows])
        error = torch.mean((rebuilt - target[rows]) ** 2)
        held = settings.filter_weight * filter_loss(parts, module.templates)
        return error - settings.eta * torch.log(module.share) + held

    train(module.parameters(), len(given), loss, training=settings.training, after=lambda _: done())
    module.eval()
