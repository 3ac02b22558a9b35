"""A learned generator, and the effects it estimates (Goyal et al. 2019, §3.3).

Where no exact intervention is at hand, a conditional variational autoencoder (Sohn, Lee, Yan 2015)
learns p(x | z, y, c) from the data: y the class, c the value of the concept, z ~ N(0, I) the rest.
Encoder and decoder have one hidden layer; they are fitted by the evidence bound

    E_{z ∼ q(z | x, y, c)} [log p(x | z, y, c)] − KL(q(z | x, y, c) ‖ N(0, I)),

values in [0, 1] being taken for probabilities of 1.  Then

    Dec-CaCE      pairs (g(z, y, 0), g(z, y, 1)) for z ~ N(0, I) and y as in the data
    EncDec-CaCE   the same for z the mean of q(z | x, y, c), for each input x

Both are as good as the generator is: where the data hardly ever shows a concept without its class,
it has few examples to learn from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.concepts.effects import ConceptEffect, causal_effect
from attribution.training import TrainingSchedule, train
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """``latent``: numbers z; ``hidden``: units of both layers."""

    latent: int = 16
    hidden: int = 256
    training: TrainingSchedule = field(
        default_factory=lambda: TrainingSchedule(epochs=40, rate=1e-3)
    )

    def __post_init__(self) -> None:
        if min(self.latent, self.hidden) < 1:
            raise QueryError(
                "generator", expected="sizes of 1 or more", got=f"{self.latent}, {self.hidden}"
            )


class ConditionalVae(nn.Module):
    """g and q for flat inputs of ``size`` values, ``classes`` and ``values`` of the concept."""

    def __init__(self, size: int, classes: int, values: int, settings: GeneratorSettings) -> None:
        super().__init__()
        self.counts = classes, values
        given = classes + values
        self.encoder = nn.Sequential(nn.Linear(size + given, settings.hidden), nn.ReLU())
        self.middle = nn.Linear(settings.hidden, 2 * settings.latent)
        self.decoder = nn.Sequential(
            nn.Linear(settings.latent + given, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, size),
        )
        self.latent = settings.latent

    def given(self, labels: Tensor, concept: Tensor) -> Tensor:
        """Class and concept, one number for each value."""
        parts = zip((labels, concept), self.counts, strict=True)
        return torch.cat([nn.functional.one_hot(part, count) for part, count in parts], 1).float()

    def encode(self, x: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q."""
        mean, spread = self.middle(self.encoder(torch.cat([x, given], 1))).chunk(2, 1)
        return mean, spread

    def decode(self, z: Tensor, given: Tensor) -> Tensor:
        """Log-odds of every value."""
        found: Tensor = self.decoder(torch.cat([z, given], 1))
        return found

    def loss(self, x: Tensor, given: Tensor) -> Tensor:
        """The negative evidence bound, per input."""
        mean, spread = self.encode(x, given)
        z = mean + torch.randn_like(mean) * (spread / 2).exp()
        fit = nn.functional.binary_cross_entropy_with_logits(
            self.decode(z, given), x, reduction="sum"
        )
        distance = 0.5 * (mean**2 + spread.exp() - 1 - spread).sum()
        return (fit + distance) / len(x)


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained ``vae`` for pictures of ``shape``; ``losses``: mean of each epoch."""

    vae: ConditionalVae
    shape: tuple[int, ...]
    losses: tuple[float, ...]

    def pictures(self, z: Tensor, labels: Ints, concept: int) -> Floats:
        """Pictures of z (N, latent) and classes (N,), with the concept at one value."""
        y = torch.as_tensor(labels)
        with torch.no_grad():
            given = self.vae.given(y, torch.full_like(y, concept))
            flat = self.vae.decode(z, given).sigmoid()
        return np.asarray(flat.numpy().reshape(-1, *self.shape))

    def latent(self, pictures: Floats, labels: Ints, concept: Ints) -> Tensor:
        """The mean z of each picture."""
        with torch.no_grad():
            given = self.vae.given(torch.as_tensor(labels), torch.as_tensor(concept))
            x = torch.as_tensor(pictures.reshape(len(pictures), -1))
            return self.vae.encode(x, given)[0]


def train_generator(
    pictures: Floats,
    labels: Ints,
    concept: Ints,
    *,
    settings: GeneratorSettings | None = None,
    done: Callable[[], None] = lambda: None,
) -> Generator:
    """Fit a generator to ``pictures`` (N, …) in [0, 1]; ``concept`` (N,) holds 0, 1, ….

    ``done`` is called after every epoch.
    """
    settings = settings or GeneratorSettings()
    _require(pictures, labels, concept)
    size, values = pictures[0].size, int(concept.max()) + 1
    x = torch.as_tensor(pictures.reshape(len(pictures), -1), dtype=torch.float32)
    totals = [0.0]

    def loss(rows: Tensor) -> Tensor:
        found = vae.loss(x[rows], given[rows])
        totals[-1] += float(found.detach()) * len(rows)
        return found

    def after(_: int) -> None:
        totals.append(0.0)
        done()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        vae = ConditionalVae(size, int(labels.max()) + 1, values, settings=settings)
        given = vae.given(torch.as_tensor(labels), torch.as_tensor(concept))
        train(vae.parameters(), len(x), loss, training=settings.training, after=after)
    losses = tuple(total / len(x) for total in totals[:-1])
    return Generator(vae.eval(), pictures.shape[1:], losses=losses)


def decoded_effect(
    model: nn.Module | Network,
    generator: Generator,
    labels: Ints,
    *,
    values: tuple[int, int] = (0, 1),
    seed: int = 0,
) -> ConceptEffect:
    """Dec-CaCE of the concept's second value against its first; a pair for each of ``labels``."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(len(labels), generator.vae.latent, generator=random)
    pairs = (generator.pictures(z, labels, value) for value in values)
    return causal_effect(model, *pairs)


def encoded_effect(
    model: nn.Module | Network,
    generator: Generator,
    pictures: Floats,
    labels: Ints,
    concept: Ints,
    *,
    values: tuple[int, int] = (0, 1),
) -> ConceptEffect:
    """EncDec-CaCE of the concept's second value against its first, over ``pictures``."""
    z = generator.latent(pictures, labels, concept)
    pairs = (generator.pictures(z, labels, value) for value in values)
    return causal_effect(model, *pairs)


def _require(pictures: Floats, labels: Ints, concept: Ints) -> None:
    count = len(pictures)
    for name, values in (("labels", labels), ("concept", concept)):
        whole = values.shape == (count,) and np.issubdtype(values.dtype, np.integer)
        if not whole or not count or values.min() < 0:
            raise DataError(
                f"{name} for a generator",
                expected=f"whole numbers from 0 on, one for each of {count} pictures",
                got=f"{values.dtype} of shape {values.shape}",
            )
        if len(np.unique(values)) < 2:
            raise DataError(f"{name} for a generator", expected="two values or more", got="one")
    if not (pictures.min() >= 0 and pictures.max() <= 1):
        got = f"{pictures.min():g} to {pictures.max():g}"
        raise DataError("pictures for a generator", expected="values in [0, 1]", got=got)
