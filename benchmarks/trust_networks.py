"""How often is a verdict wrong on small networks, and what does a certificate change?

Random claims of ``soundness.py`` (4 to 10 neurons; rows of a weight scaled by 1e-3 to 1e3, all
weights near 1e-3, integers with ties, boxes 1e-7 wide; limits within rounding of a value that
the network takes, for a quarter of them) are put to

- ``exact``: ``prove(..., exact=True)``, whose certificates python-flint checks once more;
- ``engines``: the same run before the certificate is asked for;
- ``float bounds``: the same propagation and both its searches with no allowance for rounding;
- ``Marabou``: its word for the queries we build it, scaled up (``marabou_query``);
- ``Marabou, plain``: its word for the same queries not scaled up, narrow boxes included.

The truth is z3's, in rational arithmetic.  One line of JSON a claim goes to ``--out`` as it is
known, and what is there is not done again, so a run may be stopped and continued; ``--seconds``
stops it by itself.  Exit status 1 if an exact verdict was wrong.

    python benchmarks/trust.py --networks 3000 --out networks.jsonl
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from soundness import SCALES, Case, Truth, random_case

from precond.checker.exact import check
from precond.proof.bounds import backward, intervals, lines, region
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Answer, Engine, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.marabou import build as marabou_build
from precond.proof.engines.marabou import engine as marabou
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status

BUDGET, EACH = 4.0, 0.5  # seconds for prove, and for each of the others
WHO = ("exact", "engines", "float bounds", "Marabou", "Marabou, plain")


@contextmanager
def no_allowance() -> Iterator[None]:
    """Float64 sums as if they were exact."""
    with (
        patch.multiple(backward, UNIT=0.0, TINY=0.0, gamma=lambda terms: 0.0),
        patch.multiple(intervals, UNIT=0.0, TINY=0.0, gamma=lambda terms: 0.0),
        patch.multiple(lines, UNIT=0.0, TINY=0.0),
        patch.multiple(region, TINY=0.0),
    ):
        yield


@contextmanager
def not_scaled() -> Iterator[None]:
    """Marabou's queries with the weights as they are, and no box too narrow."""
    with (
        patch.object(marabou_build, "_scale", np.ones_like),
        patch.object(marabou, "NARROWEST", 0.0),
    ):
        yield


def ask(engines: Sequence[Engine], claim: Claim) -> str:
    """What the engines say at their word, one after another: proved, refuted or unknown."""
    problem = claim.problem
    open_ = list(problem.conjuncts)
    for engine in engines:
        asked = problem.only(tuple(open_))
        if not open_ or engine.unsupported(asked) is not None:
            continue
        answers: list[Answer] = engine.solve(asked, Deadline.after(EACH))
        if any(a.outcome is Outcome.WITNESS for a in answers):
            return "refuted"
        pairs = zip(open_, answers, strict=True)
        open_ = [c for c, a in pairs if a.outcome is not Outcome.INFEASIBLE]
    return "unknown" if open_ else "proved"


def one(case: Case, marabou_engine: MarabouEngine) -> dict[str, Any]:
    """Everybody's answer to one claim, and the truth ('' where z3 has none)."""
    claim = case.claim
    row: dict[str, Any] = {"seed": case.seed, "family": case.family, "edge": case.edge}
    truth = Truth(claim)
    feasible = [truth.feasible(c) for c in claim.problem.conjuncts]
    empty = truth.region() is False
    known = None not in feasible
    row["truth"] = ("refuted" if any(feasible) else "proved") if known else ""
    begun = time.perf_counter()
    verdict = prove(claim, budget=BUDGET, exact=True)
    row["seconds"] = round(time.perf_counter() - begun, 4)
    row["vacuous wrong"] = verdict.status is Status.VACUOUS and not empty
    row["exact"] = "proved" if verdict.status is Status.VACUOUS else verdict.status.value
    row["engines"], row["reason"] = row["exact"], verdict.reason[:160]
    if verdict.status is Status.UNKNOWN and " but no certificate" in verdict.reason:
        row["engines"] = "proved"
    if verdict.certificate is not None:
        row["flint"] = check(verdict.certificate, claim.network).valid
        row["leaves"] = sum(len(tree.weights) for tree in verdict.certificate.trees)
    with no_allowance():
        engines = [BoundsEngine(steps=0), InputSplitEngine(), ReluSplitEngine()]
        row["float bounds"] = ask(engines, claim)
    row["Marabou"] = ask([marabou_engine], claim)
    with not_scaled():
        row["Marabou, plain"] = ask([marabou_engine], claim)
    return row


