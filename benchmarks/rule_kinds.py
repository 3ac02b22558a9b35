"""Kinds of rules beside each other: one tree, several, values, values that are proved, votes.

    tree       on/off rules of a layer from one decision tree
    forest     the same from twelve randomised trees, of which a short list covers as much
    values     the same with limits on pre-activations in the place of on and off
    proved     boxes of the last layer's values that imply a class, each put to the prover for every
               input of [0, 1]^n
    weighted   votes over on/off decisions, with a threshold that calibration rows vouch for: at
               most 1 answer in 100 is lost.  (Half of the training rows calibrate.)

Rules are learned from the network's classes on training rows.  Counted on held-out rows: coverage
(a rule holds), precision (the network says what the rule says), and seconds of the processor for
learning.  Only *proved* speaks of inputs that were not counted.

    python benchmarks/rule_kinds.py --out rule-kinds.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from precond import (
    Box,
    Claim,
    DecisionPattern,
    Network,
    Property,
    Signatures,
    layer_preconditions,
    load,
    prove,
    record,
)
from precond.apply.distillation.learn import NotWorthIt, distill
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.samples import sample_of
from precond.apply.distillation.settings import Promise, Training
from precond.data import Dataset, load_dataset
from precond.mine.value_rules.affine_tail import AffineTail
from precond.mine.value_rules.learn import spread_of, value_rules
from precond.proof.deadline import Deadline

MODELS = Path(__file__).resolve().parents[1] / "models"
SUBJECTS = (("digits-mlp", "digits"), ("mnist-mlp", "mnist-5k"))
FITTING, EACH = 60.0, 10.0  # seconds for the boxes of a class, and for one proof
MOST = 20  # proved rules of a class
Flags = NDArray[np.bool_]
Said = tuple[int, Flags, NDArray[np.int64]]
"""How many rules there are; of held-out rows, whether one holds, and the class it says."""


@dataclass(frozen=True, eq=False)
class Subject:
    network: Network
    data: Dataset
    layer: str
    train: Signatures
    held_out: Signatures

    @classmethod
    def of(cls, model: str, data: str) -> Subject:
        network, rows = load(MODELS / f"{model}.onnx"), load_dataset(data)
        layer = network.decision_layers[-1]
        parts = [
            record(network, rows.flat[part], [layer], values=True)
            for part in (rows.train, rows.held_out)
        ]
        return cls(network, rows, layer, *parts)

    def said(self, rules: Sequence[tuple[DecisionPattern, int]]) -> Said:
        """The first rule that holds speaks; rules with the largest support stand first."""
        holds = np.stack([pattern.holds(self.held_out) for pattern, _ in rules])
        labels = np.array([label for _, label in rules])
        return len(rules), holds.any(0), labels[holds.argmax(0)]


def mined(subject: Subject, trees: int, values: bool = False) -> Said:
    rules = layer_preconditions(
        subject.train, subject.train.predicted, [subject.layer], trees=trees, values=values
    )
    return subject.said([(rule.pattern, rule.label) for rule in rules])


def proved_rules(subject: Subject) -> list[tuple[DecisionPattern, int]]:
    """Patterns with the class that each implies for every input, the largest support first."""
    network = subject.network
    domain = Box.uniform(network.input_size, 0.0, 1.0)
    tail = AffineTail.of(network, domain)
    assert tail is not None
    values = subject.train.values(subject.layer)
    scale, found = spread_of(values), []
    for label in range(network.classes.count):
        own = values[subject.train.predicted == label]
        limit = Deadline.after(FITTING)
        for rule in value_rules(tail, label, own, scale=scale, most=MOST, deadline=limit):
            prop = Property.argmax(label, network.output_size)
            if prove(Claim(network, domain, rule.pattern, prop), budget=EACH).is_proved:
                found.append((int(rule.inside.sum()), rule.pattern, label))
    found.sort(key=lambda one: -one[0])
    return [(pattern, label) for _, pattern, label in found]


def weighted(subject: Subject) -> Said:
    network, data = subject.network, subject.data
    mixed = np.random.RandomState(0).permutation(data.train)
    half = len(mixed) // 2
    fit, calibration = (
        sample_of(network, data.flat[np.sort(rows)], None) for rows in (mixed[half:], mixed[:half])
    )
    training, promise = Training(rows=40_000), Promise(max_loss=1.0)
    reading = [Reading(subject.layer)]
    try:
        made = distill(network, fit, calibration, reading, promise=promise, training=training)
    except NotWorthIt as slow:  # of no use as a fast path, and still votes
        made = slow.anyway
    answered = made.path.predict(data.flat[data.held_out].reshape(-1, *network.input_shape))
    early = answered.exits < len(made.path.exits)
    return training.rules, np.asarray(early), np.asarray(answered.labels)


KINDS: dict[str, Callable[[Subject], Said]] = {
    "tree": lambda subject: mined(subject, 1),
    "forest": lambda subject: mined(subject, 12),
    "values": lambda subject: mined(subject, 12, values=True),
    "proved": lambda subject: subject.said(proved_rules(subject)),
    "weighted": weighted,
}


def measured(subject: Subject, kind: Callable[[Subject], Said]) -> dict[str, Any]:
    begun = time.process_time()
    rules, holds, said = kind(subject)
    spent = time.process_time() - begun
    right = said == subject.held_out.predicted
    return {
        "rules": rules,
        "coverage": float(holds.mean()),
        "precision": float(right[holds].mean()) if holds.any() else None,
        "cpu": spent,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for model, data in SUBJECTS:
        subject = Subject.of(model, data)
        print(
            f"{model}, {subject.layer}: {'rules':>13}{'coverage':>10}{'precision':>11}{'CPU s':>8}"
        )
        found[model] = {}
        for name, kind in KINDS.items():
            found[model][name] = one = measured(subject, kind)
            precision = "–" if one["precision"] is None else f"{one['precision']:.1%}"
            print(
                f"  {name:<24}{one['rules']:>8}{one['coverage']:>10.1%}{precision:>11}"
                f"{one['cpu']:>8.1f}",
                flush=True,
            )
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
