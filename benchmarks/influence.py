"""What influence says of a class: experts, removal curves, profiles of errors, comparisons.

    experts    a class's units alone: recall and precision of the network on the class, and of the
               network with all other units of a layer at 0; how many units stay is chosen on
               training inputs (the best F1).  One network is weak on some classes, as theirs was
    removal    units or pixels are set to 0, the highest ranked first, on held-out inputs.  The
               area under the score, as a share of the score with nothing removed: lower finds
               what matters.  Ranked by influence or by integrated gradients; by the input's own
               ranking, or by the mean ranking of its class on training inputs
    profiles   the distance between an input's influences and its class's: AUROC for telling wrong
               predictions from right ones, beside 1 − the largest softmax
    compared   "why a, not b": the units that favour a over b are removed; how often b is said then,
               beside units ranked by a alone and at random

    python benchmarks/influence.py --out influence.json

Source: Leino, Sen, Datta, Fredrikson, Li, "Influence-directed explanations for deep convolutional
networks", 2018.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attribution import Slice, class_score, comparative, influence, integrated_gradients
from attribution.distributions import Point
from attribution.evaluate import outputs
from attribution.uses.experts import class_expert
from attribution.uses.profiles import class_profiles, error_detection, influences
from attribution.uses.removal import class_removal, instance_removal
from benchmarks.attributions import fashion_model, spread
from precond import load
from precond.data import load_dataset
from precond.data.datasets import split
from precond.network.module import network_module

MODELS = Path(__file__).resolve().parents[1] / "models"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
WEAKEST = 5  # classes; so many are published
COMPARED = 0.1  # of the units are removed
BUILT, TESTED = 800, 800  # inputs
REMOVED = 400  # of each, for removal curves
Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network with the inputs that rankings are built on, and those they are tried on."""

    name: str
    model: nn.Module
    layer: str
    train: tuple[Array, Ints]
    test: tuple[Array, Ints]

    @property
    def inner(self) -> Slice:
        return Slice(self.model, self.layer)


def subjects() -> tuple[Subject, Subject]:
    """A fashion network trained shortly, and mnist-cnn."""
    fashion, digits = load_dataset("fashion-mnist"), load_dataset("mnist-5k")
    network = load(MODELS / "mnist-cnn.onnx")
    made = (
        ("fashion-cnn", fashion_model(fashion, quick=True)[0], "relu3", fashion),
        ("mnist-cnn", network_module(network, torch.float32), network.decision_layers[-2], digits),
    )
    found = []
    for name, model, layer, data in made:
        assert data.labels is not None
        parts = [
            spread(rows, most) for rows, most in zip(split(data), (BUILT, TESTED), strict=True)
        ]
        train, test = (
            (data.inputs[rows].reshape(-1, 1, 28, 28).astype(np.float32), data.labels[rows])
            for rows in parts
        )
        found.append(Subject(name, model, layer, train, test))
    return found[0], found[1]


# -- experts ----------------------------------------------------------------------------------


def experts(subject: Subject) -> Row:
    """The classes of the lowest recall on training inputs, and all together."""
    said = [outputs(subject.inner, part[0]).argmax(1) for part in (subject.train, subject.test)]
    truth = [part[1] for part in (subject.train, subject.test)]
    rows = []
    for c in range(10):
        best = max(
            (class_expert(subject.inner, *subject.train, c, share) for share in SHARES),
            key=lambda one: one.score(*subject.train).f1,
        )
        after = best.score(*subject.test)
        own, right = said[1] == c, truth[1] == c
        rows.append(
            {
                "class": c,
                "units": after.units,
                "train_recall": float((said[0] == c)[truth[0] == c].mean()),
                "recall": float(own[right].mean()),
                "precision": float(right[own].mean()),
                "expert_recall": after.recall,
                "expert_precision": after.precision,
            }
        )
    weakest = sorted(rows, key=lambda row: float(row["train_recall"]))[:WEAKEST]
    keys = ("recall", "expert_recall", "precision", "expert_precision")
    return {
        "network": subject.name,
        "layer": subject.layer,
        "classes": rows,
        "weakest": {key: float(np.mean([row[key] for row in weakest])) for key in keys},
        "all": {key: float(np.mean([row[key] for row in rows])) for key in keys},
    }


# -- removal ----------------------------------------------------------------------------------


def by_influence(cut: Slice, inputs: Array, targets: Ints) -> Array:
    found = influence(cut, class_score(targets), Point(), inputs)
    return np.asarray(found.values)


