"""Debugging wrong predictions: rule books by hand, flipped labels on digits, pages."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from precond import Box, DecisionPattern, Network, Property, load, record
from precond.apply.debugging.conditions import DoubtfulLabels
from precond.apply.debugging.doubtful_labels import suspects
from precond.apply.debugging.findings import Debugged, DebugSettings, debug
from precond.apply.debugging.own_answer import NOT_TRIED, OwnPrecondition, Unproved
from precond.apply.debugging.own_precondition import own_precondition
from precond.apply.debugging.profiles import comparative_gradients
from precond.apply.debugging.rule_book import RuleBook
from precond.apply.debugging.sufficient_part import sufficient_part, units_of
from precond.cli import main
from precond.data.datasets import Dataset, load_dataset, split
from precond.errors import DataError
from precond.mine.input_preconditions.relax import InputPrecondition
from precond.mine.layer_rules.learn import LayerRule
from precond.network.evaluate import outputs
from precond.network.layers import Affine, Node, ReLU
from precond.proof.claim import Claim
from precond.proof.effort import Effort
from precond.proof.verdict import Status, Verdict
from precond.region.unit_names import LayerNames, UnitNames
from precond.report import hints
from precond.report.debug.index import debug_files
from precond.report.debug.words import unproved_words
from precond.report.evidence import Subject

DIGITS = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"

# a = relu(x), y = a: the larger positive input wins.
IDENTITY = Network(
    (
        Node("z", Affine(np.eye(2), np.zeros(2)), ("input",)),
        Node("a", ReLU(), ("z",)),
        Node("y", Affine(np.eye(2), np.zeros(2)), ("a",)),
    ),
    (2,),
)
POINTS = np.array([[3.0, -1.0], [1.0, -1.0], [-1.0, 2.0], [-1.0, 4.0], [5.0, 1.0]])


def rule(label: int, on: list[int], off: list[int], support: int) -> LayerRule:
    pattern = DecisionPattern(frozenset(("a", i) for i in on), frozenset(("a", i) for i in off))
    return LayerRule(
        label=label, layer="a", pattern=pattern, support=support, precision=1.0, confidence=0.9
    )


def book_of(*rules: LayerRule) -> RuleBook:
    return RuleBook(
        network=IDENTITY,
        rules=rules,
        inputs=POINTS,
        signatures=record(IDENTITY, POINTS),
        train=np.arange(4),
    )


def test_strength_is_the_share_of_the_classes_rules_by_support() -> None:
    book = book_of(rule(0, [0], [1], 6), rule(0, [0], [], 2), rule(1, [1], [0], 5))
    # Row 0 has both rules of class 0, row 4 (both neurons on) only the second: 2 of 8.
    assert book.strengths[0].tolist() == [1.0, 0.0]
    assert book.strengths[4].tolist() == [0.25, 0.0]
    assert book.strengths[2].tolist() == [0.0, 1.0]
    assert [book.name(k) for k in range(3)] == ["0-rule-1", "0-rule-2", "1-rule-1"]


def test_counterfactual_lists_the_neurons_to_switch_and_what_it_does() -> None:
    book = book_of(rule(0, [0], [1], 6), rule(1, [1], [0], 5), rule(1, [1], [], 9))
    near, far = book.counterfactuals(0, 1)
    # Row 0 is (3, −1).  Neuron 1 is off; among inputs of class 1 it is on with mean (2 + 4)/2 = 3.
    assert [(f.index, f.on, f.value, f.usual) for f in near.flips] == [(1, True, -1.0, 3.0)]
    assert near.rule == 2 and near.predicted_then == 0  # outputs (3, 3): a tie goes to the first
    assert [(f.index, f.on) for f in far.flips] == [(0, False), (1, True)]
    assert far.rule == 1 and far.changes_answer  # neuron 0 switched off leaves (0, 3)
    assert book.counterfactuals(0, 0)[0].flips == ()
    assert book_of(rule(0, [0], [], 1)).counterfactuals(0, 1) == ()


@pytest.fixture(scope="module")
def flipped() -> tuple[Debugged, set[int]]:
    """Digits with 3 % of the training labels flipped, 4 → 9."""
    data = load_dataset("digits")
    assert data.labels is not None
    train, held_out = split(data)
    fours = train[data.labels[train] == 4]
    chosen = np.random.RandomState(0).choice(fours, round(0.03 * len(train)), replace=False)
    labels = data.labels.copy()
    labels[chosen] = 9
    settings = DebugSettings(budget=600.0, findings=3)
    changed = replace(data, labels=labels, parts=(train, held_out))
    return debug(load(DIGITS), changed, settings), set(chosen.tolist())


def test_flipped_labels_are_found_and_their_pair_is_the_first_cause(
    flipped: tuple[Debugged, set[int]],
) -> None:
    found, planted = flipped
    rows = [suspect.row for suspect in found.suspects]
    hits = len(planted & set(rows))
    assert hits / len(rows) >= 0.8 and hits / len(planted) >= 0.5
    assert found.causes[0].condition == DoubtfulLabels(label=9, likely=4)
    assert all(s.label == 9 and s.likely == 4 for s in found.suspects if s.row in planted)


def test_errors_are_all_there_and_each_has_one_cause(flipped: tuple[Debugged, set[int]]) -> None:
    found, _ = flipped
    assert set(found.wrong.tolist()) == set(np.flatnonzero(found.predicted != found.labels))
    late = np.isin(found.wrong, found.held_out)
    assert late[: late.sum()].all()  # held-out ones first
    explained = np.concatenate([found.explained.single, *(cause.rows for cause in found.causes)])
    assert sorted(explained.tolist()) == sorted(found.wrong.tolist())
    for cause in found.causes:
        assert cause.found.errors >= 2
        assert (found.labels[cause.right] == found.predicted[cause.right]).all()
    assert len(found.findings) == 3 and "the first 3" in " ".join(found.notes)


def test_counterfactuals_agree_with_a_literal_by_literal_count(
    flipped: tuple[Debugged, set[int]],
) -> None:
    found, _ = flipped
    book, finding = found.book, found.findings[0]
    fewest = min(
        sum(
            bool(book.signatures.decisions(layer, slice(finding.row, finding.row + 1))[0, i]) is off
            for off, literals in ((False, r.pattern.on), (True, r.pattern.off))
            for layer, i in literals
        )
        for r in book.rules
        if r.label == finding.label
    )
    assert finding.nearest is not None and len(finding.nearest.flips) == fewest
    if finding.switching is not None:
        assert finding.switching.predicted_then == finding.label


def test_gradients_sum_to_the_change_of_the_difference() -> None:
    network = load(DIGITS)
    rows = load_dataset("digits").inputs[:5]
    first, second = np.array([0, 1, 2, 3, 4]), np.array([9, 8, 7, 6, 5])
    values = comparative_gradients(network, rows, first, second, 0.0)
    ends = outputs(network, np.concatenate([rows, np.zeros((1, 64), np.float32)]))
    at = np.arange(5)
    change = (ends[at, first] - ends[at, second]) - (ends[5, first] - ends[5, second])
    assert np.allclose(values.sum(axis=1), change, rtol=2e-2, atol=2e-2)


def whole_signature(points: np.ndarray) -> Claim:
    """That the signature of the first point implies class 0 in [0, 2]²."""
    full = DecisionPattern.of_row(record(IDENTITY, points), 0)
    return Claim(IDENTITY, Box.uniform(2, 0.0, 2.0), full, Property.argmax(0, 2))


def test_own_precondition_shrinks_until_it_proves_and_its_box_keeps_the_answer() -> None:
    # Row (1, 0.9): class 0 up to a change of 0.05 each, so 0.4 must be halved to 0.05 or less.
    points = np.array([[1.0, 0.9]])
    own = own_precondition(
        whole_signature(points),
        points[0],
        0.4,
        Effort(budget=600.0, each=20.0),
    )
    assert isinstance(own, OwnPrecondition) and 0.025 <= own.radius < 0.05
    assert own.precondition.verdict.is_proved and own.box is not None
    samples = own.box.sample(200, np.random.default_rng(0))
    assert (outputs(IDENTITY, samples).argmax(axis=1) == 0).all()


def test_what_has_no_precondition_of_its_own_says_why() -> None:
    # At (1, 1) the classes tie, so every ball holds an input of class 1.
    points = np.array([[1.0, 1.0]])
    given = (whole_signature(points), points[0], 0.4)
    tie = own_precondition(*given, Effort(budget=600.0, each=20.0))
    assert isinstance(tie, Unproved)
    assert tie.refuted == tuple(0.4 / 2**k for k in (6, 10, 12))
    assert (tie.open, tie.untried, tie.proved) == ((), 0, None)
    words = unproved_words(tie)
    assert "Radius 0.00625, 0.000391, 9.77e-05: refuted" in words[1]
    hasty = own_precondition(*given, Effort(budget=1e-9, each=20.0))
    assert isinstance(hasty, Unproved)
    assert (hasty.refuted, hasty.open, hasty.untried) == ((), (), 13)
    assert "13 smaller balls were not tried" in unproved_words(hasty)[1]
    assert "Not tried" in unproved_words(NOT_TRIED)[0]
    kept = unproved_words(Unproved(refuted=(0.4,), open=(0.2,), untried=0, proved=0.1, seconds=3.0))
    assert kept[2:] == (
        "Radius 0.2: not decided in time.",
        "Radius 0.1: the whole signature does prove the class, but no time was left to free a "
        "neuron.",
    )
    many = Unproved(refuted=(), open=(), untried=0, proved=0.1, seconds=3.0, left=150, literals=192)
    assert "left 150 of its 192 neurons at best, more than half" in unproved_words(many)[1]


@pytest.mark.parametrize(
    ("own", "smaller"),
    [
        (NOT_TRIED, False),
        (Unproved(refuted=(), open=(), untried=0, proved=0.1, seconds=3.0), False),
        (Unproved(refuted=(0.4,), open=(), untried=2, proved=None, seconds=3.0), True),
        (Unproved(refuted=(), open=(0.4,), untried=0, proved=None, seconds=3.0), True),
        (
            Unproved(
                refuted=(), open=(), untried=0, proved=0.1, seconds=3.0, left=150, literals=192
            ),
            True,
        ),
    ],
)
def test_a_smaller_radius_is_no_advice_where_only_time_was_short(
    own: Unproved, smaller: bool, flipped: tuple[Debugged, set[int]]
) -> None:
    found = replace(flipped[0], findings=(replace(flipped[0].findings[0], own=own),), seconds=0.0)
    words = " ".join(hints.of_debugged(found, (0.0, 1.0)))
    assert ("smaller --radius" in words, "time ran out" in words) == (smaller, not smaller)


def test_the_ball_of_an_own_precondition_may_be_much_smaller_than_the_signatures() -> None:
    # h = relu(x - 0.001), y = (1 - 1000 h, 0): with h off y is (1, 0) anywhere, and without
    # that literal, the only one, up to x = 0.002.  The radius 0.4 is 200 times as large.
    steep = Network(
        (
            Node("z", Affine(np.ones((1, 1)), np.array([-0.001])), ("input",)),
            Node("h", ReLU(), ("z",)),
            Node("y", Affine(np.array([[-1000.0], [0.0]]), np.array([1.0, 0.0])), ("h",)),
        ),
        (1,),
    )
    point = np.zeros((1, 1))
    full = DecisionPattern.of_row(record(steep, point), 0)
    claim = Claim(steep, Box.uniform(1, -1.0, 1.0), full, Property.argmax(0, 2))
    own = own_precondition(claim, point[0], 0.4, Effort(budget=600.0, each=20.0))
    assert isinstance(own, OwnPrecondition) and own.whole == 0.4
    assert own.precondition.pattern is not None and len(own.precondition.pattern) == 0
    assert 0.001 < own.radius < 0.002


def own_of(pattern: DecisionPattern, radius: float) -> OwnPrecondition:
    return OwnPrecondition(
        radius=radius,
        precondition=InputPrecondition(
            pattern=pattern,
            verdict=Verdict(Status.PROVED, "bounds"),
            layer="a",
            proofs=1,
            minimal=True,
        ),
        box=None,
        literals=2,
        whole=radius,
    )


@pytest.mark.parametrize(("radius", "kept"), [(0.3, 2), (0.08, 1)])
def test_features_that_suffice_for_an_input_by_hand(radius: float, kept: int) -> None:
    # The larger of (1, 0.9) wins.  Within 0.08 either value alone may move (0.92 > 0.9, 1 > 0.98),
    # not both (0.92 < 0.98); within 0.3 neither may (0.7 < 0.9, 1 < 1.2).
    point = np.array([1.0, 0.9])
    ball = Box(point - radius, point + radius)
    found = sufficient_part(
        IDENTITY,
        point,
        own_of(DecisionPattern(frozenset({("a", 0)})), radius),
        ball=ball,
        units=units_of(Dataset("points", POINTS)),
        effort=Effort(budget=600.0, each=20.0),
    )
    assert found is not None and found.verdict.is_proved and found.size == kept
    assert found.question.units.word == "column"


def test_nothing_has_to_stay_where_the_ball_alone_proves() -> None:
    point = np.array([1.0, 0.9])
    own = own_of(DecisionPattern(), 0.01)
    ball, units = Box(point - 0.01, point + 0.01), units_of(Dataset("points", POINTS))
    effort = Effort(budget=600.0, each=20.0)
    assert sufficient_part(IDENTITY, point, own, ball=ball, units=units, effort=effort) is None


def test_pages_say_which_pixels_suffice(flipped: tuple[Debugged, set[int]]) -> None:
    found, _ = flipped
    files = debug_files(Subject("m", "d", (8, 8), (0.0, 1.0)), found)
    proved = [one for one in found.findings if isinstance(one.own, OwnPrecondition)]
    assert proved
    for one in proved:
        if one.sufficient is None:
            continue
        claim = one.sufficient.claim
        samples = claim.box.sample(200, np.random.default_rng(0))
        y = outputs(found.book.network, samples)
        assert (y.argmax(axis=1) == one.predicted).all()
        page = files[f"inputs/input-{one.row}.html"]
        assert f"Which pixels suffice for {one.predicted}" in page


def test_own_preconditions_keep_at_most_half_of_the_signature() -> None:
    network, data = load(DIGITS), load_dataset("digits")
    signatures = record(network, data.flat)
    wrong = np.flatnonzero(signatures.predicted != data.labels)
    proved = 0
    for row in wrong.tolist():
        own = own_precondition(
            Claim(
                network,
                box=Box.uniform(64, 0.0, 1.0),
                pattern=DecisionPattern.of_row(signatures, row),
                property=Property.argmax(int(signatures.predicted[row]), 10),
            ),
            point=np.asarray(data.flat[row], dtype=np.float64),
            radius=0.1,
            effort=Effort(budget=600.0, each=20.0),
        )
        if isinstance(own, OwnPrecondition):
            assert own.precondition.pattern is not None
            assert len(own.precondition.pattern) <= own.literals // 2 == 32
            assert own.radius <= own.whole
            proved += 1
    assert proved >= 0.8 * len(wrong)


def test_pages_need_nothing_else_and_escape_what_they_are_given(
    flipped: tuple[Debugged, set[int]],
) -> None:
    found, _ = flipped
    given = Subject("<script>alert(1)</script>.onnx", "digits & <b>", (8, 8), (0.0, 1.0))
    files = debug_files(given, found)
    names = {f"inputs/input-{finding.row}.html" for finding in found.findings}
    assert names < set(files)
    for name, text in files.items():
        if name.endswith(".html"):
            assert "<script" not in text and "<b>" not in text.replace("<b aria", "")
            assert not re.search(r'(src|href)="(?!data:|inputs/|input-|\.\./index)', text)
            assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    tabular = debug_files(Subject("m", "d", None, (0.0, 1.0)), found)
    assert "Inputs that decide" in tabular[next(iter(names))]
    assert "<img" not in tabular["index.html"]


def test_tables_have_plain_values_beside_the_names_of_classes(
    flipped: tuple[Debugged, set[int]],
) -> None:
    found, _ = flipped
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    files = debug_files(Subject("m", "d", (8, 8), (0.0, 1.0)), replace(found, classes=names))
    lines = list(csv.DictReader(files["errors.csv"].splitlines()))
    assert [int(line["row"]) for line in lines] == found.wrong.tolist()
    for line in lines:
        row = int(line["row"])
        assert line["label_name"] == names[int(line["label"])] == names[found.labels[row]]
        assert line["predicted_name"] == names[int(line["predicted"])]
        float(line["margin"])
    proved = [one for one in found.findings if isinstance(one.own, OwnPrecondition)]
    radii = {int(line["row"]): line["proved_radius"] for line in lines if line["proved_radius"]}
    assert set(radii) == {one.row for one in proved}
    page = files[f"inputs/input-{found.findings[0].row}.html"]
    label, said = names[found.findings[0].label], names[found.findings[0].predicted]
    assert f"labelled {label}, predicted {said}</h1>" in page


def test_pages_name_units_by_their_concepts(flipped: tuple[Debugged, set[int]]) -> None:
    found, _ = flipped
    given = Subject("m", "d", None, (0.0, 1.0))
    assert not any("(loop)" in page for page in debug_files(given, found).values())
    network = found.book.network
    layers = {
        layer: LayerNames(dict.fromkeys(range(network.width(layer)), "loop"))
        for layer in network.decision_layers
    }
    named = replace(found, unit_names=UnitNames(layers, network.hash))
    pages = debug_files(given, named)
    assert any("(loop)" in page for page in pages.values())


@pytest.mark.slow
def test_command_gives_every_wrong_digit_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(["debug", str(DIGITS), "--inputs", "digits", "--out", str(out), "--budget", "1"])
    assert code == 0
    data = load_dataset("digits")
    wrong = outputs(load(DIGITS), data.inputs).argmax(axis=1) != data.labels
    with (out / "errors.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert {int(line["row"]) for line in lines} == set(np.flatnonzero(wrong).tolist())
    assert all((out / line["page"]).is_file() for line in lines)
    assert f"{int(wrong.sum())} of 1797 inputs" in capsys.readouterr().out


def test_no_wrong_prediction_is_said_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_dataset("digits")
    labels = tmp_path / "labels.npy"
    np.save(labels, outputs(load(DIGITS), data.inputs).argmax(axis=1))
    out = tmp_path / "out"
    arguments = ["debug", str(DIGITS), "--inputs", "digits", "--labels", str(labels)]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "no wrong predictions" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    ("width", "labels", "says"),
    [
        (63, "zeros", r"rows of 64 values, got rows of 63"),
        (64, None, r"labels: expected the true class of every input, got none"),
        (64, "tens", r"label of row 0 \(counted from 0\): expected a class in 0..9"),
    ],
)
def test_bad_input_is_said_and_nothing_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    width: int,
    labels: str | None,
    says: str,
) -> None:
    inputs = tmp_path / "inputs.npy"
    np.save(inputs, np.zeros((30, width), np.float32))
    arguments = ["debug", str(DIGITS), "--inputs", str(inputs), "--out", str(tmp_path / "out")]
    if labels is not None:
        path = tmp_path / "labels.npy"
        np.save(path, np.full(30, 10 if labels == "tens" else 0))
        arguments += ["--labels", str(path)]
    assert main(arguments) == 2
    assert re.search(says, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_suspects_need_a_class_that_is_seen_right() -> None:
    book = book_of(rule(0, [0], [], 2))
    labels = np.array([1, 1, 0, 0, 1])  # no training input is predicted right
    assert suspects(book, np.array([0]), labels) == ()
    with pytest.raises(DataError, match="the true class of every input"):
        debug(IDENTITY, Dataset("points", POINTS, parts=(np.arange(4), np.array([4]))))
