"""Shapes in type hints, checked at every call by jaxtyping's import hook.

The hook changes modules as they are imported, so each check runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKED = ["precond.proof.bounds.intervals", "attribution.lines.maps"]
HOOK = f"""
from jaxtyping import TypeCheckError, install_import_hook
install_import_hook({CHECKED!r}, "beartype.beartype")
import torch
from precond.network.layers import Affine, Conv2d, MaxPool2d, Node, ReLU
from precond.network.graph import INPUT, Network
from precond.network.operators import operators
from precond.proof.bounds import intervals
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


def ran(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HOOK + code], capture_output=True, text=True, cwd=ROOT
    )


def test_the_shapes_said_are_the_shapes_there() -> None:
    done = ran(RIGHT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        "intervals.node_interval(ops, network.nodes[1], [(box[0], box[1][:4])])",
        "intervals.intersect(box, (box[0], box[1]), (2, 4, 4))",
        "intervals.pooled(box[0], torch.zeros(3, dtype=torch.int64))",
        "maps.shaped(box[0], (2, 4, 4))",
        "maps.Map.of(network.node['conv'], ops).apply([maps.flatten(box[0]).long()])",
    ],
)
def test_another_shape_is_refused(wrong: str) -> None:
    code = f"\ntry:\n    {wrong}\nexcept TypeCheckError:\n    print('refused')\n"
    done = ran(code)
    assert done.stdout.strip() == "refused", done.stderr


def test_the_package_itself_loads_no_jaxtyping() -> None:
    code = "import sys, precond.proof.bounds.intervals, attribution.lines.maps\n"
    code += "print('jaxtyping' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr
