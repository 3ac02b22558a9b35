"""``AffineTail``: what follows the last decision layer, as margins of every class.

After the last ReLU layer a network is affine: with the layer's activations a ≥ 0 the class c is
said where ``form · a + constant > 0`` holds in every row.  Over a box of activations [l, u] the
least value of a row is form⁺ l + form⁻ u + constant, exactly (up to rounding, so that a box that
is found here is a candidate, and ``prove`` says whether it holds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.restate.tail import Tail, tail_cuts
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
WIDEST = 1024  # neurons of the layer


@dataclass(frozen=True, eq=False)
class AffineTail:
    """``layer`` is the last decision layer; ``weight`` (K, m) and ``bias`` (K,) give logits from
    its activations, which lie in ``reach`` for every input of the domain."""

    network: Network
    layer: str
    weight: Array
    bias: Array
    reach: Box

    @classmethod
    def of(cls, network: Network, domain: Box, deadline: Deadline = FOREVER) -> AffineTail | None:
        """None where the network cannot be cut after its last decision layer, or where more than
        an affine map follows."""
        cuts = tail_cuts(network)
        if not cuts or cuts[-1] != network.decision_layers[-1]:
            return None
        if network.width(cuts[-1]) > WIDEST:
            return None
        tail = Tail(network, domain, cuts[-1], deadline=deadline)
        rest = tail.rest.logits
        if not all(rest.is_affine(node.name) for node in rest.nodes):
            return None
        reach = tail.values(DecisionPattern())
        if reach is None:
            return None
        width = network.width(cuts[-1])
        bias = outputs(rest, np.zeros((1, width)))[0]
        weight = (outputs(rest, np.eye(width)) - bias).T
        return cls(network, cuts[-1], weight=weight, bias=bias, reach=reach)

    def margins(self, label: int) -> tuple[Array, Array]:
        """Form (R, m) and constant (R,) of the margins of a class over its rivals."""
        rows, constant = self.network.classes.margins(label)
        return rows @ self.weight, rows @ self.bias + constant

    def least(self, label: int, low: Array, high: Array) -> Array:
        """The smallest margin of a class over boxes [low, high] (B, m) of activations, (B,)."""
        form, constant = self.margins(label)
        positive, negative = np.maximum(form, 0.0), np.minimum(form, 0.0)
        return np.asarray((low @ positive.T + high @ negative.T + constant).min(axis=1))
