"""What a run records of its inputs: every decision layer, values where rules need them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.data.datasets import Dataset
from precond.errors import DataError
from precond.network.graph import Network
from precond.proof.deadline import FOREVER
from precond.region.recording import Limit, record_in_time
from precond.region.signature import Signatures
from precond.study.options import Options

VALUE_BYTES = 512 << 20  # of pre-activations that are kept beside on/off decisions
Rows = NDArray[np.int64]


def record_all(
    network: Network, data: Dataset, options: Options, until: Limit = FOREVER
) -> tuple[Signatures, Rows]:
    """Signatures of every row over every decision layer, values where rules need them; and the
    rows, which are not all where time is up before."""
    if not network.decision_layers:
        raise DataError(
            f"network {network.origin}",
            expected="at least one ReLU layer",
            got="none",
            fix="precond explains networks by which ReLU neurons are on",
        )
    return record_in_time(
        network,
        data.inputs,
        until=until,
        values=options.values or _valued(network, len(data.inputs)),
        device=options.device,
    )


def _valued(network: Network, rows: int) -> tuple[str, ...]:
    """Layers whose pre-activations are kept for rules with values: the last first, as far as
    memory allows."""
    kept: list[str] = []
    left = VALUE_BYTES
    for name in reversed(network.decision_layers):
        left -= 8 * rows * network.width(name)
        if left < 0:
            break
        kept.append(name)
    return tuple(reversed(kept))
