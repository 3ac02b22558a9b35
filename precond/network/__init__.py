"""Networks: layers, the graph they make, evaluation in floats and in rationals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.network.evaluate import outputs as outputs
    from precond.network.graph import Network as Network
    from precond.network.layers import Add as Add
    from precond.network.layers import Affine as Affine
    from precond.network.layers import Concat as Concat
    from precond.network.layers import Conv2d as Conv2d
    from precond.network.layers import LeakyReLU as LeakyReLU
    from precond.network.layers import MaxPool2d as MaxPool2d
    from precond.network.layers import Node as Node
    from precond.network.layers import ReLU as ReLU
    from precond.network.layers import Reshape as Reshape
    from precond.network.layers import Scale as Scale
    from precond.network.layers import Select as Select
    from precond.network.layers import Sum as Sum

_HOMES = {
    "Add": "precond.network.layers",
    "Affine": "precond.network.layers",
    "Concat": "precond.network.layers",
    "Conv2d": "precond.network.layers",
    "LeakyReLU": "precond.network.layers",
    "MaxPool2d": "precond.network.layers",
    "Network": "precond.network.graph",
    "Node": "precond.network.layers",
    "ReLU": "precond.network.layers",
    "Reshape": "precond.network.layers",
    "Scale": "precond.network.layers",
    "Select": "precond.network.layers",
    "Sum": "precond.network.layers",
    "outputs": "precond.network.evaluate",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
