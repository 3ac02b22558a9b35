"""Slopes for the two bounds of every value of a layer, found once and used again.

Slopes that ascent found for a whole region are good ones for its parts too, where any values
are sound.  They are kept in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from precond.basics.shapes import Int
from precond.proof.bounds.backward import NO_MULTIPLIERS, Multipliers, Region
from precond.proof.bounds.lines import ActivationLines


class RowMultipliers:
    """Slopes of the rows ``+e_i`` and ``−e_i`` for values i of a node, by the node's name and the
    layers that the rows meet: (2, width of the node, width of the layer)."""

    def __init__(self) -> None:
        self._slopes: dict[str, dict[str, Tensor]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._slopes

    def keep(
        self, region: Region, name: str, columns: Int[Tensor, " values"], used: Multipliers
    ) -> None:
        """``used`` (1, 2k, m): for the rows ``+e`` and then ``−e`` of k ``columns`` of ``name``;
        other values have the slopes of a pass without multipliers over ``region``."""
        width = region.ops.network.width(name)
        own = self._slopes.setdefault(name, {})
        for layer, slopes in used.alpha.items():
            if layer not in own:
                lines = region.lines[layer]
                assert isinstance(lines, ActivationLines)
                own[layer] = lines.low[0].to(torch.float32).expand(2, width, -1).clone()
            own[layer][:, columns] = slopes[0].to(torch.float32).reshape(2, len(columns), -1)

    def both(self, name: str, columns: Int[Tensor, " values"], dtype: torch.dtype) -> Multipliers:
        """Of the rows ``+e``, then ``−e`` of k ``columns``, (1, 2k, m)."""
        if name not in self._slopes:
            return NO_MULTIPLIERS
        return Multipliers(
            {
                layer: slopes[:, columns].reshape(1, 2 * len(columns), -1).to(dtype)
                for layer, slopes in self._slopes[name].items()
            }
        )

    def pairs(self, name: str, entries: Int[Tensor, " values"], dtype: torch.dtype) -> Multipliers:
        """Of the rows ``+e`` and ``−e`` of each of k ``entries``, (k, 2, m)."""
        if name not in self._slopes:
            return NO_MULTIPLIERS
        return Multipliers(
            {
                layer: slopes[:, entries].transpose(0, 1).to(dtype)
                for layer, slopes in self._slopes[name].items()
            }
        )
