"""``Section``: what is left of a network inside a closed pattern, with few inputs.

Where a pattern decides every neuron of the first layers, the next pre-activations are affine
in the input, ``z = J x + c``: the network is that map followed by the later layers, the
pattern is a polytope, and each literal over ``z`` is one more half-space.  A search over the
literals of that layer then is a search among half-spaces.

``J`` and ``c`` are computed in float64 and their rounding is not counted: a section guides a
search, and what the search finds is proved on the network itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node
from precond.network.parts import cuts, tail
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.restate.closed_pattern import around_pattern
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.polytope import affine_maps

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Section:
    """The region of the layers before ``layer``, and the m literals of ``layer`` in it.

    ``network``: from the flat input, its first node is the pre-activation of ``layer``.
    ``rows`` (k, n), ``limits`` (k,): the polytope in ``box``.  Literal i holds where
    ``slopes[i] · x ≤ offsets[i]``, (m, n) and (m,); ``phases`` (m,) as in ``Literals``.
    """

    network: Network
    layer: str
    box: Box
    rows: Array
    limits: Array
    slopes: Array
    offsets: Array
    phases: NDArray[np.int8]

    @classmethod
    def of(cls, whole: Claim, literals: Literals, depth: int, deadline: Deadline) -> Section | None:
        """The section at decision layer number ``depth`` (from 1) of the signature; None where
        the network cannot be cut there."""
        network, layer = whole.network, literals.layers[depth - 1]
        source = network.pre_activation(layer)
        if source not in cuts(network):
            return None
        before = literals.pattern(literals.first(depth - 1))
        maps = affine_maps(network, before)
        if source not in maps:
            return None
        slope, offset = maps[source]
        first = Node(source, Affine(slope, offset), (INPUT,))
        rest = tuple(
            replace(node, inputs=tuple(source if s == INPUT else s for s in node.inputs))
            for node in tail(network, source).nodes
        )
        size = whole.box.size
        cut = Network((first, *rest), (size,), f"{network.origin} at {layer}")
        small = around_pattern(replace(whole, pattern=before), deadline).claim
        rows, limits = np.zeros((0, size)), np.zeros(0)
        if small.halfspaces is not None:
            rows, limits = small.halfspaces.matrix, small.halfspaces.bound
        phases = literals.phases[literals.part[layer]]
        return cls(
            network=cut,
            layer=layer,
            box=small.box,
            rows=rows,
            limits=limits,
            slopes=-phases[:, None] * slope,
            offsets=phases * offset,
            phases=phases,
        )
