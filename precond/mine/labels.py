"""What a rule implies: the labels that layer rules are learned for.

A label is a whole number ≥ 0 per input.  ``NO_LABEL`` marks inputs that carry none: no rule
is learned for them, and they count against the precision of every rule that lets them in.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.errors import DataError
from precond.region.signature import Signatures

NO_LABEL = -1


class LabelKind(Enum):
    """Which label an input carries."""

    PREDICTED = "predicted"
    """The network's class, right or wrong: precision is agreement with the network."""
    CORRECTNESS = "correctness"
    """1 where the network's class is the true one, else 0."""
    CLASS_IF_CORRECT = "class-if-correct"
    """The network's class where it is the true one, else ``NO_LABEL``."""
    GIVEN = "given"
    """The user's own whole numbers."""


def labels_of(
    kind: LabelKind, signatures: Signatures, given: ArrayLike | None = None
) -> NDArray[np.int64]:
    """The label of every recorded input, (N,).

    ``given`` (N,) holds the true classes (CORRECTNESS, CLASS_IF_CORRECT) or the user's own
    labels (GIVEN); PREDICTED does not need it.  DataError where it is missing, of another
    length, not whole numbers, or negative.
    """
    predicted = signatures.predicted
    if kind is LabelKind.PREDICTED:
        return predicted
    if given is None:
        raise DataError(
            f"labels of kind {kind.value!r}",
            expected="one label per input",
            got="none",
            fix="Give the labels, or use the predicted class",
        )
    own = check_labels(given, len(signatures))
    if (own < 0).any():
        raise DataError("labels", expected="whole numbers ≥ 0", got=str(int(own.min())))
    if kind is LabelKind.GIVEN:
        return own
    correct = predicted == own
    if kind is LabelKind.CORRECTNESS:
        return np.asarray(correct, dtype=np.int64)
    return np.asarray(np.where(correct, predicted, NO_LABEL), dtype=np.int64)


def check_labels(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    """``labels`` as (count,) whole numbers, or a DataError that says what does not fit."""
    array = np.asarray(labels)
    if array.shape != (count,):
        raise DataError(
            "labels",
            expected=f"{count}, one per input",
            got=f"an array of shape {array.shape}",
            fix="Give the labels of the same inputs, in the same order",
        )
    if array.dtype.kind not in "iub":
        raise DataError("labels", expected="whole numbers", got=str(array.dtype))
    return array.astype(np.int64)
