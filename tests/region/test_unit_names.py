"""Names of units: by unit, not by place; of one network only; written and read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from precond.errors import DataError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.pattern import DecisionPattern
from precond.region.unit_names import LayerNames, UnitNames
from precond.report.plot.pattern import literal_lines


def network(weight: float) -> Network:
    first = Node("fc", Affine(np.array([[weight, 1.0]]), np.zeros(1)), (INPUT,))
    last = Node("out", Affine(np.ones((2, 1)), np.zeros(2)), ("relu",))
    return Network((first, Node("relu", ReLU(), ("fc",)), last), (2,), "small")


NAMES = UnitNames({"conv": LayerNames({0: "red", 2: "circle"}, places=4)}, "abc")


def test_all_places_of_a_unit_share_its_name() -> None:
    assert [NAMES.of("conv", index) for index in (0, 3, 4, 8, 11)] == [
        "red",
        "red",
        None,
        "circle",
        "circle",
    ]
    assert NAMES.of("other", 0) is None and NAMES.count == 2


def test_a_pattern_in_words_names_its_units() -> None:
    pattern = DecisionPattern(
        on=frozenset({("conv", 1), ("conv", 5)}), below=frozenset({("conv", 8, 0.5)})
    )
    assert literal_lines(pattern, NAMES) == ("conv on: 1 (red), 5", "conv: z8 (circle) ≤ 0.5")
    assert literal_lines(pattern) == ("conv on: 1, 5", "conv: z8 ≤ 0.5")


def test_names_are_read_back_for_their_own_network_alone() -> None:
    own = network(2.0)
    names = UnitNames({"relu": LayerNames({0: "circle"})}, own.hash)
    content = json.loads(json.dumps(names.to_json()))
    assert UnitNames.from_json(content, own, "units.json") == names
    with pytest.raises(DataError, match="unit names u: expected names of the network with hash"):
        UnitNames.from_json(content, network(3.0), "u")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": True},
        {"layers": {"relu": {"units": {"0": "a"}, "places": 0}}},
        {"layers": {"relu": {"units": {"x": "a"}, "places": 1}}},
        {"layers": {"relu": {"places": 1}}},
        {"layers": []},
    ],
)
def test_another_kind_of_file_is_refused(change: dict[str, object]) -> None:
    own = network(2.0)
    content = {**UnitNames({}, own.hash).to_json(), **change}
    with pytest.raises(DataError, match=r"unit names u: expected units\.json"):
        UnitNames.from_json(content, own, "u")
    with pytest.raises(DataError, match=r"unit names u: expected units\.json"):
        UnitNames.from_json([1], own, "u")


def test_a_name_cannot_break_a_terminal() -> None:
    own = network(2.0)
    content = {**UnitNames({}, own.hash).to_json()}
    content["layers"] = {"relu": {"units": {"0": "red\x1b[2J"}, "places": 1}}
    name = UnitNames.from_json(content, own, "u").of("relu", 0)
    assert name is not None and "\x1b" not in name
