"""Data as people have it: folders of pictures, tables, arrays of any name, tensors, two parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from precond.cli import main
from precond.data.columns import TableColumns
from precond.data.dataset import Dataset, joined, split
from precond.data.datasets import load_dataset
from precond.errors import DataError
from precond.formats.load import load
from precond.study.fitting import strange

ROWS = np.arange(12).reshape(6, 2) / 4.0


def picture(path: Path, values: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def two_classes(folder: Path, *, coloured: bool = False) -> Path:
    """``cat``: pictures of value 10, 20; ``dog``: one of value 200."""
    shape = (2, 3, 3) if coloured else (2, 3)
    for name, value in (("cat/a.png", 10), ("cat/b.png", 20), ("dog/a.png", 200)):
        values = np.full(shape, value, np.uint8)
        if coloured:
            values[..., 0] = 1
        picture(folder / name, values)
    return folder


def test_a_folder_of_pictures_is_a_folder_a_class(tmp_path: Path) -> None:
    found = load_dataset(str(two_classes(tmp_path / "p")), divide=255)
    assert found.inputs.shape == (3, 2, 3) and found.image_shape == (2, 3)
    assert (found.inputs[:, 0, 0] * 255).round().tolist() == [10, 20, 200]
    assert found.labels is not None and found.labels.tolist() == [0, 0, 1]
    assert found.classes == ("cat", "dog") and found.natural == (0.0, 1.0)
    assert "--classes gives another order" in found.notes[0]
    other = load_dataset(str(tmp_path / "p"), columns=TableColumns(classes=("dog", "cat")))
    assert other.labels is not None and other.labels.tolist() == [1, 1, 0] and not other.notes


def test_colours_stand_first_and_grey_is_repeated_where_the_network_wants_it(
    tmp_path: Path,
) -> None:
    coloured = load_dataset(str(two_classes(tmp_path / "c", coloured=True)))
    assert coloured.inputs.shape == (3, 3, 2, 3)
    assert coloured.inputs[2, :, 0, 0].tolist() == [1, 200, 200]
    last = load_dataset(str(tmp_path / "c"), picture=(2, 3, 3))
    assert last.inputs[2, 0, 0].tolist() == [1, 200, 200]
    grey = load_dataset(str(two_classes(tmp_path / "g")), picture=(3, 2, 3))
    assert grey.inputs.shape == (3, 3, 2, 3) and (grey.inputs[2] == 200).all()
    picture(tmp_path / "rgb" / "0" / "a.png", np.full((2, 3, 3), 7, np.uint8))
    assert load_dataset(str(tmp_path / "rgb")).inputs.shape == (1, 2, 3)  # channels that agree


def test_a_folder_and_a_table_of_labels(tmp_path: Path) -> None:
    for name, value in (("b.png", 2), ("a.png", 1), ("c.png", 3)):
        picture(tmp_path / "p" / name, np.full((2, 2), value, np.uint8))
    names = tmp_path / "labels.csv"
    names.write_text("file,kind\nc.png,dog\na,cat\nb.png,dog\n")
    columns = TableColumns(classes=("cat", "dog"))
    found = load_dataset(str(tmp_path / "p"), str(names), columns=columns)
    assert found.inputs[:, 0, 0].tolist() == [1, 2, 3]
    assert found.labels is not None and found.labels.tolist() == [0, 1, 1]
    names.write_text("file,kind\nc.png,dog\na,cat\n")
    with pytest.raises(DataError, match=r"a label for each of 3 pictures, got none for b\.png"):
        load_dataset(str(tmp_path / "p"), str(names), columns=columns)
    names.write_text("file,kind\nd.png,dog\na,cat\n")
    with pytest.raises(DataError, match=r"names of pictures in the folder, got d\.png"):
        load_dataset(str(tmp_path / "p"), str(names), columns=columns)


def test_pictures_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "p")
    picture(folder / "dog" / "b.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"one size, got 3 of 2 × 3, 1 of 4 × 4.*b\.png"):
        load_dataset(str(folder))
    (folder / "dog" / "b.png").write_bytes(b"\x89PNG and no more")
    with pytest.raises(DataError, match="a whole picture"):
        load_dataset(str(folder))
    see_through = np.zeros((2, 3, 4), np.uint8)
    picture(folder / "dog" / "b.png", see_through)
    with pytest.raises(DataError, match="without transparency"):
        load_dataset(str(folder))
    two_classes(tmp_path / "parts" / "train")
    two_classes(tmp_path / "parts" / "val")
    with pytest.raises(DataError, match=r"--inputs .*parts/train --test .*parts/val"):
        load_dataset(str(tmp_path / "parts"))
    for name in ("3", "7"):
        picture(tmp_path / "n" / name / "a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match=r"numbers 0 to K − 1.*--classes 3,7"):
        load_dataset(str(tmp_path / "n"))


def test_index_columns_are_no_inputs(tmp_path: Path) -> None:
    """A first column without name that counts is what pandas writes; other numbers stay."""
    path = tmp_path / "d.csv"
    path.write_text(",a,b,y\n0,5,6,1\n1,7,8,0\n2,9,9,1\n")
    found = load_dataset(str(path))
    assert found.features == ("a", "b") and found.inputs.tolist() == [[5, 6], [7, 8], [9, 9]]
    assert "counts the rows" in found.notes[0]
    path.write_text("id,a,y\n4,5,1\n7,7,0\n")
    assert load_dataset(str(path)).features == ("id", "a")
    path.write_text("a;b;class\n1;2;0\n3;4;1\n")
    assert load_dataset(str(path)).inputs.tolist() == [[1, 2], [3, 4]]


def test_parquet_has_columns_too(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    table = {"id": [5, 6, 7], "a": [1.0, 2, 3], "b": [4, 5, 6], "kind": ["dog", "cat", "dog"]}
    path = tmp_path / "d.parquet"
    parquet.write_table(pyarrow.table(table), path)
    columns = TableColumns("kind", classes=("cat", "dog"))
    found = load_dataset(str(path), columns=columns)
    assert found.features == ("a", "b") and found.inputs.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert found.labels is not None and found.labels.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"column 'kind': expected numbers.*--label-column"):
        load_dataset(str(path))


def test_arrays_of_any_name(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, train=ROWS, test=ROWS[:2], y_train=np.arange(6), w=np.ones(6))
    with pytest.raises(DataError, match=r"got train \(6 × 2, float64\), test.*d\.npz:train"):
        load_dataset(str(path))
    found = load_dataset(f"{path}:train", f"{path}:y_train")
    assert found.inputs.tolist() == ROWS.tolist()
    assert found.labels is not None and found.labels.tolist() == list(range(6))
    with pytest.raises(DataError, match=r"d\.npz: none: expected train"):
        load_dataset(f"{path}:none")


def test_tensors(tmp_path: Path) -> None:
    path = tmp_path / "d.pt"
    tensor, labels = torch.tensor(ROWS), torch.tensor([0, 1, 0, 1, 0, 1])
    for saved in (tensor, (tensor, labels), {"x": tensor, "y": labels}):
        torch.save(saved, path)
        found = load_dataset(str(path))
        assert found.inputs.tolist() == ROWS.tolist()
        assert (found.labels is None) == isinstance(saved, torch.Tensor)
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(DataError, match=r"never unpickled.*torch\.save"):
        load_dataset(str(path))
    torch.save(nn.Linear(2, 2).state_dict(), path)
    assert load_dataset(str(path)).inputs.shape == (2, 2)  # its only array of rows, and said so


def test_own_held_out_data() -> None:
    first, second = (Dataset(n, ROWS, np.zeros(6, int), None, (0, 1)) for n in "ab")
    whole = joined(first, second)
    train, held_out = split(whole)
    assert train.tolist() == list(range(6)) and held_out.tolist() == list(range(6, 12))
    bare = Dataset("c", ROWS, None, None, (0, 1))
    with pytest.raises(DataError, match=r"labels in both parts.*--test-labels"):
        joined(first, bare)


def scale_network(folder: Path) -> Path:
    """Two inputs; class 1 where x0 exceeds 0.5."""
    module = nn.Linear(2, 2)
    module.weight = nn.Parameter(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    module.bias = nn.Parameter(torch.tensor([0.5, 0.0]))
    path = folder / "m.onnx"
    torch.onnx.export(
        nn.Sequential(module, nn.ReLU()), (torch.zeros(1, 2),), str(path), dynamo=False
    )
    return path


def test_what_does_not_look_like_the_training_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = load(scale_network(tmp_path))
    values = np.random.default_rng(0).uniform(0, 1, (200, 2))
    labels = np.asarray(values[:, 0] > 0.5, dtype=np.int64)

    def said(inputs: NDArray[np.float64], marks: NDArray[np.int64] | None) -> str:
        return " ".join(strange(network, Dataset("d", inputs, marks, None, (0.0, 255.0))))

    assert said(values, labels) == ""
    assert "divided by 255 it would be 100 %: --divide 255" in said(values * 255, labels)
    assert "--divide 255" in said(values * 255, None)
    assert "output 0 1, output 1 0" in said(values, 1 - labels)
    assert "says class 0 of all 200" in said(values * 0.1, None)
    constant = np.tile(labels, 1) * 0 + (np.arange(200) % 2)
    assert "always to say one class" in said(values, constant)
    np.savez(tmp_path / "d.npz", inputs=values * 255, labels=labels)
    words = ["robustness", str(tmp_path / "m.onnx"), "--inputs", str(tmp_path / "d.npz")]
    assert main([*words, "--most", "2"]) == 0
    assert "precond: note: values reach" in capsys.readouterr().err


def test_names_of_columns_instead_of_x0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(scale_network(tmp_path))
    values = np.random.default_rng(0).uniform(0, 1, (40, 2)).round(3)
    lines = [f"{a},{b},{int(a > 0.5)}" for a, b in values]
    table = tmp_path / "d.csv"
    table.write_text("\n".join(["width,mean height,label", *lines]) + "\n")
    given = [model, "--inputs", str(table)]
    assert main(["robustness", *given, "--monotone", "width:up:1", "--domain", "unit"]) == 0
    assert "y1 never falls as width rises proved" in " ".join(capsys.readouterr().out.split())
    assert main(["robustness", *given, "--monotone", "depth:up"]) == 2
    assert "a number, or one of width, mean height" in capsys.readouterr().err
    out = tmp_path / "e.html"
    assert main(["explain", *given, "--index", "0", "--out", str(out)]) == 0
    assert "width" in capsys.readouterr().out and "mean height" in out.read_text()
    assert main(["analyze", *given, "--budget", "5", "--out", str(tmp_path / "o")]) == 0
    assert "mean height</t" in (tmp_path / "o" / "report.html").read_text()
