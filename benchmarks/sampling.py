"""Attack every proved claim of a preconditions.json with points drawn inside its region.

    python benchmarks/sampling.py MODEL preconditions.json [--count 100000] [--out FILE.json]

Closed patterns: hit-and-run in the polytope (in the claim's box), started at the source
input.  A point that violates the property would be a wrong proof; the run then exits with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.network.evaluate import outputs
from precond.proof.replay import in_region
from precond.proof.verdict import Status
from precond.region.polytope import polytope
from precond.region.sampling import hit_and_run
from precond.study.store import read_preconditions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--inputs", default="digits", help="the data the file was made from")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    network = load(chosen.model)
    stored = read_preconditions(chosen.file)
    data = load_dataset(chosen.inputs).inputs
    rng = np.random.default_rng(chosen.seed)
    rows = []
    for entry in stored.preconditions:
        claim = stored.claim(entry, network)
        if claim is None or entry.verdict.status is not Status.PROVED or entry.source is None:
            continue
        begun = time.monotonic()
        start = np.asarray(data[entry.source], dtype=np.float64).reshape(-1)
        points = hit_and_run(
            polytope(claim.network, entry.pattern), claim.box, start, chosen.count, rng
        )
        inside = in_region(claim.problem, points)
        y = outputs(claim.network, points[inside])
        wrong = int((~claim.property.holds(y, points[inside])).sum())
        spread = float(np.mean((points.max(0) - points.min(0)) / np.maximum(claim.box.width, 1e-9)))
        seconds = time.monotonic() - begun
        rows.append(
            {
                "id": entry.id,
                "points": int(inside.sum()),
                "violations": wrong,
                "spread": spread,
                "seconds": seconds,
            }
        )
        print(
            f"{entry.id:<16} {int(inside.sum()):>8} points inside, {wrong} violations, "
            f"spread {spread:.2f} of the box, {seconds:.1f} s",
            flush=True,
        )
    violations = sum(row["violations"] for row in rows)
    print(f"{len(rows)} proved claims, {violations} violations")
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1))
    return 1 if violations or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
