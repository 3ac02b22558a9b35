"""``--budget``: seconds for a command, counted from its start.

Everything counts: loading the libraries, reading the model and the data, recording what every
input does to every neuron.  What is printed and written at the end takes a moment more.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from precond.errors import DataError
from precond.proof.deadline import Deadline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from precond.data.datasets import Dataset

    Rows = NDArray[np.int64]

BUDGET = "seconds for everything, from the start of the command; what was done by then is printed"
RECORDING = 0.5  # of the time left, for running the data through the network


def deadline_of(arguments: argparse.Namespace) -> Deadline:
    """When the command's budget is spent."""
    return Deadline(arguments.begun + arguments.budget)


def recording(deadline: Deadline) -> Deadline:
    """When no more inputs are run through the network."""
    return deadline.earlier(RECORDING * deadline.left)


def recorded_rows(rows: Rows, data: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The ``rows`` of ``data`` that were recorded in time, split as the whole is, and a note
    where some are left out."""
    if len(rows) == len(data):
        return data, ()
    import numpy as np

    train, held_out = (np.flatnonzero(np.isin(rows, part)) for part in (data.train, data.held_out))
    if not len(train) or not len(held_out):
        raise DataError(
            f"data {data.name}",
            expected="training and held-out inputs that were run through the network in time",
            got=f"{len(rows)} of {len(data)} inputs, all of one kind",
            fix="Give a larger --budget, or fewer inputs",
        )
    note = (
        f"time ran out after {len(rows)} of {len(data)} inputs were run through the network: the "
        "others take no part"
    )
    labels = None if data.labels is None else data.labels[rows]
    return replace(data, inputs=data.inputs[rows], labels=labels, parts=(train, held_out)), (note,)
