"""Verification against vibecheck-nn and Marabou, and what time limits are worth.

    python benchmarks/verification.py --suite acasxu --instances subset32 \\
        --engines precond,vibecheck,marabou --vibecheck-python PATH --out acasxu.json

Suites:

* ``acasxu``, ``mnistfc``: seconds to an answer, process start and reading of files excluded
  (see ``peers/solvers.py``).  Every engine takes its turn on an instance before the next
  repeat, so that all see the same machine.  Of the repeats the median counts; a run without
  an answer counts as the cap and is not repeated.  ``wrong`` are answers that contradict the
  known one.  Before timing each engine answers the first instance once, unrecorded.
* ``vnncomp``: the same over the queries in the folder ``vnncomp``; ratios are of processor
  seconds there, over what both engines decide.
* ``patterns``: ACAS Xu 1_1, inputs drawn from property 3's box; the activation pattern of the
  first k decision layers at each input is fixed and the property claimed in what is left of
  the box.
* ``budget``: how far past its limit ``precond verify --timeout S`` and ``prove`` end, and
  ``prove`` with z3 alone, whose own limit is not kept.

``subset32``: for property p the networks number (p − 1 + 6 j) mod 45, j = 0…7, in the order
1_1, 1_2, …, 5_9.  Instances can also be named: ``1_1:3,1_7:2`` or ``256x2:0_0.03``; of vnncomp
also a benchmark (``eran,cora``), or ``sample40``, every second instance outside safenlp.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.instances import DECIDED, SUBSET_32, Instance, instances, sample_40

from benchmarks.run import package_version

if TYPE_CHECKING:
    from peers.solvers import Solver

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
LEAST = 1e-3  # seconds; shorter times count as this in ratios
POINTS = 20
PATTERN_BUDGET = 5.0
HARD = (
    ("acasxu", "1_9:2"),
    ("acasxu", "4_2:2"),
    ("mnistfc", "256x2:1_0.03"),
    ("mnistfc", "256x4:4_0.05"),
)


def chosen_instances(text: str, every: dict[str, Instance]) -> list[Instance]:
    if text in ("subset32", "sample40", "all"):
        names = {"subset32": SUBSET_32, "sample40": sample_40(every), "all": list(every)}[text]
    else:
        names = [
            name
            for part in text.split(",")
            for name in ([n for n in every if n.startswith(f"{part}/")] or [part])
        ]
    missing = [name for name in names if name not in every]
    if missing:
        sys.exit(f"no such instance: {', '.join(missing)}; there are {', '.join(every)}")
    return [every[name] for name in names]


def solvers(chosen: argparse.Namespace) -> dict[str, Solver]:
    from peers.solvers import Marabou, Precond, Vibecheck

    found: dict[str, Solver] = {}
    for name in chosen.engines.split(","):
        if name == "precond":
            found[name] = Precond()
        elif name == "marabou":
            found[name] = Marabou()
        elif name == "vibecheck":
            if chosen.vibecheck_python is None:
                sys.exit("--engines vibecheck needs --vibecheck-python PATH")
            found[name] = Vibecheck(chosen.vibecheck_python, chosen.vibecheck_threads)
        else:
            sys.exit(f"--engines: expected precond, vibecheck or marabou, got {name}")
    return found


def compare(chosen: argparse.Namespace, report: dict[str, Any]) -> None:
    """Fill ``report["runs"][engine][instance]`` with one entry a repeat; print the table."""
    wanted = chosen_instances(chosen.instances, instances(chosen.suite, chosen.data))
    engines = solvers(chosen)
    runs: dict[str, dict[str, list[dict[str, Any]]]] = report.setdefault("runs", {})
    warm = set()
    width = max(len(instance.name) for instance in wanted)
    try:
        for position, instance in enumerate(wanted, start=1):
            cap = instance.cap if chosen.cap is None else min(chosen.cap, instance.cap)
            for repeat in range(chosen.repeat):
                for name, engine in engines.items():
                    done = runs.setdefault(name, {}).setdefault(instance.name, [])
                    if len(done) > repeat or any(r["verdict"] not in DECIDED for r in done):
                        continue
                    if name not in warm:
                        warm.add(name)
                        engine.run(wanted[0], min(cap, 3.0))
                    run = engine.run(instance, cap)
                    # vibecheck leaves off 2 s early by itself; a late answer is none.
                    answered = run.verdict in DECIDED and run.seconds <= cap
                    done.append(
                        {
                            "verdict": run.verdict if answered else "-",
                            "seconds": run.seconds if answered else cap,
                            "said": run.verdict,
                            "took": run.seconds,
                            "cpu": run.cpu,
                            "note": run.note,
                        }
                    )
                    save(chosen.out, report)
            words = [f"{n} {_word(runs[n][instance.name])}" for n in engines]
            print(
                f"{position:3}/{len(wanted)} {instance.name:<{width}} {instance.known or '?':<6} "
                + "   ".join(words),
                flush=True,
            )
    finally:
        for engine in engines.values():
            engine.close()
    report["summary"] = summary(wanted, {n: runs[n] for n in engines})
    print_summary(report["summary"])


def _word(done: list[dict[str, Any]]) -> str:
    seconds = statistics.median(r["seconds"] for r in done)
    cpu = [r["cpu"] for r in done if r["cpu"] is not None]
    spent = f" ({statistics.median(cpu):.2f} CPU s)" if cpu else ""
    return f"{done[0]['verdict']:>5} {seconds:8.3f} s{spent}"


def summary(
    wanted: Sequence[Instance], runs: dict[str, dict[str, list[dict[str, Any]]]]
) -> dict[str, Any]:
    """Per engine: decided, wrong, seconds; and how many times longer it took than precond."""
    found: dict[str, Any] = {}
    times: dict[str, list[float]] = {}
    for name, by_instance in runs.items():
        wrong, decided, times[name] = [], 0, []
        for instance in wanted:
            done = by_instance[instance.name]
            verdicts = {r["said"] for r in done} & set(DECIDED)
            if (instance.known and verdicts - {instance.known}) or len(verdicts) > 1:
                wrong.append(instance.name)
            decided += all(r["verdict"] in DECIDED for r in done)
            times[name].append(statistics.median(r["seconds"] for r in done))
        found[name] = {
            "instances": len(wanted),
            "decided": decided,
            "wrong": wrong,
            "total_seconds": sum(times[name]),
            "median_seconds": statistics.median(times[name]),
            "largest_seconds": max(times[name]),
        }
    ours = times.get("precond")
    for name, theirs in times.items():
        if ours is None or name == "precond":
            continue
        logs = [math.log(max(b, LEAST) / max(a, LEAST)) for a, b in zip(ours, theirs, strict=True)]
        found[name]["ratio_geometric_mean"] = math.exp(statistics.fmean(logs))
        found[name]["ratio_median"] = math.exp(statistics.median(logs))
        found[name]["cpu_ratio_of_decided"] = _cpu_ratio(runs["precond"], runs[name])
        disagree = []
        for instance in wanted:
            said = [
                {r["said"] for r in runs[n][instance.name]} & set(DECIDED)
                for n in ("precond", name)
            ]
            if all(said) and said[0] != said[1]:
                disagree.append(instance.name)
        found[name]["disagrees_with_precond"] = disagree
    return found


def _cpu_ratio(
    ours: dict[str, list[dict[str, Any]]], theirs: dict[str, list[dict[str, Any]]]
) -> tuple[float, int] | None:
    """Geometric mean of their processor seconds by ours over what both decide, and how many."""
    logs = []
    for name, done in ours.items():
        both = [*done, *theirs.get(name, ())]
        if name not in theirs or any(r["verdict"] not in DECIDED or not r["cpu"] for r in both):
            continue
        spent = [statistics.median(r["cpu"] for r in rows) for rows in (done, theirs[name])]
        logs.append(math.log(max(spent[1], LEAST) / max(spent[0], LEAST)))
    return (math.exp(statistics.fmean(logs)), len(logs)) if logs else None


def print_summary(found: dict[str, Any]) -> None:
    print(
        f"\n{'engine':<10} {'decided':>9} {'wrong':>6} {'total s':>9} {'median s':>9} "
        f"{'max s':>8} {'x precond':>10}"
    )
    for name, row in found.items():
        ratio = row.get("ratio_geometric_mean")
        print(
            f"{name:<10} {row['decided']:>4}/{row['instances']:<4} {len(row['wrong']):>6} "
            f"{row['total_seconds']:>9.1f} {row['median_seconds']:>9.3f} "
            f"{row['largest_seconds']:>8.2f} {'' if ratio is None else f'{ratio:.2f}':>10}"
        )
    for name, row in found.items():
        if row.get("cpu_ratio_of_decided"):
            ratio, count = row["cpu_ratio_of_decided"]
            print(
                f"{name} took {ratio:.2f} times precond's processor seconds on {count} both decide"
            )
        if row["wrong"]:
            print(f"{name} contradicts the known answer on {', '.join(row['wrong'])}")
        if row.get("disagrees_with_precond"):
            print(f"{name} and precond disagree on {', '.join(row['disagrees_with_precond'])}")


def patterns(chosen: argparse.Namespace, report: dict[str, Any]) -> None:
    """The first k layers of ACAS Xu 1_1 fixed as at each of the inputs."""
    import numpy as np

    from precond.formats.load import load
    from precond.proof.claim import Claim
    from precond.proof.prover.prove import prove
    from precond.region.pattern import DecisionPattern
    from precond.region.recording import record
    from precond.vnnlib.read import read_vnnlib

    folder = chosen.data / "acasxu"
    network = load(folder / "ACASXU_run2a_1_1_batch_2000.onnx")
    (whole,) = read_vnnlib(folder / "prop_3.vnnlib", network).claims
    points = np.random.default_rng(0).uniform(
        whole.box.lower, whole.box.upper, size=(POINTS, network.input_size)
    )
    signatures = record(network, points)
    budget = PATTERN_BUDGET if chosen.cap is None else chosen.cap
    rows = report["patterns"] = []
    layers = network.decision_layers
    print(f"{'layers':>6} {'decided':>8} {'median s':>9} {'max s':>7}  verdicts, engines")
    for fixed in (6, 5, 4, 3):
        times, words = [], []
        for row in range(POINTS):
            pattern = DecisionPattern.of_row(signatures, row, layers[:fixed])
            claim = Claim(network, whole.box, pattern, whole.property)
            took = []
            for _ in range(chosen.repeat):
                begun = time.perf_counter()
                verdict = prove(claim, budget=budget, points=points[row : row + 1])
                took.append(time.perf_counter() - begun)
            trust = "" if verdict.confirmed else " (unconfirmed)"
            words.append(f"{verdict.status.value}{trust} by {verdict.engine}")
            times.append(statistics.median(took))
            rows.append(
                {
                    "layers": fixed,
                    "point": row,
                    "seconds": times[-1],
                    "status": verdict.status.value,
                    "confirmed": verdict.confirmed,
                    "engine": verdict.engine,
                }
            )
        decided = sum(
            r["status"] != "unknown" and r["confirmed"] for r in rows if r["layers"] == fixed
        )
        counts = ", ".join(f"{words.count(w)} {w}" for w in dict.fromkeys(words))
        print(
            f"{fixed:>6} {decided:>4}/{POINTS} {statistics.median(times):>9.3f} "
            f"{max(times):>7.3f}  {counts}",
            flush=True,
        )
        save(chosen.out, report)


def budgets(chosen: argparse.Namespace, report: dict[str, Any]) -> None:
    """Wall time of the whole command, and of ``prove`` in this process, past the limit."""
    from peers.limits import late

    rows = report["budget"] = []
    for row in late([instances(suite, chosen.data)[name] for suite, name in HARD]):
        rows.append(row)
        save(chosen.out, report)


def save(path: Path | None, report: dict[str, Any]) -> None:
    """Write beside, then replace: a run that is stopped leaves a whole file."""
    if path is not None:
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(report, indent=1))
        beside.replace(path)


def settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """What must agree for a run to be resumed."""
    return {
        "suite": chosen.suite,
        "cap": chosen.cap,
        "threads": chosen.threads,
        "vibecheck_threads": chosen.vibecheck_threads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--suite", choices=("acasxu", "mnistfc", "vnncomp", "patterns", "budget"), default="acasxu")
    add("--instances", default="all", help="all, subset32, sample40, or NAME:PROP,…")
    add("--cap", type=float, help="seconds an instance, at most what instances.csv allows")
    add("--repeat", type=int, default=3)
    add("--engines", default="precond")
    add("--threads", type=int, default=1, help="of precond; more than there are idle cores cost")
    add("--vibecheck-python", type=Path, help="an interpreter that has vibecheck-nn")
    add("--vibecheck-threads", type=int, help="default: its own choice, one")
    add("--data", type=Path, default=DATA, help="the folder of acasxu and mnistfc")
    add("--out", type=Path, help="JSON; with --resume what it holds is kept")
    add("--resume", action="store_true")
    chosen = parser.parse_args()
    chosen.data = chosen.data.resolve()
    if not chosen.data.is_dir():
        sys.exit(f"--data {chosen.data}: no such folder")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(chosen.threads)  # before the libraries are loaded
    os.environ["PRECOND_CORES"] = str(chosen.threads)  # no search beside another on one core
    import torch

    torch.set_num_threads(chosen.threads)
    report: dict[str, Any] = {"settings": settings(chosen)}
    if chosen.resume and chosen.out is not None and chosen.out.exists():
        report = json.loads(chosen.out.read_text())
        if report["settings"] != settings(chosen):
            sys.exit(f"--resume: {chosen.out} was made with {report['settings']}")
    report["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "precond": package_version(),
    }
    {"patterns": patterns, "budget": budgets}.get(chosen.suite, compare)(chosen, report)
    save(chosen.out, report)


if __name__ == "__main__":
    main()