def networks(count: int, out: Path | None, seconds: float) -> int:
    """Claims 0 to ``count`` − 1; exit status."""
    rows: dict[int, dict[str, Any]] = {}
    if out is not None and out.exists():
        for line in out.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # the last line of a run that was killed
                row = json.loads(line)
                rows[row["seed"]] = row
    begun, before = time.monotonic(), len(rows)
    engine = MarabouEngine()
    for seed in range(count):
        if time.monotonic() - begun > seconds:
            break
        if seed in rows:
            continue
        rows[seed] = one(random_case(seed), engine)
        if out is not None:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[seed]) + "\n")
        if len(rows) % 50 == 0:
            pace = (time.monotonic() - begun) / (len(rows) - before)
            print(f"{len(rows)} of {count} claims, {pace:.2f} s each", flush=True)
    engine.close()
    done = [rows[seed] for seed in sorted(rows) if seed < count]
    show(done)
    bad = [row["seed"] for row in done if _wrong(row, "exact") or row["vacuous wrong"]]
    refused = [row["seed"] for row in done if row.get("flint") is False]
    print(f"exact verdicts that are wrong: {bad}; certificates python-flint refuses: {refused}")
    return 1 if bad or refused else 0


def _wrong(row: dict[str, Any], who: str) -> bool:
    return bool(row["truth"]) and row[who] not in ("unknown", row["truth"])


def show(rows: list[dict[str, Any]]) -> None:
    """Per group and method: decided, wrong proofs, wrong counterexamples; then who differs."""
    known = [row for row in rows if row["truth"]]
    print(f"{len(rows)} claims, truth known of {len(known)}")
    groups = {scale: [r for r in known if r["family"].endswith(scale)] for scale in SCALES}
    groups["edge"] = [r for r in known if r["edge"]]
    groups["all"] = known
    print(f"{'claims':<14}{'':>7}" + "".join(f"{who:>24}" for who in WHO))
    print(f"{'':<21}" + f"{'decided / bad P / bad R':>24}" * len(WHO))
    for name, some in groups.items():
        cells = []
        for who in WHO:
            decided = sum(r[who] != "unknown" for r in some)
            bad = Counter(r[who] for r in some if _wrong(r, who))
            cells.append(f"{decided} / {bad['proved']} / {bad['refuted']}")
        print(f"{name:<14}{len(some):>7}" + "".join(f"{cell:>24}" for cell in cells))
    print("\nanswers that differ from the exact one (contradict it | one of them is unknown)")
    for who in WHO[1:]:
        decided = [r for r in known if "unknown" not in (r["exact"], r[who])]
        against = sum(r["exact"] != r[who] for r in decided)
        only = Counter(
            "only exact" if r[who] == "unknown" else f"only {who}"
            for r in known
            if r["exact"] != r[who] and "unknown" in (r["exact"], r[who])
        )
        print(f"  {who:<16} contradict {against}; {dict(only)}")
    exact = [r for r in known if r["exact"] == "proved"]
    lost = [r for r in known if r["engines"] == "proved" and r["exact"] == "unknown"]
    spent = np.array([r["seconds"] for r in known] or [0.0])
    print(
        f"exact proofs {len(exact)}; proved without a certificate {len(lost)}; "
        f"seconds a claim: median {np.median(spent):.3f}, mean {spent.mean():.3f}"
    )
