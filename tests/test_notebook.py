"""What a notebook and a traceback show: a line for small things, the page for results."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known import ABSOLUTE
from torch import nn

from attribution import Display, explain
from precond.apply import RuleBook, debug, robustness
from precond.apply.adversarial_examples.search import Adversarial, adversarial
from precond.apply.clustering.medoids import cluster
from precond.basics.notebook import page_of
from precond.data.dataset import Dataset
from precond.errors import ArgumentError
from precond.formats.load import load
from precond.mine.layer_rules.learn import layer_preconditions
from precond.network.graph import Network
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record


@pytest.fixture(scope="module")
def network() -> Network:
    """Class 1 where ReLU(b) > ReLU(a)."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    module[0].weight, module[0].bias = nn.Parameter(torch.eye(2)), nn.Parameter(torch.zeros(2))
    return load(module, (2,))


@pytest.fixture(scope="module")
def data() -> Dataset:
    inputs = np.random.default_rng(0).uniform(-1, 1, (80, 2)).astype(np.float32)
    relu = np.maximum(inputs, 0)
    labels = np.asarray(relu[:, 1] > relu[:, 0], dtype=np.int64)
    labels[:2] = 1 - labels[:2]
    return Dataset("d", inputs, labels, None, (-1.0, 1.0))


def small(network: Network) -> list[object]:
    pattern = DecisionPattern(on=frozenset({(network.decision_layers[0], 0)}))
    verdict = Verdict(Status.PROVED, "bounds", 0.5)
    many = np.random.default_rng(0).uniform(size=(2, 4000))
    return [
        network,
        Box(many[0] - 1, many[1]),
        Property.argmax(1, 1000),
        pattern,
        verdict,
        Precondition(
            id="layer-1-1",
            kind=Kind.LAYER,
            label="1",
            property=Property.argmax(1, 2),
            pattern=pattern,
            support=Support(3, 1, 1.0, 0.5),
            verdict=verdict,
        ),
    ]


def test_small_things_are_one_short_line(network: Network, data: Dataset) -> None:
    seen = record(network, data.inputs)
    rules = layer_preconditions(seen, seen.predicted, minimum_support=3)
    assert rules
    for thing in [*small(network), *rules]:
        assert len(repr(thing)) <= 160 and "\n" not in repr(thing)
        shown = thing._repr_html_()  # type: ignore[attr-defined]  # each of them has it
        assert shown.startswith("<code>") and "<script" not in shown
    assert "layer-1-1: 1 literals ⇒ 1, proved" in repr(small(network)[-1])


def test_results_are_their_pages(network: Network, data: Dataset) -> None:
    from precond.apply import DebugSettings, RobustnessSettings

    assert data.labels is not None
    found = robustness(
        network, data.inputs, RobustnessSettings(radii=(0.01, 0.2), budget=60), rows=np.arange(6)
    )
    wrong = debug(network, data, DebugSettings(budget=60, minimum_support=3))
    seen = record(network, data.inputs)
    rules = layer_preconditions(seen, seen.predicted, minimum_support=3)
    book = RuleBook(
        network=network, rules=rules, inputs=data.flat, signatures=seen, train=data.train
    )
    groups = cluster(book, data.labels, data.held_out)
    why = explain(network, data.inputs, 3, display=Display(features=("width", "height")))
    for result, words in (
        (found, "certified at 0.01"),
        (wrong, "2 wrong"),
        (groups, "clusters"),
        (why, "width"),
    ):
        assert len(repr(result)) <= 200 and "array(" not in repr(result)
        shown = result._repr_html_()
        assert shown.startswith("<iframe srcdoc=") and shown.count("<iframe") == 1
        assert words in repr(result)
        assert page_of(result).startswith("<!DOCTYPE html>")
    assert "✓ certified at 0.01" in page_of(found)
    assert page_of(why).index("width") > 0 and "height" in page_of(why)


def test_examples_are_one_line(network: Network, data: Dataset) -> None:
    from precond.apply import AdversarialSettings

    found = adversarial(network, data, AdversarialSettings(radius=0.5, most=5, budget=60))
    assert isinstance(found, Adversarial)
    assert repr(found) == (f"Adversarial({len(found.examples)} examples of {found.claims} claims)")


def test_what_has_no_page_is_said() -> None:
    with pytest.raises(ArgumentError, match="expected one of Analysis"):
        page_of(ABSOLUTE)
