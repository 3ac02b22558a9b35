"""A robust network beside its standard twin (Tsipras et al. 2019, Engstrom et al. 2019)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from attribution import (
    Ascent,
    Norm,
    TrainingSchedule,
    adversarial_training,
    class_probabilities,
    gradient_look,
    large_change,
    maximised,
)
from benchmarks.concept_rows.common import Line
from precond import load
from precond.apply import BallOutcome, RobustnessSettings, robustness
from precond.data import load_dataset
from precond.network import Network

RADIUS = 0.1
FAR = Ascent(8.0, Norm.EUCLIDEAN, steps=40, stride=0.1)
TRAINED, SHOWN, CERTIFIED = 1500, 200, 20
RADII = (0.01, 0.05)


def robust_lines(write: Path | None = None) -> list[Line]:
    """Accuracy, gradients on the digit, large changes, certified balls of both networks."""
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    generator = np.random.default_rng(0)
    train, held = (generator.permutation(part) for part in (data.train, data.held_out))
    pictures = data.flat.reshape(-1, 1, 28, 28).astype(np.float32)
    labels = data.labels.astype(np.int64)
    x, y = pictures[train[:TRAINED]], labels[train[:TRAINED]]
    seen, own = pictures[held[:SHOWN]], labels[held[:SHOWN]]
    lines, drawn = [], []
    for name, ascent in (("standard", None), ("robust", Ascent(RADIUS, steps=5, stride=0.4))):
        begun = time.monotonic()
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
        )
        module.append(nn.Linear(32, 10))
        training = TrainingSchedule(epochs=12, rate=1e-3)
        adversarial_training(module, x, y, ascent, training=training)
        network = load(module, (1, 28, 28))
        look = gradient_look(network, seen, own, seen[:, 0] > 0.1)
        targets = (own[:8] + 1) % 10
        far = large_change(network, seen[:8], targets, FAR)
        grey = np.full((1, 1, 28, 28), 0.5, dtype=np.float32)
        best = [maximised(network, grey, label, FAR) for label in range(8)]
        drawn += [seen[:8], far, np.concatenate(best)]
        text = f"accuracy {_accuracy(network, seen, own):.1f} %; gradient on the digit "
        text += f"{look.inside.mean():.2f} (its area {look.area.mean():.2f}), roughness "
        text += f"{look.roughness.mean():.2f}; {_certified(network, seen, own)}; "
        text += f"{time.monotonic() - begun:.0f} s"
        why = f"784-64-32-10, {TRAINED} digits, ε = {RADIUS:g} (ℓ∞)"
        lines.append((f"Robustness as a prior, {name}", "other networks", text, why))
    if write is not None:
        _draw(drawn, write)
    return lines


def _accuracy(network: Network, pictures: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float((class_probabilities(network, pictures).argmax(1) == labels).mean())


def _certified(network: Network, pictures: np.ndarray, labels: np.ndarray) -> str:
    settings = RobustnessSettings(radii=RADII, natural=(0.0, 1.0), budget=60.0, each=3.0)
    flat = pictures[:CERTIFIED].reshape(CERTIFIED, -1)
    found = robustness(network, flat, settings, labels=labels[:CERTIFIED])
    parts = [
        f"{radius:g}: {found.count(k, BallOutcome.CERTIFIED)} certified, "
        f"{found.count(k, BallOutcome.ATTACKED)} attacked"
        for k, radius in enumerate(RADII)
    ]
    return f"of {CERTIFIED} balls of radius {'; '.join(parts)}"


def _draw(rows: list[np.ndarray], folder: Path) -> None:
    """``robust.png``: for each network the digits, large changes towards the next class, and what
    maximises class 0 to 7."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    sheet = np.concatenate([np.concatenate([one[0] for one in row], 1) for row in rows], 0)
    values = np.rint(255 * sheet).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    Image.fromarray(values).save(folder / "robust.png")
