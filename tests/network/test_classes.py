"""The class that logits say, and what a last activation makes of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from precond.errors import QueryError
from precond.logit_property import logit, with_threshold
from precond.network.activation import OutputActivation
from precond.network.classes import Classes
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import Affine, Node
from precond.network.parts import of_scores

ONE = Network((Node("z", Affine(np.array([[2.0, -1.0]]), np.array([0.5])), ("input",)),), (2,))
LOGITS = np.array([[-800.0, 3.0], [0.0, 0.0], [2.0, 2.5]])


@pytest.mark.parametrize(
    ("activation", "oracle"),
    [
        (OutputActivation.NONE, lambda z: z),
        (OutputActivation.SOFTMAX, lambda z: z.softmax(1)),
        (OutputActivation.LOG_SOFTMAX, lambda z: z.log_softmax(1)),
        (OutputActivation.SIGMOID, lambda z: z.sigmoid()),
    ],
)
def test_activations_are_torchs(activation: OutputActivation, oracle: object) -> None:
    assert callable(oracle)
    found = activation.of(LOGITS)
    np.testing.assert_allclose(found, oracle(torch.tensor(LOGITS)).numpy(), rtol=1e-12)


def test_several_logits_say_the_largest() -> None:
    classes = Classes(3)
    z = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]])
    assert classes.count == 3 and not classes.binary
    assert classes.predicted(z).tolist() == [1, 0]
    assert classes.scores(z) is z
    rows, constants = classes.margins(1)
    np.testing.assert_array_equal(z @ rows.T + constants, [[2, 1], [0, 5]])
    assert classes.gap(1, 0) == "y1 − y0"


def test_one_logit_says_two_classes() -> None:
    classes = Classes(1, 0.25, 0.25)
    z = np.array([[0.25], [0.26], [-3.0]])
    assert classes.count == 2
    assert classes.predicted(z).tolist() == [0, 1, 0]
    scores = classes.scores(z)
    assert scores.argmax(1).tolist() == [0, 1, 0]
    shares = torch.tensor(scores).softmax(1)[:, 1].numpy()
    np.testing.assert_allclose(shares, OutputActivation.SIGMOID.of(z - 0.25)[:, 0])
    np.testing.assert_array_equal(classes.scores(torch.tensor(z)).numpy(), scores)
    for label in (0, 1):
        ((row,), (constant,)) = classes.margins(label)
        surely = z @ row + constant > 0
        assert surely.tolist() == [
            (label == 0 and v < 0.25) or (label == 1 and v > 0.25) for v in z
        ]
    assert classes.gap(1, 0) == "(y0 − 0.25)" and Classes(1).gap(0, 1) == "−y0"


def test_scores_of_a_network() -> None:
    x = np.array([[1.0, 2.0], [0.0, 4.0]])
    scored = of_scores(replace(ONE, threshold=(0.5, 0.5)))
    np.testing.assert_array_equal(outputs(scored, x), [[0.0, 0.0], [2.0, -2.0]])
    assert scored.classes.predicted(outputs(scored, x)).tolist() == [0, 0]


def test_a_probability_is_a_threshold_between_two_floats() -> None:
    sigmoid = replace(ONE, output_activation=OutputActivation.SIGMOID)
    assert with_threshold(sigmoid, 0.5).threshold == (0.0, 0.0)
    low, high = with_threshold(sigmoid, 0.7).threshold
    assert np.nextafter(low, 1) == high
    inner, outer = logit(Fraction(0.7))
    assert Fraction(low) < inner < outer < Fraction(high)
    assert outer - inner < Fraction(1, 10**45)
    assert with_threshold(sigmoid.logits, 0.7).threshold == (low, high)
    assert with_threshold(ONE, -1.5).threshold == (-1.5, -1.5)
    with pytest.raises(QueryError, match=r"probability above 0 and below 1"):
        with_threshold(sigmoid, 1.0)
    with pytest.raises(QueryError, match=r"got inf"):
        with_threshold(ONE, np.inf)
    two = Network((Node("z", Affine(np.eye(2), np.zeros(2)), ("input",)),), (2,))
    with pytest.raises(QueryError, match=r"expected a network of one output"):
        with_threshold(two, 0.0)


def test_the_last_activation_is_in_the_hash_and_words() -> None:
    whole = replace(ONE, output_activation=OutputActivation.SIGMOID, origin="m.onnx")
    assert len({ONE.hash, whole.hash, whole.logits.hash}) == 3
    assert replace(ONE, threshold=(1.0, 1.0)).hash == ONE.hash
    assert ONE.logits is ONE and ONE.whole is ONE
    assert whole.logits.whole.hash == whole.hash and whole.logits.whole.origin == "m.onnx"
    assert whole.output_words == "after a last sigmoid"
    assert whole.logits.output_words == "logits, before the last sigmoid"
    assert "logits before the last sigmoid" in repr(whole.logits)
    # Content of a network without one: the hash of releases before last activations.
    assert ONE.hash == "56152d219688b67315468a4adbe4c2c840906a7271df6dd1c0b8a115d259e892"
