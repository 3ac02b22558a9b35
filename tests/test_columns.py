"""Tables with named columns: labels by name, dropped columns, classes in the order of outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from precond.cli import main
from precond.data.columns import TableColumns
from precond.data.datasets import load_dataset
from precond.errors import DataError

TABLE = "id,width,kind,height\nr1,1.5,dog,2\nr2,-1,cat,0.5\nr3,0,dog,7\n"
KINDS = TableColumns("kind", ("id",), ("cat", "dog"))


def saved(folder: Path, text: str = TABLE) -> str:
    path = folder / "d.csv"
    path.write_text(text)
    return str(path)


def test_labels_features_and_names(tmp_path: Path) -> None:
    data = load_dataset(saved(tmp_path), columns=KINDS)
    assert data.features == ("width", "height")
    assert data.inputs.tolist() == [[1.5, 2], [-1, 0.5], [0, 7]]
    assert data.labels is not None and data.labels.tolist() == [1, 0, 1]
    assert data.classes == ("cat", "dog")
    other = load_dataset(saved(tmp_path), columns=TableColumns("kind", ("id",), ("dog", "cat")))
    assert other.labels is not None and other.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "columns", "match"),
    [
        (TABLE, TableColumns("kind", ("id",)), r"got names: cat, dog.*--classes cat,dog"),
        (TABLE, TableColumns("kind"), r"line 2, column 'id': expected a number.*--drop"),
        (TABLE, TableColumns("sort", ("id",)), r"--label-column: expected one of id.*got sort"),
        (TABLE, TableColumns("kind", ("name",)), r"--drop: expected one of id"),
        (TABLE, TableColumns("kind", ("id",), ("cat", "cow")), r"--classes cat,cow, got cat, dog"),
        ("a,label\n1,x\n2,y\n", TableColumns(), r"got names: x, y.*--classes x,y"),
        ("a,label\n1,x\n2\n", TableColumns(), "line 3: expected 2 values"),
        ("1,2\n3,4\n", TableColumns("a"), "line 1: expected names of columns, got numbers"),
        ("a,a,label\n1,2,0\n", TableColumns(None, ("a",)), "stands there twice"),
    ],
)
def test_what_does_not_fit_is_refused(
    text: str, columns: TableColumns, match: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=match):
        load_dataset(saved(tmp_path, text), columns=columns)


def test_numbers_as_labels_may_have_names(tmp_path: Path) -> None:
    table = "a,b,label\n1,2,0\n3,4,1\n"
    data = load_dataset(saved(tmp_path, table), columns=TableColumns(classes=("cat", "dog")))
    assert data.labels is not None and data.labels.tolist() == [0, 1]
    assert load_dataset(saved(tmp_path, table)).features == ("a", "b")
    signs = load_dataset(
        saved(tmp_path, "a,label\n1,-1\n2,1\n"), columns=TableColumns(classes=("-1", "1"))
    )
    assert signs.labels is not None and signs.labels.tolist() == [0, 1]


def test_other_files_have_no_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"a table \(.csv or .parquet\) for --label-column"):
        load_dataset(str(tmp_path / "d.npy"), columns=TableColumns("kind"))


def test_analyze_a_table_with_names_and_a_state_dict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two ReLUs of a and b, and b − a decides: what is stated stands in terminal and page."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    for index in (0, 2):
        module[index].weight = nn.Parameter(torch.eye(2))
        module[index].bias = nn.Parameter(torch.zeros(2))
    torch.save(module.state_dict(), tmp_path / "m.pt")
    rows = np.random.default_rng(0).uniform(-1, 1, (60, 2)).round(3)
    lines = [f"{i},{a},{b},{'dog' if b > a else 'cat'}" for i, (a, b) in enumerate(rows)]
    data = saved(tmp_path, "\n".join(["row,left,right,kind", *lines]) + "\n")
    words = ["analyze", str(tmp_path / "m.pt"), "--inputs", data, "--out", str(tmp_path / "o")]
    words += ["--label-column", "kind", "--drop", "row", "--domain", "-1:1", "--budget", "2"]
    assert main(words) == 2
    assert "does not name its activations" in capsys.readouterr().err
    words += ["--activation", "relu"]
    assert main(words) == 2
    assert "--classes cat,dog" in capsys.readouterr().err
    assert main([*words, "--classes", "cat,dog,cow"]) == 2
    assert "a name for each of 2 outputs" in capsys.readouterr().err
    assert main([*words, "--classes", "cat,dog"]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # a long path wraps the line
    page = (tmp_path / "o" / "report.html").read_text()
    for text in (printed, page):
        assert "activation as stated by the user: ReLU" in text
        assert "0 cat, 1 dog" in text and "0 left, 1 right" in text


def test_a_long_header_shows_its_last_name_and_names_like_the_one_given() -> None:
    header = [f"x{i}" for i in range(20)] + ["cultivar", "y"]
    with pytest.raises(DataError, match=r"one of cultivar, x0, .*, y and 10 more, got cultivars"):
        TableColumns("cultivars").label_of(header, "wine.csv")
