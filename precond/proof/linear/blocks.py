"""``linear_blocks``: the affine maps between a network's nonlinear layers, as sparse matrices.

A *source* is the input or the value of a nonlinear node.  Every value that a nonlinear node
reads, and the output, is an affine map of sources: ``value = Σ_s M_s · s + c``.  The maps are
found by carrying identity rows backwards through the layers between, so every affine layer
kind is covered by its ``transpose``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, vstack
from torch import Tensor

from precond.basics.shapes import Float
from precond.network.affine import AffineOperator
from precond.network.deviation import ranges, with_constants
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Concat, LeakyReLU, MaxPool2d, Reshape, Select
from precond.network.operators import Operators, affine_operator, operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.bounds.rounding import TINY, bare_gamma
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline

Array = NDArray[np.float64]
Sparse: TypeAlias = "csr_array[np.float64, tuple[int, int]]"
CHUNK_VALUES = 4 << 20  # numbers in one chunk of identity rows, roughly
AWAY = 2.0**-50  # more than a constant and the nearest float differ by, in relation to it


@dataclass(frozen=True, eq=False)
class Block:
    """``value = Σ_s matrices[s] · s + constant``; matrices (m, width of s), constant (m,).

    The true coefficients differ by at most ``rounding · magnitudes`` (and the true constant
    by ``rounding · constant_magnitude``); ``rounding`` is 0 where at most one layer with
    weights lies between, so that nothing was multiplied or added, and its constants are floats.
    """

    matrices: Mapping[str, Sparse]
    constant: Float[Array, " m"]
    magnitudes: Mapping[str, Sparse]
    constant_magnitude: Float[Array, " m"]
    rounding: float = 0.0

    @property
    def exact(self) -> bool:
        return self.rounding == 0.0


def is_source(network: Network, name: str) -> bool:
    """Whether ``name`` is the input or a nonlinear node."""
    return name == INPUT or not network.is_affine(name)


def linear_blocks(network: Network, deadline: Deadline = FOREVER) -> dict[str, Block]:
    """The block of every value that a nonlinear node reads, and of the output.

    Blocks are kept with the network.  ``OutOfTime`` past the deadline, unless all are known.
    """
    names = [n.inputs[0] for n in network.nodes if is_source(network, n.name)]
    known = _known(network)
    for name in dict.fromkeys([*names, network.output]):
        if name not in known:
            known[name] = _block(network, name, deadline)
    return known


@lru_cache(maxsize=16)
def _known(_: Network) -> dict[str, Block]:
    """The blocks made so far."""
    return {}


def affine_interval(block: Block, values: Mapping[str, tuple[Array, Array]]) -> tuple[Array, Array]:
    """Bounds (m,), (m,) of a block's values from bounds of its sources, rounded outward."""
    low = block.constant
    high = block.constant
    reach = np.abs(block.constant)
    error = block.rounding * block.constant_magnitude
    terms = len(block.matrices) + 4
    for source, matrix in block.matrices.items():
        lower, upper = values[source]
        positive, negative = matrix.maximum(0.0), matrix.minimum(0.0)
        low = low + positive @ lower + negative @ upper
        high = high + positive @ upper + negative @ lower
        largest = np.maximum(np.abs(lower), np.abs(upper))
        reach = reach + abs(matrix) @ largest
        error = error + block.rounding * (block.magnitudes[source] @ largest)
        error = error + underflow(matrix, largest)
        terms += 2 * int(np.diff(matrix.indptr).max(initial=0))
    margin = (error + bare_gamma(terms) * reach) * (1 + 1e-9)
    return low - margin, high + margin


def underflow(matrix: Sparse, largest: Float[Array, " columns"]) -> Float[Array, " m"]:
    """At least what the products of each row with values up to ``largest`` lose by underflow,
    (m,); 0 where there are none."""
    return np.where(abs(matrix) @ (largest > 0).astype(np.float64) > 0, TINY, 0.0)


def interval_bounds(
    problem: Problem, deadline: Deadline = FOREVER
) -> dict[str, tuple[Array, Array]]:
    """Interval arithmetic, rounded outward: per nonlinear node the bounds (lower, upper) of
    what it reads (a decision layer's pre-activations), (m,) each.

    The pattern's intervals are intersected layer by layer; lower > upper somewhere means
    that no input of the box has the pattern.  ``OutOfTime`` as of ``linear_blocks``.
    """
    if problem.execution is not Arithmetic.REAL:
        return layer_bounds(region_of(replace(problem, bounds={}), deadline=deadline))
    network = problem.network
    blocks = linear_blocks(network, deadline)
    values = {INPUT: (problem.box.lower, problem.box.upper)}
    found: dict[str, tuple[Array, Array]] = {}
    for node in network.nodes:
        if not is_source(network, node.name):
            continue
        natural = affine_interval(blocks[node.inputs[0]], values)
        low, high = cut(natural, problem.intervals.get(node.name))
        found[node.name] = (low, high)
        values[node.name] = values_after(network, node.name, low, high=high)
    return found


def values_after(network: Network, name: str, low: Array, high: Array) -> tuple[Array, Array]:
    """Bounds of a nonlinear node's value from bounds of what it reads."""
    node = network.node[name]
    if isinstance(node.layer, MaxPool2d):
        windows = node.layer.windows(network.shapes[node.inputs[0]])
        outside = windows < 0
        return (
            np.where(outside, -np.inf, low[windows]).max(axis=1),
            np.where(outside, -np.inf, high[windows]).max(axis=1),
        )
    slope = node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0
    return np.maximum(low, slope * low), np.maximum(high, slope * high)


