"""Whether float64 can carry a claim at all: asked once, before any engine that uses it.

With |W|, |b| and the largest |x| of the box, ``sizes`` bounds every value of the network.
With ones at every value that a pass may start from, carried backwards through the |W|,
``gains`` bounds every coefficient of every such pass: slopes are at most 1, so no line makes
one larger.  Where sizes, gains and Σ gains · sizes stay below ``LARGEST``, no sum or product
of the bounds, or of a linear program, overflows.  Where they do not, only rational arithmetic
may answer.  Small numbers need no such test: what underflow costs is counted (``TINY``).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from precond.network.graph import INPUT, Network
from precond.network.layers import MaxPool2d
from precond.network.operators import Operators, operators
from precond.proof.claim import Problem
from precond.proof.refusal import Refusal
from precond.region.box import Box

LARGEST = 1e200  # sums of many such numbers are finite, and so are their rounding errors


def beyond_floats(problem: Problem) -> Refusal | None:
    """Why engines that compute in float64 can say nothing of ``problem``, or None."""
    largest, gain, product = _magnitudes(problem.network, problem.box)
    factor = max([1.0, *(abs(v) for c in problem.conjuncts for i in c for _, v in i.outputs)])
    others = [abs(v) for c in problem.conjuncts for i in c for _, v in i.inputs]
    others += [abs(i.bound) for c in problem.conjuncts for i in c]
    levels = [_most(side) for pair in problem.intervals.values() for side in pair]
    if problem.halfspaces is not None:
        others += [_most(problem.halfspaces.matrix), _most(problem.halfspaces.bound)]
    widest = _worst([1.0, largest, *levels])
    reached = [gain, product, gain * _worst([0.0, *levels])]
    most = _worst([*(factor * value for value in reached), widest * _worst([1.0, *others])])
    if most < LARGEST:  # NaN is beyond
        return None
    return Refusal(
        f"numbers of this claim may reach {most:.0e}, more than float64 can carry through sums "
        "and products; only exact arithmetic can answer, and it did not",
        of_floats=True,
    )


def _most(values: np.ndarray) -> float:
    """The largest |value| of those that are finite."""
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max(initial=0.0))


@lru_cache(maxsize=64)
def _magnitudes(network: Network, box: Box) -> tuple[float, float, float]:
    """The largest size, the largest gain, and the largest Σ gains · sizes of a node."""
    ops = operators(network, "cpu", torch.float64)
    with torch.no_grad():
        sizes = _sizes(ops, np.maximum(np.abs(box.lower), np.abs(box.upper)))
        gains = _gains(network)
        pairs = [(gains[name], size) for name, size in sizes.items() if name in gains]
        products = [float((gain * size.flatten()).sum()) for gain, size in pairs]
    largest = _worst([float(size.max()) for size in sizes.values()])
    return largest, _worst([float(gain.max()) for gain in gains.values()]), _worst(products)


def _worst(values: list[float]) -> float:
    """The largest, NaN if any is."""
    return float(np.max(values))


def _sizes(ops: Operators, largest: np.ndarray) -> dict[str, Tensor]:
    """A bound of every |value|, per node."""
    network = ops.network
    sizes = {INPUT: torch.tensor(largest).reshape(1, *network.input_shape)}
    for node in network.nodes:
        sources = [sizes[source] for source in node.inputs]
        if node.name in ops.absolute:
            sizes[node.name] = ops.absolute[node.name].apply(sources)
        elif isinstance(node.layer, MaxPool2d):
            shape = network.shapes[node.name]
            sizes[node.name] = sources[0].max().expand(1, *shape)
        else:
            sizes[node.name] = sources[0]
    return sizes


@lru_cache(maxsize=64)
def _gains(network: Network) -> dict[str, Tensor]:
    """A bound of every |coefficient| that a pass may have at a node, flat."""
    ops = operators(network, "cpu", torch.float64)
    starts = {network.output, *(n.inputs[0] for n in network.nodes if n.name not in ops.affine)}
    gains: dict[str, Tensor] = {}

    def add(name: str, part: Tensor) -> None:
        gains[name] = gains[name] + part if name in gains else part

    for name in starts:
        add(name, torch.ones(network.width(name), dtype=torch.float64))
    for node in reversed(network.nodes):
        if node.name not in gains:
            continue
        gain = gains[node.name]
        if node.name in ops.absolute:
            form = gain.reshape(1, *network.shapes[node.name])
            parts = ops.absolute[node.name].transpose(form)
            for source, part in zip(node.inputs, parts, strict=True):
                add(source, part.flatten())
        elif isinstance(node.layer, MaxPool2d):
            (source,) = node.inputs
            add(source, gain.sum().expand(network.width(source)))
        else:
            add(node.inputs[0], gain)
    return gains
