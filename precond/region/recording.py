"""``record_in_time``: signatures of as many inputs as there is time for.

Where time ends early the inputs that were recorded lie spread over the data set, which may be
sorted by class: every ``SPREAD``-th is taken first, then their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from precond.network.evaluate import check_inputs
from precond.network.graph import Network
from precond.region.signature import Limit, Signatures, record

Rows = NDArray[np.int64]
SPREAD = 8
T = TypeVar("T", bound=np.generic)


def record_in_time(
    network: Network,
    inputs: NDArray[np.floating],
    layers: Sequence[str] | None = None,
    *,
    until: Limit,
    values: bool = False,
    device: str = "cpu",
) -> tuple[Signatures, Rows]:
    """As ``record``, and the rows of ``inputs`` that were recorded, ascending: all, unless
    ``until`` passes before."""
    array = check_inputs(network, inputs)
    parts: list[Signatures] = []
    taken: list[Rows] = []
    for first in range(min(SPREAD, max(len(array), 1))):
        rows = np.arange(first, len(array), SPREAD)
        part = record(
            network, array[first::SPREAD], layers, values=values, device=device, until=until
        )
        parts.append(part)
        taken.append(rows[: len(part)])
        if len(part) < len(rows) or until.passed:
            break
    every = np.concatenate(taken)
    return _in_order(parts, np.argsort(every)), np.sort(every)


def _in_order(parts: Sequence[Signatures], order: Rows) -> Signatures:
    """The parts' inputs together, the ``order[k]``-th at k."""
    place = np.argsort(order)
    ends = np.cumsum([len(part) for part in parts])
    rows = np.split(place, ends[:-1])

    def whole(pieces: Sequence[NDArray[T]]) -> NDArray[T]:
        result: NDArray[T] = np.empty((len(order), *pieces[0].shape[1:]), dtype=pieces[0].dtype)
        for where, piece in zip(rows, pieces, strict=True):
            result[where] = piece
        return result

    one = parts[0]
    return replace(
        one,
        bits={layer: whole([p.bits[layer] for p in parts]) for layer in one.layers},
        outputs=whole([p.outputs for p in parts]),
        pre_activations={
            layer: whole([p.pre_activations[layer] for p in parts]) for layer in one.pre_activations
        },
    )
