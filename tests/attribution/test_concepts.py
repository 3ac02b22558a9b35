"""Concepts whose answers are known by construction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.concepts.cav import concept_vector, most_like
from attribution.concepts.dissection import dissect, random_rotation
from attribution.concepts.scenes import SHAPES, render_scenes
from attribution.concepts.sensitivity import sensitivities
from attribution.concepts.significance import welch
from attribution.concepts.tcav import TcavSettings, concept_scores
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node

UNITS, COUNT = 8, 800


class Planted(nn.Module):
    """Class 0 rises with unit 0 everywhere; the other units push up or down by the input's signs.

    ∇h_0 = (1, ±3, …, ±3), so a vector along unit 0 has sensitivity 1 for every input, and one
    along the others has a sign that changes from input to input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.scale = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        score = h[:, 0] + self.scale * h[:, 1:].abs().sum(1)
        return torch.stack([score, -score], 1)


@pytest.fixture
def normal() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(COUNT, UNITS))


def labels(count: int) -> np.ndarray:
    return np.arange(count) % 2


def test_a_vector_points_to_the_concept(normal: np.ndarray) -> None:
    concept = normal[:60] + 100 * np.eye(UNITS)[0]
    cav = concept_vector(concept, normal[60:120])
    assert cav.accuracy == 1.0
    assert cav.vector[0] > 0.999 and abs(np.linalg.norm(cav.vector) - 1) < 1e-12
    axes = np.stack([-np.eye(UNITS)[0], np.eye(UNITS)[1], np.eye(UNITS)[0]])
    assert most_like(cav, axes).tolist() == [2, 1, 0]


def test_sensitivity_is_the_slope_along_the_vector(normal: np.ndarray) -> None:
    cut = Slice(Planted(), "layer")
    vectors = np.eye(UNITS)[:2]
    found = sensitivities(cut, normal, labels(len(normal)), vectors)
    sign = np.where(labels(len(normal)) == 0, 1.0, -1.0)
    expected = np.stack([sign, 3 * sign * np.sign(normal[:, 1])], 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_one_output_is_two_classes() -> None:
    """z = 3 h_0 − h_1: the score of class 1 is z/2, that of class 0 is −z/2."""
    first = Node("h", Affine(np.eye(2), np.zeros(2)), (INPUT,))
    last = Node("out", Affine(np.array([[3.0, -1.0]]), np.zeros(1)), ("h",))
    network = Network((first, last), (2,), "one output")
    found = sensitivities(Slice(network, "h"), np.zeros((2, 2)), np.array([0, 1]), np.eye(2))
    np.testing.assert_allclose(found, [[-1.5, 0.5], [1.5, -0.5]])


def test_a_planted_concept_scores_1_and_a_random_one_is_not_significant(
    normal: np.ndarray,
) -> None:
    generator = np.random.default_rng(1)
    planted = generator.normal(size=(60, UNITS)) + 1000 * np.eye(UNITS)[0]
    found = concept_scores(
        Slice(Planted(), "layer"),
        normal,
        labels(len(normal)),
        {"planted": planted, "random": generator.normal(size=(60, UNITS))},
    )
    by_name = {(one.concept, one.label): one for one in found.table}
    assert by_name["planted", 0].score == 1.0 and by_name["planted", 0].significant
    assert by_name["planted", 1].score == 0.0 and by_name["planted", 1].significant
    assert not by_name["random", 0].significant and not by_name["random", 1].significant
    assert found.vectors["planted"].accuracy == 1.0


def test_random_concepts_are_not_significant_though_the_published_test_says_so(
    normal: np.ndarray,
) -> None:
    """Twenty random concepts and two classes: the scores of one concept share its examples."""
    generator = np.random.default_rng(2)
    concepts = {str(k): generator.normal(size=(40, UNITS)) for k in range(20)}
    found = concept_scores(Slice(Planted(), "layer"), normal, labels(len(normal)), concepts)
    assert not any(one.significant for one in found.table)
    assert sum(one.p_scores * one.tests <= one.alpha for one in found.table) > 10


def test_tests_agree_with_scipy(normal: np.ndarray) -> None:
    from scipy.stats import ttest_ind

    first, second = normal[:9, 0], normal[:40, 1] + 0.4
    expected = ttest_ind(first, second, equal_var=False).pvalue
    assert abs(welch(first, second) - expected) < 1e-12
    assert welch(np.ones(4), np.zeros(9)) == 0.0 and welch(np.ones(4), np.ones(9)) == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"concepts": {}}, "concepts: expected one or more, got none"),
        ({"concepts": {"red": np.zeros((0, UNITS))}}, "concept red: expected 4 examples .* none"),
        ({"labels": np.zeros(COUNT, dtype=np.int64)}, "labels: expected two classes or more"),
    ],
)
def test_bad_input_is_one_clear_line(
    change: dict[str, object], message: str, normal: np.ndarray
) -> None:
    given = {"labels": labels(COUNT), "concepts": {"red": normal[:20]}, **change}
    with pytest.raises((DataError, QueryError), match=message) as error:
        concept_scores(Slice(Planted(), "layer"), normal, **given)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_too_few_random_sets_are_refused() -> None:
    with pytest.raises(QueryError, match=r"TCAV: expected 0 < α < 1 and 5 random sets .* and 3"):
        TcavSettings(random_sets=3)


