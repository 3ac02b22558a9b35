"""Rules that are counted on samples (Anchors) beside rules that are proved.

A small network learns scikit-learn's breast cancer table (30 columns, seeded); with ``--digits`` it
is digits-mlp, and each of 64 pixels is a column.  For held-out rows both say what suffices for the
prediction:

    anchors   intervals of columns, whose precision on samples is at least 95 %
    ours      columns that suffice whatever the others are, with intervals, proved

Counted for both: columns, coverage (held-out rows in the rule), precision (rows in the rule that
the network gives the same class), CPU seconds.  And each anchor is put to the prover, over the
box of the data with its intervals: *proved* where it holds for every row there could be, *refuted*
with a row that breaks it.

A third way is set beside them on digits: rules over the last layer's values that are proved for
every picture, and of these the one that a digit obeys.

    python benchmarks/anchors.py --inputs 50 --anchors-python PATH --out anchors.json
    python benchmarks/anchors.py --digits --inputs 20 --anchors-python PATH
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rule_kinds import Subject as RuleSubject
from benchmarks.rule_kinds import proved_rules
from benchmarks.sufficient import trained
from precond import Box, Claim, DecisionPattern, Network, Property, load, prove, record
from precond.apply import SufficientSettings, sufficient_features
from precond.data import load_dataset
from precond.network import Affine, outputs

DIGITS = Path(__file__).resolve().parents[1] / "models" / "digits-mlp.onnx"
DRIVER = Path(__file__).parent / "peers" / "anchors_driver.py"
THRESHOLD = 0.95
EVERY = 5  # one row in so many is held out
Array = NDArray[np.float64]


def asked(python: Path, given: dict[str, Any]) -> list[dict[str, Any]]:
    run = subprocess.run(
        [str(python), str(DRIVER)], input=json.dumps(given), capture_output=True, text=True
    )
    if run.returncode:
        sys.exit(f"{python}: {run.stderr.strip().splitlines()[-1]}")
    return list(json.loads(run.stdout.splitlines()[-1]))


def box_of(conditions: Sequence[tuple[int, str, float]], domain: Box) -> Box:
    """The rows of ``domain`` in the rule.  A limit that is not met belongs to the box as well."""
    lower, upper = domain.lower.copy(), domain.upper.copy()
    for column, sign, limit in conditions:
        if sign == "<=":
            upper[column] = min(upper[column], limit)
        else:
            lower[column] = max(lower[column], limit)
    return Box(lower, upper)


def counted(box: Box, rows: Array, same: NDArray[np.bool_]) -> dict[str, float | None]:
    inside = box.contains(rows)
    return {
        "coverage": float(inside.mean()),
        "precision": float(same[inside].mean()) if inside.any() else None,
    }


def ours(network: Network, row: Array, domain: Box, budget: float) -> tuple[Box, dict[str, Any]]:
    begun = time.process_time()
    settings = SufficientSettings(budget=budget, each=1.0)
    found = sufficient_features(network, row, domain, settings=settings)
    box = found.claim.box if found.widened is None else found.widened.box
    return box, {
        "columns": found.size,
        "at_least": found.least,
        "proved": found.verdict.is_proved,
        "certified": found.verdict.exact,
        "seconds": time.process_time() - begun,
    }


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Over rows; of precision, over those whose rule holds for some held-out row."""
    precise = [row["precision"] for row in rows if row["precision"] is not None]
    return {
        "columns": mean(row["columns"] for row in rows),
        "coverage": mean(row["coverage"] for row in rows),
        "precision": mean(precise) if precise else math.nan,
        "seconds": median(row["seconds"] for row in rows),
    }


def show(name: str, rows: Sequence[dict[str, Any]]) -> None:
    one = means(rows)
    print(
        f"{name:<9}{one['columns']:>8.1f}{one['coverage']:>10.1%}{one['precision']:>11.1%}"
        f"{one['seconds']:>9.2f}"
    )


