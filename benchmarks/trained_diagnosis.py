"""Parts of ``benchmarks.diagnosis`` that train networks for what they show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from attribution import (
    ExplainerSettings,
    GraphSettings,
    LabelledPictures,
    PlaneData,
    Sinusoids,
    Slice,
    TrainingSchedule,
    WeightNoise,
    band_training,
    explainer_network,
    explanatory_graph,
    information_plane,
    location_instability,
    plane_point,
    render_scenes,
    spectral_bias,
)
from attribution.diagnosis.information_plane import normal_entropy
from attribution.diagnosis.location import peaks
from attribution.evaluate import values_at
from attribution.training import seeded, train_classifier
from precond.data import load_dataset

Line = tuple[str, str, str, str]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def pictures(name: str, learned: int, told: int) -> tuple[LabelledPictures, LabelledPictures]:
    """Some training and some held-out pictures (N, 1, 28, 28), drawn at random: data sets are
    sorted by class."""
    data = load_dataset(name)
    assert data.labels is not None
    generator = np.random.default_rng(0)
    parts = (
        generator.permutation(data.train)[:learned],
        generator.permutation(data.held_out)[:told],
    )
    first, second = (
        LabelledPictures(
            np.asarray(data.flat[rows], dtype=np.float32).reshape(-1, 1, 28, 28),
            np.asarray(data.labels[rows], dtype=np.int64),
        )
        for rows in parts
    )
    return first, second


def small_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16 * 49, 10)),
    )


def band_lines() -> list[Line]:
    learned, held_out = pictures("fashion-mnist", 4000, 1000)
    radii = (4, 8, 12, 16)
    found = band_training(small_cnn, learned, held_out, radii, training=TrainingSchedule(epochs=5))
    parts = (found.low, found.low_on_whole, found.high, found.high_on_whole)
    low, low_whole, high, high_whole = (", ".join(map(percent, one)) for one in parts)
    rough = found.roughness
    return [
        (
            "Training on a band, r = 4, 8, 12, 16, Fashion-MNIST",
            "CIFAR-10",
            f"whole {percent(found.whole)} %; low part {low} (on whole pictures {low_whole}); high "
            f"part {high} (on whole pictures {high_whole}) %",
            "4,000 pictures, a small network, 5 epochs; 1,000 held out",
        ),
        (
            "Roughness of first kernels (0 smooth, 1 unrelated)",
            "drawn only",
            f"whole {rough[0]:.2f}; low "
            + ", ".join(f"{v:.2f}" for v in rough[1:5])
            + "; high "
            + ", ".join(f"{v:.2f}" for v in rough[5:]),
            "the same networks; little training, so near the random start",
        ),
    ]


def spectrum_lines() -> list[Line]:
    def build() -> nn.Module:
        return nn.Sequential(
            *(nn.Linear(1, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()),
            *(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1)),
        )

    waves = Sinusoids((1, 3, 5, 7, 9))
    training = TrainingSchedule(epochs=3000, rate=1e-3, batch=200)
    noise = WeightNoise((0.02, 0.05, 0.1))
    found = spectral_bias(build, waves, training=training, every=20, noise=noise)
    first = ", ".join(f"{value:g}" for value in found.first())
    left = "; ".join(
        f"δ = {size:g}: " + ", ".join(f"{value:.2f}" for value in line)
        for size, line in zip(found.noise, found.left, strict=True)
    )
    return [
        (
            "Spectral bias, k = 1, 3, 5, 7, 9: step of 90 % of the amplitude",
            "slow waves first",
            first,
            "1-128-128-128-1, Adam, 200 points, k = 5 … 50 published",
        ),
        (
            "Share left after weight noise, the same waves",
            "slow waves are more robust",
            left,
            "mean of 10 draws",
        ),
    ]


def graph_lines() -> list[Line]:
    """Landmarks are the middle of the object and the corners of its frame."""
    learned, scenes = render_scenes(1500, seed=1), render_scenes(300, seed=2)
    module = seeded(
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(16 * 36, 4)),
        ),
        0,
    )
    given = torch.as_tensor(learned.pictures), torch.as_tensor(learned.labels)
    train_classifier(module, *given, TrainingSchedule(epochs=8))
    layers = {
        name: values_at(Slice(module, place), scenes.pictures)
        for name, place in (("upper", "4"), ("lower", "1"))
    }
    objects = np.any([mask for mask in scenes.masks.values()], axis=0)
    marks = np.stack([_landmarks(one) for one in objects])
    graph = explanatory_graph(layers, settings=GraphSettings(patterns=3, rounds=15))
    texts = []
    for layer in graph.layers:
        alive = layer.scores.max(1) > 0
        parts = location_instability(layer.places[alive], layer.scores[alive], marks)
        raw = location_instability(*peaks(layers[layer.layer]), marks)
        texts.append(f"{layer.layer} layer {parts.mean():.3f}, raw filters {raw.mean():.3f}")
    return [
        (
            "Explanatory graph, location instability",
            "other networks",
            "; ".join(texts),
            "rendered scenes, 5 landmarks, the 100 strongest pictures of each",
        )
    ]


def _landmarks(mask: np.ndarray) -> np.ndarray:
    """The middle and the four corners of a frame, in units of the picture."""
    down, across = np.nonzero(mask)
    top, bottom, left, right = down.min(), down.max(), across.min(), across.max()
    corners = [(top, left), (top, right), (bottom, left), (bottom, right)]
    middle = ((top + bottom) / 2, (left + right) / 2)
    return (np.array([middle, *corners]) + 0.5) / len(mask)


class Residual(nn.Module):
    """Two residual blocks on maps of 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.AvgPool2d(3, stride=3, padding=1)
        self.head = nn.Linear(8 * 25, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        h = h + torch.relu(self.first(h))
        h = h + torch.relu(self.second(h))
        answer: Tensor = self.head(self.pool(h).flatten(1))
        return answer


def plane_lines() -> list[Line]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(8000, 4)) @ np.diag([1.0, 1, 2, 3])
    sigma = 0.5
    known = 0.5 * float(np.log(1 + np.array([1.0, 1, 4, 9]) / sigma**2).sum())
    data = PlaneData(
        x, (x[:, 0] > 0).astype(np.int64), entropy=normal_entropy(np.diag([1.0, 1, 4, 9]))
    )
    point = plane_point(data, x + sigma * generator.normal(size=x.shape))
    learned, held_out = pictures("mnist-5k", 2000, 1000)
    every = LabelledPictures(
        np.concatenate([learned.pictures, held_out.pictures]),
        np.concatenate([learned.labels, held_out.labels]),
    )
    snapshots: list[dict[str, Tensor]] = []
    module = seeded(Residual, 0)

    def keep(_: int) -> None:
        snapshots.append({name: v.clone() for name, v in module.state_dict().items()})

    keep(0)
    given = torch.as_tensor(learned.pictures), torch.as_tensor(learned.labels)
    train_classifier(module, *given, TrainingSchedule(epochs=8), after=keep)
    chosen = [snapshots[k] for k in (0, 1, 2, 4, 8)]

    def values(state: dict[str, Tensor]) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            module.load_state_dict(state)
            return values_at(Slice(module, "pool"), every.pictures)

        return read

    told = np.arange(len(learned.labels), len(every.labels))
    plane = PlaneData(every.pictures, every.labels, held_out=told)
    points = information_plane(plane, [values(state) for state in chosen])
    gain = ", ".join(f"{one.about_inputs:.0f}" for one in points)
    classes = ", ".join(f"{one.about_classes:.2f}" for one in points)
    return [
        (
            "Information plane, normal inputs, I(x; h) in nats",
            f"{known:.2f} (closed form)",
            f"{point.about_inputs:.2f} ± {point.inputs_error:.2f} (standard error)",
            "2,000 held-out inputs",
        ),
        (
            "Information plane, residual network, after 0, 1, 2, 4, 8 epochs",
            "other networks",
            f"I(y; h) ≥ {classes} of {points[0].class_entropy:.2f} nats; gain about inputs (no "
            f"bound) {gain} nats",
            "mnist-5k, a normal decoder instead of PixelCNN++",
        ),
    ]


