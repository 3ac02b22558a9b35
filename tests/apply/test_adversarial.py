"""Adversarial examples: minimised by hand, replayed exactly on digits, retraining repeatable."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from precond import (
    Box,
    Claim,
    DecisionPattern,
    Network,
    Property,
    layer_preconditions,
    load,
    record,
)
from precond.apply.adversarial_examples.minimise import WitnessTarget, minimise
from precond.apply.adversarial_examples.retrain import Retraining, retrain
from precond.apply.adversarial_examples.search import Adversarial, adversarial
from precond.apply.adversarial_examples.settings import AdversarialSettings
from precond.apply.adversarial_examples.sparse import fewest_changes
from precond.cli import main
from precond.data.datasets import load_dataset, split
from precond.mine.layer_rules.learn import LayerRule
from precond.network.evaluate import outputs
from precond.network.layers import Affine, Node, ReLU
from precond.proof.replay import replay

DIGITS = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"

# y = (1, 2 x₀ + 0 x₁): class 1 where x₀ > 1/2; x₁ is never read.
HALF = Network(
    (
        Node("z", Affine(np.eye(2), np.zeros(2)), ("input",)),
        Node("a", ReLU(), ("z",)),
        Node("y", Affine(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([1.0, 0.0])), ("a",)),
    ),
    (2,),
)


def test_a_witness_is_drawn_to_the_border_and_what_is_not_needed_is_restored() -> None:
    anchor, witness = np.array([[0.0, 0.25]]), np.array([[1.0, 1.0]])
    (small,) = minimise(HALF, witness, anchor, [WitnessTarget(0, 0, None)])
    assert 0.5 < small[0] < 0.501 and small[1] == 0.25
    assert outputs(HALF, small[None]).argmax() == 1


def test_a_pattern_is_not_left() -> None:
    # The claim speaks of x₁ > 0 only: x₁ may come down to the anchor's, not below 0.
    anchor, witness = np.array([[0.0, -0.5]]), np.array([[1.0, 1.0]])
    pattern = DecisionPattern(frozenset({("a", 1)}))
    (small,) = minimise(HALF, witness, anchor, [WitnessTarget(0, 0, pattern)])
    assert small[0] > 0.5 and small[1] > 0


def test_what_cannot_be_made_smaller_comes_back() -> None:
    # Class 0 already: nothing violates.
    witness = np.array([[0.25, 1.0]])
    assert (minimise(HALF, witness, np.zeros((1, 2)), [WitnessTarget(0, 0, None)]) == witness).all()


def test_fewest_changes_finds_the_one_value_that_is_read() -> None:
    anchors = np.array([[0.0, 0.5], [0.25, 0.5]])
    found = fewest_changes(HALF, anchors, np.array([0, 0]), (0.0, 1.0))
    assert found.tolist() == [[1.0, 0.5], [1.0, 0.5]]
    unread = Network(
        (*HALF.nodes[:2], Node("y", Affine(np.zeros((2, 2)), np.ones(2)), ("a",))), (2,)
    )
    assert np.isnan(fewest_changes(unread, anchors, np.array([0, 0]), (0.0, 1.0))).all()


@pytest.fixture(scope="module")
def found() -> tuple[Network, Adversarial, list[LayerRule]]:
    network, data = load(DIGITS), load_dataset("digits")
    assert data.labels is not None
    train, _ = split(data)
    signatures = record(network, data.inputs[train])
    rules = layer_preconditions(signatures, signatures.predicted, minimum_precision=0.9)[:6]
    result = adversarial(
        network,
        data,
        AdversarialSettings(radius=0.12, most=75, budget=600.0, each=1.0),
        rules=rules,
    )
    return network, result, list(rules)


def test_every_example_refutes_its_claim_exactly_and_in_float32(
    found: tuple[Network, Adversarial, list[LayerRule]],
) -> None:
    network, result, rules = found
    inputs = load_dataset("digits").inputs
    unit = Box.uniform(64, 0.0, 1.0)
    assert len(result.examples) >= 50
    assert {e.claim.split()[0] for e in result.examples} == {"ball", "rule"}
    session = onnxruntime.InferenceSession(DIGITS, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"input": result.inputs()})
    for example, said in zip(result.examples, scores.argmax(axis=1), strict=True):
        assert said == example.predicted != example.label
        point = example.input.astype(np.float64)
        goal = Property.argmax(example.label, 10)
        if example.claim.startswith("ball"):
            ball = Box.ball(inputs[example.anchor], 0.12 + 1e-7, within=unit)
            claim = Claim(network, ball, DecisionPattern(), goal)
        else:
            number = int(example.claim.split()[1]) - 1
            claim = Claim(network, unit, rules[number].pattern, goal)
        shown = replay(claim, point)
        assert shown.counts and shown.in_float32


def test_sizes_are_measured_from_the_anchor_and_examples_are_distinct(
    found: tuple[Network, Adversarial, list[LayerRule]],
) -> None:
    _, result, _ = found
    data = load_dataset("digits")
    assert data.labels is not None
    for e in result.examples:
        change = e.input.astype(np.float64) - data.inputs[e.anchor]
        assert e.linf == pytest.approx(np.abs(change).max())
        assert e.l2 == pytest.approx(np.linalg.norm(change))
        assert e.label == data.labels[e.anchor]
        assert e.linf <= e.witness_linf + 1e-6
        if e.fewest is not None:
            assert e.fewest_changed == int((np.abs(e.fewest - data.inputs[e.anchor]) > 1e-6).sum())
    assert len({e.input.tobytes() for e in result.examples}) == len(result.examples)
    for first, second in combinations(result.examples, 2):
        if first.anchor == second.anchor:
            assert np.linalg.norm(first.input - second.input) > 0.25 * max(first.l2, second.l2)
    assert result.refuted == len(result.examples) + result.lost + result.alike


@pytest.mark.slow
def test_retraining_is_repeatable_and_learns_the_examples(
    found: tuple[Network, Adversarial, list[LayerRule]],
) -> None:
    network, result, _ = found
    data = load_dataset("digits")
    assert data.labels is not None
    train, held_out = split(data)
    anchors = np.array([e.anchor for e in result.examples])

    def once() -> tuple[Network, object]:
        done = retrain(
            network,
            replace(data, parts=(train, held_out[:100])),
            result,
            Retraining(epochs=2),
            radius=0.05,
        )
        assert not set(anchors[done.trained_on]) & set(anchors[done.kept_out])
        assert sorted([*done.trained_on, *done.kept_out]) == list(range(len(anchors)))
        assert done.before.trained_on == 0 and done.before.kept_out == 0
        assert done.after.trained_on > done.control.trained_on and done.after.trained_on > 0.8
        assert done.after.held_out > 0.95
        return done.network, done.after

    (first, table), (second, again) = once(), once()
    assert first.hash == second.hash != network.hash and table == again


@pytest.mark.slow
def test_command_writes_a_retraining_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["adversarial", str(DIGITS), "--inputs", "digits", "--radius", "0.12"]
    arguments += ["--most", "60", "--rules", "1", "--budget", "600", "--each", "3"]
    assert main([*arguments, "--retrain", "1", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    with np.load(tmp_path / "adversarial.npz") as saved:
        inputs, labels, predicted = saved["inputs"], saved["labels"], saved["predicted"]
    assert inputs.shape == (len(labels), 64) and inputs.dtype == np.float32
    assert (outputs(load(DIGITS), inputs).argmax(axis=1) == predicted).all()
    assert (predicted != labels).all() and f"{len(labels)} distinct" in said
    again = load(tmp_path / "retrained.onnx")
    assert again.input_size == 64 and "control" in said
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "after examples" in page and "<script" not in page


def test_bad_input_is_said_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = tmp_path / "out", tmp_path / "x.npy"
    np.save(data, np.zeros((20, 64), np.float32))
    assert main(["adversarial", str(DIGITS), "--inputs", str(data), "--out", str(out)]) == 2
    assert "labels: expected the true class of every input" in capsys.readouterr().err
    assert not out.exists()
