"""Which proofs get a certificate that a checker accepts, at what cost, and why others have none.

Every claim is put to ``prove(..., exact=True)``.  What its engines proved is looked at before the
certificate is made, so a proof without one is counted, under the engine that ended the search and
the kinds of node of its traces ("none" where an engine tells nothing).  The truth is known: z3's
in rational arithmetic for random networks, the competition's for queries.  Times are CPU seconds
of this process and its children; ``--cpu-clock`` gives budgets in them too.  One line of JSON a
claim goes to ``--lines`` as it is known, and what is there is not done again, so a run may be
stopped and continued.  Exit status 1 if a verdict was wrong.

    python benchmarks/certified.py --networks 3000 --budget 4 --lines networks.jsonl
    python benchmarks/certified.py --suite mnistfc --data DATA --budget 300 --lines mnistfc.jsonl
    python benchmarks/certified.py --suite acasxu --data DATA --budget 300 --lines acasxu.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

# CPU seconds of one core: a second thread costs as much as it gains.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PRECOND_CORES", "1")

import torch

sys.path.insert(0, str(Path(__file__).parent))

from peers.instances import instances
from soundness import Truth, random_case

from precond import load
from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.checker.files import read_certificate, write_certificate
from precond.proof.certificates import certify
from precond.proof.claim import Claim
from precond.proof.prover import chain
from precond.proof.prover.prove import prove
from precond.proof.trace import Trace, parts_of
from precond.proof.verdict import Status, Verdict
from precond.vnnlib.read import read_vnnlib

Row = dict[str, Any]
WALL = time.monotonic
SAT = {True: "sat", False: "unsat", None: ""}


def cpu() -> float:
    """CPU seconds of this process and of children that ended."""
    return sum(os.times()[:4])


def cpu_clock() -> float:
    """Advances by CPU seconds, and by a twentieth of a second that is waited for a child."""
    return cpu() + 0.05 * WALL()


def kinds(verdict: Verdict) -> str:
    """The kinds of node in a proof's traces."""
    seen = set()
    stack: list[Trace] = list(verdict.traces.values())
    while stack:
        trace = stack.pop()
        seen.add(type(trace).__name__)
        stack.extend(parts_of(trace))
    return "+".join(sorted(seen)) or "none"


@dataclass
class Watch:
    """Stands for the certifier, and says what it was given and what it took."""

    seconds: float = 0.0
    proofs: list[Verdict] = field(default_factory=list)

    def __call__(self, claim: Claim, verdict: Verdict, seconds: float = 60.0) -> Verdict:
        begun = cpu()
        if verdict.status.holds:
            self.proofs.append(verdict)
        try:
            return certify.exact_verdict(claim, verdict, seconds)
        finally:
            self.seconds += cpu() - begun


def measured(claim: Claim, budget: float, slow: bool) -> Row:
    """One claim's exact verdict, and what lies behind it; ``slow``: python-flint checks as well."""
    watch, begun = Watch(), cpu()
    with patch.object(chain, "exact_verdict", watch):
        verdict = prove(claim, budget=budget, exact=True)
    spent = cpu() - begun
    row: Row = {"status": verdict.status.value, "reason": verdict.reason[:300]}
    row |= {"proof": spent - watch.seconds, "certify": watch.seconds}
    if watch.proofs:
        first = watch.proofs[0]
        row |= {"engine": first.engine, "kinds": kinds(first)}
    made = verdict.certificate
    if made is None:
        return row
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "proof")
        write_certificate(made, path)
        row["bytes"] = path.stat().st_size
        judges = [check_fast] if made.bits else []
        judges += [check] if slow or not made.bits else []
        begun = cpu()
        read = read_certificate(path)
        valid = [judges[0](read, claim.network).valid]
        row["check"] = cpu() - begun
    valid += [judge(read, claim.network).valid for judge in judges[1:]]
    row |= {"valid": all(valid), "bits": made.bits, "steps": len(made.steps.tree)}
    row["leaves"] = sum(len(tree.weights) for tree in made.trees)
    return row


def network_rows(count: int, budget: float, done: set[str]) -> Iterator[Row]:
    """Claims of ``soundness``; a vacuous verdict is wrong where z3 finds an input."""
    for seed in range(count):
        if str(seed) in done:
            continue
        case = random_case(seed)
        row = measured(case.claim, budget, slow=True)
        truth = Truth(case.claim)
        ways = [truth.feasible(c) for c in case.claim.problem.conjuncts]
        known = "" if None in ways else SAT[any(ways)]
        wrong = row["status"] == Status.VACUOUS.value and truth.region() is not False
        yield {"name": str(seed), "family": case.family, "known": known, "wrong": wrong, **row}


