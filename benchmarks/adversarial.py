"""What retraining on adversarial examples does, by the radius of the claims they refute.

For mnist-mlp on mnist-5k: claims that the balls around 1,000 training inputs, and the regions of
four layer rules of each class, have one class; the distinct examples that refute them; and the
accuracy before, after a control (five more epochs), and after five epochs with half of the
examples, on held-out inputs, on the other half of the examples, and on held-out inputs under
attack at the same radius.

Run from the root, as a module (benchmarks/ holds a file named like the attribution package):

    python -m benchmarks.adversarial --out adversarial.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from precond.apply.adversarial_examples.retrain import retrain
from precond.apply.adversarial_examples.search import adversarial
from precond.apply.adversarial_examples.settings import AdversarialSettings
from precond.apply.debugging.findings import mined
from precond.apply.debugging.rule_book import RuleBook
from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.mine.layer_rules.settings import RuleSettings
from precond.region.recording import record

MODEL = Path(__file__).parents[1] / "models" / "mnist-mlp.onnx"
RULES = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--radius", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for the claims")
    parser.add_argument("--out", type=Path, help="write the table there as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("mnist-5k")
    assert data.labels is not None
    train = data.train
    network = load(MODEL)
    flat = data.flat
    book, _ = mined(
        RuleBook(
            network=network, rules=(), inputs=flat, signatures=record(network, flat), train=train
        ),
        RuleSettings(),
    )
    rules = [r for k in range(10) for r in [q for q in book.rules if q.label == k][:RULES]]
    table = []
    for radius in chosen.radius:
        begun = time.monotonic()
        found = adversarial(
            network, data, AdversarialSettings(radius=radius, budget=chosen.budget), rules=rules
        )
        sizes = [e.linf for e in found.examples]
        few = [e.fewest_changed for e in found.examples if e.fewest is not None]
        from_rules = sum(e.claim.startswith("rule") for e in found.examples)
        print(
            f"radius {radius:g}: {found.claims} claims, {found.refuted} refuted, "
            f"{len(found.examples)} distinct examples ({from_rules} from rules), "
            f"median L∞ {np.median(sizes):.4f}, fewest changed {np.median(few):.0f}"
        )
        done = retrain(
            network,
            data,
            found,
            radius=radius,
        )
        row: dict[str, object] = {
            "radius": radius,
            "asked": found.claims,
            "refuted": found.refuted,
            "examples": len(found.examples),
            "from_rules": from_rules,
            "median_linf": float(np.median(sizes)),
        }
        for name, one in (
            ("before", done.before),
            ("control", done.control),
            ("after", done.after),
        ):
            print(
                f"  {name:<8} held out {one.held_out:.3f}   "
                f"examples trained on {one.trained_on:.3f}   kept out {one.kept_out:.3f}   "
                f"under attack {one.attacked:.3f}"
            )
            row[name] = vars(one)
        row["seconds"] = round(time.monotonic() - begun, 1)
        print(f"  {row['seconds']} s", flush=True)
        table.append(row)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(table, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
