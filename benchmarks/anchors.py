"""Rules that are counted on samples (Anchors) beside rules that are proved, on a table.

A small network learns scikit-learn's breast cancer table (30 columns, seeded).  For held-out rows
both say what suffices for the prediction:

    anchors   intervals of columns, whose precision on samples is at least 95 %
    ours      columns that suffice whatever the others are, with intervals, proved

Counted for both: columns, coverage (held-out rows in the rule), precision (rows in the rule that
the network gives the same class), CPU seconds.  And each anchor is put to the prover, over the
box of the data with its intervals: *proved* where it holds for every row there could be, *refuted*
with a row that breaks it.

    python benchmarks/anchors.py --inputs 50 --anchors-python PATH --out anchors.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.sufficient import trained
from precond import Box, Claim, DecisionPattern, Network, Property, load, prove
from precond.apply import SufficientSettings, sufficient_features
from precond.network import outputs

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


def show(name: str, rows: Sequence[dict[str, Any]]) -> None:
    precise = [row["precision"] for row in rows if row["precision"] is not None]
    print(
        f"{name:<9}{mean(row['columns'] for row in rows):>8.1f}"
        f"{mean(row['coverage'] for row in rows):>10.1%}{mean(precise):>11.1%}"
        f"{median(row['seconds'] for row in rows):>9.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=50, help="held-out rows")
    parser.add_argument("--anchors-python", type=Path, required=True, help="has anchor-exp")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for one row, ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    table = load_breast_cancer()
    values = table.data.astype(np.float32).astype(np.float64)
    rest = np.arange(len(values)) % EVERY == 0
    train, held_out = values[~rest], values[rest]
    model = trained(train, table.target[~rest], 2)
    network, domain = load(model, (values.shape[1],)), Box.around(values)
    predicted = outputs(network, held_out).argmax(1)
    accuracy = float((predicted == table.target[rest]).mean())
    linear = [part for part in model if isinstance(part, torch.nn.Linear)]
    rows = held_out[: chosen.inputs]
    found = asked(
        chosen.anchors_python,
        {
            "train": train.tolist(),
            "rows": rows.tolist(),
            "names": list(table.feature_names),
            "classes": list(table.target_names),
            "layers": [(p.weight.double().tolist(), p.bias.double().tolist()) for p in linear],
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
        claim = Claim(network, box, DecisionPattern(), Property.argmax(label, 2))
        status = prove(claim, budget=chosen.budget).status.value
        verdicts[status] += 1
        columns = len({column for column, _, _ in anchor["conditions"]})
        anchors.append(
            {
                "columns": columns,
                "claimed_precision": anchor["precision"],
                "seconds": anchor["seconds"],
                "over_all_rows": status,
                **counted(box, held_out, same),
            }
        )
        box, own = ours(network, row, domain, chosen.budget)
        sets.append({**own, **counted(box, held_out, same)})
    print(f"accuracy {accuracy:.1%} on {len(held_out)} held-out rows; {len(rows)} are explained")
    print(f"{'':<9}{'columns':>8}{'coverage':>10}{'precision':>11}{'CPU s':>9}")
    show("anchors", anchors)
    show("ours", sets)
    print(f"anchors over every row of the data's box: {dict(verdicts)}")
    certified = sum(one["certified"] for one in sets)
    print(f"ours: {sum(one['proved'] for one in sets)} proved, {certified} with a certificate")
    if chosen.out is not None:
        content = {
            "accuracy": accuracy,
            "inputs": len(rows),
            "anchors_proved": verdicts["proved"],
            "anchors_refuted": verdicts["refuted"],
            "ours_certified": certified,
            "anchors": anchors,
            "ours": sets,
        }
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
