"""The linear system against networks worked by hand and against evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_networks import mixed, random_net

from precond.network.evaluate import values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Affine,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
)
from precond.proof.claim import Claim, HalfSpaces, Problem
from precond.proof.linear.blocks import affine_interval, linear_blocks
from precond.proof.linear.encode import encode, interval_bounds
from precond.proof.linear.system import LinearSystem
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

TRUE = Property(((Inequality(((0, 1.0),), 0.0),),))


def problem(
    network: Network, box: Box, pattern: DecisionPattern | None = None, **more: Any
) -> Problem:
    claim = Claim(network, box, pattern or DecisionPattern(), TRUE, **more)
    return claim.problem


def columns_at(network: Network, system: LinearSystem, x: np.ndarray) -> np.ndarray:
    """The column values (N, columns) that evaluation gives at inputs x (N, n)."""
    v = np.full((len(x), system.matrix.shape[1]), np.nan)
    v[:, : system.inputs] = x
    for layer, where in system.layers.items():
        z = values_at(network, x, network.pre_activation(layer))
        for i in range(z.shape[1]):
            if where.free[i]:
                v[:, where.column[i]] = np.maximum(z[:, i], 0)
                v[:, where.negative[i]] = np.maximum(-z[:, i], 0)
            elif where.column[i] >= 0:
                v[:, where.column[i]] = z[:, i]
    return v


def inside(network: Network, pattern: Problem, x: np.ndarray) -> np.ndarray:
    keep = np.ones(len(x), dtype=bool)
    for layer, (low, high) in pattern.intervals.items():
        z = values_at(network, x, network.pre_activation(layer))
        keep &= ((z >= low) & (z <= high)).all(axis=1)
    return keep


def test_blocks_give_the_values_that_evaluation_gives() -> None:
    rng = np.random.default_rng(0)
    network = mixed(rng)
    x = rng.uniform(-1, 1, size=(50, 16))
    for name, block in linear_blocks(network).items():
        found = block.constant + sum(
            values_at(network, x, source) @ matrix.T.toarray()
            for source, matrix in block.matrices.items()
        )
        np.testing.assert_allclose(found, values_at(network, x, name), atol=1e-12)


def test_a_block_is_exact_when_one_layer_has_weights() -> None:
    rng = np.random.default_rng(0)
    blocks = linear_blocks(mixed(rng))
    # scale then convolution; identity; convolution plus half of the pool; three weighted layers
    assert {name: block.exact for name, block in blocks.items()} == {
        "conv": False,
        "a": True,
        "sum": False,
        "out": False,
    }
    weight = rng.normal(size=(3, 4))
    network = Network(
        (
            Node("flat", Reshape((4,)), (INPUT,)),
            Node("z", Affine(weight, np.arange(3.0)), ("flat",)),
        ),
        (2, 2),
    )
    block = linear_blocks(network)["z"]
    assert block.exact
    np.testing.assert_array_equal(block.matrices[INPUT].toarray(), weight)
    np.testing.assert_array_equal(block.constant, np.arange(3.0))


def test_composition_rounding_covers_the_error() -> None:
    """0.1 · 3 rounds up in float64: the true coefficient lies within the stated distance."""
    from fractions import Fraction

    network = Network(
        (
            Node("s", Scale(np.array([0.1]), np.array([0.0])), (INPUT,)),
            Node("z", Affine(np.array([[3.0]]), np.array([0.0])), ("s",)),
        ),
        (1,),
    )
    block = linear_blocks(network)["z"]
    found = float(block.matrices[INPUT].toarray()[0, 0])
    distance = abs(Fraction(found) - Fraction(0.1) * 3)
    assert 0 < distance <= Fraction(block.rounding) * Fraction(0.3)


def test_interval_of_a_difference_by_hand() -> None:
    """z = 2x₀ − x₁ + 1 on [0, 1] × [−1, 3] lies in [−2, 4]."""
    network = Network(
        (Node("z", Affine(np.array([[2.0, -1.0]]), np.array([1.0])), (INPUT,)),), (2,)
    )
    box = {INPUT: (np.array([0.0, -1.0]), np.array([1.0, 3.0]))}
    low, high = affine_interval(linear_blocks(network)["z"], box)
    assert -2.0 - 1e-14 < low[0] <= -2.0
    assert 4.0 <= high[0] < 4.0 + 1e-14


@pytest.mark.parametrize("seed", range(4))
def test_interval_bounds_hold_at_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = mixed(rng)
    claim = problem(network, Box.uniform(16, -0.5, 1.0))
    found = interval_bounds(claim)
    assert set(found) == {"a", "pool", "b"}
    x = claim.box.sample(300, rng)
    for layer, (low, high) in found.items():
        z = values_at(network, x, network.node[layer].inputs[0])
        assert (z >= low).all() and (z <= high).all()
        assert ((high - low) < 40).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["relu", "leaky", "mixed"])
def test_true_points_satisfy_the_system(seed: int, kind: str) -> None:
    """Every point of the region, with its activations, is feasible; its output is the output."""
    rng = np.random.default_rng(seed)
    if kind == "mixed":
        network = mixed(rng)
    else:
        network = random_net(rng, 3, 5, 4, 2, slope=None if kind == "relu" else 0.2)
    box = Box.uniform(network.input_size, -1.0, 1.0)
    x = box.sample(400, rng)
    layer = network.decision_layers[-1]
    z = values_at(network, x, network.pre_activation(layer))
    first = frozenset({(layer, 0)})
    above = frozenset({(layer, 1, float(np.quantile(z[:, 1], 0.2)))})
    pattern = DecisionPattern(above=above)
    pattern &= DecisionPattern(on=first) if np.median(z[:, 0]) > 0 else DecisionPattern(off=first)
    claim = problem(network, box, pattern)
    system = encode(claim, interval_bounds(claim))
    x = x[inside(network, claim, x)]
    assert len(x) > 20
    v = columns_at(network, system, x)
    for index, node in enumerate(network.nodes):
        if isinstance(node.layer, MaxPool2d):  # its columns come after those of the layer before
            assert index == 3
    if kind == "mixed":
        fill_pools(network, system, x, v)
    assert np.isfinite(v).all()
    rows = v @ system.matrix.T.toarray()
    tolerance = 1e-12
    assert (rows >= system.row_lower - tolerance).all()
    assert (rows <= system.row_upper + tolerance).all()
    assert (v >= system.column_lower - tolerance).all()
    assert (v <= system.column_upper + tolerance).all()
    y = v @ system.output.matrix.T.toarray() + system.output.constant
    np.testing.assert_allclose(y, values_at(network, x, network.output), atol=1e-12)


def fill_pools(network: Network, system: LinearSystem, x: np.ndarray, v: np.ndarray) -> None:
    """Pool columns are the ones left; windows in order, those with one winner have none."""
    missing = np.flatnonzero(np.isnan(v).any(axis=0))
    assert len(missing) == len(system.pools) > 0
    y = values_at(network, x, "pool")
    low, high = system.column_lower[missing], system.column_upper[missing]
    window = 0
    for k, column in enumerate(missing):
        while not ((y[:, window] >= low[k]) & (y[:, window] <= high[k])).all():
            window += 1
        v[:, column] = y[:, window]
        window += 1


def test_closed_pattern_keeps_only_the_inputs() -> None:
    rng = np.random.default_rng(1)
    network = random_net(rng, 3, 6, 6, 2)
    box = Box.uniform(3, -1.0, 1.0)
    x = box.sample(1, rng)
    on, off = set(), set()
    for layer in network.decision_layers:
        z = values_at(network, x, network.pre_activation(layer))[0]
        on |= {(layer, i) for i in range(6) if z[i] > 0}
        off |= {(layer, i) for i in range(6) if z[i] <= 0}
    claim = problem(network, box, DecisionPattern(frozenset(on), frozenset(off)))
    system = encode(claim, interval_bounds(claim))
    assert system.open == 0
    assert system.matrix.shape[1] == 3
    assert system.matrix.shape[0] <= 12
    y = system.output.matrix @ x[0] + system.output.constant
    np.testing.assert_allclose(y, values_at(network, x, network.output)[0], atol=1e-12)
    assert (system.output.error < 1e-12).all()


def test_triangle_by_hand() -> None:
    """relu(x) on [−1, 3]: columns x, p, q; x = p − q and p/3 · 1 + q ≤ 1 (scaled by 3)."""
    network = Network(
        (
            Node("z", Affine(np.array([[1.0]]), np.array([0.0])), (INPUT,)),
            Node("relu", ReLU(), ("z",)),
        ),
        (1,),
    )
    claim = problem(network, Box(np.array([-1.0]), np.array([3.0])))
    system = encode(claim, {})
    np.testing.assert_allclose(
        system.matrix.toarray(), [[-1.0, 1.0, -1.0], [0.0, 1 / 3, 1.0]], rtol=1e-12
    )
    np.testing.assert_allclose(system.row_lower, [0.0, -np.inf])
    np.testing.assert_allclose(system.row_upper, [0.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(system.column_upper, [3.0, 3.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(system.output.matrix.toarray(), [[0.0, 1.0, 0.0]])


def test_a_dominating_pool_input_is_copied() -> None:
    """max(x₀, x₁) with x₀ ∈ [2, 3], x₁ ∈ [0, 1] is x₀: no column, no row."""
    network = Network((Node("pool", MaxPool2d((1, 2), (1, 2)), (INPUT,)),), (1, 1, 2))
    claim = problem(network, Box(np.array([2.0, 0.0]), np.array([3.0, 1.0])))
    system = encode(claim, {})
    assert system.open == 0
    assert system.matrix.shape == (0, 2)
    np.testing.assert_array_equal(system.output.matrix.toarray(), [[1.0, 0.0]])


def test_impossible_literal_empties_the_region() -> None:
    """z = x + 2 > 0 on [−1, 1] cannot be off."""
    network = Network(
        (
            Node("z", Affine(np.array([[1.0]]), np.array([2.0])), (INPUT,)),
            Node("relu", ReLU(), ("z",)),
        ),
        (1,),
    )
    pattern = DecisionPattern(off=frozenset({("relu", 0)}))
    system = encode(problem(network, Box.uniform(1, -1.0, 1.0), pattern), {})
    assert system.empty == ("relu", 0)


def test_given_bounds_are_used() -> None:
    rng = np.random.default_rng(3)
    network = random_net(rng, 2, 4, 1)
    claim = problem(network, Box.uniform(2, -5.0, 5.0))
    assert encode(claim, {}).open == 4
    bounds = {"relu0": (np.full(4, 0.1), np.full(4, 0.2))}
    assert encode(claim, bounds).open == 0


def test_halfspaces_are_rows_over_the_inputs() -> None:
    rng = np.random.default_rng(4)
    network = random_net(rng, 2, 3, 1)
    half = HalfSpaces(np.array([[1.0, -2.0], [0.0, 0.0]]), np.array([0.5, 1.0]))
    system = encode(problem(network, Box.uniform(2, -1, 1), halfspaces=half), {})
    rows = system.matrix.toarray()[-2:]
    np.testing.assert_array_equal(rows[:, :2], half.matrix)
    assert (rows[:, 2:] == 0).all()
    np.testing.assert_array_equal(system.row_upper[-2:], half.bound)
