"""Marabou in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.proof.engines.marabou.engine import MarabouEngine as MarabouEngine

_HOMES = {
    "MarabouEngine": "precond.proof.engines.marabou.engine",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
