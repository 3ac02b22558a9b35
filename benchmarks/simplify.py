"""``precond simplify``: what becomes less, what it saves, and whether an output ever differs.

    python benchmarks/simplify.py models/mnist-sparse-mlp.onnx models/mnist-sparse-cnn.onnx \\
        --samples 1000000 --out simplify.json

For each model, over the box of mnist-5k's training rows: shares of neurons, connections (weights
that are not 0) and multiplications removed, CPU seconds of the search, onnxruntime's time for both
files in turns on one thread, and over ``--samples`` inputs of the box (pictures with noise, and
points drawn anywhere in the box) the largest difference of two outputs and how many classes differ.
``--certificates``: also the CPU seconds and bytes of a certificate a layer.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from precond.apply.simplification.measured import difference, latencies
from precond.apply.simplification.merged import rounded
from precond.apply.simplification.settings import SimplifySettings
from precond.apply.simplification.simplify import Simplified, certificates, simplify
from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.region.box import Box

PART = 20_000  # samples at once


def measured(path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    network, data = load(path), load_dataset("mnist-5k")
    inputs = np.asarray(data.inputs, dtype=np.float64).reshape(len(data), -1)
    box = Box.around(inputs[data.train])
    begun = time.process_time()
    settings = SimplifySettings(budget=chosen.budget, merge=chosen.merge)
    found = simplify(network, box, settings, points=inputs)
    row: dict[str, Any] = {
        "model": path.stem,
        "cpu": time.process_time() - begun,
        "before": asdict(found.before),
        "after": asdict(found.after),
        "deviation": found.deviation,
    }
    with TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        write_onnx(rounded(network).network, plain)
        write_onnx(found.network, small)
        some = inputs[box.contains(inputs)].reshape(-1, *network.input_shape)
        row["latency"] = [asdict(one) for one in latencies(plain, small, some, (1, 64, 256))]
        row["samples"] = _samples(found, plain, small, chosen.samples)
        if chosen.certificates:
            begun = time.process_time()
            places = certificates(found, Path(folder), chosen.budget)
            row["certificates"] = {
                "cpu": time.process_time() - begun,
                "bytes": {k: p and p.stat().st_size for k, p in places.items()},
            }
    return row


def _samples(found: Simplified, plain: Path, small: Path, count: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    pictures = np.asarray(load_dataset("mnist-5k").inputs, dtype=np.float64)
    pictures = pictures.reshape(len(pictures), -1)
    box, largest, classes, done = found.box, 0.0, 0, 0
    while done < count:
        near = pictures[rng.integers(len(pictures), size=PART // 2)]
        near = near + rng.normal(0, 0.1, size=near.shape)
        anywhere = rng.uniform(box.lower, box.upper, size=(PART // 2, box.size))
        both = np.clip(np.concatenate([near, anywhere]), box.lower, box.upper)
        away = difference(plain, small, both.reshape(-1, *found.original.input_shape))
        largest, classes = max(largest, away.largest), classes + away.classes
        done += PART
    return {"inputs": done, "largest": largest, "classes": classes}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for the proofs")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--certificates", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON")
    chosen = parser.parse_args()
    rows = []
    for path in chosen.models:
        row = measured(path, chosen)
        rows.append(row)
        less = {
            part: 100 * (1 - row["after"][part] / row["before"][part]) for part in row["before"]
        }
        print(
            f"{row['model']}: " + ", ".join(f"{v:.1f} % of {k}" for k, v in less.items()),
            f"removed in {row['cpu']:.1f} CPU s;",
            ", ".join(
                f"× {r['before'] / r['after']:.2f} at batch {r['batch']}" for r in row["latency"]
            ),
            f"; outputs within {row['deviation']:.2g}; {row['samples']}",
            row.get("certificates", ""),
            flush=True,
        )
        if chosen.out is not None:
            chosen.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
