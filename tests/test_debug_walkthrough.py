"""Every figure of docs/debug-walkthrough.md, computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from precond import load, record
from precond.apply.debugging.actions import Act
from precond.apply.debugging.cases import Cases
from precond.apply.debugging.causes import Causes, Evidence, find_causes
from precond.apply.debugging.doubtful_labels import suspects
from precond.apply.debugging.mine_rules import mine_rules
from precond.apply.debugging.profiles import comparative_gradients
from precond.apply.debugging.rule_book import RuleBook
from precond.apply.debugging.settings import DebugSettings
from precond.data.datasets import load_dataset
from precond.proof.deadline import FOREVER
from precond.report.debug.answer import effect

ROOT = Path(__file__).parents[1]
PAGE = " ".join((ROOT / "docs" / "debug-walkthrough.md").read_text(encoding="utf-8").split())


def causes_of_mnist() -> tuple[Causes, float]:
    """Causes as ``precond debug`` finds them where time is no limit; held-out accuracy."""
    network, data = load(ROOT / "models" / "mnist-mlp.onnx"), load_dataset("mnist-5k")
    signatures = record(network, data.flat)
    assert data.labels is not None
    labels, predicted = data.labels, signatures.predicted
    book = RuleBook(
        network=network, rules=(), inputs=data.flat, signatures=signatures, train=data.train
    )
    book, _ = mine_rules(book, DebugSettings(budget=600.0))
    wrong = np.flatnonzero(predicted != labels)
    evidence = Evidence(
        book=book,
        labels=labels,
        cases=Cases.of(labels, predicted, held_out=data.held_out, seed=0),
        suspects=suspects(book, wrong, labels),
        examined=wrong,
        gradients=comparative_gradients(
            network,
            inputs=data.flat[wrong],
            predicted=predicted[wrong],
            true=labels[wrong],
            baseline=0.0,
        ),
        image_shape=data.image_shape,
    )
    held_out = data.held_out
    return find_causes(evidence, FOREVER), float((predicted == labels)[held_out].mean())


@pytest.mark.slow
def test_the_walkthrough_says_what_is_found() -> None:
    found, accuracy = causes_of_mnist()
    (here, these), (there, others) = (
        found.explained(5, finding=finding) for finding in (True, False)
    )
    assert here + there >= 0.6 * (these + others)
    assert there >= 0.6 * others
    assert f"{accuracy:.1%}".replace("%", " %") in PAGE
    assert f"{here + there} of the {these + others} errors" in PAGE
    assert f"{here} of the {these} they were found on" in PAGE
    assert f"{there} of the {others} others" in PAGE
    for rank, cause in enumerate(found.causes, 1):
        half = cause.checked
        counts = f"{cause.found.errors} of {cause.found.of_errors}"
        again = f"{half.errors} of {half.of_errors}"
        row = f"| {rank} | {cause.title} | {len(cause.rows)} | {counts} | {again} |"
        assert row in PAGE
        for action in cause.actions:
            if action.act is not Act.GATHER:
                assert effect(action) in PAGE
