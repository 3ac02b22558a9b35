"""Probes: further inputs, labelled by the network itself, that a rule must not fail on.

Rules that are pure on a few hundred training inputs are often pure by luck.  Where the label
is the network's own output, any input can be labelled at no cost, so more of them may be
asked for: convex mixes of two training inputs, x = (1 − λ) x₁ + λ x₂ with λ uniform in
[0, ½], stay in the data's convex hull and come close to where classes meet.  Probes decide
which rules are kept and how far they are shortened; they never count as support.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.region.signature import Signatures


@dataclass(frozen=True, eq=False)
class Probes:
    """Recorded probes; of those that satisfy a rule, the share ``minimum_precision`` carries
    its label.  ``labels`` (N,): usually ``signatures.predicted``."""

    signatures: Signatures
    labels: NDArray[np.int64]
    minimum_precision: float = 0.95


def mixed_inputs(inputs: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.floating]:
    """``count`` convex mixes of two rows of ``inputs`` (N, …), to be recorded as probes."""
    if not len(inputs) or count < 1:
        raise DataError(
            "probes", expected="one input and one probe or more", got=f"{len(inputs)} and {count}"
        )
    rng = np.random.default_rng(seed)
    first, second = inputs[rng.integers(len(inputs), size=(2, count))]
    share = rng.uniform(0.0, 0.5, size=(count, *[1] * (inputs.ndim - 1)))
    return np.asarray((1 - share) * first + share * second, dtype=first.dtype)
