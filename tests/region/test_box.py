"""Boxes: the smallest around data, balls, intersections, samples."""

from __future__ import annotations

import numpy as np
import pytest

from precond.errors import QueryError
from precond.region.box import Box


def test_around_and_contains() -> None:
    box = Box.around(np.array([[0.0, 5.0], [2.0, -1.0], [1.0, 1.0]]))
    assert box.lower.tolist() == [0.0, -1.0] and box.upper.tolist() == [2.0, 5.0]
    inside = box.contains(np.array([[0.0, 5.0], [2.0, -1.0], [2.0 + 1e-15, 0.0], [1.0, -1.1]]))
    assert inside.tolist() == [True, True, False, False]


def test_ball_is_cut_to_its_surroundings() -> None:
    ball = Box.ball([0.5, 0.95], 0.1, within=Box.uniform(2, 0.0, 1.0))
    assert ball.lower == pytest.approx([0.4, 0.85]) and ball.upper == pytest.approx([0.6, 1.0])
    assert Box.ball([0.5], 0.0).width.tolist() == [0.0]


def test_intersect_and_includes() -> None:
    a, b = Box.uniform(1, 0.0, 2.0), Box.uniform(1, 1.0, 3.0)
    both = a.intersect(b)
    assert (both.lower[0], both.upper[0]) == (1.0, 2.0)
    assert a.includes(both) and b.includes(both) and not a.includes(b)
    touching = a.intersect(Box.uniform(1, 2.0, 3.0))
    assert touching.width[0] == 0.0
    with pytest.raises(QueryError, match="expected lower ≤ upper"):
        a.intersect(Box.uniform(1, 2.5, 3.0))


def test_samples_lie_inside_and_fill_it() -> None:
    box = Box(np.array([-1.0, 7.0]), np.array([1.0, 7.0]))
    points = box.sample(1000, np.random.default_rng(0))
    assert box.contains(points).all()
    assert (points[:, 1] == 7.0).all()
    assert points[:, 0].min() < -0.98 and points[:, 0].max() > 0.98
    assert abs(points[:, 0].mean()) < 0.06


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ([0.0], [np.nan], "expected finite bounds"),
        ([-np.inf], [0.0], "expected finite bounds"),
        ([0.0, 2.0], [1.0, 1.0], r"box at input 1: expected lower ≤ upper, got \[2, 1\]"),
        ([0.0], [1.0, 2.0], "got 1 and 2"),
        ([], [], "at least one"),
    ],
)
def test_what_is_no_box(lower: list[float], upper: list[float], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Box(np.array(lower), np.array(upper))


def test_radius_below_zero() -> None:
    with pytest.raises(QueryError, match="expected a radius ≥ 0"):
        Box.ball([0.0], -1.0)
    with pytest.raises(QueryError, match="expected a radius ≥ 0"):
        Box.ball([0.0], float("nan"))


def test_bounds_cannot_be_changed() -> None:
    given = np.zeros(2)
    box = Box(given, np.ones(2))
    given[0] = 5.0
    assert box.lower[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        box.lower[0] = 1.0