def suite_rows(chosen: argparse.Namespace, done: set[str]) -> Iterator[Row]:
    """Claims of a suite's queries; one network is read once."""
    every = instances(chosen.suite, chosen.data)
    networks = {}
    for name, instance in every.items():
        if chosen.only and name not in chosen.only.split(","):
            continue
        begun = cpu()
        if instance.network not in networks:
            networks[instance.network] = load(instance.network)
        query = read_vnnlib(instance.property, networks[instance.network])
        read = cpu() - begun
        for k, claim in enumerate(query.claims):
            part = name if len(query.claims) == 1 else f"{name}#{k}"
            known = instance.known if len(query.claims) == 1 or instance.known == "unsat" else ""
            if part not in done:
                row = measured(claim, chosen.budget, slow=chosen.flint)
                yield {"name": part, "known": known, "read": read if k == 0 else 0.0, **row}


def is_wrong(row: Row) -> bool:
    """Whether the verdict contradicts what is known, or its file is not valid."""
    answer = {"proved": "unsat", "vacuous": "unsat", "refuted": "sat"}.get(row["status"])
    contradicts = answer is not None and row["known"] not in ("", answer)
    return contradicts or bool(row.get("wrong")) or row.get("valid") is False


def summary(rows: list[Row]) -> Row:
    """Counts, by engine and kind of trace, and what proofs without a certificate say."""
    proofs = [row for row in rows if "engine" in row]
    certified = [row for row in proofs if "valid" in row]
    counted: dict[str, list[int]] = {}
    for row in proofs:
        pair = counted.setdefault(f"{row['engine']}: {row['kinds']}", [0, 0])
        pair[0] += 1
        pair[1] += "valid" in row
    reasons = Counter(r["reason"].partition(", but ")[2] for r in proofs if "valid" not in r)
    ratios = [row["check"] / row["proof"] for row in certified if row["proof"] > 0]
    parts = ("read", "proof", "certify", "check")
    return {
        "claims": len(rows),
        "decided": sum(row["status"] != "unknown" for row in rows),
        "wrong": [row["name"] for row in rows if is_wrong(row)],
        "proofs": len(proofs),
        "certified": len(certified),
        "by_kind": dict(sorted(counted.items(), key=lambda item: -item[1][0])),
        "reasons": dict(reasons.most_common()),
        "check_over_proof": median(ratios) if ratios else None,
        "bytes": median(row["bytes"] for row in certified) if certified else None,
        "seconds": {part: round(sum(row.get(part, 0.0) for row in rows), 2) for part in parts},
    }


def known_rows(lines: Path | None) -> list[Row]:
    rows = []
    if lines is not None and lines.exists():
        for line in lines.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # the last line of a run that was killed
                rows.append(json.loads(line))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--networks", type=int, default=300, help="so many random networks, without --suite")
    add("--suite", choices=("acasxu", "mnistfc"))
    add("--data", type=Path, help="the folder of acasxu and mnistfc")
    add("--only", help="names of instances, with commas")
    add("--budget", type=float, default=4.0, help="seconds a claim")
    add("--cpu-clock", action="store_true", help="budgets are CPU seconds, on a busy machine")
    add("--flint", action="store_true", help="check with python-flint too (always for --networks)")
    add("--seconds", type=float, default=float("inf"), help="begin no claim after so many")
    add("--lines", type=Path, help="a line of JSON for each claim; read and gone on with")
    add("--out", type=Path, help="write the summary as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.cpu_clock:
        time.monotonic = cpu_clock
    rows = known_rows(chosen.lines)
    done = {row["name"] for row in rows}
    begun = WALL()
    if chosen.suite is None:
        fresh = network_rows(chosen.networks, chosen.budget, done)
    else:
        fresh = suite_rows(chosen, done)
    for row in fresh:
        rows.append(row)
        if chosen.lines is not None:
            with chosen.lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        if chosen.suite is not None:
            print(json.dumps(row), flush=True)
        if WALL() - begun > chosen.seconds:
            break
    report = summary(rows)
    print(json.dumps(report, indent=1))
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