class Detector(nn.Module):
    """Channels that show a given picture's parts: channel k is the input's channel k."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(1)


def test_a_unit_built_to_detect_a_shape_has_overlap_1() -> None:
    """Channel 0 is the mask of circles itself, channel 1 is 0, channel 2 is everything else's."""
    scenes = render_scenes(60, size=16, seed=3)
    circle, square = scenes.masks["circle"], scenes.masks["square"]
    channels = np.stack([circle, np.zeros_like(circle), square], 1).astype(np.float64)
    masks = {"circle": circle, "square": square}
    for top in (0.005, 0.3):  # fewer, and more, values than the circles have
        found = dissect(Slice(Detector(), "layer"), channels, masks, top=top, rotations=2)
        np.testing.assert_array_equal(found.overlap, [[1, 0], [0, 0], [0, 1]])
        assert found.names == found.significant == {0: "circle", 2: "square"}
        assert found.best(0) == (1.0, 0.01)  # 1 of 100: no shuffle reaches it
        assert found.interpretable == 2 / 3 and len(found.rotated) == 2


def test_a_unit_that_knows_nothing_of_the_masks_has_no_significant_name() -> None:
    """Both are in the middle of the picture, so they overlap; the inputs are independent."""
    generator = np.random.default_rng(7)
    masks = {str(k): np.zeros((80, 8, 8), dtype=np.bool_) for k in range(3)}
    for mask in masks.values():
        mask[:, 2:6, 2:6] = generator.random((80, 4, 4)) < 0.5
    units = np.zeros((80, 4, 8, 8))
    units[:, :, 2:6, 2:6] = generator.random((80, 4, 4, 4))
    found = dissect(Slice(Detector(), "layer"), units, masks, top=0.1, rotations=0)
    assert len(found.names) == 4 and found.overlap.min() > 0.2
    assert not found.significant


def test_overlap_by_counting() -> None:
    """Against the formula, pixel by pixel."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(10, 2, 6, 6))
    mask = generator.random((10, 6, 6)) < 0.2
    found = dissect(Slice(Detector(), "layer"), values, {"c": mask}, top=0.1, rotations=0)
    for unit in range(2):
        own = np.sort(values[:, unit].reshape(-1))
        active = values[:, unit] >= own[-36]  # a tenth of 360 values
        expected = (active & mask).sum() / (active | mask).sum()
        assert abs(found.overlap[unit, 0] - expected) < 1e-12


def test_units_without_places_are_compared_input_by_input() -> None:
    mask = np.zeros((8, 3, 3), dtype=np.bool_)
    mask[:2, 1, 1] = True
    units = np.array([[1.0, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]])
    found = dissect(Slice(Detector(), "layer"), units, {"c": mask}, top=0.25, rotations=0)
    np.testing.assert_array_equal(found.overlap, [[1.0], [0.0]])


def test_a_rotation_is_orthogonal() -> None:
    q = random_rotation(6, np.random.default_rng(5))
    np.testing.assert_allclose(q @ q.T, np.eye(6), atol=1e-12)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, "masks: expected one concept or more, got none"),
        ({"c": np.zeros((4, 3, 3), dtype=np.bool_)}, "mask c: expected a pixel .*, got none"),
        ({"c": np.ones((3, 3, 3), dtype=np.bool_)}, r"mask c: expected \(4, H, W\)"),
        (
            {"c": np.ones((4, 3, 3), dtype=np.bool_), "d": np.ones((4, 2, 2), dtype=np.bool_)},
            r"mask d: expected the others' size \(4, 3, 3\), got \(4, 2, 2\)",
        ),
    ],
)
def test_bad_masks_are_one_clear_line(masks: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dissect(Slice(Detector(), "layer"), np.ones((4, 1, 3, 3)), masks)


def test_scenes_are_the_same_for_a_seed_and_masks_agree() -> None:
    one, other = render_scenes(40, seed=6), render_scenes(40, seed=6)
    np.testing.assert_array_equal(one.pictures, other.pictures)
    for name, shape in zip(SHAPES, range(4), strict=True):
        assert set(one.having(name)) == set(np.flatnonzero(one.labels == shape))
    colours = sum(one.masks[name].astype(int) for name in ("red", "green", "blue"))
    shapes = sum(one.masks[name].astype(int) for name in SHAPES)
    np.testing.assert_array_equal(colours, shapes)
    red = one.pictures.transpose(0, 2, 3, 1)[one.masks["red"] & one.masks["plain"]]
    np.testing.assert_allclose(red, np.broadcast_to([0.9, 0.15, 0.15], red.shape), atol=1e-6)
