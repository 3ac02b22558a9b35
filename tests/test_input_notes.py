"""What is said of an input precondition that says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import chain

from precond.mine.input_preconditions.relax import InputPrecondition
from precond.proof.verdict import Status, Verdict
from precond.region.pattern import DecisionPattern
from precond.study.input_search import _note

NETWORK = chain([(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))])
WHOLE = DecisionPattern(on=frozenset({("relu1", 0), ("relu1", 1)}))
HALF = DecisionPattern(on=frozenset({("relu1", 0)}))


@pytest.mark.parametrize(
    ("pattern", "minimal", "words"),
    [
        (HALF, True, ""),
        (HALF, False, "time ran out before every drop was tried"),
        (WHOLE, False, "it dropped none of 2 literals (time ran out"),
        (WHOLE, True, "it dropped none of 2 literals (each is needed in this domain"),
    ],
)
def test_a_whole_signature_is_a_failure_of_the_search(
    pattern: DecisionPattern, minimal: bool, words: str
) -> None:
    result = InputPrecondition(
        pattern=pattern, verdict=Verdict(Status.PROVED), layer="relu1", proofs=1, minimal=minimal
    )
    note = _note(result, NETWORK)
    assert words in note and ("failed" in note) == (pattern is WHOLE)
    assert words or not note
