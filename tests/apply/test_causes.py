"""Causes of errors: by hand on small networks, and planted ones come first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from precond import Network, load, record
from precond.apply.debugging.actions import Act, Workshop
from precond.apply.debugging.by_attribution import agreed_regions, regions_of
from precond.apply.debugging.by_rules import hesitation_candidates
from precond.apply.debugging.cases import Cases, Count
from precond.apply.debugging.causes import Causes, Evidence, find_causes
from precond.apply.debugging.conditions import (
    DoubtfulLabels,
    FewRules,
    Hesitation,
    RivalRules,
    SwitchedUnit,
    UsualRegion,
    title,
)
from precond.apply.debugging.cover import PossibleCause, cover
from precond.apply.debugging.doubtful_labels import suspects
from precond.apply.debugging.edits import EditedAnswers, region_candidates, switch_candidates
from precond.apply.debugging.mine_rules import mine_rules
from precond.apply.debugging.profiles import comparative_gradients
from precond.apply.debugging.rule_book import RuleBook
from precond.apply.debugging.settings import DebugSettings
from precond.data.datasets import Dataset, load_dataset, split
from precond.network.evaluate import outputs
from precond.network.layers import Affine, Node, ReLU
from precond.proof.deadline import FOREVER

DIGITS = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"

# a = relu(x0, x1, x2), y = (a0, a1 + 5 a2): unit 2 makes everything that has x2 > 0 a 1.
MISLED = Network(
    (
        Node("z", Affine(np.eye(3), np.zeros(3)), ("input",)),
        Node("a", ReLU(), ("z",)),
        Node("y", Affine(np.array([[1.0, 0, 0], [0, 1, 5]]), np.zeros(2)), ("a",)),
    ),
    (3,),
)
# Four of class 0 that unit 2 misleads, three right ones of each class, x2 = 0 but in one.
POINTS = np.array(
    [
        *([3.0, 1, 1], [4, 1, 1], [3, 2, 2], [5, 1, 1]),
        *([3.0, 1, 0], [4, 2, 0], [2, 1, 0]),
        *([1.0, 3, 0], [1, 2, 0], [4, 3, 1]),
    ]
)
LABELS = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])


def cases_of(network: Network, inputs: np.ndarray, labels: np.ndarray) -> Cases:
    predicted = record(network, inputs).predicted
    return Cases.of(labels, predicted, held_out=np.arange(len(labels))[::3], seed=0)


def test_lift_counts_one_right_input_more_than_there_is() -> None:
    assert Count(5, of_errors=10, right=0, of_right=99).lift == 50.0  # 1/2 against 1/100
    assert Count(5, of_errors=10, right=4, of_right=99).lift == 10.0
    assert Count(0, of_errors=0, right=4, of_right=99).lift == 0.0


@pytest.mark.parametrize("wrong", [3, 4, 45])
def test_halves_have_errors_and_right_inputs_of_both_parts_in_equal_numbers(wrong: int) -> None:
    labels = np.zeros(200, dtype=np.int64)
    predicted = (np.arange(200) < wrong).astype(np.int64)
    cases = Cases.of(labels, predicted, held_out=np.arange(0, 200, 4), seed=1)
    assert sorted(cases.rows.tolist()) == list(range(200))
    halves = [cases.finding, ~cases.finding]
    if wrong < 4:
        assert cases.finding.all()
        return
    for among in (cases.wrong, ~cases.wrong, cases.wrong & cases.held_out):
        sizes = [int((half & among).sum()) for half in halves]
        assert abs(sizes[0] - sizes[1]) <= 1


def test_a_cover_takes_what_says_most_and_each_error_once() -> None:
    labels = np.zeros(108, dtype=np.int64)
    predicted = (np.arange(108) < 8).astype(np.int64)
    cases = replace(
        Cases.of(labels, predicted, held_out=np.arange(0), seed=0), finding=np.ones(108, bool)
    )

    def candidate(share: float, errors: list[int], right: int, tried: int = 1) -> PossibleCause:
        inside = np.isin(cases.rows, errors) | ((cases.rows >= 8) & (cases.rows < 8 + right))
        return PossibleCause(FewRules(None, share), inside, tried)

    common = candidate(0.1, [0, 1, 2, 3, 4, 5, 6, 7], right=100)  # as common among right inputs
    sharp = candidate(0.2, [0, 1, 2, 3], right=0)
    wider = candidate(0.3, [0, 1, 2, 3, 4, 5], right=5)
    other = candidate(0.4, [3, 4, 5], right=0)
    lone = candidate(0.5, [6], right=0)
    chosen = cover([common, sharp, wider, other, lone], cases)
    assert [one.candidate for one in chosen] == [sharp, other]
    assert [sorted(cases.rows[one.explained].tolist()) for one in chosen] == [[0, 1, 2, 3], [4, 5]]
    # share 1/2 against (0 + 1)/(100 + 1): 4 errors of ½ · log2(50.5) bits each
    assert chosen[0].bits == pytest.approx(2 * np.log2(50.5))
    many = candidate(0.6, [0, 1], right=0, tried=10**9)
    (weak,) = cover([many], cases)  # among so many, one fits two errors by chance
    assert weak.bits < 0
    assert cover([common, lone], cases) == ()


def test_a_unit_that_misleads_is_switched_off_and_its_errors_are_mended() -> None:
    cases = cases_of(MISLED, POINTS, LABELS)
    assert sorted(cases.rows[cases.wrong].tolist()) == [0, 1, 2, 3]
    answers = EditedAnswers(MISLED, POINTS[cases.rows], "cpu")
    cases = replace(cases, finding=np.ones(10, dtype=np.bool_))
    found, whole = switch_candidates(answers, cases, ["a"])
    assert whole
    edits = {one.condition: sorted(cases.rows[one.inside].tolist()) for one in found}
    # Row 9 is (4, 3, 1), a 1 thanks to unit 2 alone: the switch breaks it.
    assert edits[SwitchedUnit("a", 2, on=False)] == [0, 1, 2, 3, 9]
    # Regions of a table are its columns: the median of x2 among right inputs is 0.
    (sizes,) = regions_of(3, None, ("first", "second", "third"))
    again, _ = region_candidates(answers, cases, sizes, agreed=sizes)
    thirds = [one for one in again if one.condition == UsualRegion((2,), "third")]
    assert sorted(cases.rows[thirds[0].inside].tolist()) == [0, 1, 2, 3, 9]
    assert cover(found + again, cases)[0].candidate.condition in (
        SwitchedUnit("a", 2, on=False),
        UsualRegion((2,), "third"),
    )


def test_a_switch_is_what_zero_weights_do() -> None:
    data = load_dataset("digits")
    network = disturbed(load(DIGITS), layer="relu1", unit=20, scale=25.0)
    rows = np.arange(400)
    assert data.labels is not None
    inputs, labels = data.flat[rows], data.labels[rows]
    cases = cases_of(network, inputs, labels)
    answers = EditedAnswers(network, inputs[cases.rows], "cpu")
    found, _ = switch_candidates(answers, cases, network.decision_layers)
    off = [one for one in found if isinstance(one.condition, SwitchedUnit) and not one.condition.on]
    assert off
    for one in off[:3]:
        assert isinstance(one.condition, SwitchedUnit)
        cut = disturbed(network, one.condition.layer, one.condition.unit, scale=None)
        said = outputs(cut, inputs[cases.rows]).argmax(axis=1)
        expected = np.where(cases.wrong, said == cases.labels, said != cases.predicted)
        assert (one.inside == expected).all()


def test_regions_are_those_that_two_errors_or_more_speak_for() -> None:
    sizes = regions_of(64, (8, 8), None)
    assert [len(regions) for regions in sizes] == [64, 49, 49]
    gradients = np.zeros((3, 64))
    gradients[:2, 0] = 1.0  # two errors agree on the first pixel
    gradients[2, 63] = 1.0
    names = {region.features for region in agreed_regions(gradients, sizes)}
    assert names == {(0,), (0, 1, 8, 9)}
    assert agreed_regions(gradients[:0], sizes) == []


def test_hesitation_is_a_small_gap_between_the_two_largest() -> None:
    scores = np.array([[5.0, 4.9, 0], [5, 0, 4.8], [0, 5, 4.9], [9, 1, 0], [1, 9, 0], [0, 1, 9]])
    labels = np.array([1, 2, 2, 0, 1, 2])
    cases = Cases.of(labels, scores.argmax(1), held_out=np.arange(0), seed=0)
    found = hesitation_candidates(scores[cases.rows], cases)
    widest = max(
        (
            one
            for one in found
            if isinstance(one.condition, Hesitation) and one.condition.first == 2
        ),
        key=lambda one: int(one.inside.sum()),
    )
    assert sorted(cases.rows[widest.inside].tolist()) == [1, 2]


def gaps(found: list[PossibleCause]) -> list[float]:
    return [one.condition.gap for one in found if isinstance(one.condition, Hesitation)]


def disturbed(network: Network, layer: str, unit: int, scale: float | None) -> Network:
    """Noise of ``scale`` standard deviations on what a unit reads; None: it reads nothing."""
    source, nodes = network.pre_activation(layer), []
    for node in network.nodes:
        if node.name == source and isinstance(node.layer, Affine):
            weight, bias = node.layer.weight.copy(), node.layer.bias.copy()
            if scale is None:
                weight[unit], bias[unit] = 0.0, 0.0
            else:
                noise = np.random.default_rng(0).normal(0.0, scale, weight.shape[1])
                weight[unit] += noise * np.abs(weight).std()
            node = replace(node, layer=Affine(weight, bias))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def explained(network: Network, data: Dataset) -> Causes:
    """Causes of the errors of ``network``, with rules and attributions, without a time limit."""
    labels = data.labels
    assert labels is not None
    signatures = record(network, data.flat)
    book = RuleBook(
        network=network, rules=(), inputs=data.flat, signatures=signatures, train=data.train
    )
    book, _ = mine_rules(book, DebugSettings(budget=600.0))
    wrong = np.flatnonzero(signatures.predicted != labels)
    evidence = Evidence(
        book=book,
        labels=labels,
        cases=Cases.of(labels, signatures.predicted, held_out=data.held_out, seed=0),
        suspects=suspects(book, wrong, labels),
        examined=wrong,
        gradients=comparative_gradients(
            network,
            inputs=data.flat[wrong],
            predicted=signatures.predicted[wrong],
            true=labels[wrong],
            baseline=0.0,
        ),
        image_shape=data.image_shape,
    )
    return find_causes(evidence, FOREVER)


@pytest.mark.parametrize(("layer", "unit"), [("relu1", 20), ("relu2", 11)])
def test_a_neuron_whose_weights_were_disturbed_is_the_first_cause(layer: str, unit: int) -> None:
    network = disturbed(load(DIGITS), layer, unit, scale=25.0)
    found = explained(network, load_dataset("digits"))
    first = found.causes[0]
    assert isinstance(first.condition, SwitchedUnit)
    assert (first.condition.layer, first.condition.unit) == (layer, unit)
    for finding in (True, False):  # on the half it was found on, and on the other
        met, errors = found.explained(1, finding=finding)
        assert met >= 0.6 * errors
    (edit,) = (action for action in first.actions if action.act is Act.EDIT)
    assert edit.edit == first.condition and edit.gain > 0
    rows = np.concatenate([found.single, *(cause.rows for cause in found.causes)])
    assert len(rows) == len(set(rows.tolist())) == int(found.cases.wrong.sum())


def marked(data: Dataset) -> Dataset:
    """A bright corner in 60 % of the training threes, and in a third of the held-out digits."""
    assert data.labels is not None
    train, held_out = split(data)
    stream = np.random.default_rng(0)
    threes = train[data.labels[train] == 3]
    chosen = [stream.choice(threes, int(0.6 * len(threes)), replace=False)]
    chosen.append(stream.choice(held_out, len(held_out) // 3, replace=False))
    inputs = np.asarray(data.flat, dtype=np.float32).reshape(-1, 8, 8).copy()
    inputs[np.concatenate(chosen), 0, :2] = 1.0
    return replace(data, inputs=inputs.reshape(data.inputs.shape), parts=(train, held_out))


def trained(data: Dataset) -> Network:
    assert data.labels is not None
    torch.manual_seed(0)
    sizes = (torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU())
    module = torch.nn.Sequential(*sizes, torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    inputs = torch.tensor(data.flat[data.train])
    labels = torch.tensor(data.labels[data.train])
    for _ in range(30):
        for part in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(inputs[part]), labels[part]).backward()
            optimizer.step()
    return load(module.eval(), (64,))


def test_a_marker_in_the_training_pictures_of_one_class_is_the_first_cause() -> None:
    data = marked(load_dataset("digits"))
    found = explained(trained(data), data)
    first = found.causes[0]
    assert isinstance(first.condition, UsualRegion)
    assert {0, 1} & set(first.condition.features)
    assert max(first.condition.features) < 16  # in the first two rows of pixels
    met, errors = found.explained(1, finding=False)
    assert met >= 0.5 * errors
    (edit,) = (action for action in first.actions if action.act is Act.EDIT)
    assert edit.gain > 5


def test_what_is_watched_and_who_is_near_by_hand() -> None:
    cases = replace(cases_of(MISLED, POINTS, LABELS), held_out=np.ones(10, dtype=np.bool_))
    cases = replace(cases, finding=np.isin(cases.rows, [0, 1, 4, 7]))
    workshop = Workshop(
        network=MISLED,
        inputs=POINTS,
        labels=LABELS,
        train=np.array([4, 5, 6, 7, 8]),
        cases=cases,
        suspects=(),
    )
    inside = POINTS[cases.rows, 2] > 0
    (one,) = cover([PossibleCause(Hesitation(0, None, 9.0), inside, 1)], cases)
    watch, retrain, gather = workshop.actions(one, FOREVER)
    assert (watch.act, retrain.act, gather.act) == (Act.WATCH, Act.RETRAIN, Act.GATHER)
    # Of the other half, rows 2 and 3 are errors with x2 > 0, and row 9 is right with x2 > 0.
    assert watch.effect == Count(2, of_errors=2, right=1, of_right=4)
    assert watch.gain == 0 and retrain.control is not None and retrain.examples == 2
    # Three of the five training inputs are right and carry label 0, as each error does.
    assert gather.like == 3.0


def test_titles_are_plain_words() -> None:
    misleads = title(SwitchedUnit("relu1", 31, on=False))
    assert misleads.startswith("The neuron relu1[31] misleads")
    assert "switched on" in title(SwitchedUnit("relu1", 31, on=True))
    assert "channel" in title(SwitchedUnit("c", 2, on=True, channel=True))
    between = title(Hesitation(3, None, 1.0))
    assert between == "The network hesitates between 3 and another class"


def test_titles_name_classes_as_the_data_does() -> None:
    classes = ("malignant", "benign")
    said = [
        title(condition, classes)
        for condition in (
            Hesitation(0, 1, 1.0),
            FewRules(1, 0.1),
            RivalRules(0, 0.1),
            DoubtfulLabels(0, 1),
        )
    ]
    assert said[0] == "The network hesitates between malignant and benign"
    assert "rules of class benign hold" in said[1]
    assert "rules of class malignant, which" in said[2]
    assert said[3].endswith("labelled malignant, they look like benign")
