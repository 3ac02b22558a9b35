"""What the patterns of an earlier run are worth: attacked, and made shorter for less recall.

    python benchmarks/whole_space.py --network 256x4 --pages DIR
    python benchmarks/whole_space_patterns.py 256x4 DIR/256x4/preconditions.json \\
        --attack 1000000 --fewest 0.95 0.9 0.84 --cut relu3 --out F

``--attack N``: N inputs for each pattern that satisfy it, walking towards a violation; none may
be one.  ``--fewest R …``: for each recall R of a class's training inputs, fewer literals that
still prove through the tail after ``--cut``; recall is counted on held-out inputs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from whole_space import NETWORKS

from precond.apply.pattern_attack import attack_pattern
from precond.data.datasets import load_dataset, split
from precond.formats.load import load
from precond.mine.whole_space.shorten import fewest
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.precondition import Precondition
from precond.proof.restate.tail import Tail
from precond.region.box import Box
from precond.region.recording import record
from precond.study.store import read_preconditions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", choices=tuple(NETWORKS))
    parser.add_argument("patterns", type=Path, help="preconditions.json of an earlier run")
    parser.add_argument("--attack", type=int, default=0, metavar="N")
    parser.add_argument("--attack-seconds", type=float, help="at most so long for a pattern")
    parser.add_argument("--fewest", type=float, nargs="*", default=[], metavar="R")
    parser.add_argument("--fewest-seconds", type=float, default=120.0)
    parser.add_argument("--cut", help="the layer the patterns were proved after")
    parser.add_argument("--label", nargs="*", help="only these classes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    network = load(str(NETWORKS[options.network]))
    dataset = load_dataset("mnist-5k")
    train, held_out = split(dataset)
    flat = dataset.flat.astype(np.float64)
    box = Box(np.zeros(flat.shape[1]), np.ones(flat.shape[1]))
    entries = [
        e
        for e in read_preconditions(options.patterns).preconditions
        if e.verdict.is_proved and (not options.label or e.label in options.label)
    ]
    signatures = record(network, dataset.inputs, values=bool(options.fewest))
    result: dict[str, Any] = {"network": options.network, "attacks": [], "fewest": []}

    def keep() -> None:
        if options.out is not None:
            options.out.write_text(json.dumps(result, indent=1) + "\n")

    for entry in entries if options.fewest else []:
        own = signatures.predicted == int(entry.label)
        mine, theirs = train[own[train]], held_out[own[held_out]]
        for recall in options.fewest:
            assert entry.property is not None
            less = fewest(
                Tail(network, box, options.cut),
                entry.property,
                signatures.rows(mine),
                entry.pattern,
                recall,
                deadline=Deadline.after(options.fewest_seconds),
            )
            pattern = entry.pattern if less is None else less.pattern
            held = pattern.holds(signatures.rows(theirs))
            row = {
                "class": entry.label,
                "recall_asked": recall,
                "literals": len(pattern),
                "before": len(entry.pattern),
                "train": float(pattern.holds(signatures.rows(mine)).mean()),
                "held_out": [int(held.sum()), len(held)],
                "seconds": None if less is None else round(less.seconds, 1),
            }
            print(row, flush=True)
            result["fewest"].append(row)
            keep()
    for recall in options.fewest:
        rows = [r for r in result["fewest"] if r["recall_asked"] == recall]
        hits, total = (sum(r["held_out"][k] for r in rows) for k in (0, 1))
        mean = float(np.mean([r["literals"] for r in rows]))
        print(f"asked {recall:.0%}: {mean:.0f} literals a class, {hits / total:.1%} held out")
    attacks(options, network, entries, flat, signatures.predicted, box, result, keep)


def attacks(
    options: argparse.Namespace,
    network: Any,
    entries: list[Precondition],
    flat: np.ndarray,
    predicted: np.ndarray,
    box: Box,
    result: dict[str, Any],
    keep: Any,
) -> None:
    """Attack every pattern; print and keep a row for each."""
    begun = time.monotonic()
    for entry in entries if options.attack else []:
        assert entry.property is not None
        own = predicted == int(entry.label)
        limit = options.attack_seconds
        found = attack_pattern(
            Claim(network, box, entry.pattern, entry.property),
            flat[own],
            flat[~own],
            count=options.attack,
            deadline=None if limit is None else Deadline.after(limit),
            device=options.device,
        )
        row = {
            "id": entry.id,
            "made": found.evaluated,
            "inside": found.inside,
            "violating": found.violating,
            "replayed": found.replayed,
            "least_margin": found.least if found.inside else None,
            "seconds": round(found.seconds, 1),
        }
        print(row, flush=True)
        result["attacks"].append(row)
        keep()
    if result["attacks"]:
        inside = sum(r["inside"] for r in result["attacks"])
        bad = sum(r["violating"] for r in result["attacks"])
        print(f"{inside} inputs, {bad} violating, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