def explainer_lines() -> list[Line]:
    """On digits, and on scenes; landmarks are the middle and the corners of the frame."""
    learned, held_out = pictures("mnist-5k", 2000, 500)
    digits = LabelledPictures(
        np.concatenate([learned.pictures, held_out.pictures]),
        np.concatenate([learned.labels, held_out.labels]),
    )
    rendered = render_scenes(2700, seed=1)
    scenes = LabelledPictures(rendered.pictures, rendered.labels)
    objects = np.any(list(rendered.masks.values()), axis=0)
    return [
        *_explained("digits", _performer(1, 4, 49), digits, digits.pictures[:, 0] > 0.5, 500),
        *_explained("scenes", _performer(3, 4, 36), scenes, objects, 300),
    ]


def _performer(channels: int, pool: int, places: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(
        *(nn.Conv2d(channels, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(pool)),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(16 * places, 32), nn.ReLU(), nn.Linear(32, 10)),
    )


def _explained(
    name: str,
    build: Callable[[], nn.Module],
    every: LabelledPictures,
    masks: np.ndarray,
    told: int,
) -> list[Line]:
    rows = np.arange(len(masks) - told, len(masks))
    marks = np.stack([_landmarks(mask) for mask in masks[rows]])
    module, lines = seeded(build, 0), []
    given = torch.as_tensor(every.pictures[: rows[0]]), torch.as_tensor(every.labels[: rows[0]])
    train_classifier(module, *given, TrainingSchedule(epochs=10))
    for weight in (0.0, 10.0):
        found = explainer_network(
            Slice(module, "4"),
            Slice(module, "7"),
            every.pictures,
            every.labels,
            held_out=rows,
            settings=ExplainerSettings(filter_weight=weight, training=TrainingSchedule(epochs=10)),
        )
        explained, raw = (
            float(location_instability(*peaks(maps), marks).mean())
            for maps in (found.part_maps, found.performer_maps)
        )
        text = (
            f"share p {found.share:.2f}; {percent(found.explained)} % of the features' variance; "
            f"right {percent(found.accuracy)} %, with explained features "
            f"{percent(found.explained_accuracy)} %; location instability {explained:.3f}, of the "
            f"performer {raw:.3f}"
        )
        lines.append(
            (f"Explainer network, {name}, λ = {weight:g}", "other networks", text, "small")
        )
    return lines


TRAINED_PARTS: dict[str, Callable[[], list[Line]]] = {
    "bands": band_lines,
    "spectrum": spectrum_lines,
    "graph": graph_lines,
    "plane": plane_lines,
    "explainer": explainer_lines,
}
