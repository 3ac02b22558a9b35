"""A contracted claim has the same region: what it adds holds wherever the pattern does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from known import ABSOLUTE, ANY, MAXIMUM, affine, at_least, box, phases

from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.deadline import Deadline
from precond.proof.restate.closed_pattern import around_pattern, implied
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

pytest.importorskip("highspy")
SOON = Deadline(float("inf"))
TRUE = at_least(-9.0, 1.0)


def test_a_sign_halves_the_line() -> None:
    """|x| on [−2, 2] with "0 on" (x ≥ 0) and "1 off" (−x ≤ 0): [0, 2], and no half-space cuts it
    by more than rounding."""
    claim = Claim(ABSOLUTE, box((-2, 2)), phases([0], [1]), TRUE)
    small = around_pattern(claim, SOON).claim
    assert -1e-9 < small.box.lower[0] <= 0 and small.box.upper[0] == 2
    assert small.pattern == claim.pattern and small.property == claim.property


def test_what_one_literal_says_by_hand() -> None:
    """max(x₀, x₁) with "0 on" alone: x₀ ≥ x₁.  On [0, 1] × [0.5, 2]: x₁ ≤ 1 and x₀ ≥ 0.5, and
    the half-space still cuts a corner off."""
    small = around_pattern(Claim(MAXIMUM, box((0, 1), (0.5, 2)), phases([0]), TRUE), SOON).claim
    assert np.allclose(small.box.lower, [0.5, 0.5]) and np.allclose(small.box.upper, [1, 1])
    assert small.halfspaces is not None and len(small.halfspaces.bound) == 1
    (row,), (limit,) = small.halfspaces.matrix, small.halfspaces.bound
    assert row.tolist() == [-1.0, 1.0] and 0 <= limit < 1e-12


def test_given_half_spaces_take_part() -> None:
    """x₀ + x₁ ≤ 1 beside x₀ ≥ x₁: x₁ ≤ 1/2."""
    half = HalfSpaces(np.array([[1.0, 1.0]]), np.array([1.0]))
    small = around_pattern(Claim(MAXIMUM, box((0, 1), (0, 1)), phases([0]), TRUE, half), SOON).claim
    assert np.allclose(small.box.upper, [1.0, 0.5])
    assert small.halfspaces is not None and len(small.halfspaces.bound) == 2


def test_nothing_closed_nothing_changed() -> None:
    claim = Claim(MAXIMUM, box((0, 1), (0, 1)), ANY, TRUE)
    assert not around_pattern(claim, SOON).changes and implied(claim.problem) is None
    wide = Network(
        (
            affine("z", np.ones((1, 30)).tolist(), [0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0]], [0.0], "a"),
        ),
        (30,),
    )
    many = Claim(wide, Box.uniform(30, -1.0, 1.0), phases([0]), TRUE)
    assert not around_pattern(many, SOON).changes  # more inputs vary than a bisection takes


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    nodes: list[Node] = []
    source = INPUT
    for k, (inputs, width) in enumerate(pairwise((3, 6, 6, 5, 2))):
        nodes.append(
            affine(
                f"z{k}",
                (rng.normal(size=(width, inputs)) / np.sqrt(inputs)).tolist(),
                (0.3 * rng.normal(size=width)).tolist(),
                source,
            )
        )
        source = f"z{k}"
        if k < 3:
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (3,))


@pytest.mark.parametrize("closed", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_every_point_of_the_region_stays(seed: int, closed: int) -> None:
    """Of 20,000 points the ones with the pattern satisfy all that was added, and the box is
    their bounding box or a little more."""
    network = random_network(seed)
    rng = np.random.default_rng(seed)
    domain = Box.uniform(3, -1.0, 1.0)
    x = domain.sample(1, rng)
    full = DecisionPattern.of_row(record(network, x), 0)
    pattern = full.only([f"a{k}" for k in range(closed)])
    if closed < 3:  # and some of the next layer's
        more = sorted(full.only([f"a{closed}"]).on | full.only([f"a{closed}"]).off)[::2]
        some = frozenset(more)
        pattern = pattern & DecisionPattern(full.on & some, full.off & some)
    small = around_pattern(Claim(network, domain, pattern, TRUE), SOON).claim
    points = np.concatenate([x, domain.sample(20_000, rng)])
    held = points[pattern.holds(record(network, points))]
    assert small.box.contains(held).all() and domain.includes(small.box)
    if small.halfspaces is not None:
        assert (held @ small.halfspaces.matrix.T <= small.halfspaces.bound).all()
    if len(held) > 500:
        assert (small.box.width <= np.ptp(held, axis=0) + 0.35).all()
