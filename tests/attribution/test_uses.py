"""Experts, removal, profiles, interpretation, bugs, pictures and the command, on models whose
insides are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from attribution.evaluate import outputs, outputs_from, values_at
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import class_score
from attribution.show.explain import ExplainSettings, explain, parse_quantity
from attribution.show.interpret import explain_input, support, unit_meaning, why_rather_than
from attribution.show.visualise import (
    Clip,
    Panel,
    compared,
    green_overlay,
    limit_of,
    save_png,
    scaled_image,
    signed_map,
    tokens_html,
)
from attribution.slices import Slice
from attribution.uses import bugs
from attribution.uses.experts import Ranking, class_expert, compare_experts, keep_extremes
from attribution.uses.profiles import (
    Distance,
    Influences,
    Profiles,
    auroc,
    class_profiles,
    deviations,
    error_detection,
    influences,
    profile_grid,
    softmax_doubt,
)
from attribution.uses.removal import class_removal, instance_removal
from precond.errors import DataError, OutputError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Node, ReLU, Reshape

F64 = torch.float64


def voters() -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    """Six inputs, six hidden units that copy them; class 0 reads units 0 (+) and 1 (−),
    class 1 the other way; units 2 to 5 are loud and read by nobody."""
    first, last = nn.Linear(6, 6, dtype=F64), nn.Linear(6, 2, dtype=F64)
    first.weight.data = torch.diag(torch.tensor([1.0, 1.0, 9.0, 9.0, 9.0, 9.0], dtype=F64))
    last.weight.data = torch.zeros(2, 6, dtype=F64)
    last.weight.data[0, :2] = torch.tensor([1.0, -1.0], dtype=F64)
    last.weight.data[1, :2] = torch.tensor([-1.0, 1.0], dtype=F64)
    first.bias.data.zero_()
    last.bias.data.zero_()
    x = np.random.default_rng(0).uniform(0, 1, (200, 6))
    return nn.Sequential(first, nn.ReLU(), last), x, (x[:, 1] > x[:, 0]).astype(np.int64)


def test_extremes_are_kept_half_and_half() -> None:
    scores = np.array([3.0, -1.0, 2.0, -5.0, 0.5, 1.0, -0.1, 0.2])
    np.testing.assert_array_equal(np.flatnonzero(keep_extremes(scores, 0.5)), [0, 1, 2, 3])
    # Only one is negative: the positive ones fill its places.
    lonely = np.array([3.0, 1.0, 2.0, -5.0, 0.5, 1.5, 0.1, 0.2])
    np.testing.assert_array_equal(np.flatnonzero(keep_extremes(lonely, 0.5)), [0, 2, 3, 5])


def test_expert_keeps_the_units_that_are_read() -> None:
    model, x, y = voters()
    cut = Slice(model, "1")
    expert = class_expert(cut, x, y, 0, 1 / 3)
    np.testing.assert_array_equal(np.flatnonzero(expert.mask), [0, 1])
    score = expert.score(x, y)
    assert (score.precision, score.recall, score.units) == (1.0, 1.0, 2)
    loud = class_expert(cut, x, y, 0, 1 / 3, ranking=Ranking.ACTIVATION)
    assert not loud.mask[:2].any()
    # With neither read unit left all outputs are equal, and class 0 is always said.
    assert loud.score(x, y).precision == pytest.approx((y == 0).mean())
    table = compare_experts(cut, (x, y), (x, y), [0, 1], [1 / 3])
    best = max(table, key=lambda row: row.f1)
    assert best.ranking is Ranking.INFLUENCE and best.f1 == 1.0


def test_expert_as_onnx_computes_the_same(tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(1)
    network = Network(
        (
            Node("h", Affine(rng.integers(-9, 9, (8, 4)) / 4, np.zeros(8)), (INPUT,)),
            Node("r", ReLU(), ("h",)),
            Node("y", Affine(rng.integers(-9, 9, (3, 8)) / 4, np.zeros(3)), ("r",)),
        ),
        (4,),
    )
    x = rng.normal(size=(30, 4)).astype(np.float32)
    labels = outputs(Slice(network), x).argmax(1)
    expert = class_expert(Slice(network, "r"), x, labels, int(labels[0]), 0.5)
    expert.export(tmp_path / "expert.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "expert.onnx"))
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(y, expert.outputs(x), atol=1e-5)


def test_removal_of_what_matters_is_felt_first() -> None:
    model, x, _ = voters()
    cut = Slice(model)
    values = integrated_gradients(model, x, 0.0, class_score(1), steps=4).values
    targets = np.ones(len(x), dtype=np.int64)
    curve = instance_removal(cut, x, values, targets, fractions=[0, 1 / 6, 1])
    # Input 1 is the only one that speaks for class 1: without it the score is −x₀.
    np.testing.assert_allclose(curve.scores[0], x[:, 1] - x[:, 0])
    np.testing.assert_allclose(curve.scores[1], -x[:, 0])
    np.testing.assert_allclose(curve.scores[2], 0)
    same = class_removal(cut, x, values.mean(0), targets, fractions=[0, 1 / 6, 1])
    np.testing.assert_array_equal(same.scores, curve.scores)
    with pytest.raises(QueryError, match="increasing"):
        class_removal(cut, x, values.mean(0), targets, fractions=[0.5, 0.2])
    with pytest.raises(DataError, match="one row for each"):
        instance_removal(cut, x, values[:3], targets)


def test_area_under_a_removal_curve() -> None:
    """Score 1 with nothing removed, 0 from half on: trapezoids 0.25 + 0 of width 1."""
    model, x, _ = voters()
    x = np.zeros((1, 6))
    x[0, 1] = 1.0
    ranking = np.array([[0, 9, 8, 0, 0, 0.0]])
    curve = instance_removal(Slice(model), x, ranking, [1], fractions=[0, 0.5, 1])
    assert curve.area == pytest.approx(0.25)
    np.testing.assert_array_equal(curve.agreement, [1, 0, 0])


def test_auroc_counts_pairs() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, False, True, True])
    assert auroc(scores, positive) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    with pytest.raises(DataError, match="both right and wrong"):
        auroc(scores, np.ones(4, dtype=bool))


def test_distances_from_a_profile() -> None:
    """A multiple of the profile is at 0, its negative at the far end; zeros are unrelated."""
    profile = np.array([[3.0, 1.0, 0.0, 0.0, -2.0]])
    found = Influences(np.vstack([2 * profile, -profile, 0 * profile]), np.tile([[5.0]], (3, 1)))
    profiles = Profiles(Slice(nn.Identity()), profile)
    expected = {
        Distance.RANK: [0, 2, 1],
        Distance.COSINE: [0, 2, 1],
        Distance.MANHATTAN: [0, 2, 1],
        Distance.EUCLIDEAN: [0, 2, 1],
    }
    for distance, values in expected.items():
        np.testing.assert_allclose(deviations(profiles, found, distance), values, atol=1e-12)
    np.testing.assert_array_equal(profiles.order(0), [0, 1, 2, 3, 4])


def test_profiles_tell_wrong_predictions_of_a_trained_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    x = np.random.default_rng(2).normal(size=(400, 4))
    y = outputs(Slice(model), x).argmax(1)
    noisy = np.where(np.random.default_rng(3).uniform(size=400) < 0.2, (y + 1) % 3, y)
    cut = Slice(model, "0")
    found = influences(cut, x)
    profiles = class_profiles(cut, found, noisy)
    np.testing.assert_allclose(profiles.means[1], found.values[(y == 1) & (noisy == 1)].mean(0))
    result = error_detection(profiles, found, noisy)
    assert result.wrong == int((y != noisy).sum()) and result.total == 400
    assert all(0 <= value <= 1 for value in result.distances.values())
    grid = profile_grid(profiles, found, noisy, 1, rows=10, units=6)
    assert grid.correct == 10 and grid.values.shape[1] == 6
    assert np.abs(grid.values).max() <= 1
    np.testing.assert_allclose(softmax_doubt(np.array([[0.0, 0.0]])), [0.5])


def pixel_reader() -> Network:
    """Unit 0 of ``conv`` is the pixel sum of each 2×2 corner; class 0 reads its last corner."""
    weight = np.zeros((2, 16 // 4 * 2))
    weight[0, 3], weight[1, 0] = 2.0, 1.0
    kernel = np.stack([np.ones((1, 2, 2)), -np.ones((1, 2, 2))])
    return Network(
        (
            Node("conv", Conv2d(kernel, np.zeros(2), (2, 2)), (INPUT,)),
            Node("relu", ReLU(), ("conv",)),
            Node("flat", Reshape((8,)), ("relu",)),
            Node("y", Affine(weight, np.zeros(2)), ("flat",)),
        ),
        (1, 4, 4),
    )


def test_what_a_unit_means() -> None:
    network = pixel_reader()
    x = np.random.default_rng(0).uniform(0, 1, (20, 1, 4, 4))
    meaning = unit_meaning(Slice(network, "relu"), 3, x, top=4)
    expected = np.zeros((1, 4, 4))
    expected[0, 2:, 2:] = 1
    np.testing.assert_array_equal(meaning.gradient, expected)
    sums = x[:, 0, 2:, 2:].sum((1, 2))
    assert meaning.top == tuple(np.argsort(-sums)[:4])
    assert all(p.where == (slice(2, 4), slice(2, 4)) for p in meaning.patches)
    assert support(np.zeros((1, 4, 4))) is None


def test_an_explanation_names_the_units_and_shows_them() -> None:
    network = pixel_reader()
    x = np.random.default_rng(0).uniform(0, 1, (1, 1, 4, 4))
    found = explain_input(Slice(network, "relu"), x, class_score(0), units=1)
    (one,) = found.units
    assert (one.index, one.influence) == (3, 2.0)
    assert one.activation == pytest.approx(x[0, 0, 2:, 2:].sum())
    assert one.picture[0, 2:, 2:].sum() == 4 and one.picture.sum() == 4
    why = why_rather_than(Slice(network, "relu"), x, 0, 1, units=2)
    assert [(u.index, u.influence) for u in why.units] == [(3, 2.0), (0, -1.0)]


def test_dead_features_and_equal_attributions() -> None:
    """A model that never reads its last input: no influence, and rows that differ only there
    have the same attributions."""
    values = np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0], [3.0, 1.0, 0.0]])
    inputs = np.array([[1.0, 1.0, 5.0], [1.0, 1.0, 6.0], [2.0, 0.0, 5.0]])
    np.testing.assert_array_equal(bugs.without_influence(values, inputs), [2])
    constant = inputs.copy()
    constant[:, 2] = 5.0
    assert len(bugs.without_influence(values, constant)) == 0
    (same,) = bugs.identical_attributions(values, inputs)
    assert same.rows == (0, 1) and same.features == (2,)
    assert bugs.identical_attributions(values, constant) == ()


def test_attribution_that_sits_on_a_marker() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1, (40, 64))
    labels = np.repeat([0, 1], 20)
    values[20:, :4] += 50.0
    regions = [*([list(range(4))]), *([[i] for i in range(4, 64)])]
    (found,) = bugs.concentrated(values, labels, regions)
    assert found.target == 1 and found.region == (0, 1, 2, 3)
    assert found.leads == 1.0 and found.ratio == pytest.approx(found.share * 16)
    assert len(bugs.tiles(8, 8, 4)) == 4 and sum(map(len, bugs.tiles(7, 5, 3))) == 35


def test_over_stability() -> None:
    model, x, y = voters()
    values = integrated_gradients(model, x, 0.0, class_score(y), steps=4).values
    rows = bugs.over_stability(Slice(model), x, y, values, counts=(2, 6), top=2)
    assert set(rows[0].features) == {0, 1}
    assert rows[0].alone == rows[0].whole == rows[1].alone == 1.0
    swapped = bugs.replaced_subject(Slice(model), x, values, count=2)
    # The two read inputs get the content of two others: half the answers change.
    assert 0.3 < swapped.share < 0.7
    assert len(swapped.unchanged) == round(swapped.share * len(x))


def test_signed_maps_are_symmetric() -> None:
    values = np.array([[1.0, -1.0], [0.0, 0.5]])
    picture = signed_map(values, 1.0).astype(int)
    assert picture[1, 0].tolist() == [221, 221, 221]
    assert picture[0, 0, 0] > picture[0, 0, 2] and picture[0, 1, 2] > picture[0, 1, 0]
    half = (picture[1, 1] - 221) * 2
    np.testing.assert_allclose(half, picture[0, 0] - 221, atol=2)


def test_limits_say_what_they_are() -> None:
    values = np.concatenate([np.full(98, 1.0), [2.0, 100.0]])
    assert limit_of(values, Clip.NONE) == 100.0
    assert limit_of(values, Clip.MASS) == 100.0
    assert limit_of(np.concatenate([np.full(999, 1.0), [2.0]]), Clip.MASS) == 1.0
    assert limit_of(values, Clip.PERCENTILE) == pytest.approx(np.percentile(values, 99))
    assert limit_of(np.zeros(4)) == 1.0
    first, second = compared([np.ones((2, 2)), np.full((2, 2), 0.5)], ["a", "b"], Clip.NONE)
    assert first.picture[0, 0, 0] < second.picture[0, 0, 0] < 221


def test_pictures_are_written(tmp_path) -> None:
    rng = np.random.default_rng(0)
    image, values = rng.uniform(size=(1, 6, 6)), rng.normal(size=(1, 6, 6))
    panels = [
        Panel(signed_map(values), "map"),
        Panel(scaled_image(image, values), "scaled"),
        Panel(green_overlay(image, values), "overlay"),
    ]
    sheet = np.asarray(Image.open(save_png(panels, tmp_path / "a.png")))
    assert sheet.shape[1] > 3 * 160 and sheet.std() > 10
    square = np.asarray(Image.open(save_png([*panels, panels[0]], tmp_path / "b.png", columns=2)))
    assert square.shape[0] > 2 * 160 and square.shape[1] < 2 * 200
    assert tokens_html(["not", "<bad>"], np.array([1.0, -2.0])).count("<span") == 2
    with pytest.raises(DataError, match="token values"):
        tokens_html(["a"], np.zeros(2))
    with pytest.raises(DataError, match="picture"):
        signed_map(np.zeros(4))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exact": True},
        {"quantity": "compare:0,1"},
        {"method": "influence", "layer": "relu"},
        {"layer": "relu", "exact": True, "quantity": "class:1"},
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".html", ".npz"])
def test_the_command_writes_what_it_says(tmp_path, options, suffix) -> None:
    network = pixel_reader()
    x = np.random.default_rng(0).uniform(0, 1, (3, 16))
    found = explain(network, x, 2, tmp_path / f"out{suffix}", ExplainSettings(**options))
    assert found.path.stat().st_size > 300
    assert "predicted class" in found.lines[0]
    if not options.get("layer") and not options.get("method"):
        assert found.attribution.completeness[0] < 1e-9


def test_the_command_says_what_is_wrong(tmp_path) -> None:
    network, x = pixel_reader(), np.zeros((3, 16))
    with pytest.raises(QueryError, match="class:K or compare"):
        parse_quantity("most", 0, network.classes)
    with pytest.raises(QueryError, match="0 to 2"):
        explain(network, x, 3, tmp_path / "a.png")
    with pytest.raises(OutputError, match="png"):
        explain(network, x, 0, tmp_path / "a.gif")
    with pytest.raises(QueryError, match="--exact"):
        ExplainSettings(method="influence", exact=True)
    with pytest.raises(QueryError, match="no such layer"):
        explain(network, x, 0, tmp_path / "a.png", ExplainSettings(layer="nowhere"))


@pytest.mark.parametrize("skip", [False, True])
def test_outputs_from_values_at_a_slice(skip) -> None:
    """With a path around the slice every value needs its own input row, without any one does."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.last = nn.Linear(6, 4, dtype=F64), nn.Linear(4, 2, dtype=F64)
            self.rows: list[int] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.rows.append(len(x))
            y = self.last(torch.relu(self.inner(x)))
            return y + x[:, :2] if skip else y

    torch.manual_seed(0)
    model = Model()
    x, values = np.random.default_rng(0).normal(size=(2, 9, 6))
    cut, values = Slice(model, "inner"), values[:, :4].copy()
    found = outputs_from(cut, x, values)
    assert model.rows[-1] == (9 if skip else 1)
    expected = outputs(cut, x, lambda _, rows: torch.tensor(values[rows]))
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_values_at_a_slice() -> None:
    model, x, _ = voters()
    np.testing.assert_allclose(values_at(Slice(model, "1"), x), x * [1, 1, 9, 9, 9, 9])
    np.testing.assert_array_equal(values_at(Slice(model), x), x)


@pytest.mark.parametrize(
    "name", ["saliency", "input-x-gradient", "smooth-grad", "occlusion", "grad-cam", "lime"]
)
def test_methods_of_captum(name) -> None:
    pytest.importorskip("captum")
    from attribution.methods.peers import CaptumMethod, CaptumSettings, captum_attribution

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    model[3].weight.data *= 50.0
    x = torch.rand(2, 1, 4, 4)
    method = CaptumMethod(name)
    cut = Slice(model, "1") if method is CaptumMethod.GRAD_CAM else Slice(model)
    found = captum_attribution(cut, x, [0, 2], method, CaptumSettings(samples=40))
    again = captum_attribution(cut, x, [0, 2], method, CaptumSettings(samples=40))
    assert found.values.shape == (2, 1, 4, 4) and np.abs(found.values).max() > 0
    np.testing.assert_allclose(found.values, again.values)
    with pytest.raises(QueryError, match="slice"):
        captum_attribution(Slice(model) if cut.sites else Slice(model, "1"), x, 0, method)
