"""``precond explain --sufficient``: what it prints and writes, and one line for a bad question."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from precond.checker.files import read_certificate
from precond.cli import main
from precond.formats.onnx.writer import write_onnx
from precond.mine.sufficient_features.sufficient import SufficientSettings, sufficient_features
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.box import Box
from precond.report.sufficient.words import InputAnswer, conditions, sentence

# "benign" where width + depth > 1; colour is not read.
NETWORK = Network(
    (
        Node("z0", Affine(np.array([[1.0, 1.0, 0.0]]), np.zeros(1)), (INPUT,)),
        Node("a0", ReLU(), ("z0",)),
        Node("y", Affine(np.array([[0.0], [1.0]]), np.array([1.0, 0.0])), ("a0",)),
    ),
    (3,),
)
TABLE = """width,depth,colour,kind
0,0,0,0
1,1,1,1
0.25,1.75,0.5,1
0.1,0.2,0.3,0
2,2,1,1
"""


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    write_onnx(NETWORK, tmp_path / "m.onnx")
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    data = ["--inputs", str(tmp_path / "t.csv"), "--label-column", "kind"]
    names = ["--classes", "malignant,benign", "--sufficient"]
    return ["explain", str(tmp_path / "m.onnx"), *data, *names]


def test_a_sentence_in_the_names_of_the_table(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "s.json", tmp_path / "proofs"
    words = ["--index", "2", "--free", "full", "--out", str(out), "--certificate", str(folder)]
    assert main([*given, *words, "--contrast", "malignant"]) == 0
    said = json.loads(out.read_text(encoding="utf-8"))
    assert said["names"] == ["depth"] and said["least"] == 1
    assert said["verdict"]["status"] == "proved" and said["verdict"]["exact"]
    low = said["intervals"]["lower"][1]
    assert 1 < low <= 1.75 and said["intervals"]["upper"][1] == 2
    (condition,) = said["intervals"]["conditions"]
    assert float(condition.removeprefix("depth ≥ ")) == low
    assert said["sentence"] == (
        f"{condition} suffices for class benign, whatever the other 2 columns are within the "
        "data's range."
    )
    assert said["contrast"]["class"] == 0 and said["contrast"]["units"] == [1]
    (file,) = folder.glob("*.certificate")
    assert read_certificate(file).statement.lower.tolist() == [0, 1.75, 0]
    assert "smallest       no sufficient set is smaller" in capsys.readouterr().out


def test_a_kept_value_is_said_as_it_is() -> None:
    """To six digits depth would be 1.23457, which was not asked about."""
    x = np.array([0.0, 1.23456789, 0.5])
    settings = SufficientSettings(budget=5.0, intervals=False)
    found = sufficient_features(NETWORK, x, Box.uniform(3, 0.0, 2.0), settings=settings)
    assert found.widened is None and found.names == ("x1",)
    assert conditions(found) == ["x1 = 1.23456789"]
    answer = InputAnswer(0, "class 1", "within [0, 2]")
    assert sentence(found, answer).startswith("x1 = 1.23456789 suffices for class 1")


def test_where_nothing_needs_to_stay(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Width + depth is at least 3.8 there, and the class changes at 1."""
    words = ["--index", "4", "--radius", "0.1", "--out", str(tmp_path / "s.json")]
    assert main([*given, *words]) == 0
    said = capsys.readouterr().out
    assert "Nothing needs to stay" in said and "needed         none" in said


def test_a_page_that_needs_nothing_else(given: list[str], tmp_path: Path) -> None:
    out = tmp_path / "s.html"
    words = ["--index", "2", "--free", "full", "--group", "size=width,depth"]
    assert main([*given, *words, "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "1 of 2 groups, as they are, suffices for class benign" in page
    assert "Why" not in page and "<script" not in page


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--index", "2"], "--sufficient: expected --radius R or --free full, got neither"),
        (["--index", "9", "--radius", "1"], "--index: expected 0 to 4, got 9"),
        (
            ["--index", "0", "--radius", "1", "--group", "g=hue"],
            "--group g: expected columns: width, depth, colour, …, got hue",
        ),
        (
            ["--index", "0", "--radius", "1", "--contrast", "odd"],
            "--contrast: expected a class: malignant, benign, got odd",
        ),
        (["--index", "0", "--radius", "1", "--patch", "2"], "--patch: expected pictures"),
        (
            ["--index", "0", "--radius", "1", "--domain", "5:6"],
            "--domain: expected one that holds the input",
        ),
    ],
)
def test_a_bad_question_gets_one_line(
    given: list[str],
    words: list[str],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*given, *words, "--out", str(tmp_path / "s.html")]) == 2
    error = capsys.readouterr().err
    assert line in error
