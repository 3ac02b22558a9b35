"""Wrong arguments at the public door: a typed error says what was expected, and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

import precond
from attribution.distributions import Gaussian
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.slices import Slice
from precond.apply.certification.certify import robustness
from precond.data.datasets import load_dataset, split
from precond.data.shards import open_shards
from precond.errors import ArgumentError, PrecondError
from precond.network.graph import INPUT
from precond.network.layers import Affine, Conv2d, LeakyReLU, MaxPool2d, Node, ReLU, Select
from precond.proof.claim import HalfSpaces
from precond.proof.ledger.ledger import Ledger
from precond.region.inequality import Inequality
from precond.region.recording import open_signatures
from precond.vnnlib.read import read_vnnlib

door: Any = precond  # arguments here are of kinds that a type checker would refuse
NODES = (
    Node("a", Affine([[1, -1], [0.5, 1], [1, 1]], np.zeros(3)), (INPUT,)),
    Node("r", ReLU(), ("a",)),
)
NETWORK = door.Network(NODES, (2,))
BOX, PATTERN = door.Box([-1, -1], [1, 1]), door.DecisionPattern()
PROPERTY = door.Property.argmax(0, 3)
CLAIM = door.Claim(NETWORK, BOX, PATTERN, PROPERTY)
MODULE = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
X = np.zeros((3, 2), dtype=np.float32)


def one(layer: Any, *shape: int) -> Any:
    return door.Network((Node("a", layer, (INPUT,)),), shape)


def claim(*arguments: Any) -> Any:
    whole = [NETWORK, BOX, PATTERN, PROPERTY]
    pairs = zip(arguments, whole, strict=True)
    return door.Claim(*(new if new is not ... else old for new, old in pairs))


def ig(x: Any = X, baseline: Any = 0.0, target: Any = 0, **more: Any) -> Any:
    return integrated_gradients(MODULE, x, baseline, target, **more)


CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: door.prove(NETWORK), "claim: expected a Claim, got a Network. prove"),
    (lambda: door.prove("m.onnx"), "claim: expected a Claim, got 'm.onnx' .str."),
    (lambda: door.prove(CLAIM, budget="5"), "budget: expected a number, got '5'"),
    (lambda: door.prove(CLAIM, budget=np.nan), "budget: expected seconds"),
    (lambda: door.prove(CLAIM, points=[[1, 2, 3]]), "points: expected rows of 2 values"),
    (lambda: door.prove(CLAIM, points="abc"), "points: expected numbers"),
    (lambda: door.prove(CLAIM, stages=["bounds"]), "stages: expected a Stage, got 'bounds'"),
    (lambda: door.prove(CLAIM, ledger="x.db"), "ledger: expected a Ledger"),
    (lambda: door.prove(CLAIM, device="gpu0"), "device: expected cpu or cuda"),
    (lambda: claim("m.onnx", ..., ..., ...), "network of a claim: expected a Network"),
    (lambda: claim(MODULE, ..., ..., ...), "expected a Network, got a Sequential. load"),
    (lambda: claim(..., ([0], [1]), ..., ...), "box of a claim: expected a Box, got a tuple"),
    (lambda: claim(..., door.Box([0], [1]), ..., ...), "expected 2 inputs, got 1"),
    (lambda: claim(..., ..., None, ...), "pattern of a claim: expected a DecisionPattern"),
    (lambda: claim(..., ..., ..., 3), "property of a claim: expected a Property, got 3"),
    (lambda: HalfSpaces("a", [1]), "matrix of half-spaces: expected numbers"),
    (lambda: door.Property.argmax(3, 2), "label: expected an output in 0..1, got 3"),
    (lambda: door.Property.argmax(1.5, 3), "label: expected a whole number, got 1.5"),
    (lambda: door.Property.argmax("0", 3), "label: expected a whole number, got '0'"),
    (lambda: door.Property.between(0, np.nan, 1), "range property: expected low ≤ high"),
    (lambda: door.Property.between(0, "a", 1), "low: expected a number, got 'a'"),
    (lambda: door.Property(1), "clauses of a property: expected a sequence of clauses, got 1"),
    (lambda: door.Property((((0, 1.0),),)), "expected an Inequality, got a tuple"),
    (lambda: Inequality([1, 2], 0.0), "terms of an inequality: expected a dict"),
    (lambda: door.Box("ab", "cd"), "lower bounds of a box: expected numbers"),
    (lambda: door.Box([[1], [1, 2]], [1, 2]), "expected rows of one length"),
    (lambda: door.Box.uniform(-1, 0, 1), "size of a box: expected 1 or more, got -1"),
    (lambda: door.Box.uniform(2.5, 0, 1), "size of a box: expected a whole number"),
    (lambda: door.Box.around(np.zeros((0, 2))), "expected one row or more"),
    (lambda: door.Box.ball([0], "a"), "radius of a ball: expected a number"),
    (lambda: BOX.contains([[1, 2, 3]]), "inputs: expected rows of 2 values"),
    (lambda: BOX.intersect(door.Box([0], [1])), "other box: expected 2 inputs, got 1"),
    (lambda: door.DecisionPattern([1, 2]), "expected a set of .layer, index., got a list"),
    (lambda: door.DecisionPattern(above={("r", 0)}), "a set of .layer, index, value."),
    (lambda: door.DecisionPattern.of_row(door.record(NETWORK, X), 9), "row: expected 0 to 2"),
    (lambda: door.load("x.txt"), "expected a file ending in .onnx"),
    (lambda: door.load(3), "expected a path, a torch module or an exported program"),
    (lambda: door.load(MODULE, "ab"), "input_shape: expected a sequence of sizes, got 'ab'"),
    (lambda: door.load(MODULE, (2.5,)), "input_shape: expected a whole number, got 2.5"),
    (lambda: door.record(NETWORK, np.zeros((4, 3))), "expected rows of 2 values"),
    (lambda: door.record(NETWORK, [[1, 2], [3]]), "inputs: expected rows of one length"),
    (lambda: door.record(NETWORK, X, layers="r"), "layers: expected a sequence of names"),
    (lambda: door.record(MODULE, X), "network: expected a Network, got a Sequential"),
    (lambda: door.record(NETWORK, X * np.nan), "inputs, row 0, column 0 .counted from 0."),
    (lambda: door.layer_preconditions(NETWORK, X), "signatures: expected a Signatures"),
    (lambda: door.input_precondition(X[0], NETWORK, PROPERTY, BOX), "expected a Network"),
    (lambda: door.underapproximation_box(NETWORK, None, X[0], BOX), "pattern: expected a Dec"),
    (lambda: door.Network((1,), (2,)), "node of memory: expected a Node, got 1"),
    (lambda: door.Network(NODES, 3), "input shape of memory: expected a sequence of sizes"),
    (lambda: door.Network((Node("a", ReLU(), ()),), (2,)), "expected one input, got 0"),
    (lambda: one(Affine(np.zeros((3, 2)), np.zeros(2)), 2), "weight .m, n. and bias .m,."),
    (lambda: one(Conv2d(np.zeros((2, 2)), np.zeros(2)), 1, 2, 2), "conv layer: expected weight"),
    (lambda: one(MaxPool2d((1, 1), (0, 0)), 1, 2, 2), "max-pool: expected sizes, steps"),
    (lambda: one(MaxPool2d((1, 1), (1, 1), (1, 0, 0, 0)), 1, 2, 2), "in the padding alone"),
    (lambda: one(Select(np.zeros(0), (0,)), 2), "expected a layer of at least one value"),
    (lambda: LeakyReLU("a"), "slope of a leaky ReLU: expected a number"),
    (lambda: load_dataset(3), "data: expected a path, got 3"),
    (lambda: split(3), "data set: expected a Dataset, got 3"),
    (lambda: read_vnnlib(None, NETWORK), "query: expected a path, got None"),
    (lambda: Ledger(None), "ledger: expected a path, got None"),
    (lambda: open_signatures("nowhere"), "signatures nowhere: expected a folder"),
    (lambda: open_shards("nowhere"), "shards nowhere: expected a folder"),
    (lambda: robustness(None, X), "network: expected a Network, got None"),
    (lambda: ig(target=9), "class: expected 0 to 2"),
    (lambda: ig(target="a"), "quantity: expected a Quantity, a class number or a callable"),
    (lambda: ig(target=np.array([0, 1])), "targets: expected one per input row"),
    (lambda: ig(np.zeros((3, 5), "f4")), "inputs for Sequential: expected rows of the shape"),
    (lambda: integrated_gradients(NETWORK, np.zeros((2, 3)), method="exact"), "rows of 2 values"),
    (
        lambda: influence(MODULE, 0, None, np.zeros((2, 7), "f4")),
        "got rows of shape .7,.,",
    ),
    (lambda: Slice(MODULE, 3), "layer of a slice: expected a sequence of names of layers, got 3"),
    (lambda: Gaussian("a"), "sigma: expected a number, got 'a'"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_what_was_expected_and_what_came(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(PrecondError, match=message):
        call()


def test_a_wrong_kind_is_a_type_error_too() -> None:
    with pytest.raises(TypeError) as found:
        door.prove(NETWORK)
    assert isinstance(found.value, ArgumentError)
