"""Input preconditions of a network of ten layers of ten neurons, and boxes inside them.

The signature of a training digit (which of the 100 neurons are on) is relaxed as far as it still
implies the network's class for *every* input of the domain, [0, 1]^784.  Inside the region of each
pattern that has one, an under-approximation box is drawn around the digit: an interval for every
pixel, so that every picture between the two pictures of ends obeys the pattern.

The same is done in a ball around the digit, where fewer neurons are needed; a pattern without any
means that the whole ball has the class.

Counted: proved patterns and their neurons; held-out digits that obey one; boxes that lie inside
their pattern by rigorous bounds, and that imply the class on their own when the prover is asked
without the pattern (``alone``); the lengths of their sides.

    python benchmarks/input_preconditions.py --inputs 12 --out preconditions.json

Seconds are of the processor, limits of the clock; where no limit was met, patterns are minimal.

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
    network: Network,
    pattern: DecisionPattern,
    x: Array,
    domain: Box,
    *,
    prop: Property,
    each: float,
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


def relaxed(
    network: Network, x: Array, domain: Box, *, budget: float, each: float, box: bool
) -> dict[str, Any]:
    """The input precondition of ``x``, and a box inside it where one is wanted."""
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
    if box and found.pattern.is_closed(network):
        row["box"] = box_inside(network, found.pattern, x, domain, prop=prop, each=each)
    return row


def sizes_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the proved patterns of one domain."""
    proved = [row for row in rows if row["status"] == "proved"]
    sizes = sorted(row["neurons"] for row in proved)
    return {
        "proved": len(proved),
        "fewest": sizes[0] if sizes else None,
        "median": median(sizes) if sizes else None,
        "most": sizes[-1] if sizes else None,
        "minimal": sum(row["minimal"] for row in proved),
        "cpu": sum(row["cpu"] for row in rows),
    }


def summary(rows: Sequence[dict[str, Any]], obeyed: int, held_out: int) -> dict[str, Any]:
    proved = [row for row in rows if row["status"] == "proved"]
    boxes = [row["box"] for row in proved if row.get("box") is not None]
    return {
        "inputs": len(rows),
        **sizes_of(rows),
        "held_out_obey": obeyed,
        "held_out": held_out,
        "boxes": len(boxes),
        "boxes_proved_alone": sum(box["alone"] == "proved" for box in boxes),
        "wide_pixels": median(box["wide_pixels"] for box in boxes) if boxes else None,
        "median_side": median(box["median_side"] for box in boxes) if boxes else None,
        "longest_side": max(box["longest_side"] for box in boxes) if boxes else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=12, help="training digits")
    parser.add_argument("--budget", type=float, default=120.0, help="seconds for one digit")
    parser.add_argument("--radius", type=float, default=0.05, help="of the ball around a digit")
    parser.add_argument("--each", type=float, default=30.0, help="seconds for one proof")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    network, digits = load(MODEL), load_dataset("mnist-5k")
    domain = Box.uniform(network.input_size, 0.0, 1.0)
    points = digits.flat.astype(np.float64)
    rows, near = [], []
    for number in even(digits.train, chosen.inputs).tolist():
        x = points[number]
        limits = {"budget": chosen.budget, "each": chosen.each}
        ball = Box.ball(x, chosen.radius, within=domain)
        rows.append(relaxed(network, x, domain, **limits, box=True))
        near.append(relaxed(network, x, ball, **limits, box=False))
        words = [
            f"{one['status']}, {one.get('neurons', '–')} neurons" for one in (rows[-1], near[-1])
        ]
        print(f"digit {number:4}: {words[0]}; in the ball {words[1]}", flush=True)
    patterns = [
        DecisionPattern.from_json(row["pattern"]) for row in rows if row["status"] == "proved"
    ]
    signatures = record(network, points[digits.held_out])
    inside = np.zeros(len(digits.held_out), dtype=np.bool_)
    for pattern in patterns:
        inside |= pattern.holds(signatures)
    counts = summary(rows, int(inside.sum()), len(inside))
    counts |= {"near": {"radius": chosen.radius, **sizes_of(near)}}
    for name, value in (*counts.items(), *((f"near, {k}", v) for k, v in counts["near"].items())):
        if not isinstance(value, dict):
            print(f"{name:<20} {value:g}" if value is not None else f"{name:<20} –")
    if chosen.out is not None:
        content = {**counts, "rows": rows, "near_rows": near}
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