def cut(interval: tuple[Array, Array], other: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """The common interval; ``other`` may be missing."""
    if other is None:
        return interval
    return np.maximum(interval[0], other[0]), np.minimum(interval[1], other[1])


def _block(network: Network, name: str, deadline: Deadline) -> Block:
    width = network.width(name)
    if is_source(network, name):
        identity: Sparse = csr_array(eye_array(width, format="csr"))
        zero = np.zeros(width)
        return Block({name: identity}, zero, {name: identity}, constant_magnitude=zero)
    ops = operators(network, "cpu", torch.float64)
    passed = _between(network, name)
    exact = _is_exact(network, name, passed)
    matrices, constant = _rows(network, name, passed, affine=ops.affine, deadline=deadline)
    if exact:
        magnitudes = {source: abs(matrix) for source, matrix in matrices.items()}
        return Block(matrices, constant, magnitudes, constant_magnitude=np.abs(constant))
    magnitudes, magnitude = _rows(
        network, name, passed, affine=_sizes(ops, passed), deadline=deadline
    )
    if _may_underflow(network, passed):
        magnitude = np.full_like(magnitude, np.inf)  # says nothing, rather than too much
    # The magnitudes are rounded too, hence twice the terms.
    terms = 2 * sum(ops.affine[node].terms + 2 for node in passed)
    off = sum(node in ops.deviation for node in passed) * AWAY
    return Block(
        matrices,
        constant,
        magnitudes,
        constant_magnitude=magnitude,
        rounding=bare_gamma(terms) + off * (1 + 1e-9),
    )


def _sizes(ops: Operators, passed: list[str]) -> dict[str, AffineOperator]:
    """|L| of every node; where the true L lies up to ΔL beside it, |L| + ΔL / AWAY.

    With A for that, ΔL ≤ AWAY · A and |L| ≤ A, so a product of k such layers differs from that
    of their floats by at most ((1 + AWAY)^k − 1) Π A.
    """
    network, found = ops.network, {name: ops.absolute[name] for name in passed}
    for name in passed:
        if name not in ops.deviation:
            continue
        layer = with_constants(
            network.node[name].layer,
            lambda _, stored, known: (
                np.abs(stored) + (0.0 if known is None else known.radius / AWAY)
            ),
        )
        shapes = [network.shapes[source] for source in network.node[name].inputs]
        built = affine_operator(
            layer, shapes, network.shapes[name], device=ops.device, dtype=ops.dtype
        )
        assert built is not None
        found[name] = built
    return found


def _between(network: Network, name: str) -> list[str]:
    """Affine nodes from ``name`` back to its sources, last first."""
    wanted = {name}
    passed = []
    for node in reversed(network.nodes):
        if node.name in wanted and not is_source(network, node.name):
            passed.append(node.name)
            wanted.update(node.inputs)
    return passed


def _rows(
    network: Network,
    name: str,
    passed: list[str],
    affine: Mapping[str, AffineOperator],
    deadline: Deadline,
) -> tuple[dict[str, Sparse], Array]:
    """Matrix to every source and constant, identity rows carried backwards in chunks."""
    width = network.width(name)
    widest = max(network.width(n) for n in (name, *passed, *network.node[passed[-1]].inputs))
    chunk = max(1, min(width, CHUNK_VALUES // widest))
    parts: dict[str, list[Sparse]] = {}
    constants = []
    for start in range(0, width, chunk):
        deadline.check()
        rows = min(chunk, width - start)
        form = torch.zeros(rows, width, dtype=torch.float64)
        form[torch.arange(rows), torch.arange(start, start + rows)] = 1.0
        pending: dict[str, Tensor] = {name: form.reshape(rows, *network.shapes[name])}
        constant = torch.zeros(rows, dtype=torch.float64)
        for node in passed:
            form = pending.pop(node)
            constant = constant + affine[node].bias_dot(form)
            moved = affine[node].transpose(form)
            for source, part in zip(network.node[node].inputs, moved, strict=True):
                pending[source] = pending[source] + part if source in pending else part
        for source, form in pending.items():
            parts.setdefault(source, []).append(csr_array(form.flatten(1).numpy()))
        constants.append(constant.numpy())
    matrices = {s: csr_array(vstack(found, format="csr")) for s, found in parts.items()}
    return matrices, np.concatenate(constants)


def _is_exact(network: Network, name: str, passed: list[str]) -> bool:
    """Whether no number of the block was rounded: at most one layer with weights, else moves,
    and no source (or node between) reached twice."""
    weighted = 0
    reached = {name}
    for node in passed:
        layer = network.node[node].layer
        match layer:
            case Reshape() | Concat():
                pass
            case Add(coefficients) if all(abs(c) == 1.0 for c in coefficients):
                pass
            case Select() if _moves(layer):
                pass
            case _:
                weighted += 1 if not ranges(layer) else 2
        for source in network.node[node].inputs:
            if source in reached:
                return False
            reached.add(source)
    return weighted <= 1


def _may_underflow(network: Network, passed: list[str]) -> bool:
    """Whether a coefficient carried through these layers may fall below the normal floats: the
    product of their smallest numbers, with 16 digits a layer for cancellation."""
    digits = 0.0
    for name in passed:
        layer = network.node[name].layer
        numbers = np.concatenate(
            [
                np.abs(np.ravel(np.asarray(getattr(layer, item, 1.0), dtype=np.float64)))
                for item in ("weight", "factor", "scale", "coefficients")
            ]
        )
        digits += min(0.0, float(np.log10(numbers[numbers > 0].min()))) - 16.0
    return digits < -290.0


def _moves(layer: Select) -> bool:
    taken = layer.index[layer.index >= 0]
    padded = taken.size < layer.index.size
    return len(np.unique(taken)) == taken.size and not (padded and layer.fill != 0.0)
