"""``check_classes``: the labels of a data set as true classes of a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.network.graph import Network


def check_classes(
    labels: NDArray[np.integer] | None, count: int, network: Network
) -> NDArray[np.int64]:
    """``labels`` as (count,) classes of ``network``, or a DataError that says what is wrong."""
    if labels is None:
        raise DataError(
            "labels",
            expected="the true class of every input",
            got="none",
            fix="Give them with --labels, or choose data that has labels",
        )
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise DataError(
            "labels", expected=f"{count} whole numbers", got=f"{array.dtype} {array.shape}"
        )
    bad = (array < 0) | (array >= network.classes.count)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"label of row {row} (counted from 0)",
            expected=f"a class in 0..{network.classes.count - 1}, which the network tells apart",
            got=str(array[row]),
            fix="Give the labels of this network's classes",
        )
    return array.astype(np.int64)
