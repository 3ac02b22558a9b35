"""Convolutional networks: certified digits, and what their certificates cost.

    python benchmarks/convolution.py digits --out digits.json [--resume]
    python benchmarks/convolution.py certificates --radii 0.002 --most 2 --out certificates.json

``digits``: how many of the first held-out digits of mnist-5k the bounds certify at each radius
(layer bounds, then 20 steps of better slopes), CPU seconds each, and the largest memory.
``certificates``: of the same digits, CPU seconds of the proof, of the proof with its certificate,
and of ``check_fast``.
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


def write(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    one, proofs = kinds.add_parser("digits"), kinds.add_parser("certificates")
    for each, run in ((one, digits), (proofs, certificates)):
        each.add_argument("--model", default=str(ROOT / "models" / "mnist-cnn.onnx"))
        each.add_argument("--radii", type=float, nargs="+", default=[0.002, 0.003, 0.005])
        each.add_argument("--most", type=int, default=20)
        each.set_defaults(run=run)
    for each in (one, proofs):
        each.add_argument("--cap", type=float, default=100.0, help="seconds for an answer")
        each.add_argument("--out", type=Path, required=True)
        each.add_argument("--resume", action="store_true")
    chosen = parser.parse_args()
    rows = json.loads(chosen.out.read_text()) if chosen.resume and chosen.out.exists() else {}
    chosen.run(chosen, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
