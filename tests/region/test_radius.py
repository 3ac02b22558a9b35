"""Radii as numbers and as shares of ranges, on a table small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from precond.data.dataset import Dataset
from precond.errors import QueryError
from precond.region.box import Box
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

# Metres 1 to 3, grams 1000 to 2000, a column that never changes; the last row is held out.
TABLE = Dataset(
    "table",
    np.array([[1.0, 1000.0, 7.0], [3.0, 2000.0, 7.0], [2.0, 1500.0, 7.0], [4.0, 1500.0, 7.0]]),
    natural=(1.0, 2000.0),
    features=("metres", "grams", "seven"),
    parts=(np.arange(3), np.arange(3, 4)),
)
BYTES = Dataset("pictures", np.zeros((2, 4)), image_shape=(2, 2), natural=(0.0, 255.0))
FIVE = Radius(0.05, of_range=True)


def sides(box: Box) -> list[list[float]]:
    return [box.lower.tolist(), box.upper.tolist()]


@pytest.mark.parametrize(
    ("text", "radius"),
    [("0.05", Radius(0.05)), ("5%", FIVE), (" 5 %", FIVE), ("1e-3", Radius(1e-3))],
)
def test_a_radius_is_a_number_or_a_share(text: str, radius: Radius) -> None:
    assert Radius.parse(text) == radius
    assert Radius.parse(radius.option) == radius


@pytest.mark.parametrize(
    "text", ["", "%", "x", "0", "-5%", "0%", "nan", "inf", "5%%", "%5", "101%"]
)
def test_other_words_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        QueryError, match="--radius: expected a number above 0, or a share"
    ) as error:
        Radius.parse(text, "--radius")
    assert "\n" not in str(error.value)


def test_a_share_moves_each_column_by_its_own_range_in_training_rows() -> None:
    ranges = ValueRanges.of(TABLE)
    # 5 % of 3 − 1 metres and of 2000 − 1000 grams.
    assert ranges.steps(FIVE).tolist() == [0.1, 50.0, 0.0]
    assert sides(ranges.ball(TABLE.flat[2], FIVE)) == [[1.9, 1450.0, 7.0], [2.1, 1550.0, 7.0]]
    assert FIVE.moves == "each column within ±5 % of its range"


def test_balls_are_cut_to_what_each_column_shows_in_all_rows() -> None:
    ranges = ValueRanges.of(TABLE)
    assert sides(ranges.box) == [[1.0, 1000.0, 7.0], [4.0, 2000.0, 7.0]]
    assert sides(ranges.ball(TABLE.flat[0], FIVE)) == [[1.0, 1000.0, 7.0], [1.1, 1050.0, 7.0]]
    # A number is the same in every unit; what never changes stays all the same.
    assert sides(ranges.ball(TABLE.flat[2], Radius(0.5))) == [
        [1.5, 1499.5, 7.0],
        [2.5, 1500.5, 7.0],
    ]
    assert ranges.cut == "each column's range in the data, in which 1 of 3 never change"


def test_of_pictures_a_share_is_said_in_the_units_of_pixels() -> None:
    ranges = ValueRanges.of(BYTES)
    assert ranges.plain(FIVE) == Radius(12.75)
    assert sides(ranges.ball(np.full(4, 5.0), FIVE)) == [[0.0] * 4, [17.75] * 4]
    assert ranges.cut == "[0, 255]"
    assert ValueRanges.of(TABLE).plain(FIVE) == FIVE


def test_the_box_is_widened_to_hold_points() -> None:
    wider = ValueRanges.of(TABLE).holding(np.array([[0.0, 1500.0, 8.0]]))
    assert sides(wider.box) == [[0.0, 1000.0, 7.0], [4.0, 2000.0, 8.0]]
    assert wider.steps(FIVE).tolist() == [0.1, 50.0, 0.0]


def test_radii_as_people_read_them() -> None:
    assert f"{FIVE}" == "5 %" and f"{Radius(1 / 3):.3g}" == "0.333"
    assert FIVE.option == "5%" and Radius(0.0125, of_range=True).option == "1.25%"
    assert FIVE.words == "5 % of each column's range" and Radius(0.2).words == "0.2"
