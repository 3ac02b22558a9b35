"""The instances of ACAS Xu and mnistfc (VNN-COMP 2021), and of the folder ``vnncomp``.

``vnncomp`` has one folder a benchmark of VNN-COMP 2021 to 2024; the answer that counts as known is
the one of most tools, and none where tools contradict each other ("disputed").
"""

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


VNNCOMP_CAP = 100.0  # seconds an instance


def vnncomp(data: Path) -> dict[str, Instance]:
    """All instances by ``benchmark/network/query``, the benchmarks in alphabetical order."""
    found = {}
    for table in sorted((data / "vnncomp").glob("*/instances.csv")):
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                query = table.parent / row["query"]
                short = query.name.removesuffix(".gz").removesuffix(".vnnlib")
                name = f"{table.parent.name}/{Path(row['network']).stem}/{short}"
                known = row["known_answer"] if row["known_answer"] in DECIDED else ""
                network = table.parent / row["network"]
                found[name] = Instance(name, network, query, VNNCOMP_CAP, known)
    return found


def sample_40(every: dict[str, Instance]) -> list[str]:
    """Every second instance outside safenlp, whose eighty would be most of it; forty at most."""
    return [name for name in every if not name.startswith("safenlp/")][::2][:40]


def instances(suite: str, data: Path) -> dict[str, Instance]:
    """All instances of a suite by name, in the order of its ``instances.csv``."""
    if suite == "vnncomp":
        return vnncomp(data)
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
