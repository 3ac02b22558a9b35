"""Which values of a layer are worth bounds by backward passes.

Of what a ReLU reads these are the values whose sign intervals leave open.  Where only
max-pools read the ReLU, a value that cannot win any of its windows changes nothing; and in a
window whose maximum is open, the bounds of every value that may win it count, whatever its sign.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from precond.network.graph import Network
from precond.network.layers import LeakyReLU, MaxPool2d, Node, ReLU
from precond.network.operators import Operators
from precond.proof.bounds.intervals import Interval, node_interval
from precond.proof.bounds.pools import contenders


def wanted(ops: Operators, node: Node, bounds: Interval, *, constrained: bool) -> Iterator[Tensor]:
    """Entries (G, m) of what nonlinear ``node`` reads that are worth a pass, one set after the
    other; ``bounds`` are the same tensors throughout, tightened between two sets.

    ``constrained``: a pattern says something of this layer, so that every sign counts.
    """
    lower, upper = bounds
    if isinstance(node.layer, MaxPool2d):
        _, undecided = contenders(ops.windows[node.name], lower, upper)
        yield undecided & (upper > lower)
        return
    open_ = (lower < 0) & (upper > 0)
    pools, alone = _pools(ops.network, node.name)
    if not pools:
        yield open_
        return
    may, _ = _contenders(ops, node, pools, bounds=bounds)
    first = open_ if constrained or not alone else open_ & may
    yield first
    _, undecided = _contenders(ops, node, pools, bounds=bounds)
    yield undecided & (upper > lower) & ~first


def _contenders(
    ops: Operators, node: Node, pools: list[str], bounds: Interval
) -> tuple[Tensor, Tensor]:
    """``contenders`` of any of the pools that read a ReLU, over bounds of what it reads."""
    assert isinstance(node.layer, ReLU | LeakyReLU)
    low, high = node_interval(ops, node, [bounds])
    each = [contenders(ops.windows[pool], low, high) for pool in pools]
    may, undecided = each[0]
    for other, open_ in each[1:]:
        may, undecided = may | other, undecided | open_
    return may, undecided & (high > low)


def _pools(network: Network, name: str) -> tuple[list[str], bool]:
    """The max-pools that read a node, and whether nothing else does."""
    readers = [node for node in network.nodes if name in node.inputs]
    pools = [node.name for node in readers if isinstance(node.layer, MaxPool2d)]
    return pools, len(pools) == len(readers) and name != network.output
