"""How far a network's outputs may be from those that are meant, where constants were rounded.

Each layer's constants are off by at most its ``ConstantErrors``.  A layer's values are then off
by what the errors make of the largest values it reads, and by |W| times what those are off by; a
ReLU and a pool pass on no more than they read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from precond.network.activation import OutputActivation
from precond.network.deviation import deviation as radii
from precond.network.deviation import with_constants
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Array, Conv2d, Layer, MaxPool2d, Node, Scale
from precond.network.operators import Operators, operators
from precond.proof.bounds.intervals import Interval, node_interval
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.bounds.rounding import TINY
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.region.box import Box

STEEPEST = {OutputActivation.LOG_SOFTMAX: 2.0}
"""How far a last activation moves an output, at most, where each logit moves by 1: as
∂(z_i − log Σ exp z)/∂z_j = [i = j] − p_j, these add up to 2 (1 − p_i); of softmax and sigmoid, less
than 1."""
WEIGHTS = ("weight", "factor")  # the names of what a layer multiplies by
OUTWARDS = 1 + 1e-9  # more than the rounding of a sum of some million numbers that are not negative


@dataclass(frozen=True, eq=False)
class ConstantErrors:
    """Bounds of how far a layer's floats are from the weights and the bias that are meant."""

    weight: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class Merged:
    """``network`` is meant to be another one; ``errors``, by node, say how far its constants are
    from that one's."""

    network: Network
    errors: dict[str, ConstantErrors] = field(default_factory=dict)


def deviation(state: Merged, box: Box, deadline: Deadline = FOREVER) -> float:
    """How far an output of ``state.network`` may be from the one that is meant, for every input
    of ``box``; 0 where no constant was rounded."""
    if not state.errors:
        return 0.0
    network = state.network
    ops = operators(network, "cpu", torch.float64)
    sizes = _sizes(network, box, deadline)
    moved = {INPUT: torch.zeros((1, *network.input_shape), dtype=torch.float64)}
    with torch.no_grad():
        for node in network.nodes:
            sources = [moved[source] for source in node.inputs]
            if node.name not in ops.affine:
                moved[node.name] = _past(ops, node, sources[0])
                continue
            here = ops.absolute[node.name].apply(sources, bias=False)
            if (error := state.errors.get(node.name)) is not None:
                reach = [sizes[s] + moved[s] for s in node.inputs]
                here = here + _through(network, node, error, reach=reach)
            moved[node.name] = here * OUTWARDS + TINY
    steepest = STEEPEST.get(network.output_activation, 1.0)
    return float(moved[network.output].max()) * steepest * OUTWARDS


def _past(ops: Operators, node: Node, moved: torch.Tensor) -> torch.Tensor:
    """A ReLU moves no further than what it reads, a pool no further than the most of its window."""
    if isinstance(node.layer, MaxPool2d):
        return node_interval(ops, node, [(moved, moved)])[1]
    return moved


def _through(
    network: Network, node: Node, error: ConstantErrors, reach: list[torch.Tensor]
) -> torch.Tensor:
    """The largest that constants no larger than the errors make of values that large."""
    away = with_floats(node.layer, error.weight, error.bias)
    alone = Network((Node("error", away, (INPUT,)),), network.shapes[node.inputs[0]])
    return operators(alone, "cpu", torch.float64).affine["error"].apply(reach)


def _sizes(network: Network, box: Box, deadline: Deadline) -> dict[str, torch.Tensor]:
    """Per node, a bound of |value| over the box."""
    ops = operators(network, "cpu", torch.float64)
    tight = layer_bounds(region_of(Problem(network, box, {}, conjuncts=()), deadline=deadline))
    shape = (1, *network.input_shape)
    known: dict[str, Interval] = {
        INPUT: (torch.tensor(box.lower).reshape(shape), torch.tensor(box.upper).reshape(shape))
    }
    with torch.no_grad():
        for node in network.nodes:
            sources = [known[source] for source in node.inputs]
            if node.name in tight:  # of what a ReLU or a pool reads
                low, high = (
                    torch.tensor(side).reshape(sources[0][0].shape) for side in tight[node.name]
                )
                sources = [(torch.maximum(sources[0][0], low), torch.minimum(sources[0][1], high))]
            known[node.name] = node_interval(ops, node, sources)
    return {name: torch.maximum(-low, high).clamp(min=0) for name, (low, high) in known.items()}


def given_errors(network: Network) -> dict[str, ConstantErrors]:
    """Constants of the model that no float holds, which the layers have the nearest floats of."""
    known = {node.name: radii(node.layer) for node in network.nodes if is_weighted(node.layer)}
    return {
        name: ConstantErrors(*constants_of(layer))
        for name, layer in known.items()
        if layer is not None
    }


def is_weighted(layer: Layer) -> bool:
    """Whether it multiplies by constants that a file may have to round."""
    return isinstance(layer, Affine | Conv2d | Scale)


def with_floats(layer: Layer, weight: Array, bias: Array) -> Layer:
    """The layer with these floats as its weight and bias (a scale's factor and shift)."""
    return with_constants(layer, lambda name, *_: weight if name in WEIGHTS else bias)


def constants_of(layer: Layer) -> tuple[Array, Array]:
    if isinstance(layer, Scale):
        return layer.factor, layer.shift
    assert isinstance(layer, Affine | Conv2d)
    return layer.weight, layer.bias
