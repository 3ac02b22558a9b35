"""The last activation of a network: what turns its logits into the outputs of its file.

A ``Network``'s layers end at the *logits* z; its outputs are y = activation(z).  All of these
keep order, so the class is read from the logits; what else they keep stands in ``carried.py``.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class OutputActivation(Enum):
    """The last activation; the value is its name in hashes and in words for people."""

    NONE = "none"
    SOFTMAX = "softmax"
    """y_i = exp z_i / Σ_j exp z_j over all outputs."""
    LOG_SOFTMAX = "log_softmax"
    """y_i = z_i − log Σ_j exp z_j over all outputs."""
    SIGMOID = "sigmoid"
    """y_i = 1 / (1 + exp −z_i), each output by itself."""

    def of(self, logits: Array) -> Array:
        """Outputs (N, K) of logits (N, K), in float64."""
        match self:
            case OutputActivation.NONE:
                return logits
            case OutputActivation.SIGMOID:
                small = np.exp(-np.abs(logits))
                return np.where(logits >= 0, 1.0, small) / (1.0 + small)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return np.asarray(np.exp(log) if self is OutputActivation.SOFTMAX else log)
