"""Which search over phases should come first, and whether features of a claim tell.

    python -m benchmarks.engine_order --data DATA --each 20 --out order.json

Three searches split neurons: one bounds many cheap subdomains (it comes first), one solves a linear
program in each, one tightens the bounds of every free neuron by linear programs.  Each claim is put
to the prover with every order, ``--each`` seconds an order.  A claim
that an order leaves open costs it twice what it spent.  The claims come in families (a network,
a kind of region); a feature is worth something if the order that it chooses for a family, by what
the *other* families say, costs less than the one order that is best for these.  Seconds are
processor seconds of this process, and so are the limits, whatever else runs on the machine; Marabou
and z3, which have processes of their own, are left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.ablations import ROOT, claim_of, right
from precond import Claim, Network, Status, load, prove
from precond.data import load_dataset
from precond.proof import deadline
from precond.proof.prover.plans import Stage, default_stages
from precond.vnnlib import read_vnnlib


class _ProcessorTime:
    """Of ``time``, what deadlines read."""

    monotonic = staticmethod(time.process_time)


LEFT_OUT = {"marabou", "z3"}
OPEN_COSTS = 2.0
TIGHTENING_SHARE = 0.6  # of the time, where it comes first
SHALLOW = "one hidden layer"
BALLS = ((SHALLOW, (0.06, 0.08)), ("mnist-mlp", (0.04,)), ("mnist-provable-cnn", (0.07, 0.1)))
MEDICAL = (369, 1739, 2707, 329, 1399, 1092, 2847)
DENSE = (("256x2", (0.03,)),)
Row = dict[str, Any]
Feature = Callable[[Row], object]
FEATURES: dict[str, Feature] = {
    "none": lambda _: 0,
    "hidden layers, 1 or more": lambda row: row["layers"] > 1,
    "hidden layers, up to 2 or more": lambda row: row["layers"] > 2,
    "inputs, up to 100 or more": lambda row: row["inputs"] > 100,
    "ways to fail, 1 or more": lambda row: row["rivals"] > 1,
}


def shallow(width: int = 100, epochs: int = 30) -> Network:
    """A network with one hidden layer, trained here on the digits' training rows."""
    held = load_dataset("mnist-5k")
    torch.manual_seed(0)
    x = torch.tensor(held.inputs[held.train].reshape(len(held.train), -1), dtype=torch.float32)
    y = torch.tensor(held.labels[held.train], dtype=torch.int64)
    net = nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, 10))
    steps = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            steps.zero_grad()
            functional.cross_entropy(net(x[batch]), y[batch]).backward()
            steps.step()
    return load(net, (x.shape[1],))


def claims(data: Path | None, digits: int) -> Iterator[tuple[str, str, Claim]]:
    """Family, name and claim."""
    held = load_dataset("mnist-5k")
    for model, radii in BALLS:
        trained = model == SHALLOW
        network = shallow() if trained else load(ROOT / "models" / f"{model}.onnx")
        for row in right(network, held, held.held_out, digits):
            for radius in radii:
                yield model, f"{row} at {radius}", claim_of(network, held, row, radius)
    if data is None:
        return
    folder = data / "vnncomp" / "safenlp"
    network = load(folder / "medical.onnx")
    for number in MEDICAL:
        query = read_vnnlib(folder / f"medical_hyperrectangle_{number}.vnnlib", network)
        yield "medical", str(number), query.claims[0]
    folder = data / "mnistfc"
    for size, radii in DENSE:
        network = load(folder / f"mnist-net_{size}.onnx")
        for radius in radii:
            for number in range(8):
                query = read_vnnlib(folder / f"prop_{number}_{radius:.2f}.vnnlib", network)
                yield size, f"{number} at {radius}", query.claims[0]


class SplitOrder(Enum):
    """The search that comes first."""

    SUBDOMAINS = "subdomains"  # as ``default_stages`` has it
    PROGRAMS = "programs"
    TIGHTENING = "tightening"


