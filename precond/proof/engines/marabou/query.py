"""``build_query``: one conjunct of a problem as plain arrays for Marabou.

One equation per neuron, a ReLU, leaky ReLU or max constraint from what a node reads to its
value, pattern literals as bounds of the pre-activation, and one output per inequality,
folded into the last affine layer, with lower bound 0.  Inputs without width and neurons
without inputs are constants and are folded into the equations that read them.

Scale-up: a neuron whose interval is narrower than 1 is multiplied by s = 1 / width and its
consumers divided by s (max(s z, 0) = s max(z, 0)), never down.  Without it Marabou calls
satisfiable queries with small weights unsatisfiable (of 150 with weights near 1e-3: 120;
with it none of 300).  Inputs are moved to start at 0 and scaled up the same way: with boxes
2e-5 wide, 11 of 60 satisfiable queries were called unsatisfiable before, none of 40 after.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.network.graph import INPUT
from precond.network.layers import LeakyReLU, MaxPool2d
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.engines.marabou.build import Builder, MarabouQuery
from precond.proof.gate import crossed
from precond.proof.linear.blocks import (
    Block,
    Sparse,
    affine_interval,
    cut,
    is_source,
    linear_blocks,
)
from precond.proof.linear.blocks import values_after as after

__all__ = ["MarabouQuery", "build_query"]

Array = NDArray[np.float64]


def build_query(
    problem: Problem, conjunct: Conjunct, deadline: Deadline = FOREVER
) -> MarabouQuery | str:
    """The query, or why interval arithmetic alone excludes the conjunct.  ``OutOfTime`` past
    the deadline."""
    network = problem.network
    blocks = linear_blocks(network, deadline)
    build = Builder(problem)
    pooled = {
        source
        for node in network.nodes
        if isinstance(node.layer, MaxPool2d)
        for source in blocks[node.inputs[0]].matrices
    }
    for node in network.nodes:
        if not is_source(network, node.name):
            continue
        deadline.check()
        block = blocks[node.inputs[0]]
        natural = affine_interval(block, build.bounds)
        low, high = cut(natural, problem.intervals.get(node.name))
        nothing = crossed(low, high)
        if nothing.any():
            return f"no value of {node.name}[{int(np.argmax(nothing))}] is possible"
        build.bounds[node.name] = after(network, node.name, low, high=high)
        if isinstance(node.layer, MaxPool2d):
            before = build.define(block, natural, (low, high), together=True)
            windows = node.layer.windows(network.shapes[node.inputs[0]])
            build.values[node.name] = build.pool(before, windows, build.bounds[node.name])
        else:
            before = build.define(block, natural, (low, high), together=node.name in pooled)
            slope = node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0
            build.literals(before, natural, (low, high))
            build.values[node.name] = build.rectify(before, slope, build.bounds[node.name])
    reason = build.require(_folded(blocks[network.output], problem, conjunct), mark=True)
    if reason is None and problem.halfspaces is not None:
        matrix = csr_array(-problem.halfspaces.matrix)
        rows = _plain({INPUT: matrix}, problem.halfspaces.bound)
        reason = build.require(rows, mark=False)
    return build.finish() if reason is None else reason


def _plain(matrices: Mapping[str, Sparse], constant: Array) -> Block:
    magnitudes = {source: abs(matrix) for source, matrix in matrices.items()}
    return Block(matrices, constant, magnitudes, constant_magnitude=np.abs(constant), rounding=0.0)


def _folded(block: Block, problem: Problem, conjunct: Conjunct) -> Block:
    """``C y + E x − d`` as a block over the sources of the output."""
    outputs, inputs, bound = problem.rows(conjunct)
    matrices = {s: csr_array(csr_array(outputs) @ m) for s, m in block.matrices.items()}
    if inputs.any():
        direct = csr_array(inputs)
        matrices[INPUT] = csr_array(matrices[INPUT] + direct) if INPUT in matrices else direct
    return _plain(matrices, outputs @ block.constant - bound)
