"""Shapes in type hints, checked at every call by jaxtyping's import hook.

The hook changes modules as they are imported, so each check runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Every module that says shapes.
CHECKED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("precond", "attribution")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "precond.basics.shapes import" in path.read_text("utf-8")
]
HOOK = f"""
from jaxtyping import TypeCheckError, install_import_hook
install_import_hook({CHECKED!r}, "beartype.beartype")
import torch
from precond.network.layers import Affine, Conv2d, MaxPool2d, Node, ReLU
from precond.network.graph import INPUT, Network
from precond.network.operators import operators
from precond.proof.bounds import intervals, objective, relaxed
from attribution.lines import maps
import numpy as np
rng = np.random.default_rng(0)
conv = Conv2d(rng.normal(size=(3, 2, 2, 2)), rng.normal(size=3), padding=(1, 1, 1, 1))
network = Network(
    (
        Node("conv", conv, (INPUT,)),
        Node("relu", ReLU(), ("conv",)),
        Node("pool", MaxPool2d((2, 2), (1, 1)), ("relu",)),
    ),
    (2, 4, 4),
    "shapes",
)
ops = operators(network, "cpu", torch.float64)
box = torch.zeros(5, 2, 4, 4, dtype=torch.float64), torch.ones(5, 2, 4, 4, dtype=torch.float64)
"""
RIGHT = """
bounds = [box]
for node in network.nodes:
    bounds.append(intervals.node_interval(ops, node, bounds[-1:]))
    assert bool((bounds[-1][0] <= bounds[-1][1]).all())
m = network.width("pool")
cut = torch.zeros(1, m, dtype=torch.float64), torch.ones(1, m, dtype=torch.float64)
_, empty = intervals.intersect(bounds[-1], cut, network.shapes["pool"])
assert empty.shape == (5,)
flat = maps.flatten(box[1])
one = maps.Map.of(network.node["conv"], ops)
there = one.apply([flat])
(back,) = one.transpose(there)
assert back.shape == flat.shape == (5, 32)
windows = maps.PoolWindows.of(network, "relu", "pool", ops)
top, leader = windows.maximum(there)
assert bool((torch.gather(there, 1, leader) == top).all())
assert bool((windows.gather(there).amax(-1) == top).all())
"""


CLAIMS = """
import sys
sys.path[:0] = ["tests", "tests/proof"]
from dataclasses import replace
from small_networks import below, mixed, random_net
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

dense = random_net(rng, 3, 6, 5, 2)
pattern = DecisionPattern(on=frozenset({("relu0", 1)}), off=frozenset({("relu1", 2)}))
claims = [
    Claim(dense, Box.uniform(3, -1.0, 1.0), pattern, below(0, 1.0)),
    Claim(mixed(rng), Box.uniform(16, 0.4, 0.5), DecisionPattern(), below(1, 2.0)),
]
engines = [BoundsEngine(steps=3), InputSplitEngine(), ReluSplitEngine(root_steps=3)]
engines += [LpSplitEngine(), HighsEngine(milp_neurons=9)]
for claim in claims:
    problem = replace(claim.problem, keep_trace=True)
    for engine in engines:
        if engine.unsupported(problem) is None:
            assert len(engine.solve(problem, Deadline.after(600.0))) == 1
"""


def ran(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HOOK + code], capture_output=True, text=True, cwd=ROOT
    )


WRONG = [
    "objective.Objective('relu', box[0], box[0])",
    "relaxed.over_box(box[0].flatten(1), box[0].flatten(1), box[1].flatten(1))",
    "intervals.node_interval(ops, network.nodes[1], [(box[0], box[1][:4])])",
    "intervals.intersect(box, (box[0], box[1]), (2, 4, 4))",
    "intervals.pooled(box[0], torch.zeros(3, dtype=torch.int64))",
    "maps.shaped(box[0], (2, 4, 4))",
    "maps.Map.of(network.node['conv'], ops).apply([maps.flatten(box[0]).long()])",
]


def test_the_shapes_said_are_the_shapes_there() -> None:
    """Intervals and maps by themselves; then a pattern on a dense network, and every kind of
    layer, through each line of engines."""
    assert {"precond.proof.bounds.backward", "precond.proof.linear.system"} <= set(CHECKED)
    done = ran(RIGHT + CLAIMS)
    assert done.returncode == 0, done.stderr


def test_another_shape_is_refused() -> None:
    code = "".join(
        f"\ntry:\n    {wrong}\nexcept TypeCheckError:\n    print({number})\n"
        for number, wrong in enumerate(WRONG)
    )
    done = ran(code)
    assert done.stdout.split() == [str(k) for k in range(len(WRONG))], done.stderr


def test_the_package_itself_loads_no_jaxtyping() -> None:
    code = "import sys, precond.proof.bounds.intervals, attribution.lines.maps\n"
    code += "print('jaxtyping' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr
