"""Input preconditions of a network of ten layers of ten neurons, and boxes inside them.

The signature of a training digit (which of the 100 neurons are on) is relaxed as far as it still
implies the network's class for *every* input of the domain, [0, 1]^784.  Inside the region of each
pattern that has one, an under-approximation box is drawn around the digit: an interval for every
pixel, so that every picture between the two pictures of ends obeys the pattern.

Counted: proved patterns and their neurons; held-out digits that obey one; boxes that lie inside
their pattern by rigorous bounds, and that imply the class on their own when the prover is asked
without the pattern (``alone``); the lengths of their sides.

    python benchmarks/input_preconditions.py --inputs 40 --out preconditions.json

Source: Gopinath, Converse, Pasareanu, Taly 2019 (input properties, under-approximation boxes).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
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
    input_precondition,
    load,
    prove,
    record,
    underapproximation_box,
)
from precond.data import load_dataset
from precond.errors import QueryError
from precond.network import outputs

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "mnist-10x10.onnx"
WIDE = 1e-3  # a side that lets a pixel (one of 256 values) vary a little
Array = NDArray[np.float64]


def even(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """``most`` of the rows, at even distances; data sets are sorted by class."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def box_inside(
    network: Network, pattern: DecisionPattern, x: Array, domain: Box, prop: Property, each: float
) -> dict[str, Any] | None:
    """The box around ``x``; None where none is found.  That it lies inside the pattern,
    ``underapproximation_box`` has shown by bounds before it returns one."""
    try:
        box = underapproximation_box(network, pattern, x, domain)
    except QueryError:
        return None
    alone = prove(Claim(network, box, DecisionPattern(), prop), budget=each)
    wide = box.width > WIDE
    return {
        "wide_pixels": int(wide.sum()),
        "median_side": float(np.median(box.width[wide])) if wide.any() else 0.0,
        "longest_side": float(box.width.max()),
        "alone": alone.status.value,
    }


def relaxed(network: Network, x: Array, domain: Box, budget: float, each: float) -> dict[str, Any]:
    label = int(outputs(network, x[None]).argmax())
    prop = Property.argmax(label, network.output_size)
    begun = time.process_time()
    found = input_precondition(network, x, prop, domain, budget=budget, each=each)
    row: dict[str, Any] = {
        "label": label,
        "status": found.verdict.status.value,
        "proofs": found.proofs,
        "minimal": found.minimal,
        "cpu": time.process_time() - begun,
    }
    if found.pattern is None:
        return row
    row |= {"neurons": len(found.pattern), "pattern": found.pattern.to_json()}
    begun = time.process_time()
    closed = found.pattern.is_closed(network)
    box = box_inside(network, found.pattern, x, domain, prop, each) if closed else None
    return row | {"box": box, "box_cpu": time.process_time() - begun}


def summary(rows: Sequence[dict[str, Any]], obeyed: int, held_out: int) -> dict[str, Any]:
    proved = [row for row in rows if row["status"] == "proved"]
    boxes = [row["box"] for row in proved if row["box"] is not None]
    sizes = sorted(row["neurons"] for row in proved)
    return {
        "inputs": len(rows),
        "patterns": len({json.dumps(row["pattern"]) for row in proved}),
        "fewest": sizes[0] if sizes else None,
        "median": median(sizes) if sizes else None,
        "most": sizes[-1] if sizes else None,
        "minimal": sum(row["minimal"] for row in proved),
        "held_out_obey": obeyed,
        "held_out": held_out,
        "boxes": len(boxes),
        "boxes_proved_alone": sum(box["alone"] == "proved" for box in boxes),
        "wide_pixels": median(box["wide_pixels"] for box in boxes) if boxes else None,
        "median_side": median(box["median_side"] for box in boxes) if boxes else None,
        "longest_side": max(box["longest_side"] for box in boxes) if boxes else None,
        "cpu": sum(row["cpu"] + row.get("box_cpu", 0.0) for row in rows),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=40, help="training digits")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for one digit")
    parser.add_argument("--each", type=float, default=2.0, help="seconds for one proof")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    network, digits = load(MODEL), load_dataset("mnist-5k")
    domain = Box.uniform(network.input_size, 0.0, 1.0)
    points = digits.flat.astype(np.float64)
    rows = []
    for number in even(digits.train, chosen.inputs).tolist():
        rows.append(relaxed(network, points[number], domain, chosen.budget, chosen.each))
        one = rows[-1]
        print(f"digit {number:4}: {one['status']}, {one.get('neurons', '–')} neurons", flush=True)
    patterns = [
        DecisionPattern.from_json(row["pattern"]) for row in rows if row["status"] == "proved"
    ]
    signatures = record(network, points[digits.held_out])
    inside = np.zeros(len(digits.held_out), dtype=np.bool_)
    for pattern in patterns:
        inside |= pattern.holds(signatures)
    counts = summary(rows, int(inside.sum()), len(inside))
    for name, value in counts.items():
        print(f"{name:<20} {value:g}" if value is not None else f"{name:<20} –")
    if chosen.out is not None:
        chosen.out.write_text(json.dumps({**counts, "rows": rows}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
