"""What the replication scripts count, on numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.anchors import box_of, means
from benchmarks.attributions import by_name
from benchmarks.clipping import measured
from benchmarks.clusters import purity, silhouette
from benchmarks.input_preconditions import even, sizes_of
from benchmarks.registry import Figure, Size, Unit
from benchmarks.replications import REPLICATIONS, Replication
from benchmarks.results_page import _here
from precond import Box


def test_clipping_keeps_what_stays_below_the_limit() -> None:
    """1, −2, 3, −10 cut off at ± 4: 10 of 16 stay; the sum −8 becomes −2."""
    found = measured(np.array([1.0, -2.0, 3.0, -10.0]), 4.0)
    assert found["cut"] == 1 and found["mass"] == pytest.approx(10 / 16)
    assert found["sum_moved"] == pytest.approx(6 / 16)
    assert found["visible_before"] == 4 and found["visible"] == 4


def test_purity_is_by_the_label_of_training_members() -> None:
    """Cluster 0 is called 7 by two of its three training members; held out, one of two is a 7."""
    assigned = np.array([0, 0, 0, 1, 0, 0, 1, -1])
    labels = np.array([7, 7, 1, 2, 7, 1, 2, 5])
    train, held_out = np.arange(4), np.arange(4, 8)
    assert purity(assigned, labels, train, train) == pytest.approx(3 / 4)
    assert purity(assigned, labels, train, held_out) == pytest.approx(2 / 3)


def test_silhouette_leaves_out_what_is_in_no_cluster() -> None:
    """Pairs at 0, 1 and 10, 11: (10.5 − 1) / 10.5 and (9.5 − 1) / 9.5, twice each."""
    values = np.array([[0.0], [1.0], [10.0], [11.0], [500.0]])
    found = silhouette(values, np.array([0, 0, 1, 1, -1]), np.arange(5))
    assert found == pytest.approx(((10.5 - 1) / 10.5 + (9.5 - 1) / 9.5) / 2)


def test_sizes_are_those_of_proved_patterns() -> None:
    rows = [
        {"status": "proved", "neurons": 11, "minimal": True, "cpu": 1.0},
        {"status": "refuted", "minimal": False, "cpu": 0.5},
        {"status": "proved", "neurons": 93, "minimal": False, "cpu": 2.0},
    ]
    found = sizes_of(rows)
    assert (found["proved"], found["fewest"], found["median"], found["most"]) == (2, 11, 52, 93)
    assert found["minimal"] == 1 and found["cpu"] == 3.5
    assert sizes_of(rows[1:2])["fewest"] is None


def test_rows_are_taken_at_even_distances() -> None:
    assert even(np.arange(9), 3).tolist() == [0, 4, 8]
    assert even(np.arange(2), 3).tolist() == [0, 1]


def test_an_anchor_is_a_box() -> None:
    box = box_of([(0, "<=", 0.5), (1, ">", 0.25), (0, "<=", 0.75)], Box.uniform(3, 0.0, 1.0))
    assert box.lower.tolist() == [0.0, 0.25, 0.0] and box.upper.tolist() == [0.5, 1.0, 1.0]


def test_precision_is_of_rules_that_hold_somewhere() -> None:
    rows = [
        {"columns": 1, "coverage": 0.5, "precision": 0.8, "seconds": 1.0},
        {"columns": 3, "coverage": 0.0, "precision": None, "seconds": 3.0},
    ]
    assert means(rows) == {"columns": 2, "coverage": 0.25, "precision": 0.8, "seconds": 2.0}


def test_experts_are_found_by_model_slice_ranking_and_share() -> None:
    rows: list[dict[str, object]] = [
        {"model": "a", "slice": layer, "ranking": "influence", "share": share}
        | {"precision": share, "recall": 1 - share, "f1": 0.5}
        for layer in ("relu1", "relu2")
        for share in (0.1, 0.25)
    ]
    found = by_name(rows)["a"]
    assert list(found) == ["relu1", "relu2"]
    assert found["relu2"]["influence"]["0.25"] == {"precision": 0.25, "recall": 0.75, "f1": 0.5}


def test_a_row_shows_all_its_figures() -> None:
    wanted = (Figure("before:", ("a", "b"), Unit.PERCENT), Figure("after:", ("c",)))
    row = Replication(
        study="s", what="w", published="p", measured=("alarm", Size.FULL, wanted), why="y"
    )
    record = {("alarm", Size.FULL): {"result": {"a": {"b": 0.125}, "c": 3}}}
    assert _here(row, record) == "before: 12.5%; after: 3 ([alarm](#alarm-full))"
    assert _here(row, {}) == "not run: `make bench NAME=alarm SIZE=full`"


def test_every_replication_is_measured() -> None:
    assert all(row.measured is not None for row in REPLICATIONS)


def test_figures_are_not_found_by_their_place_in_a_long_list() -> None:
    """A place in a list says nothing of what stands there, and moves when an entry is added."""
    places = [
        key
        for row in REPLICATIONS
        if row.measured is not None
        for one in row.measured[2]
        for key in one.place
    ]
    assert all(key == 0 for key in places if isinstance(key, int))