def by_rules(subject: Subject, rows: Array) -> tuple[int, list[dict[str, Any]]]:
    """How many rules are proved for every picture; and of each of ``rows`` that obeys one, the one
    that holds for most held-out rows."""
    begun = time.process_time()
    rules = proved_rules(RuleSubject.of(DIGITS.stem, "digits"))
    spent = time.process_time() - begun
    parts = [record(subject.network, part, values=True) for part in (subject.held_out, rows)]
    held_out, obeyed = (np.stack([pattern.holds(part) for pattern, _ in rules]) for part in parts)
    said = parts[0].predicted
    found = []
    for own in obeyed.T:
        if own.any():
            best = max(np.flatnonzero(own).tolist(), key=lambda k: int(held_out[k].sum()))
            inside, (pattern, label) = held_out[best], rules[best]
            right = float((said[inside] == label).mean()) if inside.any() else None
            coverage = float(inside.mean())
            found.append({"columns": len(pattern), "coverage": coverage, "precision": right})
    return len(rules), [{**one, "seconds": spent / len(rules)} for one in found]


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A network, rows to learn an explanation from and rows held out; ``domain``: every row that
    the proofs speak about."""

    network: Network
    domain: Box
    train: Array
    held_out: Array
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def layers(self) -> list[tuple[list[list[float]], list[float]]]:
        """Weight and bias of each affine layer; between them are ReLUs."""
        affine = [node.layer for node in self.network.nodes if isinstance(node.layer, Affine)]
        return [(np.asarray(one.weight).tolist(), one.bias.tolist()) for one in affine]


def table() -> Subject:
    loaded = load_breast_cancer()
    values = loaded.data.astype(np.float32).astype(np.float64)
    rest = np.arange(len(values)) % EVERY == 0
    model = trained(values[~rest], loaded.target[~rest], 2)
    return Subject(
        network=load(model, (values.shape[1],)),
        domain=Box.around(values),
        train=values[~rest],
        held_out=values[rest],
        labels=loaded.target[rest],
        names=tuple(map(str, loaded.feature_names)),
        classes=tuple(map(str, loaded.target_names)),
    )


def digits() -> Subject:
    """Pictures of 8 × 8 pixels, each pixel a column; proofs are about all of [0, 1]^64."""
    data = load_dataset("digits")
    assert data.labels is not None
    values = data.flat.astype(np.float64)
    mixed = np.random.RandomState(0).permutation(data.held_out)  # they lie sorted by class
    return Subject(
        network=load(DIGITS),
        domain=Box.uniform(64, 0.0, 1.0),
        train=values[data.train],
        held_out=values[mixed],
        labels=np.asarray(data.labels)[mixed],
        names=tuple(f"pixel {k // 8}, {k % 8}" for k in range(64)),
        classes=tuple(map(str, range(10))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--digits", action="store_true", help="pictures instead of a table")
    parser.add_argument("--inputs", type=int, default=50, help="held-out rows")
    parser.add_argument("--anchors-python", type=Path, required=True, help="has anchor-exp")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for one row, ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    subject = digits() if chosen.digits else table()
    network, domain = subject.network, subject.domain
    predicted = outputs(network, subject.held_out).argmax(1)
    accuracy = float((predicted == subject.labels).mean())
    rows = subject.held_out[: chosen.inputs]
    found = asked(
        chosen.anchors_python,
        {
            "train": subject.train.tolist(),
            "rows": rows.tolist(),
            "names": subject.names,
            "classes": subject.classes,
            "layers": subject.layers,
            "threshold": THRESHOLD,
            "seed": chosen.seed,
        },
    )
    anchors, sets = [], []
    verdicts: Counter[str] = Counter()
    for number, (row, anchor) in enumerate(zip(rows, found, strict=True)):
        label = int(predicted[number])
        same = predicted == label
        box = box_of(anchor["conditions"], domain)
        prop = Property.argmax(label, len(subject.classes))
        status = prove(Claim(network, box, DecisionPattern(), prop), budget=chosen.budget).status
        verdicts[status.value] += 1
        columns = len({column for column, _, _ in anchor["conditions"]})
        anchors.append(
            {
                "columns": columns,
                "claimed_precision": anchor["precision"],
                "seconds": anchor["seconds"],
                "over_all_rows": status.value,
                **counted(box, subject.held_out, same),
            }
        )
        box, own = ours(network, row, domain, chosen.budget)
        sets.append({**own, **counted(box, subject.held_out, same)})
    print(f"accuracy {accuracy:.1%} on {len(predicted)} held-out rows; {len(rows)} are explained")
    print(f"{'':<9}{'columns':>8}{'coverage':>10}{'precision':>11}{'CPU s':>9}")
    show("anchors", anchors)
    show("ours", sets)
    certified = sum(one["certified"] for one in sets)
    content: dict[str, Any] = {
        "accuracy": accuracy,
        "inputs": len(rows),
        "means": {"anchors": means(anchors), "ours": means(sets)},
        "anchors_proved": verdicts["proved"],
        "anchors_refuted": verdicts["refuted"],
        "ours_certified": certified,
        "anchors": anchors,
        "ours": sets,
    }
    if chosen.digits:
        count, obeyed = by_rules(subject, rows)
        print(f"rules    of {count} proved for every picture, {len(obeyed)} rows obey one:")
        if obeyed:
            show("", obeyed)
        content |= {"rules": count, "rows_with_rule": len(obeyed), "obeyed": obeyed}
        content["means"]["rules"] = means(obeyed) if obeyed else None
    print(f"anchors over every row of the domain: {dict(verdicts)}")
    print(f"ours: {sum(one['proved'] for one in sets)} proved, {certified} with a certificate")
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
