"""What a decision sees, on a network whose units are plain.

z₁ = (x₀, x₁, x₀ − x₁) and z₂ = 2 relu(z₁₀) − relu(z₁₁).
"""

from __future__ import annotations

import numpy as np
from blobs import chain

from precond.data.datasets import Dataset
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.study.meaning import Meanings, nearest_outside, unit_literals

NETWORK = chain(
    [
        (np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]), np.zeros(3)),
        (np.array([[2.0, -1.0, 0.0]]), np.zeros(1)),
        (np.array([[1.0], [0.0]]), np.zeros(2)),
    ]
)
X = np.array([[3.0, 1.0], [2.0, 1.0], [1.0, 2.0], [-1.0, 2.0], [-2.0, 1.0], [-1.0, -1.0]])
ROWS = np.arange(6)


def meanings() -> Meanings:
    data = Dataset("plane", X, parts=(ROWS, ROWS[:0]), features=("width", "height"))
    return Meanings(NETWORK, data, record(NETWORK, X, values=True))


def test_a_unit_of_the_first_layer_is_moved_by_its_weights() -> None:
    assert meanings().of("relu1", 2).tolist() == [1.0, -1.0]


def test_a_later_unit_is_moved_by_its_mean_gradient() -> None:
    # x₀ > 0 for three of six inputs: 2 · ½; x₁ > 0 for five of six: −5/6.
    assert np.allclose(meanings().of("relu2", 0), [1.0, -5 / 6])


def test_features_are_named_by_what_they_move_in_their_own_spread() -> None:
    # The spread of x₀ is twice that of x₁ or so.
    assert meanings().features("relu1", 2) == [(0, True), (1, False)]
    assert meanings().features("relu1", 1) == [(1, True)]


def test_units_that_differ_are_told_apart_by_as_many_features_as_it_takes() -> None:
    # Of three units that read (3, 2, w), w = 1, −1 and 0, the first two columns are the same.
    weights = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, -1.0], [3.0, -2.0, 0.0]])
    network = chain([(weights, np.zeros(3)), (np.zeros((2, 3)), np.zeros(2))])
    x = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    data = Dataset("three", x, parts=(np.arange(4), np.arange(0)))
    units = Meanings(network, data, record(network, x, values=True))
    layer = network.decision_layers[0]
    on = unit_literals(DecisionPattern(on=frozenset((layer, i) for i in range(3))))
    assert units.told_apart(on) == [
        [(0, True), (1, True), (2, True)],
        [(0, True), (1, True), (2, False)],
        [(0, True), (1, False)],
    ]
    assert units.told_apart(on[1:]) == [[(0, True), (1, True)], [(0, True), (1, False)]]


def test_what_drives_a_unit_is_the_mean_of_its_top_inputs_less_the_mean_of_all() -> None:
    # One in twenty of six inputs is one: (3, 1) drives x₀ most, and the mean of all is (1/3, 1).
    driven = meanings().driven_by("relu1", 0)
    assert driven is not None and np.allclose(driven, [3 - 1 / 3, 0.0])
    data = Dataset("plane", X, parts=(ROWS, ROWS[:0]))
    assert Meanings(NETWORK, data, record(NETWORK, X)).driven_by("relu1", 0) is None


def test_the_literal_that_excludes_most_comes_first_and_none_that_excludes_nothing() -> None:
    on = frozenset({("relu1", 0), ("relu1", 1), ("relu1", 2)})
    told = meanings().telling(DecisionPattern(on=on), 3)
    # z₁₂ > 0 excludes all but the first two inputs, which have the pattern.
    assert [str(one) for one in told] == ["relu1[2] on"]
    values = DecisionPattern(above=frozenset({("relu1", 0, 2.5)}), off=frozenset({("relu1", 1)}))
    # Each excludes five of six; of these the first, then what excludes the sixth.
    assert [one.words for one in meanings().telling(values, 3)] == ["off", "> 2.5"]


def test_the_nearest_outside_are_those_nearest_to_any_inside() -> None:
    inside, outside = (
        np.array([[0.0, 0.0], [10.0, 0.0]]),
        np.array([[5.0, 0.0], [9.0, 0.0], [0.0, 2.0]]),
    )
    assert nearest_outside(inside, outside, 2).tolist() == [1, 2]
    assert nearest_outside(inside[:0], outside, 2).tolist() == []
