"""Assertions for test suites: a claim is proved, inputs are robust; a failure shows the witness.

from precond.testing import assert_proved, assert_robust

def test_small_changes_do_not_matter():
    assert_robust(load("model.onnx"), inputs, radius=0.01)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from precond.basics.arguments import numbers, require_kind
from precond.errors import ArgumentError
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

SHOWN = 8  # values of a witness in a message


def assert_proved(claim: Claim, *, budget: float = 60.0, seed: int = 0) -> Verdict:
    """The verdict of ``claim``; AssertionError, with the witness, unless it is PROVED.

    A claim about no input at all (VACUOUS) fails too: it says nothing.
    """
    require_kind("claim", claim, Claim, fix="Claim(network, box, pattern, property)")
    verdict = prove(claim, budget=budget, seed=seed)
    if not verdict.is_proved:
        raise AssertionError(_complaint(claim, verdict, budget))
    return verdict


def assert_robust(
    network: Network,
    inputs: ArrayLike,
    radius: float,
    *,
    labels: ArrayLike | None = None,
    within: Box | None = None,
    budget: float = 60.0,
) -> None:
    """AssertionError unless every input (N, …) keeps its class in its L∞ ball (cut to ``within``).

    The class is that of ``labels``, else the predicted one; ``budget`` seconds for each input.
    """
    logits = require_kind("network", network, Network, fix="load(model) gives one").logits
    rows = numbers("inputs", inputs)
    if rows.ndim < 2:
        raise ArgumentError("inputs", expected="rows (N, …)", got=f"shape {rows.shape}")
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    predicted = logits.classes.predicted(outputs(logits, rows))
    wanted = predicted if labels is None else np.asarray(labels).reshape(-1)
    if len(wanted) != len(rows):
        raise ArgumentError("labels", expected=f"{len(rows)}", got=str(len(wanted)))
    for number, (row, label) in enumerate(zip(rows, wanted.tolist(), strict=True)):
        ball = Box.ball(row, radius, within=within)
        claim = Claim(
            logits, ball, DecisionPattern(), property=Property.of_class(int(label), logits)
        )
        try:
            assert_proved(claim, budget=budget)
        except AssertionError as error:
            raise AssertionError(
                f"input {number}, class {label}, radius {radius:g}: {error}"
            ) from None


def _complaint(claim: Claim, verdict: Verdict, budget: float) -> str:
    what = f"{claim.property} of {claim.network.origin} is {verdict.status.value}"
    if verdict.witness is not None:
        y = outputs(claim.network, verdict.witness[None])[0]
        return f"{what}: x = {_values(verdict.witness)} gives y = {_values(y)}"
    if verdict.status is Status.VACUOUS:
        return f"{what}: no input of the box has the pattern, so it says nothing"
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return f"{what} after {verdict.seconds:.1f} of {budget:g} s{reason}: a larger budget may help"


def _values(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    flat = values.reshape(-1)
    more = ", …" if flat.size > SHOWN else ""
    return f"({', '.join(f'{v:.6g}' for v in flat[:SHOWN])}{more})"
