"""Under-approximation boxes: inside the region for certain, around X, and large."""

from __future__ import annotations

import numpy as np
import pytest
from known import ABSOLUTE, MAXIMUM, UNIT, XOR, affine, box, phases

from precond.errors import QueryError
from precond.mine.boxes.largest_box import implies_pattern, underapproximation_box
from precond.mine.boxes.region_size import (
    bounding_box,
    region_share,
    relative_volume,
    union_of_boxes,
    union_share,
)
from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record


def test_by_hand_on_a_line() -> None:
    """|x| with 0 on on [−2, 2]: the region is [0, 2], itself a box (to within rounding)."""
    found = underapproximation_box(ABSOLUTE, phases([0], [1]), [0.5], box((-2, 2)))
    assert 0.0 <= found.lower[0] < 0.05 and found.upper[0] == pytest.approx(2.0, abs=0.05)


def test_by_hand_in_a_triangle() -> None:
    """x₀ ≤ x₁ in the unit square around (1/4, 3/4): [0, t] × [t, 1] has area t (1 − t), at most
    1/4 at t = 1/2."""
    found = underapproximation_box(MAXIMUM, phases([], [0]), [0.25, 0.75], box(UNIT, UNIT))
    assert found.contains(np.array([[0.25, 0.75]]))[0]
    assert found.upper[0] <= found.lower[1]
    assert float(np.prod(found.width)) > 0.2


