"""Clusters by shared rules: how pure they are, and how far apart, beside k-means.

Layer rules are mined from the decisions of a network (``minimum_precision`` and support as
``precond cluster``); inputs that obey the same rule are a cluster.  Beside them stand k-means
clusters of the same inputs, as many, once of the pixels and once of the layer's activations.

Purity: the share of inputs that carry their cluster's commonest label; of held-out inputs, the
label is the training members' commonest one.  Silhouette: (b − a) / max(a, b) of an input, where a
is its mean distance to its own cluster and b that to the nearest other one; the mean over inputs.

    python benchmarks/clusters.py --out clusters.json

Source: Gopinath, Converse, Pasareanu, Taly 2019 (patterns as clusters); Rousseeuw 1987.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from precond import Network, layer_preconditions, load, record
from precond.apply import RuleBook, cluster
from precond.data import Dataset, load_dataset
from precond.network.evaluate import values_at

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = (("digits-mlp", "digits", "relu2"), ("mnist-mlp", "mnist-5k", "relu3"))
MOST = 2000  # inputs of a silhouette
Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def by_rules(network: Network, data: Dataset, layer: str) -> Ints:
    """(N,): the cluster of every input, −1 for those in none."""
    assert data.labels is not None
    signatures = record(network, data.flat, [layer])
    train = record(network, data.flat[data.train], [layer])
    rules = layer_preconditions(train, train.predicted, [layer])
    book = RuleBook(
        network=network, rules=rules, inputs=data.flat, signatures=signatures, train=data.train
    )
    return cluster(book, np.asarray(data.labels), data.held_out).assigned


def by_means(values: Array, train: Ints, count: int) -> Ints:
    found = KMeans(count, n_init=3, random_state=0).fit(values[train])
    return np.asarray(found.predict(values), dtype=np.int64)


def purity(assigned: Ints, labels: Ints, train: Ints, rows: Ints) -> float:
    """Of the inputs ``rows`` that are in a cluster; its label is the commonest in training."""
    label = {
        int(c): int(np.bincount(labels[train[assigned[train] == c]]).argmax())
        for c in np.unique(assigned[train])
        if c >= 0
    }
    inside = [row for row in rows.tolist() if int(assigned[row]) in label]
    return float(np.mean([labels[row] == label[int(assigned[row])] for row in inside]))


def silhouette(values: Array, assigned: Ints, rows: Ints) -> float:
    inside = rows[assigned[rows] >= 0]
    inside = inside[:: max(1, -(-len(inside) // MOST))]
    return float(silhouette_score(values[inside], assigned[inside]))


def measured(model: str, data: str, layer: str) -> list[dict[str, Any]]:
    network, digits = load(ROOT / "models" / f"{model}.onnx"), load_dataset(data)
    assert digits.labels is not None
    labels = np.asarray(digits.labels)
    pixels = digits.flat.astype(np.float64)
    hidden = np.asarray(values_at(network, pixels, layer), dtype=np.float64)
    assigned = by_rules(network, digits, layer)
    count = len(np.unique(assigned[assigned >= 0]))
    ways = {
        "rules": assigned,
        "k-means of pixels": by_means(pixels, digits.train, count),
        "k-means of activations": by_means(hidden, digits.train, count),
    }
    return [
        {
            "network": model,
            "layer": layer,
            "way": way,
            "clusters": count,
            "inside": float((found >= 0).mean()),
            "purity": purity(found, labels, digits.train, digits.train),
            "held_out_purity": purity(found, labels, digits.train, digits.held_out),
            "silhouette_pixels": silhouette(pixels, found, digits.train),
            "silhouette_activations": silhouette(hidden, found, digits.train),
        }
        for way, found in ways.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for subject in SUBJECTS:
        rows = measured(*subject)
        found[subject[0]] = {row["way"]: row for row in rows}
        print(f"{subject[0]}, rules of {subject[2]}: {rows[0]['clusters']} clusters")
        print(
            f"  {'':<24}{'inside':>8}{'purity':>8}{'held out':>10}{'silhouette: pixels':>20}"
            f"{'activations':>13}"
        )
        for row in rows:
            print(
                f"  {row['way']:<24}{row['inside']:>8.1%}{row['purity']:>8.1%}"
                f"{row['held_out_purity']:>10.1%}{row['silhouette_pixels']:>20.3f}"
                f"{row['silhouette_activations']:>13.3f}",
                flush=True,
            )
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
