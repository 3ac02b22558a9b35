"""What is printed of a proved number says no more than was proved."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from precond.basics.rounded import at_least, at_most
from precond.region.radius import Radius


def test_by_hand() -> None:
    """The nearest numbers of two digits would be 0.13 and 0.12."""
    assert at_least(0.126, 2) == "0.12" and at_most(0.124, 2) == "0.13"
    assert at_least(-0.124, 2) == "-0.13" and at_most(-0.126, 2) == "-0.12"
    assert at_least(0.25, 2) == at_most(0.25, 2) == "0.25"
    assert at_most(9.99e-6, 2) == "1e-05" and at_least(0.0, 4) == "0"
    assert at_least(-np.inf, 4) == "-inf"


def test_a_float_of_few_digits_is_said_as_it_is_typed() -> None:
    """The float 0.29 is a little less, and 0.1 / 16 a little more, than the number of its name."""
    assert Fraction(0.29) < Fraction("0.29") and at_least(0.29, 4) == "0.29"
    assert Fraction(0.1 / 16) > Fraction("0.00625") and at_most(0.1 / 16, 3) == "0.00625"
    assert Radius.parse("29%").at_least(4) == "29 %"


@pytest.mark.parametrize("digits", [1, 2, 4, 6])
def test_on_the_side_that_is_proved_and_near(digits: int) -> None:
    rng = np.random.default_rng(digits)
    for value in (rng.normal(size=200) * 10.0 ** rng.integers(-12, 12, 200)).tolist():
        low, high = Fraction(at_least(value, digits)), Fraction(at_most(value, digits))
        assert low <= Fraction(value) <= high
        assert high - low <= Fraction(10) ** (1 - digits) * max(abs(low), abs(high))


def test_radii() -> None:
    """0.05 · 2^(−1/4) = 0.042044…, whose nearest number of three digits is smaller, 0.05 · 2^(−1/2)
    = 0.0353553…, whose nearest share of four, 3.536 %, is larger."""
    first, second = Radius(0.05 * 2**-0.25), Radius(0.05 * 2**-0.5, of_range=True)
    assert first.at_least(3) == "0.042"
    assert second.at_least(4) == "3.535 %"
    assert Radius(0.05, of_range=True).at_least(4) == "5 %"
