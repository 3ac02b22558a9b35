"""Domains as the command line states them."""

from __future__ import annotations

import numpy as np
import pytest

from precond.errors import QueryError
from precond.study.analysis import Domain, DomainKind

INPUTS = np.array([[0.0, 0.5], [0.25, 1.0]])
NATURAL = (0.0, 1.0)


def test_data_is_the_box_of_the_inputs() -> None:
    domain = Domain.parse("data", INPUTS, NATURAL)
    assert domain.box.lower.tolist() == [0.0, 0.5]
    assert domain.box.upper.tolist() == [0.25, 1.0]


def test_unit_and_range() -> None:
    assert Domain.parse("unit", INPUTS, NATURAL).box.upper.tolist() == [1.0, 1.0]
    domain = Domain.parse("-1:2.5", INPUTS, NATURAL)
    assert domain.kind is DomainKind.RANGE
    assert (domain.box.lower[0], domain.box.upper[1]) == (-1.0, 2.5)


def test_ball_is_cut_to_the_natural_range() -> None:
    domain = Domain.parse("ball:0.3", INPUTS, NATURAL)
    ball = domain.around(INPUTS[0])
    assert ball.lower.tolist() == [0.0, 0.2]
    assert ball.upper.tolist() == [0.3, 0.8]
    assert str(domain) == "L∞ ball of radius 0.3 around each input"


BALLS = ("ball", "ball:x", "ball:0", "ball:inf", "ball:0%", "ball:5%%", "ball:101%", "ball:%")


@pytest.mark.parametrize("text", ["", *BALLS, "a:b", "box", "1"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match="data, unit, LO:HI or ball:R"):
        Domain.parse(text, INPUTS, NATURAL)


def test_reversed_range_is_refused() -> None:
    with pytest.raises(QueryError, match="lower ≤ upper"):
        Domain.parse("2:1", INPUTS, NATURAL)