def ordered(claim: Claim, order: SplitOrder) -> list[Stage]:
    """The stages with another search before the short one with cheap subdomains."""
    stages = [s for s in default_stages(claim.problem) if not LEFT_OUT & s.names]
    at = next(k for k, stage in enumerate(stages) if stage.engine.name == "relu-split")
    first = {"programs": "lp-split", "tightening": "tighten-split"}.get(order.value)
    if first is None:
        return stages
    one = next(stage for stage in stages if stage.engine.name == first)
    rest = [stage for stage in stages if stage is not one]
    share = TIGHTENING_SHARE if order is SplitOrder.TIGHTENING else one.share
    return [*rest[:at], replace(one, share=share), *rest[at:]]


def measured(claim: Claim, each: float) -> dict[str, Row]:
    """What each order makes of the claim."""
    rows = {}
    for order in SplitOrder:
        stages = ordered(claim, order)
        begun = time.process_time()
        verdict = prove(claim, budget=each, stages=stages)
        rows[order.value] = {
            "decided": verdict.status is not Status.UNKNOWN,
            "seconds": round(time.process_time() - begun, 2),
            "engine": verdict.engine,
        }
    return rows


def cost(row: Row, order: str) -> float:
    answer = row["orders"][order]
    return float(answer["seconds"] * (1.0 if answer["decided"] else OPEN_COSTS))


def best(rows: list[Row]) -> str:
    """The order that costs least; of equals, today's."""
    return min(
        (order.value for order in SplitOrder), key=lambda order: sum(cost(r, order) for r in rows)
    )


def foretold(rows: list[Row], feature: Feature) -> float:
    """What the orders cost that a feature chooses, each family's by what the others say."""
    total = 0.0
    for row in rows:
        others = [r for r in rows if r["family"] != row["family"]]
        alike = [r for r in others if feature(r) == feature(row)]
        total += cost(row, best(alike or others))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--digits", type=int, default=8)
    parser.add_argument("--each", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    deadline.time = _ProcessorTime  # type: ignore[assignment]  # limits in processor seconds
    rows: list[Row] = []
    for family, name, claim in claims(asked.data, asked.digits):
        rows.append(
            {
                "family": family,
                "claim": name,
                "layers": len(claim.network.decision_layers),
                "inputs": int((claim.box.width > 0).sum()),
                "rivals": len(claim.problem.conjuncts),
                "orders": measured(claim, asked.each),
            }
        )
        said = ", ".join(
            f"{order} {answer['seconds']:.1f} s{'' if answer['decided'] else ' (open)'}"
            for order, answer in rows[-1]["orders"].items()
        )
        print(f"{family} {name}: {said}", flush=True)
    told = [row for row in rows if len({round(cost(row, o.value), 1) for o in SplitOrder}) > 1]
    families = {
        family: {
            order.value: {
                "decided": sum(r["orders"][order.value]["decided"] for r in own),
                "seconds": round(sum(r["orders"][order.value]["seconds"] for r in own), 1),
                "cost": round(sum(cost(r, order.value) for r in own), 1),
            }
            for order in SplitOrder
        }
        for family in dict.fromkeys(row["family"] for row in rows)
        for own in [[r for r in rows if r["family"] == family]]
    }
    features = {name: round(foretold(told, feature), 1) for name, feature in FEATURES.items()}
    least = round(sum(min(cost(row, o.value) for o in SplitOrder) for row in told), 1)
    today = round(sum(cost(row, SplitOrder.SUBDOMAINS.value) for row in told), 1)
    result = {
        "families": families,
        "today": today,
        "least": least,
        "features": features,
        "claims": rows,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "claims"}, indent=1))
    if asked.out is not None:
        asked.out.write_text(json.dumps(result | {"claims": rows}, indent=1))


if __name__ == "__main__":
    main()
