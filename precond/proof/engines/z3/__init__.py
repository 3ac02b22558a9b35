"""z3 in a process of its own: exact rational arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.proof.engines.z3.engine import Z3Engine as Z3Engine

_HOMES = {
    "Z3Engine": "precond.proof.engines.z3.engine",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
