"""A network's values at an input of fractions, exactly.

``exact.py`` computes with integers over a power of two; its operations are those of any
numbers, so with fractions for integers the same code evaluates points that no float has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

import numpy as np

from precond.network.exact import ExactArray, apply_layer
from precond.network.graph import INPUT, Network


def rational_values(
    network: Network, point: Sequence[Fraction], wanted: Collection[str]
) -> dict[str, list[Fraction]]:
    """The flat values of the nodes ``wanted`` for one input (n,)."""
    numbers = np.empty(len(point), dtype=np.object_)
    numbers[:] = [Fraction(x) for x in point]
    values = {INPUT: ExactArray(numbers.reshape(network.input_shape), 0)}
    needed = set(wanted).union(*(network.ancestors[name] for name in wanted))
    for node in network.nodes:
        if node.name in needed:
            values[node.name] = apply_layer(
                network, node.name, node.layer, sources=[values[source] for source in node.inputs]
            )
    return {name: values[name].fractions() for name in wanted}
