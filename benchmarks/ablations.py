"""What each part is for: engines left out one at a time, and the orders of relaxation.

    python -m benchmarks.ablations --digits 20 --out ablations.json

``engines``: L∞ balls around held-out digits, each put to the prover with all engines and then
without each one in turn, ``--each`` seconds.  ``orders``: how many literals are left of the
signatures of training digits in balls, by the order in which neurons are tried.  Processor
seconds of this process; engines in processes of their own (Marabou) are left out of both sides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from precond import Box, Claim, DecisionPattern, Property, Status, input_precondition, load, prove
from precond.data import load_dataset
from precond.mine.input_preconditions.order import Order
from precond.proof.prover.plans import Stage, default_stages

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = (("digits-mlp", "digits", (0.2, 0.25)), ("mnist-mlp", "mnist-5k", (0.04, 0.05)))
ORDERS = {"digits-mlp": 0.15, "mnist-mlp": 0.05}
OWN_PROCESS = "marabou"
Row = dict[str, Any]


def claims(model: str, data: str, radii: Sequence[float], most: int) -> Iterator[Claim]:
    """Balls around the first held-out digits that the network gets right."""
    network, digits = load(ROOT / "models" / f"{model}.onnx"), load_dataset(data)
    for row in digits.held_out[:most].tolist():
        x = digits.inputs[row].astype(np.float64).reshape(-1)
        for radius in radii:
            box = Box.ball(x, radius, within=Box.uniform(len(x), 0.0, 1.0))
            label = Property.argmax(int(digits.labels[row]), 10)
            yield Claim(network, box, DecisionPattern(), label)


def answered(claim: Claim, without: str, each: float) -> tuple[Status, float]:
    """The verdict without an engine, and processor seconds."""
    stages = tuple(s for s in _stages(claim) if without not in s.names)
    begun = time.process_time()
    verdict = prove(claim, budget=each, stages=stages)
    return verdict.status, time.process_time() - begun


def _stages(claim: Claim) -> tuple[Stage, ...]:
    return tuple(s for s in default_stages(claim.problem) if OWN_PROCESS not in s.names)


def engines(most: int, each: float) -> list[Row]:
    rows = []
    for model, data, radii in NETWORKS:
        asked = list(claims(model, data, radii, most))
        names = sorted({name for stage in _stages(asked[0]) for name in stage.names})
        for without in ("", *names):
            found = [answered(claim, without, each) for claim in asked]
            row = {
                "network": model,
                "without": without or "none",
                "claims": len(found),
                "decided": sum(status is not Status.UNKNOWN for status, _ in found),
                "cpu": sum(seconds for _, seconds in found),
            }
            rows.append(row)
            print(
                f"{model:<12} without {row['without']:<18} decided {row['decided']:3} of "
                f"{row['claims']:3}  {row['cpu']:7.1f} s",
                flush=True,
            )
    return rows


def orders(most: int, each: float) -> list[Row]:
    rows = []
    for (model, data, _), radius in zip(NETWORKS, ORDERS.values(), strict=True):
        network, digits = load(ROOT / "models" / f"{model}.onnx"), load_dataset(data)
        for order in Order:
            left, proofs = [], []
            begun = time.process_time()
            for row in digits.train[:most].tolist():
                x = digits.inputs[row].astype(np.float64).reshape(-1)
                box = Box.ball(x, radius, within=Box.uniform(len(x), 0.0, 1.0))
                label = Property.argmax(int(digits.labels[row]), 10)
                found = input_precondition(network, x, label, box, order=order, budget=each)
                if found.pattern is not None:
                    left.append(len(found.pattern))
                    proofs.append(found.proofs)
            row_ = {
                "network": model,
                "order": order.value,
                "inputs": most,
                "proved": len(left),
                "literals": statistics.mean(left) if left else None,
                "proofs": statistics.mean(proofs) if proofs else None,
                "cpu": time.process_time() - begun,
            }
            rows.append(row_)
            print(
                f"{model:<12} by {order.value:<14} {row_['proved']} of {most} proved, literals "
                f"{row_['literals'] or 0:6.1f}, proofs {row_['proofs'] or 0:5.1f}  "
                f"{row_['cpu']:6.1f} s",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--digits", type=int, default=20)
    parser.add_argument("--each", type=float, default=4.0, help="seconds for one claim or input")
    parser.add_argument("--out", type=Path, help="write the tables there as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "engines": engines(chosen.digits, chosen.each),
        "orders": orders(chosen.digits // 2, chosen.each),
    }
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
