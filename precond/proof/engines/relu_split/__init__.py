"""Branch and bound over the phases of neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.proof.engines.relu_split.search import ReluSplitEngine as ReluSplitEngine

_HOMES = {
    "ReluSplitEngine": "precond.proof.engines.relu_split.search",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
