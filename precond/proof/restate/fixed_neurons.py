"""A smaller claim that says the same: what the region fixes is taken out of the network.

In a chain of affine layers and ReLUs: inputs that are 0 all over the box, and neurons that
are off all over the region, contribute nothing and are removed.  A first-layer literal is a
linear constraint on the input, so where it does not hold anyway it stays as a half-space.
Nothing is rounded: only zero terms are dropped, and half-spaces are rows of the weights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.network.layers import Affine, ReLU
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.gate import is_off
from precond.proof.restate.restatement import Restatement, same
from precond.proof.restate.tail import speaks_of_inputs
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def accepts(claim: Claim) -> bool:
    """Whether it is about outputs of a chain of affine layers and ReLUs whose constants are
    floats, under literals of phases."""
    network, pattern = claim.network, claim.pattern
    chain = len(network.nodes) % 2 == 1 and all(
        node.inputs == (network.nodes[k - 1].name if k else "input",)
        and isinstance(node.layer, Affine if k % 2 == 0 else ReLU)
        for k, node in enumerate(network.nodes)
    )
    phases = not (pattern.above or pattern.below or pattern.on & pattern.off)
    return chain and phases and not network.inexact and not speaks_of_inputs(claim)


def without_fixed_neurons(claim: Claim, deadline: Deadline = FOREVER) -> Restatement:
    """The claim without inputs and neurons that are 0 all over its region; the claim itself
    where it is not accepted.  Layer bounds are refined until ``deadline``."""
    if not accepts(claim):
        return same(claim)
    refined = region_of(claim.problem, deadline=deadline)
    if bool(refined.empty[0]):
        return same(claim)
    network, pattern, every = claim.network, claim.pattern, np.arange(claim.box.size)
    bounds = layer_bounds(refined)
    zero = (claim.box.lower == 0) & (claim.box.upper == 0)
    kept = np.flatnonzero(~zero)
    kept = kept if len(kept) else every[:1]
    columns, nodes = kept, []
    on: set[tuple[str, int]] = set()
    off: set[tuple[str, int]] = set()
    rows_of: list[Array] = []
    limits: list[float] = []
    lower, upper = claim.box.lower[kept], claim.box.upper[kept]
    for affine, relu in zip(network.nodes[0::2], [*network.nodes[1::2], None], strict=True):
        layer = affine.layer
        assert isinstance(layer, Affine)
        if relu is None:
            nodes.append(replace(affine, layer=_part(layer, rows=None, columns=columns)))
            break
        width = len(layer.bias)
        phases = pattern.phases(relu.name, width)
        high = bounds[relu.name][1]
        first = affine is network.nodes[0]
        gone = is_off(high) & (first | (phases == 0))  # a later literal stays, with its neuron
        if first:
            for index in np.flatnonzero(phases != 0):
                sign = -float(phases[index])  # on: −z ≤ 0, off: z ≤ 0
                row, limit = sign * layer.weight[index, kept], -sign * layer.bias[index]
                most = np.maximum(row * lower, row * upper).sum()
                slack = 1e-9 * (np.abs(row) * np.maximum(np.abs(lower), np.abs(upper))).sum()
                if most + slack > limit:
                    rows_of.append(row)
                    limits.append(limit)
            gone |= phases < 0
        left = np.flatnonzero(~gone)
        left = left if len(left) else np.arange(1)
        nodes += [replace(affine, layer=_part(layer, left, columns)), relu]
        for new, old in enumerate(left.tolist()):
            if phases[old]:
                (on if phases[old] > 0 else off).add((relu.name, new))
        columns = left
    smaller = Network(tuple(nodes), (len(kept),), f"{network.origin}, reduced")
    halfspaces = HalfSpaces(np.array(rows_of), np.array(limits)) if rows_of else None
    literals = DecisionPattern(frozenset(on), frozenset(off))
    box = Box(lower, upper)
    asked = Claim(smaller, box, literals, property=claim.property, halfspaces=halfspaces)
    restore = partial(_restored, kept=kept, size=claim.box.size)
    shrink = partial(_shrunk, kept=kept)
    return Restatement(original=claim, claim=asked, restore=restore, shrink=shrink)


def _shrunk(points: Array, kept: Index) -> Array:
    return np.asarray(points, dtype=np.float64)[:, kept]


def _restored(points: Array, kept: Index, size: int) -> Array:
    full = np.zeros((len(points), size))
    full[:, kept] = points
    return full


def _part(layer: Affine, rows: Index | None, columns: Index) -> Affine:
    weight = layer.weight[:, columns]
    if rows is None:
        return Affine(weight, layer.bias)
    return Affine(weight[rows], layer.bias[rows])
