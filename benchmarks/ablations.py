"""What each engine is for, and each order of relaxation.

    python -m benchmarks.ablations --digits 8 --each 3 --out ablations.json

``engines``: L∞ balls around held-out digits that the network gets right, put to the prover with
all engines and then without each in turn, ``--each`` seconds a ball.  ``orders``: how many
literals are left of the signatures of training digits in balls, by the order in which neurons are
tried.  Processor seconds are those of this process.  Marabou has a process of its own and is left
out throughout.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from precond import (
    Box,
    Claim,
    DecisionPattern,
    Network,
    Property,
    Status,
    input_precondition,
    load,
    prove,
)
from precond.data import load_dataset
from precond.data.dataset import Dataset
from precond.mine.input_preconditions.order import Order
from precond.network.evaluate import outputs
from precond.proof.prover.plans import Stage, default_stages

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("mnist-mlp", "mnist-5k", (0.03, 0.04, 0.05))  # radii where some balls are hard
ORDERS = (("digits-mlp", "digits", 0.1), ("mnist-mlp", "mnist-5k", 0.05))
LEFT_OUT = "marabou"
Row = dict[str, Any]


def claim_of(network: Network, digits: Dataset, row: int, radius: float) -> Claim:
    """The digit's label over the ball around it."""
    x = digits.inputs[row].astype(np.float64).reshape(-1)
    box = Box.ball(x, radius, within=Box.uniform(len(x), 0.0, 1.0))
    return Claim(network, box, DecisionPattern(), Property.argmax(int(digits.labels[row]), 10))


def right(network: Network, digits: Dataset, rows: NDArray[np.int64], most: int) -> list[int]:
    """The first of ``rows`` that the network gets right."""
    said = outputs(network, digits.inputs[rows]).argmax(axis=1)
    return rows[said == digits.labels[rows]][:most].tolist()


def stages(claim: Claim, without: str = "") -> tuple[Stage, ...]:
    left_out = {LEFT_OUT, without}
    return tuple(s for s in default_stages(claim.problem) if not left_out & s.names)


def engines(most: int, each: float) -> list[Row]:
    model, data, radii = ENGINES
    network, digits = load(ROOT / "models" / f"{model}.onnx"), load_dataset(data)
    rows = right(network, digits, digits.held_out, most)
    asked = [claim_of(network, digits, row, radius) for row in rows for radius in radii]
    found = []
    for without in ("", *sorted({name for s in stages(asked[0]) for name in s.names})):
        begun = time.process_time()
        verdicts = [prove(c, budget=each, stages=stages(c, without)) for c in asked]
        decided = sum(verdict.status is not Status.UNKNOWN for verdict in verdicts)
        spent = time.process_time() - begun
        name = without or "none"
        found.append(
            {"network": model, "without": name, "claims": len(asked), "decided": decided}
            | {"cpu": spent}
        )
        print(f"{model}, without {name:<16}  {decided:3} of {len(asked)} decided  {spent:6.1f} s")
    return found


def orders(most: int, each: float) -> list[Row]:
    found = []
    for model, data, radius in ORDERS:
        network, digits = load(ROOT / "models" / f"{model}.onnx"), load_dataset(data)
        rows = right(network, digits, digits.train, most)
        asked = [claim_of(network, digits, row, radius) for row in rows]
        points = digits.inputs[rows].astype(np.float64).reshape(len(rows), network.input_size)
        for order in Order:
            begun = time.process_time()
            tried = [
                input_precondition(network, x, c.property, c.box, order=order, budget=each)
                for x, c in zip(points, asked, strict=True)
            ]
            left = [len(one.pattern) for one in tried if one.pattern is not None]
            proofs = [one.proofs for one in tried if one.pattern is not None]
            row = {
                "network": model,
                "order": order.value,
                "inputs": len(asked),
                "proved": len(left),
                "literals": statistics.mean(left) if left else None,
                "proofs": statistics.mean(proofs) if proofs else None,
                "cpu": time.process_time() - begun,
            }
            found.append(row)
            print(
                f"{model}, by {order.value:<14} {len(left)} of {len(asked)} proved, literals "
                f"{row['literals'] or 0:6.1f}, proofs {row['proofs'] or 0:5.1f}"
                f"  {row['cpu']:6.1f} s"
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--digits", type=int, default=8)
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
