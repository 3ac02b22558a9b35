"""How layer bounds were optimised: the multipliers of each, as the steps of a trace.

A bound is one backward pass from the bounds of the layers before it, so the bounds of a layer are
a round of steps.  Bounds that multipliers hardly move are not worth a step; a search that is
recorded does without them, so that it has no better bounds than its certificate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from precond.network.graph import Network
from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.leaf import leaf_of
from precond.proof.trace import Tightened, TighteningStep, Trace

WORTH = 1e-3  # of the interval's width
INFINITY = torch.tensor(torch.inf, dtype=torch.float64)


class LayerRecord:
    """``layers``: decision layers by what they read.  ``steps``: by layer, the best step of each
    bound (a neuron, and whether it is its lower one)."""

    def __init__(self, network: Network) -> None:
        self.layers = {network.pre_activation(k): k for k in network.decision_layers}
        self.steps: dict[str, dict[tuple[int, bool], TighteningStep]] = {}

    def enter(
        self,
        source: str,
        columns: Tensor,
        ends: tuple[Tensor, Tensor],
        *,
        found: tuple[Tensor, Tensor],
        used: Multipliers,
    ) -> tuple[Tensor, Tensor]:
        """Of what is ``found`` (1, k), lower and upper bounds of the values ``columns`` (k,) of
        ``source``, that which moves ``ends`` enough, else no bound.  ``used``: a row for each
        lower bound, then a row for each upper one."""
        layer, neurons = self.layers[source], columns.tolist()
        own = self.steps.setdefault(layer, {})
        least = WORTH * (ends[1] - ends[0])
        moved = (found[0] - ends[0] > least)[0], (ends[1] - found[1] > least)[0]
        for side, flags in enumerate(moved):
            for k in flags.nonzero().squeeze(1).tolist():
                leaf = leaf_of(used, k + side * len(neurons))
                step = TighteningStep(layer, neurons[k], above=side == 0, leaf=leaf)
                own[neurons[k], side == 0] = step
        return found[0].where(moved[0], -INFINITY), found[1].where(moved[1], INFINITY)

    def around(self, inner: Trace) -> Trace:
        """The trace of a region that ``inner`` closes with the optimised bounds."""
        return Tightened.around([tuple(steps.values()) for steps in self.steps.values()], inner)
