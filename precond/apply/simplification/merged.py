"""Layers merged into fewer ones, whose weights are rounded, and what that may cost the outputs.

Three merges: a scale (a batch normalisation) goes into the layer before it; two dense layers with
nothing between them become one, where that has fewer products; neurons of a dense layer with the
same weights and bias become one.  The new weights are the true ones up to ``ConstantErrors``,
rounding to the model's own format included; ``moved_outputs.py`` says what they cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from precond.apply.simplification.moved_outputs import (
    OUTWARDS,
    ConstantErrors,
    Merged,
    constants_of,
    given_errors,
    is_weighted,
    with_floats,
)
from precond.network.deviation import CONSTANTS, ranges
from precond.network.graph import Network
from precond.network.layers import Affine, Array, Conv2d, Node, ReLU, Scale
from precond.proof.bounds.rounding import TINY, gamma


def merged(network: Network) -> Merged:
    """All merges, then every constant as float32 where the network's own floats are."""
    state = Merged(network, given_errors(network))
    narrow = _is_float32(network)
    for merge in (_scales, _dense_pairs, _twins):
        state = merge(state)
    return _rounded(state, np.float32 if narrow else np.float64)


def rounded(network: Network) -> Merged:
    """The network with constants that floats hold: those that none holds, as the nearest."""
    state = Merged(network, given_errors(network))
    return _rounded(state, np.float32 if _is_float32(network) else np.float64)


def _errors(state: Merged, node: Node) -> ConstantErrors:
    """What is known of a node's constants."""
    weight, bias = constants_of(node.layer)
    return state.errors.get(node.name, ConstantErrors(np.zeros_like(weight), np.zeros_like(bias)))


def _product(
    left: tuple[Array, Array],
    right: tuple[Array, Array],
    times: Callable[[Array, Array], Array],
    terms: int,
) -> tuple[Array, Array]:
    """A product of two arrays (with errors) in floats, and a bound of its error."""
    (a, a_error), (b, b_error) = left, right
    size = times(np.abs(a), np.abs(b))
    error = times(a_error, np.abs(b) + b_error) + times(np.abs(a), b_error)
    return times(a, b), (error + gamma(terms) * size) * OUTWARDS + TINY


def _scales(state: Merged) -> Merged:
    """A scale goes into the dense or convolutional layer that it alone reads."""
    for name in state.network.node:
        node = state.network.node[name]
        before = state.network.node.get(node.inputs[0])
        if (
            not isinstance(node.layer, Scale)
            or before is None
            or not isinstance(before.layer, Affine | Conv2d)
            or state.network.consumers[before.name] != 1
        ):
            continue
        shape = state.network.shapes[node.name]
        if isinstance(before.layer, Affine) and len(shape) != 1:
            continue
        errors = _errors(state, node)
        parts = [*constants_of(node.layer), errors.weight, errors.bias]
        units = [one for part in parts if (one := _by_unit(part, shape)) is not None]
        if len(units) < len(parts):
            continue
        state = _fused(state, before, node, units=units)
    return state


def _by_unit(values: Array, shape: tuple[int, ...]) -> Array | None:
    """The constants as one a unit; None where they differ within one."""
    full = np.broadcast_to(values, shape).reshape(shape[0], -1)
    return full[:, 0].copy() if (full == full[:, :1]).all() else None


def _fused(state: Merged, before: Node, node: Node, units: list[Array]) -> Merged:
    """``units``: the factor and the shift of each unit, then their errors."""
    factor, shift, factor_error, shift_error = units
    weight, bias = constants_of(before.layer)
    old = _errors(state, before)
    column = (slice(None), *(None,) * (weight.ndim - 1))
    new_weight, weight_error = _product(
        (factor[column], factor_error[column]), (weight, old.weight), np.multiply, terms=2
    )
    scaled, scaled_error = _product((factor, factor_error), (bias, old.bias), np.multiply, terms=2)
    new_bias = scaled + shift
    bias_error = scaled_error + shift_error + gamma(2) * (np.abs(scaled) + np.abs(shift))
    layer = with_floats(before.layer, new_weight, new_bias)
    new = Node(node.name, layer, before.inputs)
    return _replaced(
        state, [before, node], new, errors=ConstantErrors(weight_error, bias_error * OUTWARDS)
    )


