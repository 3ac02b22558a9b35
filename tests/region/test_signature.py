"""Signatures: one bit a decision, whatever the batch and wherever it is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE, affine

from precond.errors import DataError, ModelError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.recording import record

RNG = np.random.default_rng(0)
WIDE = Network(
    (
        affine("z0", RNG.normal(size=(13, 4)).tolist(), RNG.normal(size=13).tolist(), INPUT),
        Node("a0", ReLU(), ("z0",)),
        affine("z1", RNG.normal(size=(3, 13)).tolist(), [0.0] * 3, "a0"),
        Node("a1", ReLU(), ("z1",)),
        affine("y", RNG.normal(size=(2, 3)).tolist(), [0.0] * 2, "a1"),
    ),
    (4,),
)
INPUTS = RNG.normal(size=(101, 4))


def test_bits_by_hand() -> None:
    """|x|: at −1 neuron 1 is on, at 0 none is (z = 0 is off), at 2 neuron 0."""
    signatures = record(ABSOLUTE, np.array([[-1.0], [0.0], [2.0]]))
    assert signatures.decisions("a").tolist() == [[False, True], [False, False], [True, False]]
    assert signatures.bits["a"][:, 0].tolist() == [0b01000000, 0, 0b10000000]
    assert signatures.outputs[:, 0].tolist() == [1.0, 0.0, 2.0]


def test_against_numpy() -> None:
    first, second = WIDE.node["z0"].layer, WIDE.node["z1"].layer
    assert isinstance(first, Affine) and isinstance(second, Affine)
    z0 = INPUTS @ first.weight.T + first.bias
    z1 = np.maximum(z0, 0) @ second.weight.T
    signatures = record(WIDE, INPUTS, values=True)
    assert (signatures.decisions("a0") == (z0 > 0)).all()
    assert (signatures.decisions("a1") == (z1 > 0)).all()
    np.testing.assert_allclose(signatures.values("a1"), z1, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_and_files_change_nothing(tmp_path: Path, batch: int) -> None:
    whole = record(WIDE, INPUTS)
    stored = record(WIDE, INPUTS, batch=batch, store=tmp_path / "s", values=True)
    assert isinstance(stored.bits["a0"], np.memmap)
    for layer in whole.layers:
        assert (stored.bits[layer] == whole.bits[layer]).all()
    np.testing.assert_allclose(stored.outputs, whole.outputs, atol=1e-12)
    reread = np.load(tmp_path / "s" / "bits-0.npy", mmap_mode="r")
    assert (reread == whole.bits["a0"]).all()


def test_matches_against_decisions() -> None:
    signatures = record(WIDE, INPUTS)
    bits = signatures.decisions("a0")
    for on, off in (([0, 9], [12]), ([], [3]), ([8], []), ([], []), ([1], [1])):
        expected = bits[:, on].all(1) & ~bits[:, off].any(1)
        assert (signatures.matches("a0", on, off) == expected).all()


def test_rows_keep_everything() -> None:
    signatures = record(WIDE, INPUTS, values=True)
    part = signatures.rows(np.array([5, 3]))
    assert len(part) == 2
    assert (part.decisions("a0") == signatures.decisions("a0")[[5, 3]]).all()
    assert (part.values("a1") == signatures.values("a1")[[5, 3]]).all()
    assert (part.predicted == signatures.predicted[[5, 3]]).all()


def test_errors_name_the_layer() -> None:
    signatures = record(WIDE, INPUTS, ["a0"])
    with pytest.raises(DataError, match="signatures of layer 'a1': expected one of a0"):
        signatures.decisions("a1")
    with pytest.raises(DataError, match=r"pre-activations of layer 'a0'.*Record with values=True"):
        signatures.values("a0")
    with pytest.raises(ModelError, match=r"layer 'z0'.*without on/off neurons"):
        record(WIDE, INPUTS, ["z0"])
    with pytest.raises(DataError, match="rows of 4 values"):
        record(WIDE, INPUTS[:, :3])
