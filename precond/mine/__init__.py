"""Preconditions from data: rules of a layer, relaxation of one input, patterns of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.mine.boxes.largest_box import underapproximation_box as underapproximation_box
    from precond.mine.boxes.region_size import VolumeShare as VolumeShare
    from precond.mine.boxes.region_size import region_share as region_share
    from precond.mine.boxes.region_size import union_of_boxes as union_of_boxes
    from precond.mine.boxes.region_size import union_share as union_share
    from precond.mine.input_preconditions.relax import InputPrecondition as InputPrecondition
    from precond.mine.input_preconditions.relax import Method as Method
    from precond.mine.input_preconditions.relax import Order as Order
    from precond.mine.input_preconditions.relax import input_precondition as input_precondition
    from precond.mine.layer_rules.learn import LayerRule as LayerRule
    from precond.mine.layer_rules.learn import layer_preconditions as layer_preconditions
    from precond.mine.support import measure as measure

_HOMES = {
    "InputPrecondition": "precond.mine.input_preconditions.relax",
    "LayerRule": "precond.mine.layer_rules.learn",
    "Method": "precond.mine.input_preconditions.relax",
    "Order": "precond.mine.input_preconditions.relax",
    "VolumeShare": "precond.mine.boxes.region_size",
    "input_precondition": "precond.mine.input_preconditions.relax",
    "layer_preconditions": "precond.mine.layer_rules.learn",
    "measure": "precond.mine.support",
    "region_share": "precond.mine.boxes.region_size",
    "underapproximation_box": "precond.mine.boxes.largest_box",
    "union_of_boxes": "precond.mine.boxes.region_size",
    "union_share": "precond.mine.boxes.region_size",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
