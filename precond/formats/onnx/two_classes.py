"""The probabilities of two classes that some exporters make of one sigmoid: (1 − p, p).

scikit-learn's binary networks end so: Sigmoid, Sub from 1, Concat.  Together these are the softmax
of (0, z), a last activation that a network keeps; one by one they would be a sigmoid inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx


@dataclass(frozen=True)
class Pair:
    """``logit`` is the tensor z that ``result`` holds both probabilities of; ``within`` are the
    tensors of the nodes that lead from one to the other."""

    logit: str
    result: str
    within: frozenset[str]


def pair_of(
    nodes: Sequence[onnx.NodeProto], finals: set[str], constants: Mapping[str, object]
) -> Pair | None:
    """What one of the ``finals`` is, if it is such a pair that nothing else looks into."""
    makers = {name: node for node in nodes for name in node.output}
    reads = [name for node in nodes for name in node.input]
    for result in finals & makers.keys():
        joined = makers[result]
        if joined.op_type != "Concat" or len(joined.input) != 2:
            continue
        rest, own = joined.input
        less, sigmoid = makers.get(rest), makers.get(own)
        if less is None or sigmoid is None or sigmoid.op_type != "Sigmoid":
            continue
        one = constants.get(less.input[0])
        is_rest = less.op_type == "Sub" and less.input[1] == own and isinstance(one, np.ndarray)
        alone = reads.count(own) == 2 and reads.count(rest) == 1
        if is_rest and alone and (np.asarray(one) == 1).all():
            return Pair(sigmoid.input[0], result, frozenset((rest, own)))
    return None
