"""Networks as torch modules: the values of the network, whatever its layers are called."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Affine, Conv2d, MaxPool2d, Node, ReLU, Reshape, Select, Sum
from precond.network.module import NetworkSegment, network_module


def pooled(pool: MaxPool2d) -> Network:
    return Network((Node("pool", pool, (INPUT,)),), (2, 4, 5), "pool")


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (1, 0, 0, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_window_maxima_are_those_of_a_loop(
    ceil: bool, padding: tuple[int, int, int, int], stride: int
) -> None:
    """In ceil mode a window that would begin in the trailing padding is no window."""
    layer = MaxPool2d((2, 2), (stride, stride), padding, ceil_mode=ceil)
    network = pooled(layer)
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 5))
    flat = x.reshape(3, -1)
    wanted = [
        [row[[i for i in w if i >= 0]].max() for w in layer.windows((2, 4, 5))] for row in flat
    ]
    assert np.array_equal(outputs(network, x), wanted)
    given = torch.tensor(x)
    assert np.array_equal(network_module(network)(given).numpy(), wanted)
    (value,) = NetworkSegment(network, INPUT, ["pool"], torch.float64)(given)
    assert value.shape[1:] == network.shapes["pool"]
    assert np.array_equal(value.flatten(1).numpy(), wanted)


def of_several_kinds(*names: str) -> Network:
    """A convolution padded on one side, a sum, a choice with a filled place, and a dense layer."""
    rng = np.random.default_rng(1)
    conv, relu, total, taken, flat, both, dense = names
    nodes = (
        Node(conv, Conv2d(rng.normal(size=(3, 2, 2, 2)), rng.normal(size=3), padding=(1, 0, 0, 1))),
        Node(relu, ReLU(), (conv,)),
        Node(total, Sum((1, 2), False, 0.25), (relu,)),
        Node(taken, Select(np.array([2, -1, 0]), (3,), 0.7), (total,)),
        Node(flat, Reshape((3,)), (total,)),
        Node(both, Add((1.0, -2.0)), (taken, flat)),
        Node(dense, Affine(rng.normal(size=(2, 3)), rng.normal(size=2)), (both,)),
    )
    first = Node(conv, nodes[0].layer, (INPUT,))
    return Network((first, *nodes[1:]), (2, 4, 4), "several kinds")


PLAIN = ("conv", "relu", "total", "taken", "flat", "both", "dense")


def test_names_that_modules_use_themselves() -> None:
    """Nodes may be called as attributes of a module are, or alike up to a point."""
    hostile = ("forward", "keys", "network", "a.b", "a/b", "float", "output")
    network, plain = of_several_kinds(*hostile), of_several_kinds(*PLAIN)
    x = torch.rand(2, 2, 4, 4, dtype=torch.float64)
    module = network_module(network)
    assert torch.equal(module(x), network_module(plain)(x))
    assert list(module.keys) == list(hostile) and len(set(module.keys.values())) == 7


def test_every_number_moves_along_to_another_type() -> None:
    """A copy in float32 computes what one built in float32 does; the first stays as it is."""
    network = of_several_kinds(*PLAIN)
    x = torch.rand(2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    stage = NetworkSegment(network, INPUT, [network.output], torch.float64)
    (before,) = stage(x)
    (moved,) = copy.deepcopy(stage).to(torch.float32)(x.float())
    (built,) = NetworkSegment(network, INPUT, [network.output], torch.float32)(x.float())
    assert moved.dtype == torch.float32 and torch.allclose(moved, built, rtol=1e-5)
    assert torch.equal(stage(x)[0], before)
    assert np.allclose(before.numpy(), outputs(network, x.numpy()), rtol=1e-12)


def test_making_a_module_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    NetworkSegment(of_several_kinds(*PLAIN), INPUT, ["dense"])
    assert torch.equal(torch.get_rng_state(), state)
