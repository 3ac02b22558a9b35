"""Concepts and diagnosis, measured: ``python -m benchmarks.concepts``.

Prints a table: method, published figure, ours, why it differs.  What was not run says "not
measured".  Parts (``--only PART …``):

- ``tcav``: on a small convolutional network that tells the shapes of rendered scenes, the concepts
  that are significant; and how often sets of random inputs, taken for concepts, are called
  significant by the published test alone and by both tests;
- ``captions``: TCAV of captions of known noise, four networks;
- ``bars``, ``digits``: CaCE, exact and learned, beside ConExp and TCAV;
- ``saliency``: occlusion, LIME, saliency, SmoothGrad, Grad-CAM and exact integrated gradients under
  deletion and insertion, infidelity and random weights; approximations beside the exact integral;
- ``robust``: an adversarially trained network beside its standard twin, with what is certified;
- ``dissection``: the share of units that detect a concept, and of randomly rotated directions;
- ``differences``: mean probability lost when the most important windows of a picture are hidden,
  found by marginal and by conditional draws;
- ``margins``: the data T1(ε = 5, σ = 1, N = 10,000) of Ortiz-Jimenez et al. 2020;
- ``frequency``: accuracy of ``models/mnist-cnn.onnx`` on low and high parts of mnist-5k.

``--write DIR`` writes the scenes' network, data, masks and examples, for ``precond concepts``, and
``robust.png`` where that part runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

# ruff: noqa: E402
# This file has the package's name; its folder must not come first.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]

import numpy as np
import torch
from torch import nn

from attribution import (
    Draws,
    Marginal,
    PatchGaussian,
    Scenes,
    Slice,
    Subspace,
    TcavSettings,
    TrainingSchedule,
    concept_scores,
    dissect,
    frequency_accuracy,
    hidden_parts,
    render_scenes,
    subspace_margins,
    windows_of,
)
from attribution.training import train_classifier
from benchmarks.concept_rows.captions import caption_lines
from benchmarks.concept_rows.common import NOT, Line, last_layer
from benchmarks.concept_rows.effects import bar_lines, digit_lines
from benchmarks.concept_rows.robust import robust_lines
from benchmarks.concept_rows.saliency import saliency_lines
from precond import load
from precond.data import load_dataset
from precond.network import Network

MODELS = Path(__file__).parents[1] / "models"
SIZE, TRAINED, SHOWN = 24, 2400, 2000


def scene_network() -> tuple[Network, Scenes]:
    """A network that tells the shapes of scenes, and other scenes than it learned from."""
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(24 * (SIZE // 4) ** 2, 4)),
    )
    learned = render_scenes(TRAINED, size=SIZE, seed=1)
    train_classifier(
        module,
        torch.tensor(learned.pictures),
        torch.tensor(learned.labels),
        TrainingSchedule(epochs=12),
    )
    return load(module, (3, SIZE, SIZE)), render_scenes(SHOWN, size=SIZE, seed=2)


def concept_lines(parts: set[str], write: Path | None) -> list[Line]:
    network, scenes = scene_network()
    cut = Slice(network, last_layer(network, "ReLU"))
    pooled = Slice(network, last_layer(network, "MaxPool2d"))
    logits = network.logits
    accuracy = scene_accuracy(logits, scenes) if {"tcav", "dissection"} & parts else float("nan")
    lines: list[Line] = []
    other = render_scenes(2 * SHOWN, size=SIZE, seed=3)
    examples = {name: other.pictures[other.having(name)[:100]] for name in other.masks}
    if write is not None:
        write_scenes(write, network, scenes, examples)
    if "tcav" in parts:
        begun = time.monotonic()
        found = concept_scores(pooled, scenes.pictures, scenes.labels, examples)
        clear = [f"{one.concept}→{one.label}" for one in found.table if one.significant]
        text = f"{len(clear)} of {len(found.table)} significant: {', '.join(clear) or 'none'}; "
        text += f"network {100 * accuracy:.1f} %, {time.monotonic() - begun:.0f} s"
        lines.append(("TCAV, scenes", "other networks", text, "our own scenes and network"))
        lines.append(false_alarms(pooled, scenes, other))
    if "dissection" in parts:
        begun = time.monotonic()
        result = dissect(cut, scenes.pictures, scenes.masks, top=0.05)
        text = f"largest IoU {result.overlap.max():.2f}; units {100 * result.interpretable:.0f} %"
        text += f", rotated {', '.join(f'{100 * share:.0f} %' for share in result.rotated)}; "
        text += f"{time.monotonic() - begun:.0f} s"
        lines.append(("Dissection, scenes", "other networks", text, "our own scenes and network"))
    if "differences" in parts:
        lines.append(differences(network, scenes, other))
    return lines


def scene_accuracy(network: Network, scenes: Scenes) -> float:
    from precond.network import outputs

    found = outputs(network, scenes.pictures.reshape(len(scenes.labels), -1))
    return float((found.argmax(1) == scenes.labels).mean())


def false_alarms(cut: Slice, scenes: Scenes, other: Scenes) -> Line:
    """Sets of random scenes, none of which shares one with another, taken for concepts."""
    sets = {str(k): other.pictures[k * 100 : (k + 1) * 100] for k in range(40)}
    found = concept_scores(cut, scenes.pictures, scenes.labels, sets, settings=TcavSettings())
    alone = np.mean([one.p_scores <= one.alpha for one in found.table])
    case = np.mean([one.p_case <= one.alpha for one in found.table])
    text = f"{100 * alone:.0f} % by the published test, {100 * case:.0f} % by the second, both "
    text += f"uncorrected at 5 %; {sum(one.significant for one in found.table)} of "
    text += f"{len(found.table)} by both, corrected"
    return ("TCAV, random concepts", NOT, text, "the scores of one concept share its examples")


def differences(network: Network, scenes: Scenes, other: Scenes) -> Line:
    """Probability of the class after its 5 most important windows are replaced by the mean."""
    shape = (3, SIZE, SIZE)
    data = other.pictures[:500].reshape(500, -1)
    gaussian = PatchGaussian.fit(other.pictures[:500], 8)
    parts = windows_of(shape, 4)
    kept: dict[str, list[float]] = {"marginal": [], "conditional": []}
    begun, cut = time.monotonic(), Slice(network)
    for row in range(6):
        picture, label = scenes.pictures[row : row + 1], int(scenes.labels[row])
        for name, sampler in (("marginal", Marginal(data)), ("conditional", gaussian)):
            found = hidden_parts(cut, picture, label, parts, sampler, draws=Draws(500))
            flat = picture.reshape(-1).copy()
            for part in np.argsort(-found.evidence)[:5]:
                flat[parts[part]] = data.mean(0)[parts[part]]
            with torch.no_grad():
                after = hidden_parts(
                    cut,
                    flat.reshape(1, *shape).astype(np.float32),
                    label,
                    parts[:1],
                    Marginal(data),
                    draws=Draws(500, samples=1),
                ).probability
            kept[name].append(found.probability - after)
    text = ", ".join(f"{name} loses {np.mean(lost):.2f}" for name, lost in kept.items())
    text += f" (mean of 6 pictures, 5 windows); {time.monotonic() - begun:.0f} s"
    return ("Prediction difference", "pictures only", text, "the paper shows pictures")


def margin_lines() -> list[Line]:
    """T1: x = U (ε y, w), w normal; the discriminative direction is u1 = U e1.  The classes are ε
    apart, y = ±½, as a published margin of 2.50 along u1 for ε = 5 says."""
    generator = np.random.default_rng(0)
    size, count = 100, 10_000
    turn = np.linalg.qr(generator.normal(size=(size, size)))[0]
    y = generator.integers(2, size=count)
    plain = np.concatenate(
        [5.0 * (y[:, None] - 0.5), generator.normal(size=(count, size - 1))], axis=1
    )
    x = plain @ turn.T
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    module.append(nn.Linear(64, 2))
    train_classifier(
        module, torch.tensor(x, dtype=torch.float32), torch.tensor(y), TrainingSchedule(epochs=10)
    )
    network = load(module, (size,))
    rand = np.linalg.qr(generator.normal(size=(size, 3)))[0].T
    spaces = (
        Subspace("u1", turn[:, :1].T),
        Subspace("u1⊥", turn[:, 1:].T),
        Subspace("S_orth", turn[:, 1:4].T),
        Subspace("S_rand", rand),
    )
    begun = time.monotonic()
    medians = subspace_margins(network, x[:200], spaces).medians
    seconds = time.monotonic() - begun
    why = "network 100-128-64-2 and 3-dimensional S_orth, S_rand are ours; 200 inputs"
    published = ("2.50", "12.4", "102", "27.9")
    return [
        (f"Margin T1, {space.name}", figure, f"{median:.3g}; {seconds:.0f} s for all", why)
        for space, figure, median in zip(spaces, published, medians, strict=True)
    ]


def frequency_lines() -> list[Line]:
    data, network = load_dataset("mnist-5k"), load(MODELS / "mnist-cnn.onnx")
    rows = data.held_out
    assert data.labels is not None
    inputs = data.flat[rows].reshape(-1, *network.input_shape)
    radii = (4, 8, 12, 16)
    found = frequency_accuracy(network, inputs, data.labels[rows], radii, shape=(28, 28))
    low = ", ".join(f"{100 * value:.1f}" for value in found.low)
    high = ", ".join(f"{100 * value:.1f}" for value in found.high)
    text = f"whole {100 * found.whole:.1f} %; low {low}; high {high} (%)"
    return [("Frequency, r = 4, 8, 12, 16", "other data", text, f"mnist-5k, {len(rows)} held out")]


def write_scenes(
    folder: Path, network: Network, scenes: Scenes, examples: dict[str, np.ndarray]
) -> None:
    """``scenes.onnx``, ``scenes.npz``, ``masks.npz`` and ``examples.npz``."""
    from precond.formats.onnx.writer import write_onnx

    folder.mkdir(parents=True, exist_ok=True)
    write_onnx(network, folder / "scenes.onnx")
    np.savez_compressed(folder / "scenes.npz", inputs=scenes.pictures, labels=scenes.labels)
    np.savez_compressed(folder / "masks.npz", **scenes.masks)
    np.savez_compressed(folder / "examples.npz", **examples)


PARTS: dict[str, Callable[[], list[Line]]] = {
    "captions": caption_lines,
    "bars": bar_lines,
    "digits": digit_lines,
    "saliency": saliency_lines,
    "robust": robust_lines,
    "margins": margin_lines,
    "frequency": frequency_lines,
}
SCENE_PARTS = ("tcav", "dissection", "differences")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=(*SCENE_PARTS, *PARTS), metavar="PART")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the scenes there")
    arguments = parser.parse_args()
    only = set(arguments.only or (*SCENE_PARTS, *PARTS))
    torch.set_num_threads(1)
    lines: list[Line] = []
    if only & set(SCENE_PARTS):
        lines += concept_lines(only, arguments.write)
    for name, part in PARTS.items():
        if name in only:
            lines += robust_lines(arguments.write) if name == "robust" else part()
    print("| method | published | ours | why it differs |\n|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
