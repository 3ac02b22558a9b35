"""Proofs through an interpolant beside the direct proof, on ACAS Xu.

First ``QUERIES`` that hold.  Layers that can be cut are tried from the last one back until one
gives a proof; where none does in its time, the one that left least is decomposed with the whole
budget, then with three times as much.  Seconds: spent on other layers and in vain, to find σ, to
prove A ⇒ σ and σ ⇒ B, of everything up to the proof, and of the direct proof, which is run
right after; the last two in processor time as well, as other work on the machine stretches the
wall's.  Then both halves are proved again by other engines, and 100,000 random inputs of A
replayed.

Then a family: boxes inside property 3's box of one network, all with its B; each decomposed with
the lemmas of those before it, and directly.

    python -m benchmarks.decomposition ../shared/data/acasxu --out decomposition.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from precond.apply.decomposition.answer import Decomposition
from precond.apply.decomposition.check import replayed, second_proofs
from precond.apply.decomposition.halves import decompose
from precond.apply.decomposition.lemmas import Lemmas
from precond.apply.decomposition.query import first_layer
from precond.apply.decomposition.settings import DecompositionSettings
from precond.formats.load import load
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.vnnlib.query import Query
from precond.vnnlib.read import read_vnnlib

QUERIES = ("4_5:3", "3_3:3", "5_1:4", "3_5:3", "2_3:4", "4_2:3", "1_1:4", "2_2:3")
FAMILY, FAMILY_SIZE = "3_3:3", 30
TRIES = (1.0, 3.0)  # times the budget, for a query that no layer answered at once


def query_of(folder: Path, name: str) -> Query:
    network, number = name.split(":")
    model = load(folder / f"ACASXU_run2a_{network}_batch_2000.onnx")
    return read_vnnlib(folder / f"prop_{number}.vnnlib", model)


def numbers(answer: Decomposition) -> dict[str, Any]:
    return {
        "layer": answer.layer,
        "status": answer.status.value,
        "reason": answer.reason,
        "parts": len(answer.steps),
        "patterns": len(answer.lemmas),
        "reused": answer.tail.reused,
        "search": answer.search_seconds,
        "head": answer.head.seconds,
        "tail": answer.tail.seconds,
        "all": answer.seconds,
        "direct": None if answer.direct is None else answer.direct.seconds,
        "direct_status": None if answer.direct is None else answer.direct.status.value,
    }


class Clock:
    """Seconds since it was made: of the wall, and of the processor (ended children's too)."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), _cpu()

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self.wall, _cpu() - self.cpu


def _cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def one(folder: Path, name: str, budget: float) -> dict[str, Any]:
    query = query_of(folder, name)
    claim = query.claims[0]
    clock = Clock()
    layer, answer = first_layer(query, DecompositionSettings(budget=budget))
    tries = 0
    while answer is None or (answer.status is Status.UNKNOWN and tries < len(TRIES)):
        answer = decompose(claim, layer, DecompositionSettings(budget=TRIES[tries] * budget))
        tries += 1
    every, every_cpu = clock.read()
    clock = Clock()
    answer = replace(answer, direct=prove(claim, budget=budget))
    direct_cpu = clock.read()[1]
    found = {
        "query": name,
        **numbers(answer),
        "before": every - answer.seconds,
        "tries": tries,
        "everything": every,
        "everything_cpu": every_cpu,
        "direct_cpu": direct_cpu,
        "load": os.getloadavg()[0],
    }
    checks = "not proved"
    if answer.status is Status.PROVED:
        again, seen = second_proofs(answer, budget=budget / 2), replayed(answer)
        found["again"], found["replayed"] = [asdict(half) for half in again], asdict(seen)
        counts = " ".join(f"{half.proved}/{half.claims}" for half in again)
        contradicted = sum(half.contradicted for half in again)
        checks = (
            f"again {counts}, contradicted {contradicted}; "
            f"replayed {seen.points}: {seen.outside} outside σ, {seen.violations} without B"
        )
    print(
        f"{name}  {layer} after {found['before']:.2f}, {tries} tries more  "
        f"{answer.status.value:<8} {found['parts']:>5} parts "
        f"{found['patterns']:>5} σ_k  search {found['search']:6.2f}  "
        f"A⇒σ {found['head']:6.2f}  σ⇒B {found['tail']:6.2f}  all {found['all']:6.2f}  "
        f"everything {every:6.2f} (cpu {every_cpu:.2f})  direct {found['direct']:6.2f} "
        f"(cpu {direct_cpu:.2f})  load {found['load']:.1f}  {answer.reason or checks}",
        flush=True,
    )
    return found


def family(folder: Path, budget: float) -> dict[str, Any]:
    """Boxes inside A whose sides are 0.3 to 1 of A's, anywhere in it; they overlap."""
    query = query_of(folder, FAMILY)
    whole = query.claims[0]
    layer, _ = first_layer(query, DecompositionSettings(budget=budget))
    effort = DecompositionSettings(budget=budget)
    rng = np.random.default_rng(0)
    share = rng.uniform(0.3, 1.0, (FAMILY_SIZE, whole.box.size))
    start = whole.box.lower + rng.random(share.shape) * (1 - share) * whole.box.width
    boxes = [
        Box(low, np.minimum(low + side * whole.box.width, whole.box.upper))
        for low, side in zip(start, share, strict=True)
    ]
    lemmas, alone_total, cpu = Lemmas(), 0.0, [0.0, 0.0, 0.0]
    first = decompose(whole, layer, effort, lemmas=lemmas)
    rows = []
    for box in boxes:
        claim = Claim(whole.network, box, whole.pattern, whole.property)
        clock = Clock()
        alone = decompose(claim, layer, effort)
        cpu[0] += clock.read()[1]
        clock = Clock()
        shared = decompose(claim, layer, effort, lemmas=lemmas)
        cpu[1] += clock.read()[1]
        clock = Clock()
        direct = prove(claim, budget=budget)
        cpu[2] += clock.read()[1]
        alone_total += alone.seconds
        rows.append({**numbers(replace(shared, direct=direct)), "alone": alone.seconds})
    total = {
        "network_and_B": FAMILY,
        "layer": layer,
        "queries": len(rows),
        "proved": sum(row["status"] == "proved" for row in rows),
        "lemmas_of_the_whole": first.tail.proved,
        "first": first.seconds,
        "reused": sum(row["reused"] for row in rows),
        "used": sum(row["patterns"] for row in rows),
        "tail": sum(row["tail"] for row in rows),
        "all": sum(row["all"] for row in rows),
        "alone": alone_total,
        "direct": sum(row["direct"] for row in rows),
        "cpu": dict(zip(("alone", "shared", "direct"), cpu, strict=True)),
        "load": os.getloadavg()[0],
        "rows": rows,
    }
    print(
        f"family of {total['queries']} on {FAMILY} at {layer}: {total['proved']} proved; "
        f"{total['reused']} of {total['used']} tail proofs reused; with them {total['all']:.2f} s "
        f"(and {first.seconds:.2f} s for the whole box first), each alone {alone_total:.2f} s, "
        f"direct {total['direct']:.2f} s; processor time with them {cpu[1]:.2f} s, alone "
        f"{cpu[0]:.2f} s, direct {cpu[2]:.2f} s; load {total['load']:.1f}"
    )
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--queries", nargs="+", default=list(QUERIES))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    found = {
        "queries": [one(chosen.folder, name, chosen.budget) for name in chosen.queries],
        "family": family(chosen.folder, chosen.budget),
    }
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
