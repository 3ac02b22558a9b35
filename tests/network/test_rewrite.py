"""Rewrites: how many layers are left, and that the function is the same to the last bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Shape,
)
from precond.network.rewrite import drop_identities, merge_bias, merge_moves, rename, simplify

RNG = np.random.default_rng(0)


def whole(*shape: int) -> np.ndarray:
    """Small integers, so that float64 sums are exact and equality can be asked for."""
    return RNG.integers(-4, 5, size=shape).astype(np.float64)


def chain(shape: Shape, *layers: Layer) -> Network:
    """Layers in a row, named a, b, c, …, each with a tensor name in capitals."""
    names = "abcdefgh"[: len(layers)]
    sources = ["input", *names]
    nodes = tuple(Node(n, layer, (s,)) for n, layer, s in zip(names, layers, sources, strict=False))
    return Network(nodes, shape, tensor_names={n.upper(): n for n in names})


def assert_same_function(left: Network, right: Network) -> None:
    inputs = RNG.integers(-9, 10, size=(100, right.input_size)).astype(np.float64)
    assert np.array_equal(outputs(left, inputs), outputs(right, inputs))


def kinds(network: Network) -> list[type]:
    return [type(node.layer) for node in network.nodes]


ONE = Scale(np.ones(()), np.zeros(()))
CASES: dict[str, tuple[Network, Sequence[type]]] = {
    "identities": (
        chain(
            (2, 3),
            ONE,
            Reshape((2, 3)),
            Select(np.arange(6), (2, 3)),
            Add((1.0,)),
            Concat(0),
            ReLU(),
        ),
        [ReLU],
    ),
    "affine and bias": (
        chain((3,), Affine(whole(2, 3), np.zeros(2)), Scale(np.ones(()), whole(2)), ReLU()),
        [Affine, ReLU],
    ),
    "bias of the whole": (
        chain((2, 3), Affine(whole(2, 3), np.zeros(2)), Scale(np.ones(1), whole(1, 2))),
        [Affine],
    ),
    "bias per row stays": (
        chain(
            (2, 3), Affine(whole(2, 3), np.zeros(2)), Scale(np.ones(()), np.array([[1.0], [2.0]]))
        ),
        [Affine, Scale],
    ),
    "second bias stays": (
        chain((3,), Affine(whole(2, 3), np.ones(2)), Scale(np.ones(()), whole(2))),
        [Affine, Scale],
    ),
    "factor stays": (
        chain((3,), Affine(whole(2, 3), np.zeros(2)), Scale(np.full((), 2.0), whole(2))),
        [Affine, Scale],
    ),
    "conv and bias": (
        chain(
            (1, 3, 3), Conv2d(whole(2, 1, 2, 2), np.zeros(2)), Scale(np.ones(()), whole(2, 1, 1))
        ),
        [Conv2d],
    ),
    "conv and bias per pixel stays": (
        chain(
            (1, 3, 3),
            Conv2d(whole(2, 1, 2, 2), np.zeros(2)),
            Scale(np.ones(()), np.arange(8.0).reshape(2, 2, 2)),
        ),
        [Conv2d, Scale],
    ),
    "factor and shift": (
        chain((3,), Scale(whole(3) * 2 + 1, np.zeros(())), Scale(np.ones(()), whole(3) + 9)),
        [Scale],
    ),
    "two shifts stay": (
        chain((3,), Scale(np.ones(()), np.ones(3)), Scale(np.ones(()), np.ones(3))),
        [Scale, Scale],
    ),
    "bias after a reshape": (
        chain(
            (3,),
            Affine(whole(2, 3), np.zeros(2)),
            Reshape((2, 1)),
            Scale(np.ones(()), np.array([[1.0], [2.0]])),
            ReLU(),
        ),
        [Affine, Reshape, ReLU],
    ),
    "reshapes": (chain((6,), Reshape((2, 3)), Reshape((3, 2)), ReLU()), [Reshape, ReLU]),
    "reshape there and back": (chain((6,), Reshape((2, 3)), Reshape((6,)), ReLU()), [ReLU]),
    "selects": (
        chain((4,), Select(np.array([3, -1, 0]), (3,), 2.0), Select(np.array([2, 1, 0]), (3,))),
        [Select],
    ),
    "selects with one fill": (
        chain(
            (4,),
            Select(np.array([3, -1, 0]), (3,), 2.0),
            Select(np.array([1, -1, 0]), (3, 1), 2.0),
            Reshape((1, 3)),
        ),
        [Select],
    ),
    "selects with two fills stay": (
        chain(
            (4,), Select(np.array([3, -1, 0]), (3,), 2.0), Select(np.array([1, -1, 0]), (3,), 5.0)
        ),
        [Select, Select],
    ),
    "selects that hide a fill": (
        chain(
            (4,), Select(np.array([3, -1, 0]), (3,), 2.0), Select(np.array([0, -1, 2]), (3,), 5.0)
        ),
        [Select],
    ),
    "select there and back": (
        chain((3,), Select(np.array([2, 0, 1]), (3,)), Select(np.array([1, 2, 0]), (3,)), ReLU()),
        [ReLU],
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_layers_left_and_function_kept(name: str) -> None:
    network, left = CASES[name]
    simple = simplify(network)
    assert kinds(simple) == list(left)
    assert_same_function(simple, network)
    # Every tensor name still left stands for the same numbers.
    inputs = RNG.integers(-9, 10, size=(5, network.input_size)).astype(np.float64)
    for tensor, node in simple.tensor_names.items():
        old = _up_to(network, network.tensor_names[tensor])
        new = _up_to(simple, node)
        want = inputs if old is None else outputs(old, inputs)
        got = inputs if new is None else outputs(new, inputs)
        assert np.array_equal(got, want), tensor


def _up_to(network: Network, name: str) -> Network | None:
    nodes = []
    for node in network.nodes if name != "input" else ():
        nodes.append(node)
        if node.name == name:
            break
    return Network(tuple(nodes), network.input_shape) if nodes else None


def test_bias_does_not_join_a_product_that_others_read() -> None:
    nodes = (
        Node("product", Affine(whole(3, 3), np.zeros(3)), ("input",)),
        Node("shifted", Scale(np.ones(()), whole(3) + 9), ("product",)),
        Node("both", Add((1.0, 1.0)), ("product", "shifted")),
    )
    network = Network(nodes, (3,))
    assert merge_bias(network) is network


def test_bias_does_not_join_a_select_or_relu() -> None:
    network = chain((3,), ReLU(), Scale(np.ones(()), np.ones(3)))
    assert merge_bias(network) is network


def test_moves_that_others_read_stay_for_them() -> None:
    nodes = (
        Node("turned", Select(np.array([1, 0]), (2,)), ("input",)),
        Node("back", Select(np.array([1, 0]), (2,)), ("turned",)),
        Node("both", Add((1.0, 2.0)), ("turned", "back")),
    )
    network = Network(nodes, (2,))
    simple = simplify(network)
    assert [n.name for n in simple.nodes] == ["turned", "both"]
    assert simple.node["both"].inputs == ("turned", "input")
    assert_same_function(simple, network)


def test_names_of_values_that_are_gone_are_dropped() -> None:
    network = chain((3,), Affine(whole(2, 3), np.zeros(2)), Scale(np.ones(()), np.ones(2)), ReLU())
    assert dict(simplify(network).tensor_names) == {"B": "b", "C": "c"}
    # A dropped identity's value lives on under its source's name.
    same = chain((3,), ReLU(), Reshape((3,)))
    assert dict(simplify(same).tensor_names) == {"A": "a", "B": "a"}


def test_a_network_of_identities_keeps_its_layer() -> None:
    network = chain((3,), Reshape((3,)))
    assert drop_identities(network) is network


def test_nothing_to_do_returns_the_same_object() -> None:
    network = chain((3,), Affine(whole(2, 3), whole(2)), ReLU())
    assert simplify(network) is network
    assert merge_moves(network) is network


def test_rename() -> None:
    network = chain((3,), Affine(whole(2, 3), whole(2)), ReLU())
    renamed = rename(network, {"a": "dense", "b": "relu"})
    assert [(n.name, n.inputs) for n in renamed.nodes] == [
        ("dense", ("input",)),
        ("relu", ("dense",)),
    ]
    assert dict(renamed.tensor_names) == {"A": "dense", "B": "relu"}
