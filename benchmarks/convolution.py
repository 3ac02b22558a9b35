"""Convolutional networks: certified digits, and what their certificates cost.

    python benchmarks/convolution.py digits --out digits.json [--resume]
    python benchmarks/convolution.py certificates --radii 0.002 --most 2 --out certificates.json
    python benchmarks/convolution.py attack --radii 0.002 0.003 --samples 25000 --out attack.json

``digits``: how many of the first held-out digits of mnist-5k the bounds certify at each radius
(layer bounds, then 20 steps of better slopes), CPU seconds each, and the largest memory.
``certificates``: of the same digits, CPU seconds of the proof, of the proof with its certificate,
and of ``check_fast``.
``attack``: of the digits that are certified, ``--samples`` points of each ball, one in five a
corner, the others steps of an attack by gradients; how many violate what was certified (exit status
1 if any does).
Queries of the verification competition: ``verification.py --suite vnncomp``.
With ``--resume`` what the file has already is not measured again.  One thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator
    from torch import Tensor
    from torch.nn import Module

    from precond.proof.claim import Claim

ROOT = Path(__file__).resolve().parents[1]
Rows = dict[str, dict[str, Any]]


def claims(chosen: argparse.Namespace, rows: Rows) -> Iterator[tuple[str, float, Claim]]:
    """Name, radius and claim of each digit that ``rows`` does not have."""
    import numpy as np
    import torch

    from precond.data.datasets import load_dataset
    from precond.formats.load import load
    from precond.network.evaluate import outputs
    from precond.proof.claim import Claim
    from precond.property import Property
    from precond.region.box import Box
    from precond.region.pattern import DecisionPattern

    torch.set_num_threads(1)
    network, data = load(chosen.model).logits, load_dataset("mnist-5k")
    for radius in chosen.radii:
        for i in data.held_out[: chosen.most].tolist():
            name = f"{Path(chosen.model).stem} {radius} {i}"
            if name in rows:
                continue
            x = np.asarray(data.inputs[i], dtype=np.float64).reshape(-1)
            box = Box(np.clip(x - radius, 0, 1), np.clip(x + radius, 0, 1))
            target = Property.of_class(int(outputs(network, x[None]).argmax()), network)
            yield name, radius, Claim(network, box, DecisionPattern(), target)


def digits(chosen: argparse.Namespace, rows: Rows) -> None:
    from precond.proof.engines.bounds import BoundsEngine
    from precond.proof.prover.plans import Stage
    from precond.proof.prover.prove import prove

    stages = (Stage(BoundsEngine(steps=0)), Stage(BoundsEngine(steps=20, name="bounds-optimised")))
    for name, radius, claim in claims(chosen, rows):
        begun = time.process_time()
        verdict = prove(claim, budget=chosen.cap, stages=stages)
        rows[name] = {
            "radius": radius,
            "certified": verdict.is_proved,
            "bound": verdict.bound,
            "cpu": time.process_time() - begun,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        write(chosen.out, rows)
    for radius in chosen.radii:
        some = [row for row in rows.values() if row["radius"] == radius]
        share = sum(row["certified"] for row in some)
        print(
            f"radius {radius}: {share} of {len(some)} certified, median "
            f"{statistics.median(row['cpu'] for row in some):.1f} CPU s, "
            f"{max(row['memory'] for row in some):.0f} MB"
        )


def certificates(chosen: argparse.Namespace, rows: Rows) -> None:
    from precond.checker.fast import check_fast
    from precond.proof.prover.prove import prove

    for name, radius, claim in claims(chosen, rows):
        begun = time.process_time()
        proved = prove(claim, budget=chosen.cap).is_proved
        row: dict[str, Any] = {"radius": radius, "proved": proved}
        row["proof"] = time.process_time() - begun
        begun = time.process_time()
        certificate = prove(claim, budget=chosen.cap, exact=True).certificate
        row["with certificate"] = time.process_time() - begun
        if certificate is not None:
            begun = time.process_time()
            row["valid"] = check_fast(certificate, claim.network).valid
            row["check"] = time.process_time() - begun
        rows[name] = row
        write(chosen.out, rows)
        print(name, row, flush=True)


def attack(chosen: argparse.Namespace, rows: Rows) -> None:
    import numpy as np
    import torch

    from precond.network.module import network_module
    from precond.proof.prover.prove import prove

    for name, radius, claim in claims(chosen, rows):
        proved = prove(claim, budget=chosen.cap).is_proved
        row: dict[str, Any] = {"radius": radius, "proved": proved, "points": 0, "violations": 0}
        network = network_module(claim.network, dtype=torch.float32)
        rng, begun = np.random.default_rng(chosen.seed), time.process_time()
        while proved and row["points"] < chosen.samples:
            for points in batches(claim, network, rng):
                with torch.no_grad():
                    y = network(points.reshape(-1, *claim.network.input_shape)).double().numpy()
                holds = claim.property.holds(y, points.double().numpy())
                row["points"] += len(points)
                row["violations"] += int((~holds).sum())
        rows[name] = {**row, "cpu": time.process_time() - begun}
        write(chosen.out, rows)
        print(name, rows[name], flush=True)
    points, wrong = (sum(r[key] for r in rows.values()) for key in ("points", "violations"))
    print(f"{points} points in {sum(r['proved'] for r in rows.values())} balls, {wrong} violations")
    if wrong:
        sys.exit(1)


def batches(claim: Claim, network: Module, rng: Generator) -> Iterator[Tensor]:
    """Points of a ball, (256, inputs) each: a draw of corners, then four steps of signs of
    gradients from points between them, down the least margin."""
    import torch

    low, high = (
        torch.tensor(side, dtype=torch.float32) for side in (claim.box.lower, claim.box.upper)
    )
    corner = torch.tensor(rng.random((256, len(low)))) < 0.5
    yield torch.where(corner, low, high)
    x = low + (high - low) * torch.tensor(rng.random((256, len(low))), dtype=torch.float32)
    own = int(network(x[:1].reshape(-1, *claim.network.input_shape)).argmax())
    for _ in range(4):
        x = x.detach().requires_grad_()
        y = network(x.reshape(-1, *claim.network.input_shape))
        rivals = torch.cat([y[:, :own], y[:, own + 1 :]], dim=1)
        margin = (y[:, own] - rivals.max(dim=1).values).sum()
        (slope,) = torch.autograd.grad(margin, x)
        x = torch.minimum(torch.maximum(x - (high - low) / 4 * slope.sign(), low), high)
        yield x.detach()


def write(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    for name, run in (("digits", digits), ("certificates", certificates), ("attack", attack)):
        each = kinds.add_parser(name)
        each.add_argument("--model", default=str(ROOT / "models" / "mnist-cnn.onnx"))
        each.add_argument("--radii", type=float, nargs="+", default=[0.002, 0.003, 0.005])
        each.add_argument("--most", type=int, default=20)
        each.set_defaults(run=run)
        each.add_argument("--samples", type=int, default=25_000, help="points of each ball")
        each.add_argument("--seed", type=int, default=0)
        each.add_argument("--cap", type=float, default=100.0, help="seconds for an answer")
        each.add_argument("--out", type=Path, required=True)
        each.add_argument("--resume", action="store_true")
    chosen = parser.parse_args()
    rows = json.loads(chosen.out.read_text()) if chosen.resume and chosen.out.exists() else {}
    chosen.run(chosen, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
