"""VNN-LIB queries: read, stated as claims, answered as the standard says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.vnnlib.query import Query as Query
    from precond.vnnlib.read import read_vnnlib as read_vnnlib

_HOMES = {
    "Query": "precond.vnnlib.query",
    "read_vnnlib": "precond.vnnlib.read",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
