"""Peers of integrated gradients under four checks, on ``models/mnist-cnn.onnx`` and mnist-5k."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from attribution import (
    CaptumMethod,
    CaptumSettings,
    RandomChanges,
    Slice,
    captum_attribution,
    class_score,
    exact_distance,
    guided_path,
    important_directions,
    infidelity,
    integrated_gradients,
    random_weights,
    removal_curves,
    riemann_sum,
)
from benchmarks.concept_rows.common import Line
from precond import load
from precond.data import load_dataset
from precond.network import Network

MODEL = Path(__file__).parents[2] / "models" / "mnist-cnn.onnx"
ROWS, SANITY_ROWS = 6, 4
Array = np.ndarray
SETTINGS = CaptumSettings(window=(1, 3, 3), samples=50)
PEERS = {
    "occlusion": CaptumMethod.OCCLUSION,
    "LIME": CaptumMethod.LIME,
    "saliency": CaptumMethod.SALIENCY,
    "SmoothGrad": CaptumMethod.SMOOTH_GRAD,
    "Grad-CAM": CaptumMethod.GRAD_CAM,
}
SLOPES = ("saliency", "SmoothGrad")
"""Methods whose values are slopes: multiplied by the input they rank what is removed."""


def saliency_lines() -> list[Line]:
    network = load(MODEL).logits
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    rows = np.random.default_rng(0).permutation(data.held_out)[:ROWS]
    x = data.flat[rows].reshape(-1, *network.input_shape).astype(np.float64)
    y = data.labels[rows].astype(np.int64)
    begun = time.monotonic()
    exact = integrated_gradients(network, x, 0.0, class_score(y), method="exact").values
    lines = [distance_line(network, x, y, exact=exact, begun=begun)]
    return [*lines, sanity_line(network, x, y), curve_line(network, x, y, exact=exact)]


def attributions(network: nn.Module | Network, method: str, x: Array, y: Array) -> Array:
    """By Captum; Grad-CAM at the last convolution's ReLU."""
    chosen = PEERS[method]
    layer = last_map(network) if chosen is CaptumMethod.GRAD_CAM else None
    found = captum_attribution(Slice(network, layer), x, y, chosen, SETTINGS).values
    return np.broadcast_to(found, x.shape)


def last_map(model: nn.Module | Network) -> str:
    """The last ReLU whose values are maps."""
    network = model if isinstance(model, Network) else model.network
    assert isinstance(network, Network)
    return [
        node.name
        for node in network.nodes
        if type(node.layer).__name__ == "ReLU" and len(network.shapes[node.name]) == 3
    ][-1]


def curve_line(network: Network, x: Array, y: Array, exact: Array) -> Line:
    """Deletion and insertion areas and infidelity (7 × 7 squares), mean over inputs."""
    begun = time.monotonic()
    texts = []
    random = np.random.default_rng(1).normal(size=x.shape)
    for name in ("exact IG", *PEERS, "random"):
        if name == "exact IG":
            values, slopes = exact, np.divide(exact, x, out=np.zeros_like(x), where=x != 0)
        elif name == "random":
            values = slopes = random
        else:
            slopes = attributions(network, name, x, y)
            values = slopes * x if name in SLOPES else slopes
            if name == "occlusion":
                slopes = np.divide(values, x, out=np.zeros_like(x), where=x != 0)
        curves = removal_curves(network, x, values, y)
        wrong = infidelity(
            network, x, slopes, y, changes=RandomChanges(window=7, samples=100)
        ).values
        texts.append(
            f"{name} {curves.deletion_area.mean():.2f} / {curves.insertion_area.mean():.2f} / "
            f"{np.nanmean(wrong):.2f}"
        )
    text = f"{', '.join(texts)}; {time.monotonic() - begun:.0f} s"
    return ("Deletion / insertion area / infidelity", "other networks", text, f"{len(x)} digits")


def sanity_line(network: Network, x: Array, y: Array) -> Line:
    """Rank correlation of magnitudes with those of random weights."""
    begun = time.monotonic()
    x, y = x[:SANITY_ROWS], y[:SANITY_ROWS]
    methods: dict[str, Callable[[nn.Module], Array]] = {
        name: lambda model, name=name: attributions(model, name, x, y)
        for name in ("saliency", "SmoothGrad", "Grad-CAM")
    }
    methods["saliency × input"] = lambda model: x * attributions(model, "saliency", x, y)
    texts = []
    for name, method in methods.items():
        found = random_weights(network, method)
        texts.append(
            f"{name} {found.magnitudes[0]:.2f} → {found.magnitudes[-1]:.2f} "
            f"(signed {found.signed[-1]:.2f})"
        )
    text = f"{', '.join(texts)}; {time.monotonic() - begun:.0f} s"
    why = f"last layer random → all; |Φ|, {len(x)} digits; published for Inception"
    return ("Random weights, rank correlation", "plots only", text, why)


def distance_line(network: Network, x: Array, y: Array, exact: Array, begun: float) -> Line:
    """‖Φ − IG‖₁ / ‖IG‖₁ and rank correlation with the exact integral."""
    texts = []
    for steps in (8, 32, 128):
        found = exact_distance(riemann_sum(network, x, y, steps=steps), exact)
        texts.append(f"IG {steps} steps {found.distance.mean():.3f} ({found.correlation:.2f})")
    for name, method in (("IDGI", important_directions), ("Guided IG", guided_path)):
        found = exact_distance(method(network, x, y, steps=64), exact)
        texts.append(f"{name} {found.distance.mean():.2f} ({found.correlation:.2f})")
    text = f"{', '.join(texts)}; {time.monotonic() - begun:.0f} s"
    return ("Distance from exact IG", "not measured before", text, "distance (rank correlation)")
