"""A last softmax or sigmoid, which a network keeps beside its logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.basic import linear
from precond.formats.lowering.builder import NetworkBuilder, Value
from precond.formats.lowering.moves import axis_of
from precond.formats.lowering.refusals import REMEDY
from precond.network.activation import OutputActivation


def softmax(
    b: NetworkBuilder, value: Value, axes: Sequence[int], activation: OutputActivation, last: bool
) -> Value:
    """Keeps a last (log-)softmax as the network's last activation, if it runs over all outputs."""
    _require_last(activation, last)
    places = {axis_of(value, axis) for axis in axes}
    size = math.prod(value.full)
    if math.prod(value.full[place] for place in places) != size:
        raise ModelError(
            activation.value, expected="one over all outputs", got=f"axes {sorted(places)}"
        )
    if size < 2:
        raise ModelError(
            activation.value,
            expected="two outputs or more",
            got="one output, which it turns into a constant",
            fix="End a network of one output in Sigmoid, or leave its logit as it is",
        )
    b.output_activation = activation
    return value


def sigmoid(b: NetworkBuilder, value: Value, last: bool) -> Value:
    """Keeps a last sigmoid as the network's last activation."""
    _require_last(OutputActivation.SIGMOID, last)
    b.output_activation = OutputActivation.SIGMOID
    return value


def two_probabilities(b: NetworkBuilder, logit: Value) -> Value:
    """1 − σ(z) beside σ(z) is the softmax of (0, z)."""
    if logit.shape != (1,):
        raise ModelError(
            "1 − p beside p of a last sigmoid",
            expected="one logit",
            got=f"those of shape {logit.full}",
        )
    both = linear(b, logit, np.array([[0.0], [1.0]]))
    return softmax(b, both, [-1], activation=OutputActivation.SOFTMAX, last=True)


def _require_last(activation: OutputActivation, last: bool) -> None:
    if not last:
        raise ModelError(
            activation.value,
            expected="it as the last operator",
            got="operators after it, or a second output",
            fix=REMEDY,
        )
