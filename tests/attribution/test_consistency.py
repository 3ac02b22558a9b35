"""Knowledge of two networks: features that are rebuilt, or not, as one can say beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.diagnosis.consistency import ConsistencySettings, knowledge_consistency
from attribution.training import TrainingSchedule
from precond.errors import DataError, QueryError

SETTINGS = ConsistencySettings(orders=1, hidden=32, training=TrainingSchedule(epochs=60, rate=5e-3))


def test_what_is_affine_what_needs_a_relu_and_what_is_not_there() -> None:
    """Of z ~ N(0, 1)⁴: an affine unit is of order 0.  |z| has no correlation with z, so order 0
    explains nothing of it, and order 1 all.  A unit that B has not seen stays in the rest."""
    z = np.random.default_rng(0).normal(size=(1500, 5))
    affine, bent, unseen = 2 * z[:, 0] - z[:, 1] + 3, np.abs(z[:, 2]), z[:, 4]
    found = knowledge_consistency(np.stack([affine, bent, unseen], 1), z[:, :4], settings=SETTINGS)
    assert found.units[0, 0] > 1 - 1e-9
    assert abs(found.units[0, 1]) < 0.03 and found.units[1, 1] > 0.97
    assert np.all(np.abs(found.units[:, 2]) < 0.05)
    assert found.rest.shape == (375, 3) and len(found.held_out) == 375
    np.testing.assert_allclose(
        found.rebuilt + found.rest, np.stack([affine, bent, unseen], 1)[found.held_out], atol=1e-12
    )


def test_maps_are_compared_place_by_place() -> None:
    """A's maps are a permutation of B's channels with new signs: order 0 knows all of it."""
    maps = np.random.default_rng(1).normal(size=(40, 3, 4, 4))
    found = knowledge_consistency(-maps[:, [2, 0, 1]], maps, settings=ConsistencySettings(orders=0))
    assert found.explained[0] > 1 - 1e-9 and found.units.shape == (1, 3)
    assert found.rest.shape == (10, 3, 4, 4)


def test_a_unit_that_does_not_vary_has_no_share() -> None:
    z = np.random.default_rng(2).normal(size=(60, 2))
    found = knowledge_consistency(
        np.stack([z[:, 0], np.full(60, 7.0)], 1), z, settings=ConsistencySettings(orders=0)
    )
    assert np.isnan(found.units[0, 1]) and found.units[0, 0] > 1 - 1e-9


def test_bad_features_are_one_clear_line() -> None:
    z = np.zeros((30, 2))
    with pytest.raises(DataError, match="features of two networks: expected"):
        knowledge_consistency(z, z[:20])
    with pytest.raises(DataError, match="inputs: expected 20 or more, got 5"):
        knowledge_consistency(z[:5], z[:5])
    with pytest.raises(DataError, match="expected some that vary, got the same for every input"):
        knowledge_consistency(z, z, settings=ConsistencySettings(orders=0))
    with pytest.raises(QueryError, match="knowledge consistency: expected 0 orders or more"):
        ConsistencySettings(orders=-1)
