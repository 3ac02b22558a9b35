"""What a bisection tells a ``Recorder``, in the recorder's arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.region import Refined
from precond.proof.engines.input_split.boxes import Boxes
from precond.proof.rows import Rows
from precond.proof.trace import Leaves, Recorder


class BoxRecord:
    """``tree``: the cuts, and the pairs of box and conjunct that were closed."""

    def __init__(self, rows: Rows, limit: float) -> None:
        self.rows = rows
        self.tree = Recorder(limit)

    def cuts(self, boxes: Boxes, axis: Tensor, at: Tensor, first: int) -> None:
        """Boxes cut at ``x[axis] = at``, both (G,); the first half has the number ``first``."""
        self.tree.cut(_array(boxes.node), _array(axis), _array(at), first)

    def plain(self, boxes: Boxes, refined: Refined, value: Tensor, enough: Tensor) -> None:
        """Pairs that emptiness has closed, or one of the rows (G, R) that are ``enough`` with
        default slopes."""
        nothing, conjunct = (boxes.open & refined.empty[:, None]).nonzero(as_tuple=True)
        if len(nothing):
            self.tree.close(Leaves(_array(boxes.node[nothing]), _array(conjunct), empty=True))
        box, conjunct = (boxes.open & self.rows.any(enough)).nonzero(as_tuple=True)
        if not len(box):
            return
        own = enough[box] & (self.rows.owner[None] == conjunct[:, None])
        best = value[box].masked_fill(~own, -torch.inf).argmax(1)
        weights = torch.nn.functional.one_hot(best, len(self.rows.owner)).to(value.dtype)
        # Default slopes follow the layer bounds: kept, so that other bounds do not change them.
        slopes = {
            name: lines.low[box if len(lines.low) > 1 else box * 0].float()
            for name, lines in refined.region.lines.items()
            if isinstance(lines, ActivationLines)
        }
        self.pairs(boxes, box, conjunct, weights=weights, used=Multipliers(slopes))

    def pairs(
        self, boxes: Boxes, box: Tensor, conjunct: Tensor, weights: Tensor, used: Multipliers
    ) -> None:
        """Pairs that weights (k, R) and multipliers (k, 1, m) have closed."""
        for which in torch.unique(conjunct).tolist():
            at = (conjunct == which).nonzero().squeeze(1)

            def arrays(values: Mapping[str, Tensor], at: Tensor = at) -> dict[str, np.ndarray]:
                return {name: _array(value[at, 0]) for name, value in values.items()}

            own = (self.rows.owner == which).nonzero().squeeze(1)
            self.tree.close(
                Leaves(
                    _array(boxes.node[box[at]]),
                    _array(conjunct[at]),
                    _array(weights[at][:, own]),
                    alpha=arrays(used.alpha),
                    low=arrays(used.low),
                    high=arrays(used.high),
                    half=None if used.half is None else _array(used.half[at, 0]),
                )
            )


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())
