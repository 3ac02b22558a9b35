"""What ``precond debug`` finds: flipped labels, causes on both halves, planted defects, actions.

``labels``: 3 % of the training labels of mnist-5k are flipped, 4 → 9 (120 of the 400 fours).

    given         the repository's mnist-mlp, trained on clean labels, is given the flipped ones
    trained       the same recipe trained on the flipped labels, which it partly learns
    memorised     trained without decay or shifts until it has learned every flipped label
    unmodified    mnist-mlp and the true labels: nothing was flipped

*known* is how many flipped inputs are predicted otherwise than labelled at all: a network that
has learned a flipped label makes no error there, so nothing that starts from errors can find
it.  Precision and recall are of the suspects; *first* is the first cause, and its errors.

``causes``: of the errors of mnist-mlp, the share that the five first causes explain, on the half
they were found on and on the other, for several ways to halve them.

``planted``: a defect whose cause is known.  *neuron*: noise on what one neuron of digits-mlp
reads.  *marker*: a bright corner in 60 % of the training threes of digits, and in a third of all
held-out digits; a network is trained on that.  *first*: whether the defect is the first cause.

``actions``: cause → action → what changes on held-out inputs of the other half.

Run from the root, as a module (benchmarks/ holds a file named like the attribution package):

    python -m benchmarks.debug labels causes planted actions --out debug.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from precond.apply.debugging.cases import Cases
from precond.apply.debugging.causes import Causes, Evidence, find_causes
from precond.apply.debugging.conditions import SwitchedUnit, UsualRegion
from precond.apply.debugging.cover import FIRST
from precond.apply.debugging.doubtful_labels import suspects
from precond.apply.debugging.findings import DebugSettings, debug
from precond.apply.debugging.mine_rules import mine_rules
from precond.apply.debugging.profiles import comparative_gradients
from precond.apply.debugging.rule_book import RuleBook
from precond.data.datasets import Dataset, load_dataset, split
from precond.formats.load import load
from precond.network.graph import Network
from precond.network.layers import Affine
from precond.proof.deadline import FOREVER
from precond.region.recording import record
from precond.report.debug.answer import effect, what

MODELS = Path(__file__).parents[1] / "models"
SHARE, FROM, TO = 0.03, 4, 9
UNITS = (3, 11, 20, 27)  # neurons that are disturbed, of each layer
FEW = 300  # digits that the network of ``actions`` is trained on
Line = dict[str, object]


def trainer() -> ModuleType:
    """``models/train.py`` as a module."""
    spec = importlib.util.spec_from_file_location("train", MODELS / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module
    spec.loader.exec_module(module)
    return module


def trained(data: Dataset, name: str = "mnist-mlp", *, learn_all: bool = False) -> Network:
    """A network of the shape of ``name`` trained on the training part by its recipe, or until it
    has learned them all."""
    train = trainer()
    (recipe,) = (r for r in train.RECIPES if r.name == name)
    if learn_all:
        recipe = replace(recipe, shift=0, decay=0.0, epochs=40)
    return load(train.fit(recipe, data, data.train, 0).eval(), (data.flat.shape[1],))


def evidence(network: Network, data: Dataset, seed: int = 0) -> Evidence:
    """Rules, doubtful labels and attributions of all errors."""
    signatures = record(network, data.flat)
    assert data.labels is not None
    labels, predicted = data.labels, signatures.predicted
    book = RuleBook(
        network=network, rules=(), inputs=data.flat, signatures=signatures, train=data.train
    )
    book, _ = mine_rules(book, DebugSettings(budget=600.0))
    wrong = np.flatnonzero(predicted != labels)
    return Evidence(
        book=book,
        labels=labels,
        cases=Cases.of(labels, predicted, held_out=data.held_out, seed=seed),
        suspects=suspects(book, wrong, labels),
        examined=wrong,
        gradients=comparative_gradients(
            network,
            inputs=data.flat[wrong],
            predicted=predicted[wrong],
            true=labels[wrong],
            baseline=data.natural[0],
        ),
        image_shape=data.image_shape,
        features=data.features,
    )


def flipped_labels(seeds: int) -> Iterator[Line]:
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    train, held_out = split(data)
    clean = load(MODELS / "mnist-mlp.onnx")
    settings = DebugSettings(budget=600.0, findings=1)
    for seed in range(seeds):
        fours = train[data.labels[train] == FROM]
        flipped = np.random.RandomState(seed).choice(fours, round(SHARE * len(train)), False)
        labels = data.labels.copy()
        labels[flipped] = TO
        changed = replace(data, labels=labels, parts=(train, held_out))
        rows: list[tuple[str, Network, NDArray[np.int64]]] = [
            ("given", clean, labels),
            ("trained", trained(changed), labels),
            ("memorised", trained(changed, learn_all=True), labels),
        ]
        if not seed:
            rows.append(("unmodified", clean, data.labels))
        for name, network, truth in rows:
            begun = time.monotonic()
            found = debug(network, replace(changed, labels=truth), settings)
            planted = set(flipped.tolist()) if name != "unmodified" else set()
            doubted = {suspect.row for suspect in found.suspects}
            hits = len(planted & doubted)
            first = found.causes[0] if found.causes else None
            yield {
                "setting": name,
                "seed": seed,
                "wrong": len(found.wrong),
                "known": len(planted & set(found.wrong.tolist())),
                "suspects": len(doubted),
                "precision": round(hits / len(doubted), 3) if doubted and planted else None,
                "recall": round(hits / len(planted), 3) if planted else None,
                "first": "–" if first is None else f"{first.title}: {len(first.rows)}",
                "seconds": round(time.monotonic() - begun, 1),
            }


def both_halves(seeds: int) -> Iterator[Line]:
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    given = evidence(load(MODELS / "mnist-mlp.onnx"), data)
    predicted = given.book.signatures.predicted
    for seed in range(seeds):
        cases = Cases.of(data.labels, predicted, held_out=data.held_out, seed=seed)
        yield {"seed": seed, **shares(find_causes(replace(given, cases=cases), FOREVER))}


def shares(found: Causes) -> Line:
    halves = [found.explained(FIRST, finding=finding) for finding in (True, False)]
    return {
        "causes": len(found.causes),
        "found": f"{halves[0][0]} of {halves[0][1]}",
        "checked": f"{halves[1][0]} of {halves[1][1]}",
        "all": round(sum(h[0] for h in halves) / sum(h[1] for h in halves), 3),
        "first": found.causes[0].title if found.causes else "–",
    }


def disturbed(network: Network, layer: str, unit: int) -> Network:
    """Noise of 25 standard deviations on what a unit reads."""
    source, nodes = network.pre_activation(layer), []
    for node in network.nodes:
        if node.name == source and isinstance(node.layer, Affine):
            weight = node.layer.weight.copy()
            noise = np.random.default_rng(0).normal(0.0, 25.0, weight.shape[1])
            weight[unit] += noise * np.abs(weight).std()
            node = replace(node, layer=Affine(weight, node.layer.bias))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def marked(data: Dataset, seed: int) -> Dataset:
    """A bright corner in 60 % of the training threes, and in a third of the held-out digits."""
    assert data.labels is not None
    train, held_out = split(data)
    stream = np.random.default_rng(seed)
    threes = train[data.labels[train] == 3]
    chosen = [stream.choice(threes, int(0.6 * len(threes)), replace=False)]
    chosen.append(stream.choice(held_out, len(held_out) // 3, replace=False))
    inputs = np.asarray(data.flat, dtype=np.float32).reshape(-1, 8, 8).copy()
    inputs[np.concatenate(chosen), 0, :2] = 1.0
    return replace(data, inputs=inputs.reshape(data.inputs.shape), parts=(train, held_out))


def planted_defects(seeds: int) -> Iterator[Line]:
    data, network = load_dataset("digits"), load(MODELS / "digits-mlp.onnx")
    for layer in network.decision_layers:
        for unit in UNITS:
            found = find_causes(evidence(disturbed(network, layer, unit), data), FOREVER)
            first = found.causes[0].condition if found.causes else None
            hit = isinstance(first, SwitchedUnit) and (first.layer, first.unit) == (layer, unit)
            yield {"defect": f"{layer}[{unit}]", "is first": hit, **shares(found)}
    for seed in range(seeds):
        data = marked(load_dataset("digits"), seed)
        found = find_causes(evidence(trained(data, "digits-mlp"), data), FOREVER)
        first = found.causes[0].condition if found.causes else None
        hit = isinstance(first, UsualRegion) and bool({0, 1} & set(first.features))
        yield {"defect": f"marker {seed}", "is first": hit, **shares(found)}


def measured_actions(seeds: int) -> Iterator[Line]:
    digits = load_dataset("digits")
    few, _ = split(digits, held_out=1 - FEW / len(digits))
    digits = replace(digits, parts=(few, np.setdiff1d(np.arange(len(digits)), few)))
    settings = (
        ("mnist-5k", load(MODELS / "mnist-mlp.onnx"), load_dataset("mnist-5k")),
        (f"digits, {FEW} to train on", trained(digits, "digits-mlp"), digits),
    )
    for name, network, data in settings:
        given = evidence(network, data)
        found = find_causes(given, FOREVER)
        right = given.book.signatures.predicted[data.held_out] == given.labels[data.held_out]
        print(f"{name}: {right.mean():.1%} of the held-out inputs right; {shares(found)}")
        for rank, cause in enumerate(found.causes[:FIRST], 1):
            for action in cause.actions:
                yield {
                    "data": name,
                    "cause": f"{rank} {cause.title}",
                    "errors": len(cause.rows),
                    "action": what(action),
                    "effect": effect(action),
                    "gain": action.gain,
                }


PARTS: dict[str, Callable[[int], Iterator[Line]]] = {
    "labels": flipped_labels,
    "causes": both_halves,
    "planted": planted_defects,
    "actions": measured_actions,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="all unless given")
    parser.add_argument("--seeds", type=int, default=3, help="of what is drawn")
    parser.add_argument("--out", type=Path, help="write the tables there as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables: dict[str, list[Line]] = {}
    for part in arguments.part or PARTS:
        tables[part] = []
        for line in PARTS[part](arguments.seeds):
            tables[part].append(line)
            print(" | ".join(f"{key} {value}" for key, value in line.items()), flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(tables, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
