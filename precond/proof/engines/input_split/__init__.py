"""Branch and bound over the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.proof.engines.input_split.search import InputSplitEngine as InputSplitEngine

_HOMES = {
    "InputSplitEngine": "precond.proof.engines.input_split.search",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
