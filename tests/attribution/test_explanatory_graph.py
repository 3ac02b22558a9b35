"""Part patterns of maps that were drawn with known parts."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.diagnosis.explanatory_graph import GraphSettings, explanatory_graph, grid
from attribution.diagnosis.location import location_instability, peaks
from attribution.show.part_patterns import pattern_sheet
from precond.errors import DataError, QueryError

SIDE = 20


def blobs(places: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """(N, SIDE, SIDE): a blob at each place (N, 2), as strong as said (N,)."""
    gaps = ((grid(SIDE, SIDE)[None] - places[:, None]) ** 2).sum(2)
    return (strength[:, None] * np.exp(-gaps / (2 * 0.05**2))).reshape(-1, SIDE, SIDE)


def test_a_filter_of_two_parts_is_taken_apart() -> None:
    """One filter sees two parts, now the one, now the other more strongly: its peak jumps between
    them, each of its two patterns stays on one."""
    generator = np.random.default_rng(0)
    first, second = np.tile([0.25, 0.25], (60, 1)), np.tile([0.75, 0.65], (60, 1))
    strength = generator.uniform(0.5, 1, size=(2, 60))
    maps = (blobs(first, strength[0]) + blobs(second, strength[1]))[:, None]
    found = explanatory_graph({"top": maps}, settings=GraphSettings(patterns=2)).layers[0]
    order = np.argsort(found.means[:, 0])
    np.testing.assert_allclose(found.means[order], [[0.25, 0.25], [0.75, 0.65]], atol=0.02)
    landmark = first[:, None]
    stable = location_instability(found.places, found.scores, landmark)
    raw = location_instability(*peaks(maps), landmark)
    np.testing.assert_allclose(stable, 0, atol=1e-12)
    assert raw[0] > 0.1


def test_a_pattern_below_follows_the_one_above() -> None:
    """An object moves about.  Above, one filter sees its middle, another one noise.  Below, a
    filter sees a part 0.2 to the right of the middle, and something stronger anywhere.  Told where
    the object is, the pattern below stays on the part; without, it goes after the stronger."""
    generator = np.random.default_rng(1)
    middle = generator.uniform([0.1, 0.1], [0.9, 0.7], size=(80, 2))
    noise = generator.uniform(0.2, 0.8, size=(80, 2))
    ones = np.ones(80)
    above = np.stack([blobs(middle, ones), blobs(noise, ones)], 1)
    anywhere = generator.uniform(0.1, 0.9, size=(80, 2))
    part = blobs(middle + np.array([0, 0.2]), ones) + blobs(anywhere, 1.3 * ones)
    settings = GraphSettings(patterns=1, neighbours=1, sigma=0.12)
    top, low = explanatory_graph({"above": above, "below": part[:, None]}, settings=settings).layers
    assert low.neighbours.tolist() == [[0]] and top.neighbours.shape == (2, 0)
    alone = explanatory_graph({"below": part[:, None]}, settings=settings).layers[0]
    landmarks = middle[:, None]
    follows = location_instability(low.places, low.scores, landmarks)[0]
    assert follows < 0.5 * location_instability(alone.places, alone.scores, landmarks)[0]


def test_instability_is_the_formula() -> None:
    """Distances 0.1 and 0.3 from the landmark: deviation 0.1, over √2."""
    places = np.array([[[0.5, 0.6], [0.5, 0.8]]])
    landmarks = np.full((2, 1, 2), 0.5)
    found = location_instability(places, np.ones((1, 2)), landmarks)
    np.testing.assert_allclose(found, [0.1 / np.sqrt(2)])


def test_bad_maps_are_one_clear_line() -> None:
    with pytest.raises(DataError, match="feature maps: expected one layer or more, got none"):
        explanatory_graph({})
    with pytest.raises(DataError, match=r"feature maps: expected \(N, C, H, W\) of each layer"):
        explanatory_graph({"a": np.zeros((3, 2, 4, 4)), "b": np.zeros((4, 2, 4, 4))})
    with pytest.raises(DataError, match=r"landmarks: expected \(3, L, 2\)"):
        location_instability(np.zeros((1, 3, 2)), np.zeros((1, 3)), np.zeros((3, 2)))
    with pytest.raises(QueryError, match="explanatory graph: expected 1 or more patterns"):
        GraphSettings(patterns=0)


def test_the_drawing_shows_what_a_pattern_saw() -> None:
    """The brightest pixel of each picture stands in the middle of its cut, the strongest first."""
    maps = np.zeros((3, 1, 5, 5))
    for k, (down, across) in enumerate([(0, 0), (2, 3), (4, 4)]):
        maps[k, 0, down, across] = k + 1.0
    settings = GraphSettings(patterns=1, sigma=10.0)
    layer = explanatory_graph({"top": maps}, settings=settings).layers[0]
    sheet = pattern_sheet(layer, maps / 3, [0], shown=2, side=3)
    assert sheet.shape == (3, 8)
    assert sheet[1, 1] == 1.0 and sheet[1, 6] == pytest.approx(2 / 3)
    assert (sheet[:, 3:5] == 1).all() and sheet[0, 0] == 0
    colours = pattern_sheet(layer, np.repeat(maps / 3, 3, axis=1), [0], shown=1, side=3)
    assert colours.shape == (3, 3, 3)
    with pytest.raises(QueryError, match=r"patterns: expected some of 0 to 0, got \[4\]"):
        pattern_sheet(layer, maps, [4])
    with pytest.raises(DataError, match=r"pictures: expected \(3, H, W\) or \(3, C, H, W\)"):
        pattern_sheet(layer, maps[:2], [0])
