"""The graph: shapes, names, ancestors, and a hash of the content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known import ABSOLUTE, POOLED, RESIDUAL, affine

from precond.errors import ModelError
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Select,
    Sum,
)


def test_shapes_and_names_by_hand() -> None:
    assert POOLED.shapes == {
        INPUT: (1, 2, 2), "z": (1, 2, 2), "a": (1, 2, 2), "pool": (1, 1, 1), "y": (1,)
    }  # fmt: skip
    assert POOLED.decision_layers == ("a",) and POOLED.neurons == 4
    assert POOLED.output == "y" and POOLED.output_size == 1 and POOLED.input_size == 4
    assert POOLED.pre_activation("a") == "z" and POOLED.width("z") == 4
    assert RESIDUAL.ancestors["y"] == {INPUT, "z", "a"}
    assert POOLED.is_affine("z") and not POOLED.is_affine("pool") and not POOLED.is_affine("a")


def test_hash_is_the_content() -> None:
    """Same content, same hash, wherever it came from; any number, name or wire changes it."""
    first = ABSOLUTE.nodes[0]
    assert isinstance(first.layer, Affine)
    again = Network(tuple(replace(n) for n in ABSOLUTE.nodes), (1,), "elsewhere")
    assert again.hash == ABSOLUTE.hash

    def changed(node: Node) -> str:
        return Network((node, *ABSOLUTE.nodes[1:]), (1,)).hash

    weight = first.layer.weight.copy()
    weight[0, 0] = np.nextafter(weight[0, 0], 2.0)
    others = [
        changed(replace(first, layer=Affine(weight, first.layer.bias))),
        Network((first, Node("a", LeakyReLU(0.1), ("z",)), ABSOLUTE.nodes[2]), (1,)).hash,
        Network((first, Node("a", LeakyReLU(0.2), ("z",)), ABSOLUTE.nodes[2]), (1,)).hash,
        Network(
            (first, Node("b", ReLU(), ("z",)), replace(ABSOLUTE.nodes[2], inputs=("b",))), (1,)
        ).hash,
        Network((first, ABSOLUTE.nodes[1], replace(ABSOLUTE.nodes[2], inputs=("z",))), (1,)).hash,
    ]
    assert len({ABSOLUTE.hash, *others}) == 6


def test_weights_are_frozen_copies() -> None:
    weight = np.ones((1, 1))
    network = Network((Node("y", Affine(weight, np.zeros(1)), (INPUT,)),), (1,))
    weight[0, 0] = 7.0
    layer = network.node["y"].layer
    assert isinstance(layer, Affine) and layer.weight[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 2.0


@pytest.mark.parametrize(
    ("shape", "pool", "expected"),
    [
        ((1, 4, 4), MaxPool2d((2, 2), (2, 2)), (1, 2, 2)),
        ((1, 5, 5), MaxPool2d((2, 2), (2, 2)), (1, 2, 2)),
        ((1, 5, 5), MaxPool2d((2, 2), (2, 2), ceil_mode=True), (1, 3, 3)),
        ((3, 5, 5), MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1)), (3, 5, 5)),
        ((1, 7, 7), MaxPool2d((2, 2), (1, 1), dilation=(3, 3)), (1, 4, 4)),
        # A last window that would start in the trailing padding is dropped.
        ((1, 2, 2), MaxPool2d((1, 1), (2, 2), (0, 0, 1, 1), ceil_mode=True), (1, 1, 1)),
    ],
)
def test_pool_shapes_by_hand(
    shape: tuple[int, ...], pool: MaxPool2d, expected: tuple[int, ...]
) -> None:
    assert Network((Node("p", pool, (INPUT,)),), shape).shapes["p"] == expected
    windows = pool.windows(shape)
    assert windows.shape == (int(np.prod(expected)), pool.kernel[0] * pool.kernel[1])
    assert (windows >= 0).any(1).all()  # no window lies in padding alone


def test_windows_by_hand() -> None:
    """2×2 windows with one row of padding on top of a 2×2 picture, stride 1."""
    windows = MaxPool2d((2, 2), (1, 1), (1, 0, 0, 0)).windows((1, 2, 2))
    assert windows.tolist() == [[-1, -1, 0, 1], [0, 1, 2, 3]]


Y = affine("y", [[1.0]], [0.0], INPUT)


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ((), (1,), "has no layers"),
        ((Y,), (), "expected an input of at least one value"),
        ((Y,), (0,), "expected an input of at least one value"),
        ((Y, Y), (1,), "two nodes of memory are named y"),
        ((replace(Y, name=INPUT),), (1,), "two nodes of memory are named input"),
        ((replace(Y, inputs=("later",)),), (1,), "y of memory reads later: expected an earlier"),
        ((Y,), (2,), "node y of memory: affine layer: expected last axis of 1"),
        ((affine("y", [[float("nan")]], [0.0], INPUT),), (1,), "weight: expected finite numbers"),
        ((affine("y", [[1.0]], [float("inf")], INPUT),), (1,), "bias: expected finite numbers"),
        (
            (Node("s", Select(np.array([0]), (1,), -np.inf), (INPUT,)),),
            (1,),
            "fill: expected finite",
        ),
        ((Node("s", Sum((0,), True, np.nan), (INPUT,)),), (1,), "scale: expected finite"),
        ((Node("s", Add((np.inf,)), (INPUT,)),), (1,), "coefficients: expected finite"),
        ((Node("s", Select(np.array([3]), (1,)), (INPUT,)),), (2,), "indices in −1"),
        ((Node("s", Reshape((3,)), (INPUT,)),), (2,), "reshape: expected 3 values"),
        ((Node("s", Sum((1,), True), (INPUT,)),), (2,), "sum: expected one axis or more, below 1"),
        ((Node("s", Add((1.0,)), (INPUT, INPUT)),), (2,), "1 equal shapes"),
        ((Node("s", Concat(1), (INPUT, INPUT)),), (2,), "shapes equal off axis 1"),
        ((Node("s", MaxPool2d((3, 3), (1, 1)), (INPUT,)),), (1, 2, 2), "window larger than its"),
        (
            (Node("s", Conv2d(np.ones((1, 2, 1, 1)), np.zeros(1)), (INPUT,)),),
            (1, 2, 2),
            r"expected \(2, H, W\), got \(1, 2, 2\)",
        ),
    ],
)
def test_what_is_no_network(nodes: tuple[Node, ...], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Network(nodes, shape)


def test_unknown_layers_are_named() -> None:
    with pytest.raises(ModelError, match="layer 'q': expected one of input, z, a, y"):
        ABSOLUTE.width("q")
    with pytest.raises(ModelError, match="layer 'z': expected one of a, got a layer without"):
        ABSOLUTE.require_decisions("z")
    with pytest.raises(ModelError, match="expected a slope in"):
        LeakyReLU(1.5)
