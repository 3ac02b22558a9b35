"""``precond concepts`` and ``precond diagnose``: pages and tables, and one line for bad input."""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from attribution.concepts.scenes import Scenes, render_scenes
from precond.cli import main
from precond.commands.unit_names import unit_names
from precond.data.concepts import read_concepts
from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx

SIZE = 12
DIGITS = str(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
MNIST = str(Path(__file__).parents[1] / "models" / "mnist-10x10.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with masks and examples, and a network whose channels are the three colours."""
    place = tmp_path_factory.mktemp("scenes")
    scenes = render_scenes(120, size=SIZE, seed=0)
    np.savez(place / "scenes.npz", inputs=scenes.pictures, labels=scenes.labels)
    np.savez(place / "masks.npz", red=scenes.masks["red"], blue=scenes.masks["blue"])
    examples = {name: scenes.pictures[scenes.having(name)[:12]] for name in ("red", "large")}
    np.savez(place / "examples.npz", **examples)
    pictures(place / "pictures", scenes)
    write_onnx(load(colours(), (3, SIZE, SIZE)), place / "colours.onnx")
    return place


def colours() -> nn.Module:
    """Channel k of its first layer: colour k above the mean of the other two by 0.3."""
    first = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        first.weight[:] = (1.5 * torch.eye(3) - 0.5)[:, :, None, None]
        first.bias[:] = -0.3
    torch.manual_seed(0)
    return nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.Linear(3 * SIZE**2, 4))


def pictures(place: Path, scenes: Scenes) -> None:
    for name in ("green", "small"):
        (place / name).mkdir(parents=True)
        for row in scenes.having(name)[:8]:
            values = np.rint(scenes.pictures[row] * 255).astype(np.uint8)
            Image.fromarray(values.transpose(1, 2, 0)).save(place / name / f"{row}.png")


def given(folder: Path, concepts: str, *more: str) -> list[str]:
    words = ["concepts", str(folder / "colours.onnx"), "--inputs", str(folder / "scenes.npz")]
    return [*words, "--concepts", str(folder / concepts), "--layer", "relu1", *more]


def test_masks_name_the_units_that_were_built_for_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given(folder, "masks.npz", "--top", "0.05", "--out", str(tmp_path))) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 units detect one of the 2 concepts" in shown
    assert "unit 0         red, IoU" in shown and "unit 2         blue, IoU" in shown
    assert shown.count("p 0.01: significant") == 2
    page = (tmp_path / "index.html").read_text()
    assert "Units with a name" in page and "<script" not in page
    with (tmp_path / "units.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["concept"] for line in lines] == ["red", "", "blue"]
    assert [line["significant"] for line in lines] == ["1", "0", "1"]
    names = json.loads((tmp_path / "units.json").read_text())["layers"]
    assert names == {"relu1": {"places": SIZE**2, "units": {"0": "red", "2": "blue"}}}


@pytest.mark.parametrize("saved", [True, False])
def test_other_commands_take_names_and_masks(saved: bool, folder: Path, tmp_path: Path) -> None:
    concepts = folder / "masks.npz"
    if saved:
        assert main(given(folder, "masks.npz", "--top", "0.05", "--out", str(tmp_path))) == 0
        concepts = tmp_path / "units.json"
    network = load(folder / "colours.onnx")
    data = load_dataset(str(folder / "scenes.npz"))
    names, notes = unit_names(argparse.Namespace(concepts=concepts), network, data)
    assert notes == (f"2 units have the name of a concept ({concepts.name}: relu1)",)
    places = SIZE**2
    assert [names.of("relu1", k * places + 5) for k in range(3)] == ["red", None, "blue"]
    assert unit_names(argparse.Namespace(concepts=None), network, data)[1] == ()


def test_names_of_another_network_are_one_clear_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"format": 1, "network": "0" * 64, "layers": {}}
    (tmp_path / "units.json").write_text(json.dumps(content))
    words = ["debug", str(folder / "colours.onnx"), "--inputs", str(folder / "scenes.npz")]
    words += ["--out", str(tmp_path / "debug"), "--concepts", str(tmp_path / "units.json")]
    assert main(words) == 2
    assert "expected names of the network with hash" in capsys.readouterr().err
    words[-1] = str(folder / "examples.npz")
    assert main(words) == 2
    assert "examples.npz: expected masks, got examples only" in capsys.readouterr().err


