"""What clipping attributions at the 99th percentile keeps, and what it changes.

Integrated gradients of the predicted class on held-out digits, from black.  Two ways to choose the
limit of a map are measured:

    percentile  the 99th percentile of an input's magnitudes: 1 value in 100 is cut off
    mass        the smallest magnitude such that those up to it hold 99 % of the sum of magnitudes

Counted for both: the values that are cut off, the share of the sum of magnitudes that stays, how
far the sum of attributions moves (of which completeness speaks), the pixels that are drawn at a
tenth of full strength or more before and after, and whether the ten largest pixels stay so.

    python benchmarks/clipping.py --out clipping.json

Source: Sundararajan, Taly, Yan 2017, whose pictures are clipped so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attribution import integrated_gradients
from attribution.show.visualise import Clip, limit_of
from precond import load
from precond.data import load_dataset

MODELS = Path(__file__).resolve().parents[1] / "models"
NETWORKS = ("mnist-mlp", "mnist-cnn")
VISIBLE = 0.1  # of full strength
TOP = 10
Array = NDArray[np.float64]


def measured(values: Array, limit: float) -> dict[str, float]:
    """Of one input's attributions (n,), cut off at ± ``limit``."""
    size, cut = np.abs(values), np.clip(values, -limit, limit)
    whole = float(size.sum()) or 1.0
    top = np.argsort(-size, kind="stable")[:TOP]
    after = np.argsort(-np.abs(cut), kind="stable")[:TOP]
    return {
        "cut": float((size > limit).sum()),
        "mass": float(np.abs(cut).sum()) / whole,
        "sum_moved": abs(float(cut.sum() - values.sum())) / whole,
        "visible_before": float((size >= VISIBLE * size.max()).sum()),
        "visible": float((np.abs(cut) >= VISIBLE * limit).sum()),
        "same_top": float(set(top.tolist()) == set(after.tolist())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200, help="held-out digits")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("mnist-5k")
    rows = data.held_out[:: max(1, len(data.held_out) // chosen.inputs)][: chosen.inputs]
    ways: dict[str, Callable[[Array], float]] = {
        "percentile": lambda one: limit_of(one, Clip.PERCENTILE),
        "mass": lambda one: limit_of(one, Clip.MASS),
    }
    found: dict[str, Any] = {}
    for name in NETWORKS:
        network = load(MODELS / f"{name}.onnx")
        inputs = data.flat[rows].reshape(-1, *network.input_shape)
        values = np.asarray(integrated_gradients(network, inputs, 0.0).values)
        flat = values.reshape(len(rows), -1)
        found[name] = {}
        for way, limit in ways.items():
            each = [measured(one, limit(one)) for one in flat]
            found[name][way] = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
            words = ", ".join(f"{key} {value:.3g}" for key, value in found[name][way].items())
            print(f"{name}, {len(rows)} digits, {way}: {words}", flush=True)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
