"""Without Marabou, HiGHS or z3, and without all three, claims are still proved and refuted.

A package is taken away as it is where it was never installed: it has no spec, and its import
fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from precond import (
    Box,
    Claim,
    DecisionPattern,
    Network,
    Property,
    Status,
    input_precondition,
    load,
    prove,
    record,
)
from precond.data import load_dataset
from precond.network import Affine, Node, ReLU

DIGITS = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"
SOLVERS = ("maraboupy", "highspy", "z3")


@pytest.fixture(params=[*((name,) for name in SOLVERS), SOLVERS], ids="+".join)
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    names: tuple[str, ...] = request.param
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] in names:
            monkeypatch.delitem(sys.modules, loaded)
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    return names


def absolute() -> Network:
    """y = |x|."""
    nodes = (
        Node("split", Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), ("input",)),
        Node("relu1", ReLU(), ("split",)),
        Node("join", Affine(np.array([[1.0, 1.0]]), np.zeros(1)), ("relu1",)),
    )
    return Network(nodes, (1,))


def test_a_true_claim_is_proved_and_a_false_one_refuted(missing: tuple[str, ...]) -> None:
    box, everywhere = Box.uniform(1, -2.0, 3.0), DecisionPattern()
    network = absolute()
    for high, status in ((3.5, Status.PROVED), (2.5, Status.REFUTED)):
        claim = Claim(network, box, everywhere, Property.between(0, -0.5, high))
        assert prove(claim, budget=600.0).status is status


def test_a_digit_has_a_precondition(missing: tuple[str, ...]) -> None:
    network = load(DIGITS)
    digit = load_dataset("digits").inputs[3]
    label = int(record(network, digit[None]).predicted[0])
    ball = Box.ball(digit, 0.02, within=Box.uniform(64, 0.0, 1.0))
    found = input_precondition(network, digit, Property.argmax(label, 10), ball, budget=600.0)
    assert found.verdict.status is Status.PROVED and found.pattern is not None
