"""Regions of inputs: boxes, decision patterns, signatures, polytopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.region.box import Box as Box
    from precond.region.pattern import DecisionPattern as DecisionPattern
    from precond.region.signature import Signatures as Signatures
    from precond.region.signature import open_signatures as open_signatures
    from precond.region.signature import record as record
    from precond.region.signature import record_blocks as record_blocks

_HOMES = {
    "Box": "precond.region.box",
    "DecisionPattern": "precond.region.pattern",
    "Signatures": "precond.region.signature",
    "open_signatures": "precond.region.signature",
    "record": "precond.region.signature",
    "record_blocks": "precond.region.signature",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
