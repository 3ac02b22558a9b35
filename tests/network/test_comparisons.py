"""Max-pools as comparisons: the same values, and decisions that say which entry leads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from precond.cli import main
from precond.errors import ModelError
from precond.formats.load import load
from precond.formats.lowering.stated import Pools
from precond.formats.onnx.writer import write_onnx
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, MaxPool2d, Node, ReLU, Reshape
from precond.network.pools import comparisons, pools_as_comparisons
from precond.proof.precondition import Kind
from precond.region.channels import map_layers
from precond.region.pattern import DecisionPattern
from precond.region.polytope import polytope
from precond.region.recording import record
from precond.study.store import read_preconditions


def pooled(pool: MaxPool2d, shape: tuple[int, int, int]) -> Network:
    return Network((Node("pool", pool, (INPUT,)),), shape)


POOLS = [
    (MaxPool2d((2, 2), (2, 2)), (3, 4, 6)),
    (MaxPool2d((1, 1), (2, 2)), (2, 4, 4)),
    (MaxPool2d((3, 3), (2, 2)), (2, 7, 7)),
    (MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1)), (2, 4, 5)),
    (MaxPool2d((2, 3), (2, 1), (0, 1, 1, 0), dilation=(2, 1)), (1, 6, 6)),
    (MaxPool2d((2, 2), (2, 2), ceil_mode=True), (2, 5, 5)),
    (MaxPool2d((1, 7), (1, 1)), (1, 3, 7)),
]


@pytest.mark.parametrize(("pool", "shape"), POOLS)
def test_the_values_are_the_same(pool: MaxPool2d, shape: tuple[int, int, int]) -> None:
    network = pooled(pool, shape)
    compared = pools_as_comparisons(network)
    # Whole numbers: no sum of them rounds.
    x = np.random.default_rng(0).integers(-9, 9, (40, *shape)).astype(float)
    assert compared.shapes["pool"] == network.shapes["pool"]
    assert np.array_equal(record(compared, x).outputs, record(network, x).outputs)
    assert not any(isinstance(node.layer, MaxPool2d) for node in compared.nodes)
    # One comparison for each entry but one: none is made up.
    entries = pool.kernel[0] * pool.kernel[1]
    assert compared.neurons == (entries - 1) * network.output_size


def test_a_window_of_four_plays_two_rounds() -> None:
    compared = pools_as_comparisons(pooled(MaxPool2d((2, 2), (2, 2)), (1, 2, 2)))
    assert compared.decision_layers == ("pool.1", "pool.2")
    assert comparisons(compared) == {"pool.1", "pool.2"}
    assert map_layers(compared) == ()
    #  upper left, upper right, lower left, lower right: each leads once
    x = np.array([[4, 1, 2, 3], [1, 4, 2, 3], [1, 2, 4, 3], [1, 2, 3, 4]], dtype=float)
    seen = record(compared, x.reshape(4, 1, 2, 2))
    # right leads in the upper row, in the lower row; the lower row leads
    assert seen.decisions("pool.1").tolist() == [
        [False, True],
        [True, True],
        [True, False],
        [True, True],
    ]
    assert seen.decisions("pool.2").reshape(-1).tolist() == [False, False, True, True]


def test_patterns_behind_a_pool_are_closed() -> None:
    network = Network(
        (
            Node("pool", MaxPool2d((1, 2), (1, 2)), (INPUT,)),
            Node("flat", Reshape((1,)), ("pool",)),
            Node("z", Affine(np.array([[1.0]]), np.array([-0.5])), ("flat",)),
            Node("relu", ReLU(), ("z",)),
        ),
        (1, 1, 2),
    )
    pattern = DecisionPattern(on=frozenset([("relu", 0)]))
    assert not pattern.is_closed(network)
    compared = pools_as_comparisons(network)
    closed = DecisionPattern(on=frozenset([("relu", 0)]), off=frozenset([("pool.1", 0)]))
    assert not pattern.is_closed(compared)
    assert closed.is_closed(compared)
    # x0 ≥ x1 and x0 ≥ 0.5
    region = polytope(compared, closed)
    points = np.array([(0.9, 0.2), (0.6, 0.6), (0.2, 0.9), (0.4, 0.1)])
    assert region.contains(points).tolist() == [True, True, False, False]


def test_a_network_without_pools_stays_itself() -> None:
    network = Network((Node("relu", ReLU(), (INPUT,)),), (3,))
    assert pools_as_comparisons(network) is network
    with pytest.raises(ModelError, match="windows or comparisons"):
        Pools.named("winners")


def brightest() -> Network:
    """Class 1 where some pixel of a 2 × 2 picture exceeds 0.5: scores 0.5 and max x."""
    return Network(
        (
            Node("pool", MaxPool2d((2, 2), (2, 2)), (INPUT,)),
            Node("flat", Reshape((1,)), ("pool",)),
            Node("z", Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])), ("flat",)),
            Node("relu", ReLU(), ("z",)),
            Node("out", Affine(np.array([[0.0, 0.5], [1.0, -0.5]]), np.zeros(2)), ("relu",)),
        ),
        (1, 2, 2),
    )


def test_analyze_finds_closed_patterns_and_prove_reads_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data, out = tmp_path / "b.onnx", tmp_path / "x.npy", tmp_path / "out"
    write_onnx(brightest(), model)
    x = np.random.default_rng(1).uniform(0.0, 0.8, (120, 1, 2, 2))
    np.save(data, x.astype(np.float32))
    given = [str(model), "--inputs", str(data), "--pools", "comparisons", "--domain", "ball:0.1"]
    assert main(["analyze", *given, "--budget", "20", "--out", str(out)]) == 0
    assert "max-pools read as comparisons" in (out / "report.html").read_text(encoding="utf-8")
    stored = read_preconditions(out / "preconditions.json")
    network = load(model, pools="comparisons")
    assert stored.network_hash == network.hash
    inputs = [entry for entry in stored.preconditions if entry.kind is Kind.INPUT]
    assert inputs
    assert all(one.pattern.is_closed(network) for one in inputs)
    assert any(one.box is not None for one in inputs)
    capsys.readouterr()
    assert main(["prove", str(model), str(out / "preconditions.json"), "--budget", "5"]) == 0
