"""What bounds and proofs cost: against batch, width, depth, inputs and free neurons.

    python benchmarks/cost_curves.py [--device cpu|cuda] [--threads N] [--repeat 3] [--out FILE]

Random dense networks (He scale, seeded).  The first three tables time one refinement of all
layer bounds and one output bound over a batch of boxes of width 0.2; the other two a whole
proof attempt, with a cap.  Medians.  With ``--device cuda`` the same code runs there, and the
4,096-subdomain row is the one to compare with two CPU cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from precond.network.evaluate import forward, outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.network.operators import operators
from precond.proof.bounds.backward import lower_bound
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.bounds.region import refine
from precond.proof.claim import Claim
from precond.proof.engines.base import Deadline, Engine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

OUTPUTS = 5
CAP = 20.0
NARROW = (4, 6, 8, 10, 12, 14, 16)  # widths for the curve of free neurons


def network(inputs: int, width: int, depth: int, seed: int = 0) -> Network:
    """A dense ReLU network with ``depth`` hidden layers of ``width``."""
    rng = np.random.default_rng(seed)
    sizes = [inputs, *[width] * depth, OUTPUTS]
    nodes, before = [], "input"
    for k, (m, n) in enumerate(pairwise(sizes), start=1):
        weight = rng.normal(size=(n, m)) * np.sqrt(2 / m)
        nodes.append(Node(f"affine{k}", Affine(weight, rng.normal(size=n) * 0.1), (before,)))
        before = f"affine{k}"
        if k <= depth:
            nodes.append(Node(f"relu{k}", ReLU(), (before,)))
            before = f"relu{k}"
    return Network(tuple(nodes), (inputs,))


def median(work: Callable[[], object], repeat: int, device: str) -> float:
    """Median seconds of ``work`` after one warm-up."""
    seconds = []
    for _ in range(repeat + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


def bounds(net: Network, batch: int, device: str) -> Callable[[], object]:
    """One refinement and output bound over ``batch`` random boxes."""
    rng = np.random.default_rng(1)
    centre = torch.tensor(rng.normal(size=(batch, net.input_size)), device=device)
    ops = operators(net, device, torch.float64)
    form = torch.eye(OUTPUTS, dtype=torch.float64, device=device)[None]
    constant = torch.zeros(1, OUTPUTS, dtype=torch.float64, device=device)

    def work() -> object:
        with torch.no_grad():
            refined = refine(ops, centre - 0.1, centre + 0.1)
            return lower_bound(refined.region, Objective(net.output, form, constant))

    return work


def claim(net: Network, radius: float) -> Claim:
    """Around zero, output 0 stays below the largest value that an ascent finds, and a quarter
    of the range that samples show."""
    box = Box.uniform(net.input_size, -radius, radius)
    y = outputs(net, box.sample(20_000, np.random.default_rng(2)))[:, 0]
    limit = float(max(y.max(), highest(net, radius)) + 0.25 * (y.max() - y.min()))
    return Claim(net, box, DecisionPattern(), Property(((Inequality(((0, -1.0),), -limit),),)))


def highest(net: Network, radius: float, starts: int = 256, steps: int = 200) -> float:
    """The largest output 0 that projected gradient ascent finds in the box."""
    ops = operators(net, "cpu", torch.float64)
    x = torch.rand(starts, net.input_size, generator=torch.Generator().manual_seed(3))
    x = ((2 * x.double() - 1) * radius).requires_grad_()
    best = -np.inf
    for step in range(steps):
        y = forward(ops, {INPUT: x}, [net.output])[net.output][:, 0]
        best = max(best, float(y.detach().max()))
        (slope,) = torch.autograd.grad(y.sum(), x)
        with torch.no_grad():
            x += slope.sign() * radius * 0.3 * 0.98**step
            x.clamp_(-radius, radius)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--free", action="store_true", help="only the curve of free neurons")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: not measured on a GPU", file=sys.stderr)
        sys.exit(2)
    place = torch.cuda.get_device_name() if chosen.device == "cuda" else "cpu"
    print(f"device {place}, {chosen.threads} CPU threads, medians of {chosen.repeat}")
    rows: list[dict[str, object]] = []

    def show(curve: str, **values: object) -> None:
        rows.append({"curve": curve, "device": place, **values})
        text = "  ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items()
        )
        print(f"{curve:<14} {text}", flush=True)

    def timed(net: Network, batch: int) -> float:
        return median(bounds(net, batch, chosen.device), chosen.repeat, chosen.device)

    def free() -> None:
        for width in NARROW:
            found = claim(network(40, width, 3), 0.1)
            phases = ReluSplitEngine(chosen.device)
            dear = (TightenSplitEngine(phases, chosen.device), LpSplitEngine(chosen.device))
            for engine in (phases, *dear):
                name = f"free, {engine.name}"
                show(name, free=free_neurons(found), **proof(engine, found))

    if not chosen.free:
        for batch in (1, 16, 256, 1024, 4096):
            seconds = timed(network(5, 50, 6), batch)
            show("batch", batch=batch, seconds=seconds, per_second=batch / seconds)
        for width in (25, 50, 100, 200, 400):
            seconds = timed(network(5, width, 4), 16)
            show("width", width=width, seconds=seconds)
        for depth in (2, 4, 8, 16):
            seconds = timed(network(5, 50, depth), 64)
            show("depth", depth=depth, seconds=seconds)
        for inputs in (2, 3, 4, 5, 6, 8):
            engine: Engine = InputSplitEngine(chosen.device)
            show("inputs", inputs=inputs, **proof(engine, claim(network(inputs, 30, 3), 0.5)))
    free()
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1))


def free_neurons(found: Claim) -> int:
    bounds = layer_bounds(region_of(found.problem))
    return sum(int(((low < 0) & (high > 0)).sum()) for low, high in bounds.values())


def proof(engine: Engine, found: Claim) -> dict[str, object]:
    begun = time.perf_counter()
    (answer,) = engine.solve(found.problem, Deadline.after(CAP))
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "answer": answer.outcome.value, "note": answer.note}


if __name__ == "__main__":
    main()
