"""CaCE beside ConExp and TCAV: pictures of bars, and coloured digits (Goyal et al. 2019)."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from attribution import (
    GeneratorSettings,
    Slice,
    TcavSettings,
    TrainingSchedule,
    causal_effect,
    class_probabilities,
    colour_digits,
    concept_scores,
    conditional_effect,
    decoded_effect,
    encoded_effect,
    render_bars,
    train_generator,
)
from attribution.training import train_classifier
from benchmarks.concept_rows.common import Line, last_layer
from precond import load
from precond.data import load_dataset
from precond.network import Network

SIZE = 20
# shares of green in class 0 and 1: published GT-CaCE, ConExp, TCAV
BARS = {
    (0.60, 0.40): ("60/40", "0.00", ".21", ".76"),
    (0.99, 0.01): ("99/01", ".58", "1.0", "1.0"),
    (0.98, 0.02): ("98/02", ".47", ".97", ".96"),
    (0.99, 0.50): ("99/50", ".39", ".69", ".96"),
}
DIGITS = 1500
SIGMAS = (0.02, 0.03, 0.04, 0.05)
VAE = GeneratorSettings(training=TrainingSchedule(epochs=25, rate=1e-3))
DIGIT_VAE = GeneratorSettings(hidden=64, training=TrainingSchedule(epochs=15, rate=1e-3))


def bar_lines() -> list[Line]:
    """One line for each row of the published table; the effect of green on class 0 (horizontal)."""
    lines = []
    for shares, (name, *published) in BARS.items():
        begun = time.monotonic()
        learned = render_bars(2000, shares, seed=1)
        seen = render_bars(1000, shares, seed=2)
        fair = render_bars(1000, (0.5, 0.5), seed=3)
        network = load(_bar_network(learned.pictures, learned.labels), (3, SIZE, SIZE))
        exact = causal_effect(network, fair.do(False), fair.do(True))
        told = conditional_effect(network, seen.pictures, seen.green)
        score = _tcav(network, seen.pictures, seen.labels, seen.green)
        vae = train_generator(
            learned.pictures, learned.labels, learned.green.astype(np.int64), settings=VAE
        )
        decoded = decoded_effect(network, vae, seen.labels)
        green = seen.green.astype(np.int64)
        encoded = encoded_effect(network, vae, seen.pictures, seen.labels, green)
        text = f"GT-CaCE {exact.effect[0]:.2f} ± {exact.error[0]:.2f}, "
        text += f"Dec-CaCE {decoded.effect[0]:.2f}, EncDec-CaCE {encoded.effect[0]:.2f}, "
        text += f"ConExp {told.effect[0]:.2f}, TCAV {score}; accuracy "
        text += f"{_accuracy(network, seen.pictures, seen.labels):.1f} % on such data, "
        text += f"{_accuracy(network, fair.pictures, fair.labels):.1f} % on 50/50; "
        text += f"{time.monotonic() - begun:.0f} s"
        said = "GT-CaCE {}, ConExp {}, TCAV {}".format(*published)
        lines.append((f"BARS {name}", said, text, "own pictures and network"))
    return lines


def _bar_network(pictures: np.ndarray, labels: np.ndarray) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * (SIZE // 4) ** 2, 2)),
    )
    return train_classifier(
        module, torch.tensor(pictures), torch.tensor(labels), TrainingSchedule(epochs=8, rate=1e-3)
    )


def _accuracy(network: Network, pictures: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float((class_probabilities(network, pictures).argmax(1) == labels).mean())


def _tcav(network: Network, pictures: np.ndarray, labels: np.ndarray, green: np.ndarray) -> str:
    """Of green for class 0, from green examples of the same data."""
    cut = Slice(network, last_layer(network, "MaxPool2d"))
    settings = TcavSettings(random_sets=10)
    found = concept_scores(
        cut, pictures, labels, {"green": pictures[green][:100]}, settings=settings
    )
    one = found.table[0]
    return f"{one.score:.2f} ({'significant' if one.significant else 'not significant'})"


def digit_lines() -> list[Line]:
    """Coloured digits of mnist-5k: mean over classes of the effect of a class's colour on it."""
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    grey = data.flat.reshape(-1, 28, 28).astype(np.float32)
    labels = data.labels.astype(np.int64)
    generator = np.random.default_rng(0)
    held, train = (generator.permutation(part) for part in (data.held_out, data.train))
    held, train = held[:300], train[:DIGITS]
    lines = []
    for sigma in SIGMAS:
        begun = time.monotonic()
        learned = colour_digits(grey[train], labels[train], sigma, seed=1)
        seen = colour_digits(grey[held], labels[held], sigma, seed=2)
        network = load(_digit_network(learned.pictures, learned.labels), (3, 28, 28))
        at = [class_probabilities(network, seen.do(colour)) for colour in seen.means]
        exact = _own_against_others(np.array([p.mean(0) for p in at]))
        probabilities = class_probabilities(network, seen.pictures)
        told = np.mean(
            [
                probabilities[seen.concepts == k, k].mean()
                - probabilities[seen.concepts != k, k].mean()
                for k in range(10)
            ]
        )
        vae = train_generator(
            learned.pictures, learned.labels, learned.concepts, settings=DIGIT_VAE
        )
        z = vae.latent(seen.pictures, seen.labels, seen.concepts)
        random = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
        decoded, encoded = (
            _own_against_others(
                np.array(
                    [
                        class_probabilities(network, vae.pictures(one, seen.labels, k)).mean(0)
                        for k in range(10)
                    ]
                )
            )
            for one in (random, z)
        )
        swapped = seen.do(seen.means[np.random.default_rng(1).permutation(seen.labels)])
        text = f"GT-CaCE {exact:.2f}, Dec-CaCE {decoded:.2f}, EncDec-CaCE {encoded:.2f}, "
        text += f"ConExp {told:.2f}; accuracy {_accuracy(network, seen.pictures, seen.labels):.1f} "
        text += f"%, {_accuracy(network, swapped, seen.labels):.1f} % with shuffled colours; "
        text += f"{time.monotonic() - begun:.0f} s"
        lines.append(
            (
                f"Coloured MNIST, σ = {sigma:g}",
                "figures not at hand",
                text,
                f"{DIGITS} digits learned",
            )
        )
    return lines


def _own_against_others(mean: np.ndarray) -> float:
    """``mean`` (10, 10): of class k's probability when the colour is j's, at [j, k]."""
    own = np.diag(mean)
    others = (mean.sum(0) - own) / (len(mean) - 1)
    return float((own - others).mean())


def _digit_network(pictures: np.ndarray, labels: np.ndarray) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16 * 49, 10)),
    )
    return train_classifier(
        module, torch.tensor(pictures), torch.tensor(labels), TrainingSchedule(epochs=6, rate=1e-3)
    )
