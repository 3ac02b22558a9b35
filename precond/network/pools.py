"""Max-pools as comparisons: the same function, in steps that say which entry of a window leads.

A window's maximum is found as in a tournament.  Two entries a and b are compared by one neuron,
since max(a, b) = a + relu(b − a) holds exactly: the neuron is on where b leads.  Winners are
compared in the next round, until one is left.  So which entry leads is a decision like any other:
patterns reach through the pool, a pattern over all neurons before a layer is closed, and relaxation
can drop a comparison like any other literal.

The price is looser bounds where a comparison is not decided: a max-pool as one layer is bounded
by all of its entries together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from precond.network.graph import Network
from precond.network.layers import Add, Array, Conv2d, MaxPool2d, Node, ReLU, Select, Shape


def pools_as_comparisons(network: Network) -> Network:
    """The network with comparisons in place of its max-pools; itself where it has none.

    A pool ``p`` over k entries (C, H, W) becomes the rounds ``p.1``, ``p.2``, …, ReLU layers of
    (C · pairs, H, W): channel ``pairs · c + j`` compares the j-th pair of channel c, and is on
    where the second leads.  Entries stand row by row: in a window of 2 × 2, ``p.1`` compares left
    with right in the upper and in the lower row, ``p.2`` the upper row's winner with the lower's.
    The value ``p`` keeps its name.
    """
    if not any(isinstance(node.layer, MaxPool2d) for node in network.nodes):
        return network
    nodes = [new for node in network.nodes for new in _steps(node, network)]
    origin = f"{network.origin} (max-pools read as comparisons)"
    return dataclasses.replace(network, nodes=tuple(nodes), origin=origin)


def comparisons(network: Network) -> frozenset[str]:
    """The decision layers that ``pools_as_comparisons`` made."""
    return frozenset(
        layer
        for layer in network.decision_layers
        if network.pre_activation(layer) == f"{layer}.difference"
    )


def _steps(node: Node, network: Network) -> Iterator[Node]:
    """What stands in the place of a node: itself unless it is a max-pool."""
    if not isinstance(node.layer, MaxPool2d):
        yield node
        return
    (source,) = node.inputs
    name, shape = node.name, network.shapes[source]
    channels, left = shape[0], node.layer.kernel[0] * node.layer.kernel[1]
    value = f"{name}.entries" if left > 1 else name
    yield Node(value, _entries(node.layer, shape), (source,))
    game = 0
    while left > 1:
        game, pairs, rest = game + 1, left // 2, left % 2
        first, second = np.eye(left)[0::2], np.eye(left)[1::2]
        played = f"{name}.{game}"
        yield Node(f"{played}.first", _each_channel(first, channels), (value,))
        difference = _each_channel(second - first[:pairs], channels)
        yield Node(f"{played}.difference", difference, (value,))
        yield Node(played, ReLU(), (f"{played}.difference",))
        gain = played
        if rest:  # the last entry has no partner
            gain = f"{played}.gain"
            yield Node(gain, _each_channel(np.eye(pairs + 1)[:, :pairs], channels), (played,))
        left = pairs + rest
        value = f"{played}.winners" if left > 1 else name
        yield Node(value, Add((1.0, 1.0)), (f"{played}.first", gain))


def _each_channel(matrix: Array, channels: int) -> Conv2d:
    """``matrix`` (out, in) applied to the entries of every channel at every place."""
    weight = np.tile(matrix, (channels, 1))[:, :, None, None]
    return Conv2d(weight, np.zeros(len(weight)), groups=channels)


def _entries(pool: MaxPool2d, shape: Shape) -> Conv2d | Select:
    """The k entries of every window, channel ``k · c + i`` the i-th of channel c.  An entry that
    lies in padding is another entry of its window, which changes no maximum."""
    windows = pool.windows(shape)
    entries = windows.shape[1]
    if (windows >= 0).all():
        kernel = np.eye(entries).reshape(entries, 1, *pool.kernel)
        weight = np.tile(kernel, (shape[0], 1, 1, 1))
        bias = np.zeros(len(weight))
        return Conv2d(weight, bias, pool.stride, dilation=pool.dilation, groups=shape[0])
    inside = windows.max(axis=1, keepdims=True)
    index = np.where(windows < 0, inside, windows)
    channels, height, width = pool.output_shape([shape])
    index = index.reshape(channels, height, width, entries).transpose(0, 3, 1, 2)
    return Select(index.reshape(-1), (channels * entries, height, width))
