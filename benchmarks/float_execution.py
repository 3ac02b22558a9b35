"""Proofs that cover runs in float32: are they true, how many real ones stay, what they cost.

    python benchmarks/float_execution.py broken --claims 3000 --out broken.json
    python benchmarks/float_execution.py kept --suite acasxu --instances subset32 --cap 40
    python benchmarks/float_execution.py kept --suite mnistfc --instances 256x2:0_0.03 --cap 60

``broken``: small random networks (depth 1 to 5, scales 1e-3 to 1e3, cancelling sums, leaky
ReLUs, convolutions, pools, skip connections; weights of float32 and of float64, patterns of
computed signs) and claims within a few roundings of the least output.  Each that is proved for
float32 is attacked: inputs by gradient and by single units in the last place, and for every sum
the order, among many, that moves the output most (``tests/proof/float_runs.py``).  Engines take
turns: the default order, and each alone.

``kept``: claims of a suite that are proved of real numbers, and whether they are for float32 too,
with the processor seconds of both.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peers.instances import SUBSET_32, instances

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "proof"))
from float_runs import Runner  # noqa: E402
from small_networks import mixed, random_net  # noqa: E402

from precond.formats.load import load  # noqa: E402
from precond.network.graph import Network  # noqa: E402
from precond.network.layers import Affine, Node  # noqa: E402
from precond.proof.arithmetic import Arithmetic  # noqa: E402
from precond.proof.claim import Claim  # noqa: E402
from precond.proof.deadline import Deadline  # noqa: E402
from precond.proof.engines.base import Engine  # noqa: E402
from precond.proof.engines.bounds import BoundsEngine  # noqa: E402
from precond.proof.engines.highs import HighsEngine  # noqa: E402
from precond.proof.engines.input_split.search import InputSplitEngine  # noqa: E402
from precond.proof.engines.lp_split import LpSplitEngine  # noqa: E402
from precond.proof.engines.relu_split.search import ReluSplitEngine  # noqa: E402
from precond.proof.engines.tighten_split import TightenSplitEngine  # noqa: E402
from precond.proof.prover.plans import Stage, default_stages, known_bounds  # noqa: E402
from precond.proof.prover.prove import prove  # noqa: E402
from precond.proof.prover.run import Run  # noqa: E402
from precond.proof.verdict import Status, Verdict  # noqa: E402
from precond.property import Property  # noqa: E402
from precond.region.box import Box  # noqa: E402
from precond.region.inequality import Inequality  # noqa: E402
from precond.region.pattern import DecisionPattern  # noqa: E402
from precond.region.recording import record  # noqa: E402
from precond.vnnlib.read import read_vnnlib  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
FLOAT32 = Arithmetic.FLOAT32
BUDGET = 0.25  # seconds
Array = NDArray[np.float64]


def engines() -> dict[str, Sequence[Engine] | None]:
    linear = HighsEngine(known_bounds, milp_neurons=0)
    return {
        "default": None,
        "bounds": (BoundsEngine(),),
        "input-split": (InputSplitEngine(),),
        "relu-split": (ReluSplitEngine(),),
        "highs": (linear,),
        "lp-split": (LpSplitEngine(),),
        "tighten-split": (TightenSplitEngine(linear),),
    }


def random_network(rng: np.random.Generator) -> Network:
    kind = rng.integers(5)
    if kind == 0:
        network = mixed(rng)
    else:
        depth = int(rng.integers(1, 6))
        widths = [int(rng.integers(1, 5)), *rng.integers(2, 9, depth - 1).tolist(), 1]
        slope = 0.01 if kind == 1 else None
        network = random_net(rng, *widths, size=10.0 ** rng.uniform(-1, 1), slope=slope)
    if kind == 2:  # sums that cancel
        network = _changed(network, lambda w: _cancelling(w, rng))
    if rng.random() < 0.5:
        network = _changed(network, lambda w: w.astype(np.float32).astype(np.float64))
    return network


def _cancelling(weight: Array, rng: np.random.Generator) -> Array:
    """Half of each row repeats the other half with the sign turned, but for a little."""
    half = weight.shape[-1] // 2
    if weight.ndim != 2 or not half:
        return weight
    result = weight.copy()
    result[:, half : 2 * half] = -weight[:, :half] * (1 + 1e-4 * rng.normal(size=(1, half)))
    return result * 10.0 ** rng.integers(0, 3)


def _changed(network: Network, change: Any) -> Network:
    nodes = [
        Node(n.name, Affine(change(n.layer.weight), change(n.layer.bias[None])[0]), n.inputs)
        if isinstance(n.layer, Affine)
        else n
        for n in network.nodes
    ]
    return Network(tuple(nodes), network.input_shape)


def random_claim(rng: np.random.Generator) -> Claim:
    """``form · y ≥ t`` with t within some roundings of the least value that a search finds."""
    network = random_network(rng)
    size = network.input_size
    centre = rng.normal(size=size) * 10.0 ** rng.uniform(-3, 3)
    width = 0.0 if rng.random() < 0.3 else 10.0 ** rng.uniform(-6, 0)
    reach = np.abs(centre) * width * (rng.random(size) < 4 / size)
    lower, upper = (
        side.astype(np.float32).astype(np.float64) for side in (centre - reach, centre + reach)
    )
    box = Box(np.minimum(lower, upper), np.maximum(lower, upper))
    form = np.zeros(network.output_size)
    form[rng.integers(len(form))] = 1.0 if rng.random() < 0.5 else -1.0
    pattern = DecisionPattern()
    if network.decision_layers and rng.random() < 0.4:
        inside = rng.uniform(box.lower, box.upper)[None]
        whole = DecisionPattern.of_row(record(network, inside), 0)
        pattern = DecisionPattern(
            frozenset(n for n in whole.on if rng.random() < 0.5),
            frozenset(n for n in whole.off if rng.random() < 0.5),
        )
    least, where = Runner(network, pattern).worst(box, form, rng, starts=1, steps=10)
    terms = tuple((int(k), float(form[k])) for k in np.flatnonzero(form))

    def property_at(bound: float) -> Property:
        return Property(((Inequality(terms, bound),),))

    point = Box(where.astype(np.float64), where.astype(np.float64))
    blank = Claim(network, point, DecisionPattern(), property_at(0.0)).problem
    sides = [_bound(blank, arithmetic) for arithmetic in (Arithmetic.REAL, FLOAT32)]
    loss = max(sides[0] - sides[1], 1e-30)
    if not np.isfinite(least):
        least = sides[0]
    bound = least - loss * 10.0 ** rng.uniform(-0.7, 1.0)
    return Claim(network, box, pattern, property_at(bound))


def _bound(problem: Any, arithmetic: Arithmetic) -> float:
    from dataclasses import replace

    answer = BoundsEngine(steps=0).solve(
        replace(problem, execution=arithmetic), Deadline.after(9.0)
    )
    return float(answer[0].bound or 0.0)


def broken(chosen: argparse.Namespace) -> dict[str, Any]:
    every = engines()
    names = list(every)
    counts: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    close: list[float] = []
    seed = chosen.seed
    began = time.monotonic()
    while counts["proved"] < chosen.claims and time.monotonic() - began < chosen.seconds:
        rng = np.random.default_rng(seed)
        claim = random_claim(rng)
        name = names[seed % len(names)]
        seed += 1
        stages = every[name]
        counts["asked"] += 1
        verdict = _answer(claim, stages)
        if verdict.status not in (Status.PROVED, Status.VACUOUS) or FLOAT32 not in verdict.holds_in:
            counts["not proved"] += 1
            continue
        counts["proved"] += 1
        counts[f"proved by {name}"] += 1
        inequality = claim.property.clauses[0][0]
        form = np.zeros(claim.network.output_size)
        for index, value in inequality.outputs:
            form[index] = value
        least, where = Runner(claim.network, claim.pattern).worst(
            claim.box, form, rng, starts=chosen.starts
        )
        if least < inequality.bound:
            wrong.append(
                {"seed": seed - 1, "engine": name, "least": least, "bound": inequality.bound}
            )
            print("BROKEN", wrong[-1], where.tolist(), flush=True)
        elif np.isfinite(least):
            close.append((least - inequality.bound) / max(abs(inequality.bound), 1e-30))
        if counts["proved"] % 250 == 0:
            print(
                dict(counts), "broken", len(wrong), f"{time.monotonic() - began:.0f} s", flush=True
            )
    report = {"counts": dict(counts), "broken": wrong, "median_gap": float(np.median(close))}
    print(json.dumps(report, indent=1))
    return report


def _answer(claim: Claim, stages: Sequence[Engine] | None) -> Verdict:
    from dataclasses import replace

    problem = replace(claim.problem, execution=FLOAT32)
    chosen = default_stages(problem) if stages is None else [Stage(engine) for engine in stages]
    return Run(claim, problem, BUDGET, None, chosen, "cpu", 0).run()


def kept(chosen: argparse.Namespace) -> dict[str, Any]:
    every = instances(chosen.suite, chosen.data)
    text = chosen.instances
    names = SUBSET_32 if text == "subset32" else list(every) if text == "all" else text.split(",")
    rows: list[dict[str, Any]] = []
    for name in names:
        instance = every[name]
        query = read_vnnlib(instance.property, load(instance.network))
        row: dict[str, Any] = {"name": name}
        for arithmetic in (Arithmetic.REAL, FLOAT32):
            began = time.process_time()
            found = []
            for claim in query.claims:
                cap = chosen.cap if arithmetic is Arithmetic.REAL else 1.5 * chosen.cap
                found.append(prove(claim, budget=cap, execution=arithmetic))
                if not found[-1].is_proved:
                    break
            row[arithmetic.value] = {
                "seconds": time.process_time() - began,
                "proved": all(v.is_proved and arithmetic in v.holds_in for v in found),
                "engines": [v.engine for v in found],
                "reason": "; ".join(v.reason for v in found if v.reason)[:300],
            }
        rows.append(row)
        real, float32 = row["real"], row["float32"]
        said = "-" if not real["proved"] else "kept" if float32["proved"] else "LOST"
        print(
            f"{name:<14} {said:<5} {real['seconds']:8.2f} {float32['seconds']:8.2f} s  "
            f"{', '.join(float32['engines'])} {'' if said == 'kept' else float32['reason']}",
            flush=True,
        )
    proved = [row for row in rows if row["real"]["proved"]]
    both = sum(row["float32"]["proved"] for row in proved)
    seconds = [sum(row[key]["seconds"] for row in proved) for key in ("real", "float32")]
    print(
        f"{both} of {len(proved)} kept; {seconds[0]:.1f} s real, {seconds[1]:.1f} s float32, "
        f"ratio {seconds[1] / max(seconds[0], 1e-9):.2f}"
    )
    return {"rows": rows, "proved": len(proved), "kept": both, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=("broken", "kept"))
    add("--claims", type=int, default=3000, help="broken: proved claims to attack")
    add("--seconds", type=float, default=float("inf"), help="broken: stop after these")
    add("--starts", type=int, default=4, help="broken: starts of each attack")
    add("--seed", type=int, default=0)
    add("--suite", choices=("acasxu", "mnistfc"), default="acasxu")
    add("--instances", default="subset32", help="kept: subset32, all, or NAME:PROP,…")
    add("--cap", type=float, default=40.0, help="kept: seconds of a real claim")
    add("--data", type=Path, default=DATA, help="the folder of acasxu and mnistfc")
    add("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    report = {"broken": broken, "kept": kept}[chosen.what](chosen)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
