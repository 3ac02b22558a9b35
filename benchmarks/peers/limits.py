"""How far past its limit a proof ends: the command, ``prove``, and ``prove`` with z3 alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from peers.instances import Instance

from precond.formats.load import load
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.claim import Claim
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.plans import Stage
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.vnnlib.read import read_vnnlib

LIMITS = (1.0, 3.0, 10.0)
SLACK = 2.0  # seconds past the limit that are allowed


def late(hard: Sequence[Instance]) -> Iterator[dict[str, Any]]:
    """A row for every instance and limit, printed as they come."""
    print(f"{'instance':<14} {'S':>4} {'command':>9} {'over':>7}  {'answer':<10} {'prove':>8} over")
    for instance in hard:
        claim = read_vnnlib(instance.property, load(instance.network)).claims[0]
        for limit in LIMITS:
            command = [sys.executable, "-m", "precond", "verify", str(instance.property)]
            command += ["--network", str(instance.network), "--timeout", str(limit)]
            begun = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wall = time.perf_counter() - begun
            answer = (done.stdout.splitlines() or ["-"])[0]
            inside = _seconds(claim, limit)
            said = f"{wall:>7.2f} s {wall - limit:>+6.2f}  {answer:<10}"
            _say(instance.name, limit, said, inside, max(wall, inside))
            yield {
                "instance": instance.name,
                "limit": limit,
                "command_seconds": wall,
                "answer": answer,
                "prove_seconds": inside,
            }
    for limit in LIMITS:
        inside = _seconds(exact_claim(), limit, (Stage(Z3Engine()),))
        _say("z3 alone", limit, " " * 28, inside, inside)
        yield {"instance": "z3 alone", "limit": limit, "prove_seconds": inside}


def exact_claim() -> Claim:
    """44 free neurons with random weights: long rationals, over which z3 looks at its own
    limit seldom."""
    rng = np.random.default_rng(0)
    nodes: list[Node] = []
    for k, (inputs, width) in enumerate(pairwise((10, 24, 20, 3))):
        layer = Affine(rng.normal(size=(width, inputs)), rng.normal(size=width))
        nodes.append(Node(f"z{k}", layer, (f"relu{k - 1}" if k else INPUT,)))
        if width > 3:
            nodes.append(Node(f"relu{k}", ReLU(), (f"z{k}",)))
    box = Box.uniform(10, -1.0, 1.0)
    return Claim(Network(tuple(nodes), (10,)), box, DecisionPattern(), Property.argmax(0, 3))


def _seconds(claim: Claim, limit: float, stages: Sequence[Stage] | None = None) -> float:
    begun = time.perf_counter()
    prove(claim, budget=limit, stages=stages)
    return time.perf_counter() - begun


def _say(name: str, limit: float, command: str, inside: float, most: float) -> None:
    word = "  LATE" if most > limit + SLACK else ""
    print(
        f"{name:<14} {limit:>4g} {command} {inside:>6.2f} s {inside - limit:>+6.2f}{word}",
        flush=True,
    )
