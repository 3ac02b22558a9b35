"""Data in several files, and recordings that are read back: the same as data in one array."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from known import affine

from precond.data.datasets import load_dataset
from precond.data.shards import open_shards
from precond.errors import DataError
from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU
from precond.region.recording import open_signatures, record, record_blocks

STREAM = np.random.default_rng(0)
ROWS = STREAM.normal(size=(1000, 6)).astype(np.float32)
LABELS = STREAM.integers(0, 4, size=1000)


def network(seed: int) -> Network:
    stream = np.random.default_rng(seed)

    def layer(name: str, n: int, m: int, source: str) -> Node:
        return affine(name, stream.normal(size=(m, n)).tolist(), [0.1] * m, source)

    nodes = (
        layer("z0", 6, 13, INPUT),
        Node("relu0", ReLU(), ("z0",)),
        layer("z1", 13, 9, "relu0"),
        Node("relu1", ReLU(), ("z1",)),
        layer("y", 9, 3, "relu1"),
    )
    return Network(nodes, (6,))


NETWORK = network(0)


def write(folder: Path, kind: str) -> Path:
    """The rows in four files of different length."""
    folder.mkdir()
    for k, part in enumerate(np.split(np.arange(1000), [10, 400, 990])):
        name = folder / f"part-{k:02}.{kind}"
        if kind == "npy":
            np.save(name, ROWS[part])
        elif kind == "npz":
            np.savez_compressed(name, inputs=ROWS[part], labels=LABELS[part])
        else:
            arrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            columns = {f"c{i}": ROWS[part, i] for i in range(4)}
            pair = arrow.FixedSizeListArray.from_arrays(ROWS[part, 4:].reshape(-1), 2)
            table = arrow.table({**columns, "pair": pair, "label": LABELS[part]})
            parquet.write_table(table, name, row_group_size=100)
    return folder


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet"])
def test_shards_are_the_rows(tmp_path: Path, kind: str) -> None:
    shards = open_shards(write(tmp_path / "data", kind))
    assert len(shards) == 1000 and shards.counts == (10, 390, 590, 10)
    assert (np.concatenate(list(shards.blocks(64))) == ROWS).all()
    assert max(len(block) for block in shards.blocks(64)) == 64
    labels = shards.labels()
    assert labels is None if kind == "npy" else (labels == LABELS).all()
    stacked = shards.stack(tmp_path / "all.npy")
    assert isinstance(stacked, np.memmap) and (stacked == ROWS).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.npy", "data"]


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet"])
def test_a_folder_is_a_data_set(tmp_path: Path, kind: str) -> None:
    dataset = load_dataset(str(write(tmp_path / "data", kind)))
    assert (dataset.inputs == ROWS).all()
    assert dataset.labels is None if kind == "npy" else (dataset.labels == LABELS).all()
    if kind == "parquet":
        one = load_dataset(str(tmp_path / "data" / "part-01.parquet"))
        assert (one.inputs == ROWS[10:400]).all() and (one.labels == LABELS[10:400]).all()


def test_recorded_from_shards_and_read_back(tmp_path: Path) -> None:
    whole = record(NETWORK, ROWS, values=True)
    shards = open_shards(write(tmp_path / "data", "npz"))
    store = tmp_path / "store"
    streamed = record_blocks(NETWORK, shards.blocks(77), len(shards), values=True, store=store)
    opened = open_signatures(store, NETWORK)
    for found in (streamed, opened):
        assert found.layers == whole.layers and found.widths == whole.widths
        for layer in whole.layers:
            assert (found.bits[layer] == whole.bits[layer]).all()
            np.testing.assert_allclose(found.values(layer), whole.values(layer), atol=1e-12)
        np.testing.assert_allclose(found.outputs, whole.outputs, atol=1e-12)
        assert (found.predicted == whole.predicted).all()
    assert isinstance(opened.bits["relu0"], np.memmap)


def test_a_recording_that_is_not_whole(tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(NETWORK, ROWS, store=store)
    with pytest.raises(DataError, match="expected 1000 rows, got 990"):
        record_blocks(NETWORK, [ROWS[:990]], 1000, store=store)
    with pytest.raises(DataError, match=r"a recording that was cut short has none.*Record again"):
        open_signatures(store)
    with pytest.raises(DataError, match="expected 10 rows, got 1000 or more"):
        record_blocks(NETWORK, [ROWS], 10)
    record(NETWORK, ROWS, store=store)
    other = network(9)
    with pytest.raises(DataError, match="expected network"):
        open_signatures(store, other)
    np.save(store / "bits-0.npy", np.zeros((3, 2), np.uint8))
    with pytest.raises(DataError, match=r"bits-0.npy of uint8 \(3, 2\)"):
        open_signatures(store)
    for text, said in (("{", "Expecting"), ('{"format": 7}', "expected format 1"), ("[]", "list")):
        (store / "signatures.json").write_text(text)
        with pytest.raises(DataError, match=said):
            open_signatures(store)
    content = {"format": 1, "network": "x", "layers": ["a"], "widths": []}
    (store / "signatures.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"signatures\.json"):
        open_signatures(store)


def test_shards_that_do_not_fit(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(DataError, match="got a folder without any"):
        open_shards(folder)
    np.save(folder / "a.npy", ROWS[:5])
    np.save(folder / "b.npy", ROWS[:5, :4])
    with pytest.raises(DataError, match=r"b.npy: expected rows of shape \(6,\), as in a.npy"):
        list(open_shards(folder).blocks())
    (folder / "b.npy").unlink()
    np.savez(folder / "c.npz", x=ROWS[:5], y=LABELS[:5])
    with pytest.raises(DataError, match="labels in all shards, or in none"):
        open_shards(folder).labels()
    (folder / "d.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"d.parquet: expected a whole Parquet file"):
        open_shards(folder)
    (folder / "d.parquet").unlink()
    np.save(folder / "e.npy", np.arange(5.0))
    with pytest.raises(DataError, match="an array of shape"):
        open_shards(folder)
