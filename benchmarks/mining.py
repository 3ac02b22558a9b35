"""How long mining one layer takes, recording included, and how much memory.

A random ReLU network 784-512-10 and the 60,000 training pictures of fashion-mnist (or noise
around ten random pictures, where that data set is not installed).  One row a network, kind
of label and minimum precision; covered and precise are of the training inputs.

    python benchmarks/mining.py --out mining.json
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from precond.data.datasets import load_dataset
from precond.errors import MissingDependency
from precond.mine.layer_rules.learn import layer_preconditions
from precond.mine.support import voted
from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.recording import record

INPUTS, NEURONS, CLASSES, ROWS = 784, 512, 10, 60_000
LIMIT = 10.0  # seconds, on two cores


def random_network(seed: int) -> Network:
    """784-512-10, He-scaled, with biases that centre the scores."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0, np.sqrt(2 / INPUTS), (NEURONS, INPUTS))
    second = rng.normal(0, np.sqrt(2 / NEURONS), (CLASSES, NEURONS))
    nodes = (
        Node("fc1", Affine(first, np.zeros(NEURONS)), ("input",)),
        Node("relu1", ReLU(), ("fc1",)),
        Node("fc2", Affine(second, np.zeros(CLASSES)), ("relu1",)),
    )
    return Network(nodes, (INPUTS,), origin=f"random 784-512-10, seed {seed}")


def pictures() -> tuple[str, np.ndarray, np.ndarray]:
    """Name, inputs (60000, 784), labels (60000,)."""
    try:
        data = load_dataset("fashion-mnist")
        assert data.labels is not None
        return data.name, data.inputs[:ROWS].reshape(ROWS, INPUTS), data.labels[:ROWS]
    except MissingDependency:
        rng = np.random.default_rng(0)
        labels = rng.integers(0, CLASSES, ROWS)
        centres = rng.uniform(size=(CLASSES, INPUTS))
        noisy = centres[labels] + rng.normal(0, 0.3, (ROWS, INPUTS))
        return "noise around ten pictures", np.clip(noisy, 0, 1).astype(np.float32), labels


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1 << 20) if sys.platform == "darwin" else size / (1 << 10)


def one(
    seed: int, inputs: np.ndarray, given: np.ndarray, label: str, precision: float
) -> dict[str, object]:
    """Record and mine once, with the default support and trees."""
    network = random_network(seed)
    start, cpu = time.perf_counter(), time.process_time()
    signatures = record(network, inputs, ["relu1"], dtype=torch.float32)
    recorded = time.perf_counter()
    labels = signatures.predicted if label == "predicted" else given
    rules = layer_preconditions(signatures, labels, minimum_precision=precision)
    mined, cpu = time.perf_counter(), time.process_time() - cpu
    found = voted(rules, signatures)
    covered = found >= 0
    return {
        "seed": seed,
        "label": label,
        "precision": precision,
        "record_seconds": round(recorded - start, 2),
        "mine_seconds": round(mined - recorded, 2),
        "seconds": round(mined - start, 2),
        "cpu_seconds": round(cpu, 2),
        "rules": len(rules),
        "train_coverage": round(float(covered.mean()), 4),
        "train_precision": round(float((found == labels)[covered].mean()), 4)
        if covered.any()
        else None,
        "peak_mib": round(peak_mib()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    name, inputs, given = pictures()
    before = peak_mib()
    print(f"{ROWS} × {INPUTS} inputs ({name}), layer of {NEURONS}, {before:.0f} MiB with data")
    results: list[dict[str, object]] = []
    for seed in range(options.seeds):
        for label, precision in product(("predicted", "given"), (1.0, 0.95)):
            row = one(seed, inputs, given, label, precision)
            if not results:
                print("  ".join(f"{column:>15}" for column in row))
            results.append(row)
            print("  ".join(f"{value!s:>15}" for value in row.values()), flush=True)
    slowest = max(float(str(row["seconds"])) for row in results)
    print(f"slowest: {slowest:.1f} s (wanted: ≤ {LIMIT:g} s)")
    if options.out is not None:
        content = {"data": name, "limit_seconds": LIMIT, "data_mib": before, "results": results}
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
