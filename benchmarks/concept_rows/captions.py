"""TCAV of captions against what the network is known to look at (Kim et al. 2018, §4.3)."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from attribution import (
    Slice,
    TcavSettings,
    TrainingSchedule,
    caption_noise,
    class_probabilities,
    concept_scores,
    render_scenes,
    write_captions,
)
from attribution.training import train_classifier
from benchmarks.concept_rows.common import Line, last_layer
from precond import load

SIZE = 24
NETWORKS = {"no captions": None, "noise 0 %": 0.0, "noise 30 %": 0.3, "noise 100 %": 1.0}
EXAMPLES = 100


def caption_lines() -> list[Line]:
    """Four networks: what they learned from, accuracy without captions, TCAV of both concepts."""
    begun = time.monotonic()
    learned, seen = (render_scenes(2000, size=SIZE, seed=seed) for seed in (1, 2))
    other = render_scenes(2000, size=SIZE, seed=3)
    examples = {}
    for k, shape in enumerate(("circle", "square", "triangle", "cross")):
        signs = np.full(EXAMPLES, k)
        picked = np.random.default_rng(k).permutation(len(other.pictures))[:EXAMPLES]
        examples[f"caption {k}"] = write_captions(other.pictures[picked], signs)
        examples[f"shape {k}"] = other.pictures[other.having(shape)[:EXAMPLES]]
    texts = []
    for name, noise in NETWORKS.items():
        pictures = learned.pictures
        if noise is not None:
            pictures = caption_noise(pictures, learned.labels, noise, seed=4).pictures
        network = load(_network(pictures, learned.labels), (3, SIZE, SIZE))
        plain = class_probabilities(network, seen.pictures).argmax(1) == seen.labels
        cut = Slice(network, last_layer(network, "MaxPool2d"))
        found = concept_scores(
            cut, seen.pictures, seen.labels, examples, settings=TcavSettings(random_sets=10)
        )
        own = {(one.concept, one.label): one for one in found.table}
        said = []
        for kind in ("caption", "shape"):
            scores = [own[f"{kind} {k}", k] for k in range(4)]
            clear = sum(one.significant and one.slope > 0 for one in scores)
            mean = np.mean([one.score for one in scores])
            said.append(f"{kind} {mean:.2f} ({clear} of 4 significant)")
        texts.append(f"{name}: {100 * plain.mean():.1f} % without captions, {', '.join(said)}")
    text = f"{'; '.join(texts)}; {time.monotonic() - begun:.0f} s"
    why = "scenes of four shapes; the paper has photographs of three classes"
    return [("TCAV of captions, 4 networks", "plots only", text, why)]


def _network(pictures: np.ndarray, labels: np.ndarray) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(24 * (SIZE // 4) ** 2, 4)),
    )
    return train_classifier(
        module, torch.tensor(pictures), torch.tensor(labels), TrainingSchedule(epochs=8)
    )
