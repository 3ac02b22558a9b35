"""Patterns proved over the whole of [0, 1]^n: recall, literals, time, and attacks on them.

For each network: patterns for every class, mined on the training part of mnist-5k, counted on
its held-out part, each proved by engines of two kinds.  ``--attack N`` makes N inputs for each
pattern that satisfy it, walking towards a violation; none may be one.  ``--ceiling N`` asks
instead how many held-out inputs any pattern could hold for.

    python benchmarks/whole_space.py --budget 1800 --workers 2 --attack 1000000 --out ws.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from precond.apply.pattern_attack import attack_pattern
from precond.data.datasets import load_dataset, split
from precond.formats.load import load
from precond.mine.support import wilson
from precond.mine.whole_space.search import Search
from precond.proof.certificates.folder import keep
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.report.pages import write_files
from precond.report.whole_space.page import table_text, whole_space_files
from precond.study.analysis import Domain
from precond.study.goals import class_goal
from precond.study.store import write_preconditions
from precond.study.study import Study
from precond.study.whole_space.result import WholeSpace, recall_by_literals, recall_by_time
from precond.study.whole_space.run import default_cuts, record_values, run_whole_space
from precond.workers.pool import open_pool

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data" / "mnistfc"
NETWORKS = {
    "256x4": SHARED / "mnist-net_256x4.onnx",
    "256x2": SHARED / "mnist-net_256x2.onnx",
    "mlp": ROOT / "models" / "mnist-mlp.onnx",
    "cnn": ROOT / "models" / "mnist-cnn.onnx",
}


def searched(path: Path, options: argparse.Namespace) -> WholeSpace:
    """The search over one network."""
    network = load(str(path))
    dataset = load_dataset("mnist-5k")
    cuts = tuple(options.cut or default_cuts(network))
    signatures = record_values(network, dataset, cuts)
    begun = time.monotonic()
    with open_pool(options.workers) as pool:
        return run_whole_space(
            Study(
                network=network,
                data=dataset,
                signatures=signatures,
                domain=Domain.parse("unit", dataset.flat, dataset.natural),
                goal=class_goal(network, signatures),
            ),
            Search(
                each=options.each,
                patterns=options.patterns,
                picture=dataset.image_shape,
                budget=options.budget,
            ),
            cuts=cuts,
            pool=pool,
            note=(lambda text: print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True))
            if options.verbose
            else None,
        )


def ceiling(path: Path, count: int, each: float = 40.0) -> dict[str, Any]:
    """How many of ``count`` held-out inputs have a full signature that implies their class: no
    pattern can hold for the others, since it holds for the refuting input too."""
    network = load(str(path))
    dataset = load_dataset("mnist-5k")
    _, held_out = split(dataset)
    rows = np.random.default_rng(0).permutation(held_out)[:count]
    flat = dataset.flat
    signatures = record(network, dataset.inputs[rows])
    box = Box.uniform(flat.shape[1], 0.0, 1.0)
    found: Counter[str] = Counter()
    for place, row in enumerate(rows):
        pattern = DecisionPattern.of_row(signatures, place)
        label = Property.argmax(int(signatures.predicted[place]), network.output_size)
        claim = Claim(network, box, pattern, label)
        found[prove(claim, budget=each, points=flat[row][None]).status.value] += 1
    low, high = wilson(found["proved"], count)
    print(f"{path.name}: {dict(found)} of {count} full signatures; proved {low:.1%} to {high:.1%}")
    return {"network": path.name, "signatures": count, **found}


def attacked(
    run: WholeSpace, count: int, seconds: float | None, device: str
) -> list[dict[str, Any]]:
    """``count`` inputs made to satisfy each pattern, and how many violate its property."""
    flat = run.study.data.flat
    rows = []
    for found in run.classes:
        own = run.study.goal.labels == found.target.label
        for entry in found.entries:
            assert entry.property is not None
            claim = Claim(run.study.network, run.study.domain.box, entry.pattern, entry.property)
            limit = None if seconds is None else Deadline.after(seconds)
            result = attack_pattern(
                claim, flat[own], flat[~own], count=count, deadline=limit, device=device
            )
            print(
                f"  {entry.id:<12} {result.evaluated:>9} made {result.inside:>9} with the pattern "
                f"{result.violating:>3} violating, least margin {result.least:9.4f} "
                f"{result.seconds:7.1f} s",
                flush=True,
            )
            rows.append(
                {
                    "id": entry.id,
                    "made": result.evaluated,
                    "inside": result.inside,
                    "violating": result.violating,
                    "replayed": result.replayed,
                    "least_margin": result.least if result.inside else None,
                    "seconds": round(result.seconds, 1),
                }
            )
    return rows


def row(name: str, run: WholeSpace, attacks: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of a run."""
    low, high = run.held_out.interval
    return {
        "network": name,
        "classes": len(run.classes),
        "proved": sum(found.proved for found in run.classes),
        "recall_held_out": run.held_out.value,
        "interval": [low, high],
        "recall_train": run.train.value,
        "certified": len(run.certified),
        "literals": sum(found.literals for found in run.classes),
        "seconds": round(run.seconds, 1),
        "budget": run.budget,
        "by_time": recall_by_time(run),
        "by_literals": recall_by_literals(run),
        "attacks": attacks,
        "violating": sum(a["replayed"] for a in attacks),
        "notes": list(run.notes),
        "of_class": [
            {
                "class": found.target.name,
                "cut": found.cut,
                "patterns": [
                    {
                        "id": entry.id,
                        "literals": len(entry.pattern),
                        "support": entry.support.to_json(),
                        "engine": entry.verdict.engine,
                        "second": ("", "")
                        if entry.verdict.second is None
                        else (entry.verdict.second.names, entry.verdict.second.text),
                    }
                    for entry in found.entries
                ],
                "recall_held_out": found.held_out.value,
                "recall_train": found.train.value,
                "rounds": found.rounds,
                "proofs": found.proofs,
                "seconds": round(found.seconds, 1),
                "tried": [[t.cut, t.patterns, t.recall, round(t.seconds, 1)] for t in found.cuts],
            }
            for found in run.classes
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", action="append", choices=tuple(NETWORKS))
    parser.add_argument("--budget", type=float, default=1800.0, help="seconds for each network")
    parser.add_argument("--each", type=float, default=3.0, help="seconds for one proof")
    parser.add_argument("--patterns", type=int, default=4, help="for a class at most")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cut", action="append", help="cut after this layer")
    parser.add_argument("--ceiling", type=int, default=0, metavar="N", help="only: N signatures")
    parser.add_argument("--attack", type=int, default=0, metavar="N", help="inputs a pattern")
    parser.add_argument("--attack-seconds", type=float, help="at most so long for a pattern")
    parser.add_argument("--device", default="cpu", help="of the attack")
    parser.add_argument("--pages", type=Path, help="folder for a report of each network")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = []
    for name in options.network or NETWORKS:
        if not NETWORKS[name].exists():
            print(f"{name}: {NETWORKS[name].name} is not here; passed over")
            continue
        if options.ceiling:
            results.append(ceiling(NETWORKS[name], options.ceiling))
            continue
        run = searched(NETWORKS[name], options)
        print(table_text(run, NETWORKS[name].name), flush=True)
        if options.pages is not None:
            folder = options.pages / name
            folder.mkdir(parents=True, exist_ok=True)
            write_preconditions(run.analysis(), folder / "preconditions.json")
            write_files(folder, whole_space_files(run, NETWORKS[name].name))
            (folder / "certificates").mkdir(exist_ok=True)
            for claim, certificate in run.certified:
                keep(folder / "certificates", claim, certificate)
        attacks = (
            attacked(run, options.attack, options.attack_seconds, options.device)
            if options.attack
            else []
        )
        results.append(row(name, run, attacks))
        if attacks:
            inside = sum(a["inside"] for a in attacks)
            print(f"attacked       {inside} inputs, {results[-1]['violating']} violating\n")
        if options.out is not None:
            options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