def by_gradients(cut: Slice, inputs: Array, targets: Ints) -> Array:
    return np.asarray(integrated_gradients(cut, inputs, 0.0, class_score(targets)).values)


RANKINGS: dict[str, Callable[[Slice, Array, Ints], Array]] = {
    "influence": by_influence,
    "integrated gradients": by_gradients,
}


def removal(subject: Subject) -> Row:
    """Areas by place, by method, and by whose ranking it is; only inputs that are predicted right,
    so that their class is no question."""
    found: Row = {}
    for place, cut in (("pixels", Slice(subject.model)), (subject.layer, subject.inner)):
        train, test = (
            _right(subject, part, every=BUILT // REMOVED) for part in (subject.train, subject.test)
        )
        found[place] = {}
        for name, ranking in RANKINGS.items():
            own = instance_removal(cut, test[0], ranking(cut, *test), test[1]).area
            built = ranking(cut, *train)
            of_class = float(
                np.average(
                    [
                        class_removal(
                            cut,
                            test[0][test[1] == c],
                            built[train[1] == c].mean(0),
                            test[1][test[1] == c],
                        ).area
                        for c in range(10)
                    ],
                    weights=[(test[1] == c).sum() for c in range(10)],
                )
            )
            found[place][name] = {"own": own, "class": of_class, "lost": of_class - own}
        drawn = np.random.default_rng(0).random((len(test[0]), *built.shape[1:]))
        found[place]["random"] = {"own": instance_removal(cut, test[0], drawn, test[1]).area}
    return {"network": subject.name, "places": found}


def _right(subject: Subject, part: tuple[Array, Ints], every: int = 1) -> tuple[Array, Ints]:
    part = part[0][::every], part[1][::every]
    rows = outputs(subject.inner, part[0]).argmax(1) == part[1]
    return part[0][rows], part[1][rows]


# -- profiles and comparisons -----------------------------------------------------------------


def profiles(subject: Subject) -> Row:
    built = influences(subject.inner, subject.train[0])
    known = class_profiles(subject.inner, built, subject.train[1])
    found = error_detection(known, influences(subject.inner, subject.test[0]), subject.test[1])
    return {
        "network": subject.name,
        "wrong": found.wrong,
        "inputs": found.total,
        "softmax": found.softmax,
        **{distance.value: value for distance, value in found.distances.items()},
    }


def compared(subject: Subject) -> Row:
    """Of inputs that are predicted right, the second class is b."""
    inputs, a = _right(subject, subject.test)
    scores = outputs(subject.inner, inputs)
    scores[np.arange(len(a)), a] = -np.inf
    b = scores.argmax(1)
    quantities = {"a and not b": comparative(a, b), "a alone": class_score(a)}
    rankings = {
        name: np.asarray(influence(subject.inner, quantity, Point(), inputs).values)
        for name, quantity in quantities.items()
    }
    rankings["random"] = np.random.default_rng(0).random(rankings["a alone"].shape)
    return {
        "network": subject.name,
        "inputs": len(a),
        "removed": COMPARED,
        **{
            name: float(
                instance_removal(
                    subject.inner, inputs, ranking, b, fractions=(0.0, COMPARED)
                ).agreement[1]
            )
            for name, ranking in rankings.items()
        },
    }


def show(found: dict[str, dict[str, Row]]) -> None:
    for one in found["experts"].values():
        print(
            f"experts, {one['network']} {one['layer']}: recall → of the expert (precision → of it)"
        )
        for row in one["classes"]:
            print(
                f"  class {row['class']}, {row['units']:3} units: {row['recall']:.2f} → "
                f"{row['expert_recall']:.2f} "
                f"({row['precision']:.2f} → {row['expert_precision']:.2f})"
            )
    for one in found["removal"].values():
        print(f"removal, {one['network']}: area by an input's own ranking, and by its class's")
        for place, methods in one["places"].items():
            for name, areas in methods.items():
                words = " ".join(f"{key} {value:.3f}" for key, value in areas.items())
                print(f"  {place:<8}{name:<22}{words}")
    for part in ("profiles", "compared"):
        for one in found[part].values():
            print(f"{part}, " + ", ".join(f"{k} {_number(v)}" for k, v in one.items()))


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, Row]] = {}
    parts = {"experts": experts, "removal": removal, "profiles": profiles, "compared": compared}
    both = subjects()
    for name, part in parts.items():
        begun = time.process_time()
        found[name] = {subject.name: part(subject) for subject in both}
        print(f"{name}: {time.process_time() - begun:.0f} CPU seconds", file=sys.stderr, flush=True)
    show(found)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
