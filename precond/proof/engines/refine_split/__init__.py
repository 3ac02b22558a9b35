"""Branch and bound over the phases of neurons, with layer bounds of each subdomain's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.proof.engines.refine_split.engine import RefineSplitEngine as RefineSplitEngine

_HOMES = {
    "RefineSplitEngine": "precond.proof.engines.refine_split.engine",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
