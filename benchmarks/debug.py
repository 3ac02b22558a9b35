"""Whether ``precond debug`` finds labels that were flipped on purpose, and their cause first.

3 % of the training labels of mnist-5k are flipped, 4 → 9 (120 of the 400 fours).  Rows:

    given         the repository's mnist-mlp, trained on clean labels, is given the flipped ones
    trained       the same recipe trained on the flipped labels, which it partly learns
    memorised     trained without decay or shifts until it has learned every flipped label
    unmodified    mnist-mlp and the true labels: nothing was flipped

*known* is how many flipped inputs are predicted otherwise than labelled at all: a network that
has learned a flipped label makes no error there, so nothing that starts from errors can find
it.  Precision and recall are of the suspects; *top* is the pair (label → prediction) of the
first cause, and its errors.

Run from the root, as a module (benchmarks/ holds a file named like the attribution package):

    python -m benchmarks.debug --out debug.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from precond.apply.debugging.findings import DebugSettings, debug
from precond.data.datasets import Dataset, load_dataset, split
from precond.formats.load import load
from precond.network.graph import Network

MODELS = Path(__file__).parents[1] / "models"
SHARE, FROM, TO = 0.03, 4, 9
HEAD = ("setting", "seed", "wrong", "known", "suspects", "precision", "recall", "top", "seconds")


def trainer() -> ModuleType:
    """``models/train.py`` as a module."""
    spec = importlib.util.spec_from_file_location("train", MODELS / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module
    spec.loader.exec_module(module)
    return module


def trained(
    data: Dataset, labels: NDArray[np.int64], rows: NDArray[np.int64], own: bool
) -> Network:
    """A network of mnist-mlp's shape trained on ``labels`` by its ``own`` recipe, or until it has
    learned them all."""
    train = trainer()
    (recipe,) = (r for r in train.RECIPES if r.name == "mnist-mlp")
    if not own:
        recipe = replace(recipe, shift=0, decay=0.0, epochs=40)
    module = train.fit(recipe, replace(data, labels=labels), rows, 0)
    return load(module.eval(), (784,))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="which labels are flipped")
    parser.add_argument("--out", type=Path, help="write the table there as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    train, held_out = split(data)
    clean = load(MODELS / "mnist-mlp.onnx")
    settings = DebugSettings(budget=0.1, findings=1)
    table = []
    print("".join(f"{name:>12}" for name in HEAD))
    for seed in range(chosen.seeds):
        fours = train[data.labels[train] == FROM]
        flipped = np.random.RandomState(seed).choice(fours, round(SHARE * len(train)), False)
        labels = data.labels.copy()
        labels[flipped] = TO
        rows: list[tuple[str, Network, NDArray[np.int64]]] = [
            ("given", clean, labels),
            ("trained", trained(data, labels, train, True), labels),
            ("memorised", trained(data, labels, train, False), labels),
        ]
        if not seed:
            rows.append(("unmodified", clean, data.labels))
        for name, network, truth in rows:
            begun = time.monotonic()
            changed = replace(data, labels=truth, parts=(train, held_out))
            found = debug(network, changed, settings)
            seconds = time.monotonic() - begun
            planted = set(flipped.tolist()) if name != "unmodified" else set()
            suspects = {suspect.row for suspect in found.suspects}
            hits = len(planted & suspects)
            top = found.causes[0] if found.causes else None
            table.append(
                {
                    "setting": name,
                    "seed": seed,
                    "wrong": len(found.wrong),
                    "known": len(planted & set(found.wrong.tolist())),
                    "suspects": len(suspects),
                    "precision": round(hits / len(suspects), 3) if suspects and planted else None,
                    "recall": round(hits / len(planted), 3) if planted else None,
                    "top": "–" if top is None else f"{top.label}→{top.predicted} {len(top.rows)}",
                    "seconds": round(seconds, 1),
                }
            )
            print("".join(f"{table[-1][key]!s:>12}" for key in HEAD), flush=True)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(table, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
