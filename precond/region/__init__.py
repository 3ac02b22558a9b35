"""Regions of inputs: boxes, decision patterns, signatures, polytopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.region.box import Box as Box
    from precond.region.pattern import DecisionPattern as DecisionPattern
    from precond.region.radius import Radius as Radius
    from precond.region.recording import open_signatures as open_signatures
    from precond.region.recording import record as record
    from precond.region.recording import record_blocks as record_blocks
    from precond.region.signature import Signatures as Signatures
    from precond.region.value_ranges import ValueRanges as ValueRanges

_HOMES = {
    "Box": "precond.region.box",
    "DecisionPattern": "precond.region.pattern",
    "Radius": "precond.region.radius",
    "Signatures": "precond.region.signature",
    "ValueRanges": "precond.region.value_ranges",
    "open_signatures": "precond.region.recording",
    "record": "precond.region.recording",
    "record_blocks": "precond.region.recording",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
