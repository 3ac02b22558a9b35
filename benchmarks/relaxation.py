"""Core-guided relaxation against one neuron at a time with Marabou.

ACAS Xu 1_1 over its whole input box, and models/mnist-mlp.onnx in balls around digits; only
inputs whose full signature implies the prediction there count.  ``ours`` is core-guided with
the engines for searches; ``textbook`` asks Marabou, and nothing else, once for each layer and
neuron, on the first ``--sampled`` of these inputs, and believes its "unsat", as the textbook
does.  Both have the same seconds for one proof and for one input; where they ran out, the
textbook's proofs and seconds are lower bounds.  CPU seconds of both processes are compared: on
a shared machine the clock on the wall says little.

    python benchmarks/relaxation.py --network acas --out acas.json
    python benchmarks/relaxation.py --network mnist --sampled 0 --out mnist.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.mine.boxes.region_size import region_share
from precond.mine.input_preconditions.relax import (
    InputPrecondition,
    Method,
    Order,
    input_precondition,
)
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import SOLVERS, Answer, Lines, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.prover.plans import Stage, known_bounds, search_stages
from precond.proof.refusal import Refusal
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

ROOT = Path(__file__).parents[1]
ACAS = ROOT.parent / "shared" / "data" / "acasxu" / "ACASXU_run2a_1_1_batch_2000.onnx"
WHOLE = Box([-0.328422877, -0.5, -0.5, -0.5, -0.5], [0.67985776, 0.5, 0.5, 0.5, 0.5])


@dataclass
class Believed:
    """Marabou, whose word counts."""

    engine: MarabouEngine = field(default_factory=MarabouEngine)
    undecided: int = 0
    name: str = "marabou"
    lines: Lines = SOLVERS

    def unsupported(self, problem: Problem) -> Refusal | None:
        return self.engine.unsupported(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        answers = self.engine.solve(problem, deadline)
        self.undecided += any(a.outcome is Outcome.UNDECIDED for a in answers)
        return [replace(a, rigorous=a.outcome is Outcome.INFEASIBLE) for a in answers]


def cpu_seconds() -> float:
    """Of this process and of children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def our_stages(problem: Problem) -> tuple[Stage, ...]:
    """Bisection gets most of the time where the inputs are few; else as searches do."""
    bisection = InputSplitEngine()
    if bisection.unsupported(problem) is not None:
        return search_stages(problem)
    linear = HighsEngine(known_bounds, milp_neurons=0)
    return (
        Stage(BoundsEngine(steps=0)),
        Stage(linear, 0.3),
        Stage(bisection, 0.8),
        Stage(ReluSplitEngine()),
    )


def cases(name: str, radius: float) -> tuple[Network, Iterator[tuple[NDArray[Any], Property, Box]]]:
    """The network and (input, property, domain), endlessly or as long as there is data."""
    rng = np.random.default_rng(0)
    if name == "acas":
        network = load(ACAS)

        def points() -> Iterator[tuple[NDArray[Any], Property, Box]]:
            while True:
                x = WHOLE.sample(1, rng)
                yield x[0], Property.argmin(int(outputs(network, x).argmin()), 5), WHOLE

        return network, points()
    network = load(ROOT / "models" / "mnist-mlp.onnx")
    digits = load_dataset("mnist-5k").inputs.reshape(5000, -1).astype(np.float64)
    pixels = Box.uniform(784, 0.0, 1.0)

    def digits_in_balls() -> Iterator[tuple[NDArray[Any], Property, Box]]:
        for row in rng.permutation(5000):
            x = digits[row]
            label = int(outputs(network, x[None]).argmax())
            yield x, Property.argmax(label, 10), Box.ball(x, radius, within=pixels)

    return network, digits_in_balls()


