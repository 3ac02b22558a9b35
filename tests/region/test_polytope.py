"""The polytope and the affine map of a closed pattern, and points drawn inside."""

from __future__ import annotations

import numpy as np
import pytest
from known import ABSOLUTE, LEAKY, MAXIMUM, RESIDUAL, XOR, affine, phases

from precond.errors import QueryError
from precond.network.evaluate import outputs, values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, LeakyReLU, Node, ReLU
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.polytope import Polytope, affine_maps, polytope
from precond.region.recording import record
from precond.region.sampling import hit_and_run

RNG = np.random.default_rng(0)


def deep() -> Network:
    rng = np.random.default_rng(3)

    def layer(name: str, m: int, n: int, source: str) -> Node:
        return affine(name, rng.normal(size=(m, n)).tolist(), rng.normal(size=m).tolist(), source)

    return Network(
        (
            layer("z0", 5, 3, INPUT),
            Node("a0", LeakyReLU(0.2), ("z0",)),
            layer("z1", 5, 5, "a0"),
            Node("sum", Add((1.0, -1.0)), ("z1", "a0")),
            Node("a1", ReLU(), ("sum",)),
            layer("y", 2, 5, "a1"),
        ),
        (3,),
    )


def test_maps_by_hand() -> None:
    """|x| with 0 on, 1 off is x; with both off it is 0; xor with both on is 2 − s."""
    slope, offset = affine_maps(ABSOLUTE, phases([0], [1]))["y"]
    assert slope.tolist() == [[1.0]] and offset.tolist() == [0.0]
    slope, offset = affine_maps(XOR, phases([0, 1]))["y"]
    assert slope.tolist() == [[-1.0, -1.0]] and offset.tolist() == [2.0]
    slope, _ = affine_maps(LEAKY, phases([], [0]))["y"]
    assert slope.tolist() == [[0.25]]
    slope, offset = affine_maps(RESIDUAL, phases([0]))["y"]
    assert slope.tolist() == [[0.0]] and offset.tolist() == [0.0]
    assert "y" not in affine_maps(ABSOLUTE, phases([0]))


def test_polytope_by_hand() -> None:
    """xor, 0 on and 1 off: −s ≤ 0 and s ≤ 1; a threshold s > 0.25 tightens the first."""
    found = polytope(XOR, phases([0], [1]))
    rows = {tuple(r): b for r, b in zip(found.matrix.tolist(), found.bound.tolist(), strict=True)}
    assert rows == {(-1.0, -1.0): 0.0, (1.0, 1.0): 1.0}
    assert set(found.literals) == {("a", 0, 1), ("a", 1, -1)}
    above = DecisionPattern(above=frozenset({("a", 0, 0.25)}))
    assert polytope(XOR, phases([0], [1]) & above).bound.tolist() == [-0.25, 1.0]


def test_membership_agrees_with_signatures() -> None:
    """For random points: in the polytope of a full signature iff they share the signature."""
    network = deep()
    x = RNG.uniform(-1, 1, size=(2000, 3))
    signatures = record(network, x)
    for row in range(5):
        pattern = DecisionPattern.of_row(signatures, row)
        found = polytope(network, pattern)
        assert (found.contains(x) == pattern.holds(signatures)).all()
        slope, offset = affine_maps(network, pattern)["y"]
        inside = x[pattern.holds(signatures)]
        np.testing.assert_allclose(inside @ slope.T + offset, outputs(network, inside), atol=1e-12)


def test_what_is_not_closed_has_no_polytope() -> None:
    with pytest.raises(QueryError, match="expected a closed pattern"):
        polytope(deep(), phases([0], [], "a1"))


def test_hit_and_run_stays_inside_and_spreads() -> None:
    """The triangle x₀ ≤ x₁ of the unit square: uniform, so the means are 1/3 and 2/3."""
    triangle = polytope(MAXIMUM, phases([], [0]))
    box = Box.uniform(2, 0.0, 1.0)
    points = hit_and_run(triangle, box, [0.1, 0.9], 40_000, np.random.default_rng(0))
    assert points.shape == (40_000, 2)
    assert triangle.contains(points).all() and box.contains(points).all()
    later = points[20_000:]
    assert later.mean(0) == pytest.approx([1 / 3, 2 / 3], abs=0.02)
    assert later.var(0) == pytest.approx([1 / 18, 1 / 18], abs=0.01)


def test_hit_and_run_in_a_sliver() -> None:
    """In a region 1e−6 wide every point stays inside, and both sides of it are reached."""
    matrix = np.array([[1.0, -1.0], [-1.0, 1.0]])
    sliver = Polytope(matrix, np.array([1e-6, 1e-6]), ())
    box = Box.uniform(2, 0.0, 1.0)
    points = hit_and_run(sliver, box, [0.5, 0.5], 20_000, np.random.default_rng(0), chains=64)
    assert sliver.contains(points).all()
    across = points[:, 0] - points[:, 1]
    assert across.max() > 9e-7 and across.min() < -9e-7


def test_hit_and_run_with_fixed_inputs_and_none() -> None:
    box = Box(np.array([0.0, 0.5]), np.array([1.0, 0.5]))
    everywhere = Polytope(np.zeros((0, 2)), np.zeros(0), ())
    points = hit_and_run(everywhere, box, [0.2, 0.5], 1000, np.random.default_rng(0))
    assert (points[:, 1] == 0.5).all() and np.ptp(points[:, 0]) > 0.9
    fixed = Box(np.array([0.2, 0.5]), np.array([0.2, 0.5]))
    points = hit_and_run(everywhere, fixed, [0.2, 0.5], 10, np.random.default_rng(0))
    assert (points == [0.2, 0.5]).all()


def test_hit_and_run_needs_a_start_inside() -> None:
    triangle = polytope(MAXIMUM, phases([], [0]))
    with pytest.raises(QueryError, match="expected a start inside the region"):
        hit_and_run(triangle, Box.uniform(2, 0, 1), [0.9, 0.1], 5, np.random.default_rng(0))


def test_drawn_points_keep_the_signature() -> None:
    network = deep()
    x = RNG.uniform(-1, 1, size=(1, 3))
    pattern = DecisionPattern.of_row(record(network, x), 0)
    drawn = hit_and_run(
        polytope(network, pattern), Box.uniform(3, -1, 1), x[0], 2000, np.random.default_rng(0)
    )
    for layer, (low, high) in pattern.intervals(network).items():
        z = values_at(network, drawn, network.pre_activation(layer))
        assert (z >= low - 1e-9).all() and (z <= high + 1e-9).all()
