"""The instances of ACAS Xu and mnistfc (VNN-COMP 2021), and what is known of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

DECIDED = ("sat", "unsat")
NETWORKS = [f"{i}_{j}" for i in range(1, 6) for j in range(1, 10)]
SUBSET_32 = [f"{NETWORKS[(p - 1 + 6 * j) % 45]}:{p}" for p in range(1, 5) for j in range(8)]
# Known answers of ACAS Xu (VNN-COMP): where properties 1 to 4 hold ("unsat").
HOLDS = {
    1: set(NETWORKS),
    2: {"1_1", "1_7", "1_8", "1_9", "3_3", "4_2"},
    3: set(NETWORKS) - {"1_7", "1_8", "1_9"},
    4: set(NETWORKS) - {"1_7", "1_8", "1_9"},
}


@dataclass(frozen=True)
class Instance:
    """``known``: ``sat``, ``unsat``, or empty where the answer is open."""

    name: str
    network: Path
    property: Path
    cap: float
    known: str


def instances(suite: str, data: Path) -> dict[str, Instance]:
    """All instances of a suite by name, in the order of its ``instances.csv``."""
    found = {}
    with (data / suite / "instances.csv").open(newline="") as file:
        for network, goal, cap, *answer in csv.reader(file):
            part = goal.removeprefix("prop_").removesuffix(".vnnlib")
            if suite == "acasxu":
                short = network.removeprefix("ACASXU_run2a_").removesuffix("_batch_2000.onnx")
                known = "unsat" if short in HOLDS[int(part)] else "sat"
            else:
                short = network.removeprefix("mnist-net_").removesuffix(".onnx")
                known = answer[0] if answer and answer[0] in DECIDED else ""
            name = f"{short}:{part}"
            found[name] = Instance(
                name, data / suite / network, data / suite / goal, float(cap), known
            )
    return found