def test_of_many_rows_the_domain_is_drawn_towards_the_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The triangle x₀ ≤ x₁ once more: (1/4 + 3t/4) ≤ (3/4 − 3t/4) up to t = 1/3."""
    monkeypatch.setattr("precond.mine.boxes.largest_box.LARGE", 0)
    found = underapproximation_box(MAXIMUM, phases([], [0]), [0.25, 0.75], box(UNIT, UNIT))
    assert found.lower == pytest.approx([1 / 6, 0.5], abs=0.02)
    assert found.upper == pytest.approx([0.5, 5 / 6], abs=0.02)
    with pytest.raises(QueryError, match="on the border of 1 of its 1 literals"):
        underapproximation_box(MAXIMUM, phases([], [0]), [0.5, 0.5], box(UNIT, UNIT))


def test_a_corner_point_still_lies_inside() -> None:
    found = underapproximation_box(XOR, phases([0], [1]), [0.0, 0.9], box(UNIT, UNIT))
    assert found.lower[0] == 0.0 and found.contains(np.array([[0.0, 0.9]]))[0]
    assert found.upper.sum() <= 1.0


@pytest.mark.parametrize("seed", range(8))
def test_random_regions(seed: int) -> None:
    """Corners and samples satisfy the pattern in exact arithmetic; X is inside; not a point."""
    rng = np.random.default_rng(seed)

    def layer(name: str, m: int, n: int, source: str) -> Node:
        return affine(name, rng.normal(size=(m, n)).tolist(), rng.normal(size=m).tolist(), source)

    network = Network(
        (
            layer("z0", 6, 3, INPUT),
            Node("a0", ReLU(), ("z0",)),
            layer("z1", 4, 6, "a0"),
            Node("a1", ReLU(), ("z1",)),
        ),
        (3,),
    )
    domain = Box.uniform(3, -1.0, 1.0)
    x = domain.sample(1, rng)[0]
    pattern = DecisionPattern.of_row(record(network, x[None]), 0)
    found = underapproximation_box(network, pattern, x, domain)
    assert domain.includes(found) and found.contains(x[None])[0]
    assert (found.width > 0).all()
    corners = np.where(rng.random((8, 3)) < 0.5, found.lower, found.upper)
    for point in np.concatenate([corners, found.sample(10, rng)]):
        values = exact_values(network, point)
        for name, (low, high) in pattern.intervals(network).items():
            for z, a, b in zip(
                values[network.pre_activation(name)].fractions(), low, high, strict=True
            ):
                assert a <= z <= b


def test_implies_pattern_by_hand() -> None:
    """x ≥ 0 holds on [0.1, 1], not on [−0.1, 1]; nothing is implied where numbers overflow."""
    assert implies_pattern(ABSOLUTE, box((0.1, 1)), phases([0], [1]))
    assert not implies_pattern(ABSOLUTE, box((-0.1, 1)), phases([0], [1]))
    huge = Network(
        (
            Node("z", Affine(np.array([[1e300]]), np.zeros(1)), (INPUT,)),
            Node("big", Affine(np.array([[-1e300]]), np.zeros(1)), ("z",)),
            Node("a", ReLU(), ("big",)),
        ),
        (1,),
    )
    assert not implies_pattern(huge, box((1, 2)), phases([0]))  # z = −1e600 x < 0


def test_errors() -> None:
    with pytest.raises(QueryError, match="expected a point of the region"):
        underapproximation_box(ABSOLUTE, phases([0], [1]), [-0.5], box((-2, 2)))
    with pytest.raises(QueryError, match="expected a point of the region"):
        underapproximation_box(ABSOLUTE, phases([0], [1]), [3.0], box((-2, 2)))
    two = Network((*ABSOLUTE.nodes, Node("b", ReLU(), ("y",))), (1,))
    with pytest.raises(QueryError, match="expected a closed pattern"):
        underapproximation_box(two, phases([0], [], "b"), [1.0], box((-2, 2)))


def test_share_of_a_triangle() -> None:
    """x₀ ≤ x₁ is half of the unit square; every bound of the interval is on its side."""
    share = region_share(MAXIMUM, phases([], [0]), box(UNIT, UNIT), samples=4000)
    assert share.samples == 4000 and share.low < 0.5 < share.high
    assert share.high - share.low < 0.04 and share.low <= share.value <= share.high


def test_a_small_region_is_found_in_its_own_box() -> None:
    """|x| with 0 on in [−999, 1]: the share is 1/1000, which 50 plain samples would hardly hit."""
    domain = box((-999, 1))
    around = bounding_box(ABSOLUTE, phases([0], [1]), domain)
    assert around.lower[0] == pytest.approx(0.0, abs=2e-3) and around.upper[0] == 1.0
    share = region_share(ABSOLUTE, phases([0], [1]), domain, samples=50)
    assert share.value == pytest.approx(1e-3, rel=0.05) and share.low > 9e-4
    with pytest.raises(QueryError, match="at least one sample"):
        region_share(ABSOLUTE, phases([0]), domain, samples=0)


def test_a_union_covers_more_of_a_triangle_than_one_box() -> None:
    """One box in x₀ ≤ x₁ has area at most 1/4; three have more, all inside, and what they
    cover together is counted once (overlaps by inclusion and exclusion)."""
    domain, pattern = box(UNIT, UNIT), phases([], [0])
    points = np.array([[0.25, 0.75], [0.9, 0.1], [0.05, 0.2], [0.8, 0.95], [0.26, 0.74]])
    boxes = union_of_boxes(MAXIMUM, pattern, points, domain)
    assert len(boxes) == 3  # the second point lies outside, the last in the first box
    assert all(found.upper[0] <= found.lower[1] for found in boxes)
    share = union_share(boxes, domain, samples=20_000)
    grid = (np.stack(np.meshgrid(*[np.arange(400)] * 2), axis=-1).reshape(-1, 2) + 0.5) / 400
    covered = np.logical_or.reduce([found.contains(grid) for found in boxes]).mean()
    assert share.low - 0.005 <= covered <= share.high + 0.005
    assert share.value > relative_volume(boxes[0], domain)
    assert len(union_of_boxes(MAXIMUM, pattern, points, domain, most=1)) == 1
    assert union_of_boxes(MAXIMUM, pattern, points[1:2], domain) == ()
    assert union_share((), domain).value == 0.0