def entry(network: Network, found: InputPrecondition, domain: Box, cpu: float) -> dict[str, Any]:
    assert found.pattern is not None
    share = region_share(network, found.pattern, domain)
    return {
        "literals": len(found.pattern),
        "at_layer": len(found.pattern.only([found.layer])) if found.layer else 0,
        "forced": len(found.witnesses),
        "layer": found.layer,
        "proofs": found.proofs,
        "batches": found.batches,
        "minimal": found.minimal,
        "cpu": cpu,
        "share": [share.value, share.low, share.high],
        "pattern": found.pattern.to_json(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=("acas", "mnist"), default="acas")
    parser.add_argument("--inputs", type=int, default=50)
    parser.add_argument("--sampled", type=int, default=3)
    parser.add_argument(
        "--skip",
        type=int,
        default=0,
        help="inputs drawn to pass over first, whether they would count or not",
    )
    parser.add_argument("--radius", type=float, default=0.05)
    parser.add_argument("--order", choices=[o.value for o in Order], default="influence")
    parser.add_argument("--each", type=float, default=10.0, help="seconds for one proof")
    parser.add_argument("--budget", type=float, default=900.0, help="seconds for one input")
    parser.add_argument("--limit", type=float, default=1e9, help="seconds in all")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    network, stream = cases(chosen.network, chosen.radius)
    rows: list[dict[str, Any]] = []
    tried, begun = 0, time.monotonic()
    for x, prop, domain in islice(stream, chosen.skip, None):
        if len(rows) == chosen.inputs or time.monotonic() - begun > chosen.limit:
            break
        tried += 1
        problem = Claim(network, domain, DecisionPattern(), prop).problem
        start = cpu_seconds()
        stages = our_stages(problem)
        common = {"budget": chosen.budget, "each": chosen.each}
        order = Order(chosen.order)
        ours = input_precondition(network, x, prop, domain, stages=stages, order=order, **common)
        if ours.pattern is None:
            continue
        cpu = cpu_seconds() - start
        row: dict[str, Any] = {"ours": entry(network, ours, domain, cpu)}
        if len(rows) < chosen.sampled:
            marabou = Believed()
            start = cpu_seconds()
            single = input_precondition(
                network,
                x,
                prop,
                domain,
                method=Method.SINGLE,
                order=Order.INDEX,
                stages=(Stage(marabou),),
                **common,
            )
            marabou.engine.close()
            cpu = cpu_seconds() - start
            row["textbook"] = {"proofs": single.proofs, "cpu": cpu, "pattern": None}
            if single.pattern is not None:
                row["textbook"] = entry(network, single, domain, cpu)
            row["textbook"]["undecided"] = marabou.undecided
        rows.append(row)
        show(row)
        if chosen.out is not None:
            data = {
                "network": chosen.network,
                "tried": tried,
                "each": chosen.each,
                "order": chosen.order,
                "load": os.getloadavg(),
                "rows": rows,
            }
            chosen.out.write_text(json.dumps(data))
    summary(rows, tried)


def show(row: dict[str, Any]) -> None:
    for who, e in row.items():
        if e["pattern"] is None:
            print(f"  {who:9}{e['proofs']:5} proofs {e['cpu']:8.1f} s: full signature not proved")
            continue
        print(
            f"  {who:9}{e['proofs']:5} proofs {e['batches']:3} batches {e['cpu']:8.1f} s  "
            f"{e['literals']:4} literals, {e['at_layer']} at {e['layer'] or '-'}, "
            f"share {e['share'][0]:.2e}, "
            f"{'minimal' if e['minimal'] else 'time ran out'}",
            flush=True,
        )


def summary(rows: list[dict[str, Any]], tried: int) -> None:
    ours = [row["ours"] for row in rows]
    if not ours:
        print("no input's signature was proved")
        return
    for key in ("proofs", "batches", "cpu", "literals", "at_layer"):
        values = [e[key] for e in ours]
        print(
            f"ours {key:9} mean {statistics.mean(values):.2f}, "
            f"median {statistics.median(values):g}, most {max(values):g}"
        )
    print(f"{len(ours)} of {tried} inputs; minimal {sum(e['minimal'] for e in ours)}")
    both = [row for row in rows if "textbook" in row]
    for key in ("proofs", "cpu", "literals"):
        pairs = [(row["textbook"].get(key), row["ours"][key]) for row in both]
        ratios = [t / max(o, 1e-9) for t, o in pairs if t is not None]
        if ratios:
            shown = ", ".join(f"{r:.1f}" for r in ratios)
            print(f"textbook / ours, {key}: median {statistics.median(ratios):.1f} of {shown}")


if __name__ == "__main__":
    main()