@pytest.mark.parametrize("concepts", ["examples.npz", "pictures"])
def test_examples_are_scored(
    concepts: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = given(folder, concepts, "--random-sets", "5", "--out", str(tmp_path))
    if concepts == "pictures":
        assert main(words) == 2  # bytes beside values in [0, 1]
        assert "examples of green: expected values like the data's, 0 to 1, got" in (
            capsys.readouterr().err
        )
        words += ["--divide-concepts", "255"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.count("TCAV ") == 8  # two concepts, four classes
    page = (tmp_path / "index.html").read_text()
    assert "not significant" in page and page.count("<img") == 2 * 12
    with (tmp_path / "tcav.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert all(0 <= float(line["tcav"]) <= 1 for line in lines)


def test_bad_concepts_are_one_clear_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (3, SIZE, SIZE)
    bad = {
        "empty": (np.zeros((0, *size)), "concept c of .*: expected one example or more, got none"),
        "size": (np.zeros((5, 3, 4, 4)), "expected examples of 3 × 12 × 12 values, got 3 × 4 × 4"),
        "few": (np.zeros((2, *size)), "concept c: expected 4 examples or more, got 2"),
        "mask": (np.ones((120, 5, 5), dtype=np.bool_), r"mask c: expected \(120, 12, 12\)"),
    }
    for name, (values, message) in bad.items():
        np.savez(tmp_path / f"{name}.npz", c=values)
        words = given(folder, "masks.npz")
        words[words.index("--concepts") + 1] = str(tmp_path / f"{name}.npz")
        assert main(words) == 2
        (line,) = [t for t in capsys.readouterr().err.splitlines() if "note" not in t]
        assert line.startswith("precond: ")
        assert re.search(message, line)


def test_an_unknown_layer_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = given(folder, "masks.npz")
    words[words.index("relu1")] = "relu9"
    assert main(words) == 2
    assert "slice at 'relu9': expected one of conv1, relu1" in capsys.readouterr().err


def test_pictures_are_read_with_their_folders_as_names(folder: Path) -> None:
    found = read_concepts(folder / "pictures", shape=(3, SIZE, SIZE), divide=255)
    assert {name: len(rows) for name, rows in found.examples.items()} == {"green": 8, "small": 8}
    assert not found.masks and found.examples["green"].max() <= 1.0


def test_diagnose_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["diagnose", DIGITS, "--inputs", "digits", "--most", "4", "--shown", "1"]
    assert main([*words, "--certify", "600", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("certified") == 6  # all directions and five bands
    page = (tmp_path / "index.html").read_text()
    assert "The boundary" in page and "Accuracy by frequency" in page and page.count("<img") == 3
    with (tmp_path / "margins.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 * 4
    assert all(0 < float(line["certified"]) <= float(line["found"]) for line in lines)


def test_diagnose_against_another_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network against itself: all of a layer is known, and rebuilt features decide as before."""
    words = ["diagnose", DIGITS, "--inputs", "digits", "--most", "2", "--shown", "1"]
    words += ["--certify", "1", "--out", str(tmp_path), "--against", DIGITS]
    assert main(words) == 0
    assert "Of what relu2 tells, 100.0 % can be rebuilt" in " ".join(
        capsys.readouterr().out.split()
    )
    assert "What another network knows" in (tmp_path / "index.html").read_text()
    written = json.loads((tmp_path / "consistency.json").read_text())
    for side in (written["model"], written["against"]):
        assert side["layer"] == "relu2" and min(side["explained_by_order"]) > 0.9999
        assert side["accuracy"] == side["accuracy_rebuilt"]
    assert len(written["rest_by_input"]) == len(written["held_out_rows"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "relu1"], "--layer: expected --against OTHER_MODEL, got none"),
        (["--against", DIGITS, "--layer", "relu9"], "relu9"),
        (["--against", MNIST], "--against .*: expected 64 inputs and 10 outputs, got 784"),
    ],
)
def test_a_bad_comparison_is_one_clear_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["diagnose", DIGITS, "--inputs", "digits", "--most", "1", "--shown", "1"]
    assert main([*given, "--certify", "0.1", *words]) == 2
    assert re.search(f"^precond: .*{message}", capsys.readouterr().err, re.MULTILINE)
