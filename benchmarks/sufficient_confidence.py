"""Is the size of the set that suffices a sign of doubt?  AUROC beside softmax and a monitor.

The size is that of the set which bounds keep (``freed_by_bounds``: a fraction of a second an
input).  Beside it stand 1 − max softmax and the strength with which rules over the network's
decisions speak for the prediction (``precond monitor``), mined here on the training rows.

Three tasks: wrong predictions of held-out digits told from right ones; pictures of clothes
(Fashion-MNIST) from digits; and digits with shuffled pixels from digits.

    python -m benchmarks.sufficient_confidence --model models/mnist-mlp.onnx --most 20
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.sufficient import by_bounds, even
from precond import Precondition, Status, Verdict, layer_preconditions, record
from precond.apply import Monitor
from precond.apply.monitoring.summary import area
from precond.data.datasets import load_dataset, split
from precond.formats.load import load
from precond.mine.sufficient_features.sufficient import feature_question
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof import Kind, Support
from precond.region.box import Box

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Doubt:
    """Three signs of doubt, larger where there is more, (N,) each."""

    size: Array
    softmax: Array
    weakness: Array


def monitor_of(network: Network, inputs: NDArray[np.floating], domain: Box) -> Monitor:
    """Rules over the decisions of all layers, mined on ``inputs``."""
    seen = record(network, inputs)
    entries = [
        Precondition(
            f"layer-{rule.label}-{number}",
            Kind.LAYER,
            str(rule.label),
            None,
            rule.pattern,
            Support(rule.support, 0, None, None, train_precision=rule.precision),
            Verdict(Status.EMPIRICAL),
        )
        for number, rule in enumerate(layer_preconditions(seen, seen.predicted))
    ]
    return Monitor(network, entries, domain)


def doubt(network: Network, monitor: Monitor, points: Array, radius: float) -> Doubt:
    natural = Box.uniform(network.input_size, 0.0, 1.0)
    sizes = [
        by_bounds(feature_question(network, x, Box.ball(x, radius, natural)))[0] for x in points
    ]
    shaped = points.reshape(-1, *network.input_shape)
    soft = torch.softmax(torch.tensor(outputs(network, shaped)), 1).amax(1).numpy()
    weakness = -monitor.watch(shaped).strength.numpy()
    return Doubt(np.array(sizes, dtype=np.float64), 1 - soft, weakness)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models/mnist-mlp.onnx"))
    parser.add_argument("--radius", type=float, default=0.05)
    parser.add_argument("--most", type=int, default=20, help="inputs of each kind")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    network = load(chosen.model).logits
    data, fashion = load_dataset("mnist-5k"), load_dataset("fashion-mnist")
    assert data.labels is not None
    train, held_out = split(data)
    monitor = monitor_of(network, data.inputs[train], Box.uniform(network.input_size, 0.0, 1.0))
    right = outputs(network, data.inputs[held_out]).argmax(1) == data.labels[held_out]
    digits = data.flat[even(held_out[right], chosen.most)].astype(np.float64)
    rng = np.random.default_rng(0)
    groups = {
        "right": digits,
        "wrong": data.flat[held_out[~right][: chosen.most]].astype(np.float64),
        "clothes": fashion.flat[even(fashion.held_out, chosen.most)].astype(np.float64),
        "shuffled": np.stack([rng.permutation(one) for one in digits]),
    }
    found: dict[str, Doubt] = {}
    for name, points in groups.items():
        found[name] = doubt(network, monitor, points, chosen.radius)
        print(f"{name:9} {len(points):4} inputs, {found[name].size.mean():.1f} kept by bounds")
    for name in ("wrong", "clothes", "shuffled"):
        home, other = found["right"], found[name]
        print(
            f"AUROC of {name:9} size {area(home.size, other.size):.2f}, 1 − max softmax "
            f"{area(home.softmax, other.softmax):.2f}, monitor "
            f"{area(home.weakness, other.weakness):.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