def _dense_pairs(state: Merged) -> Merged:
    """A dense layer that reads another alone becomes one with it, where that saves products."""
    for name in state.network.node:
        network = state.network
        node = network.node[name]
        before = network.node.get(node.inputs[0])
        if (
            before is None
            or not (isinstance(node.layer, Affine) and isinstance(before.layer, Affine))
            or network.consumers[before.name] != 1
            or len(network.shapes[before.inputs[0]]) != 1
        ):
            continue
        (first, first_bias), (second, second_bias) = map(constants_of, (before.layer, node.layer))
        if len(second) * first.shape[1] > first.size + second.size:
            continue
        old, new = _errors(state, before), _errors(state, node)
        terms = second.shape[1] + 2
        weight, weight_error = _product(
            (second, new.weight), (first, old.weight), np.matmul, terms=terms
        )
        moved, moved_error = _product(
            (second, new.weight), (first_bias, old.bias), np.matmul, terms=terms
        )
        bias_error = moved_error + new.bias + gamma(2) * (np.abs(moved) + np.abs(second_bias))
        one = Node(node.name, Affine(weight, moved + second_bias), before.inputs)
        state = _replaced(
            state, [before, node], one, errors=ConstantErrors(weight_error, bias_error * OUTWARDS)
        )
    return state


def _twins(state: Merged) -> Merged:
    """Neurons of a dense layer with the same weights and bias become one: what reads them through
    a ReLU adds up their weights."""
    for name in state.network.node:
        network = state.network
        node = network.node[name]
        relu = network.node.get(node.inputs[0])
        first = None if relu is None else network.node.get(relu.inputs[0])
        if (
            relu is None
            or first is None
            or not (isinstance(node.layer, Affine) and isinstance(relu.layer, ReLU))
            or not isinstance(first.layer, Affine)
            or len(network.shapes[relu.name]) != 1
            or network.consumers[relu.name] != 1
            or network.consumers[first.name] != 1
            or first.name in state.errors
        ):
            continue
        both = np.column_stack([first.layer.weight, first.layer.bias])
        _, places, group = np.unique(both, axis=0, return_index=True, return_inverse=True)
        if len(places) == len(both):
            continue
        weight, bias = constants_of(node.layer)
        old = _errors(state, node)
        sums, errors = np.zeros((2, len(weight), len(places)))
        sizes = np.zeros_like(sums)
        flat = group.reshape(-1)
        for part, into in ((weight, sums), (old.weight, errors), (np.abs(weight), sizes)):
            np.add.at(into.T, flat, part.T)
        errors = (errors + gamma(int(np.bincount(flat).max())) * sizes) * OUTWARDS
        kept = Affine(first.layer.weight[places], first.layer.bias[places])
        nodes = tuple(
            replace(n, layer=kept)
            if n.name == first.name
            else replace(n, layer=Affine(sums, bias))
            if n.name == node.name
            else n
            for n in network.nodes
        )
        changed = {**state.errors, node.name: ConstantErrors(errors, old.bias)}
        state = Merged(replace(network, nodes=nodes, tensor_names={}), changed)
    return state


def _replaced(state: Merged, old: list[Node], new: Node, errors: ConstantErrors) -> Merged:
    """``new`` in the place of ``old``, whose last one has its name."""
    gone = {node.name for node in old}
    nodes = []
    for node in state.network.nodes:
        if node.name == new.name:
            nodes.append(new)
        elif node.name not in gone:
            nodes.append(node)
    kept = {name: error for name, error in state.errors.items() if name not in gone}
    network = replace(state.network, nodes=tuple(nodes), tensor_names={})
    return Merged(network, {**kept, new.name: errors})


def _is_float32(network: Network) -> bool:
    """Whether all the floats that the model's constants are could be float32."""
    with np.errstate(over="ignore"):
        return all(
            np.array_equal(values, values.astype(np.float32))
            for node in network.nodes
            if is_weighted(node.layer)
            for name in CONSTANTS
            if name not in ranges(node.layer)
            and (values := getattr(node.layer, name, None)) is not None
        )


def _rounded(state: Merged, kind: type[np.floating]) -> Merged:
    """Every constant that is not what is meant, as a number of that kind."""
    errors: dict[str, ConstantErrors] = {}
    nodes = []
    for node in state.network.nodes:
        if node.name not in state.errors:
            nodes.append(node)
            continue
        old = state.errors[node.name]
        new, away = [], []
        for values, error in zip(constants_of(node.layer), (old.weight, old.bias), strict=True):
            near = values.astype(kind).astype(np.float64)
            new.append(near)
            away.append((error + np.abs(near - values)) * OUTWARDS)
        nodes.append(replace(node, layer=with_floats(node.layer, new[0], new[1])))
        errors[node.name] = ConstantErrors(away[0], away[1])
    return Merged(replace(state.network, nodes=tuple(nodes)), errors)
