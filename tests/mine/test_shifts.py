"""Moved pictures: what they are, which of them count, and that they count for literals only."""

from __future__ import annotations

import numpy as np
import pytest
from class_choices import tail_and_class

from precond.mine.whole_space.by_proof import ladder
from precond.mine.whole_space.settings import Search
from precond.mine.whole_space.shifted_pictures import alike, shifted
from precond.mine.whole_space.task import PatternTask
from precond.network.evaluate import outputs
from precond.network.graph import INPUT
from precond.proof.deadline import Deadline
from precond.property import Property
from precond.region.signature import joined


def test_four_moves_with_the_edge_repeated() -> None:
    picture = np.arange(6.0).reshape(1, 6)
    moved = shifted(picture, (2, 3)).reshape(4, 2, 3)
    assert moved[0].tolist() == [[1, 2, 2], [4, 5, 5]]
    assert moved[1].tolist() == [[0, 0, 1], [3, 3, 4]]
    assert moved[2].tolist() == [[3, 4, 5], [3, 4, 5]]
    assert moved[3].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_channels_move_together() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.random((5, 2, 3, 4))
    moved = shifted(pictures.reshape(5, -1), (2, 3, 4)).reshape(4, 5, 2, 3, 4)
    assert np.array_equal(moved[0][..., :-1], pictures[..., 1:])
    alone = shifted(pictures[:, 1].reshape(5, -1), (3, 4)).reshape(4, 5, 3, 4)
    assert np.array_equal(moved[:, :, 1], alone)


def test_only_those_with_the_property_count() -> None:
    tail, own = tail_and_class(0)
    found = alike(tail, Property.argmax(0, 3), own, (1, 3))
    moved = shifted(own.values(INPUT), (1, 3))
    right = outputs(tail.network, moved).argmax(1) == 0
    assert 0 < right.sum() < len(moved)
    assert np.array_equal(found.values(INPUT), moved[right])
    assert (found.predicted == 0).all()
    both = joined(own, found)
    assert len(both) == len(own) + len(found) and both.layers == own.layers
    for layer in own.layers:
        assert np.array_equal(both.decisions(layer)[len(own) :], found.decisions(layer))
    assert np.array_equal(both.values(INPUT)[: len(own)], own.values(INPUT))


def test_they_are_no_inputs_of_the_class() -> None:
    """A pattern must add inputs of the class's own, and is found around one of them."""
    pytest.importorskip("highspy")
    tail, own = tail_and_class(0)
    few = own.rows(np.arange(12))
    both = joined(few, alike(tail, Property.argmax(0, 3), few, (1, 3)))
    found = ladder(
        PatternTask(tail, Property.argmax(0, 3), Search(patterns=4, least=2, each=60.0)),
        both,
        deadline=Deadline.after(600.0),
        own=len(few),
    )
    assert found
    left = np.ones(len(few), dtype=np.bool_)
    for rung in found:
        inside = rung.pattern.holds(few)
        assert np.array_equal(rung.inside[: len(few)], inside)
        assert (inside & left).sum() >= 2
        left &= ~inside
