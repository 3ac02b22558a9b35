"""Models of several inputs and outputs: side by side by name, or one output chosen; outputs that
are the input, or constant.  ONNX files against ONNX Runtime, modules and .pt2 against torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from precond.cli import main
from precond.data.columns import TableColumns
from precond.data.datasets import load_dataset
from precond.errors import DataError, ModelError
from precond.formats.load import load
from precond.network.describe import describe
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.interface import NamedTensor

SAMPLES = 1000
Shape = Sequence[int | str]


def saved(
    path: Path,
    inputs: Mapping[str, Shape],
    nodes: Sequence[tuple[str, list[str], list[str], dict[str, object]]],
    results: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
) -> Path:
    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, **attributes) for op, ins, outs, attributes in nodes],
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def runs(path: Path, network: Network, shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    """What ONNX Runtime gives, its outputs side by side, for the network's flat inputs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = inputs_of(network)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    results = []
    for row in rows:
        cut = np.split(row, ends[:-1])
        feeds = {n: v.reshape(s) for (n, s), v in zip(shapes.items(), cut, strict=True)}
        results.append(np.concatenate([y.reshape(-1) for y in session.run(None, feeds)]))
    return np.stack(results)


def inputs_of(network: Network) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(SAMPLES, network.input_size)).astype(np.float32)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


TWO = [
    ("Flatten", ["image"], ["f"], {}),
    ("Concat", ["f", "table"], ["c"], {"axis": 1}),
    ("Gemm", ["c", "w"], ["h"], {}),
    ("Relu", ["h"], ["r"], {}),
    ("Gemm", ["r", "v"], ["score"], {}),
]
WEIGHTS = {"w": numbers(15, 6), "v": numbers(6, 2)}


@pytest.mark.parametrize("batch", ["N", 1])
def test_inputs_and_outputs_stand_side_by_side(batch: str | int, tmp_path: Path) -> None:
    shapes = {"image": (batch, 1, 4, 3), "table": (batch, 3)}
    path = saved(tmp_path / "m.onnx", shapes, TWO, ["score", "r"], WEIGHTS)
    network = load(path)
    assert network.input_parts == (NamedTensor("image", (1, 4, 3)), NamedTensor("table", (3,)))
    assert network.output_parts == (NamedTensor("score", (2,)), NamedTensor("r", (6,)))
    want = runs(path, network, {"image": (1, 1, 4, 3), "table": (1, 3)})
    got = outputs(network, inputs_of(network), dtype=torch.float32)
    np.testing.assert_allclose(got, want, 1e-5, 1e-5)
    lines = describe(network).splitlines()
    assert "  image            inputs 0 to 11  shape (1, 4, 3)" in lines
    assert "  r                outputs 2 to 7  shape (6,)" in lines
    one = load(path, output="score")
    assert one.output_parts == () and one.output_size == 2
    np.testing.assert_allclose(outputs(one, inputs_of(one)), want[:, :2], 1e-5, 1e-5)
    assert load(path, output="1").output_size == 6
    with pytest.raises(ModelError, match="output 'logits': expected one of score, r"):
        load(path, output="logits")


def test_sizes_of_several_inputs_are_given_by_name(tmp_path: Path) -> None:
    shapes: dict[str, Shape] = {"image": ("N", "C", "H", "W"), "table": ("N", 3)}
    path = saved(tmp_path / "m.onnx", shapes, TWO, ["score"], WEIGHTS)
    with pytest.raises(ModelError, match=r"input 'image': expected fixed sizes.*--input-shape"):
        load(path)
    with pytest.raises(ModelError, match="sizes of each of the inputs image, table by name"):
        load(path, (1, 4, 3))
    with pytest.raises(ModelError, match="expected sizes of image, table, got those of picture"):
        load(path, {"picture": (1, 4, 3)})
    assert load(path, {"image": (1, 4, 3)}).input_parts[0] == NamedTensor("image", (1, 4, 3))
    assert (
        main(["info", str(path), "--input-shape", "image=1,4,3", "--input-shape", "table=3"]) == 0
    )


def test_an_activation_at_one_of_several_outputs_needs_a_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [*TWO, ("Softmax", ["score"], ["p"], {"axis": 1})]
    shapes: dict[str, Shape] = {"image": ("N", 1, 4, 3), "table": ("N", 3)}
    path = saved(tmp_path / "m.onnx", shapes, nodes, ["score", "p"], WEIGHTS)
    assert main(["info", str(path)]) == 2
    assert "choose one output: --output NAME" in capsys.readouterr().err
    assert main(["info", str(path), "--output", "p"]) == 0
    assert "after a last softmax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("nodes", "results"),
    [
        ([("Identity", ["x"], ["y"], {})], ["y"]),
        ([("Reshape", ["x", "s"], ["y"], {})], ["y"]),
        ([("Relu", ["c"], ["y"], {})], ["y"]),
        ([("Relu", ["x"], ["y"], {}), ("Neg", ["c"], ["z"], {})], ["y", "z"]),
        ([("Relu", ["x"], ["y"], {})], ["y", "x", "c"]),
        ([("Mul", ["x", "zero"], ["y"], {})], ["y"]),
    ],
)
def test_outputs_that_are_the_input_or_constant(
    nodes: list[tuple[str, list[str], list[str], dict[str, object]]],
    results: list[str],
    tmp_path: Path,
) -> None:
    constants = {"c": numbers(1, 3), "s": np.array([1, 2, 2]), "zero": np.zeros(4, np.float32)}
    path = saved(tmp_path / "m.onnx", {"x": (1, 4)}, nodes, results, constants)
    network = load(path)
    want = runs(path, network, {"x": (1, 4)})
    np.testing.assert_array_equal(outputs(network, inputs_of(network)), want)


class TwoInputs(nn.Module):
    """A picture and a table in, classes and a number out."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Conv2d(1, 2, 2)
        self.classes, self.number = nn.Linear(18, 3), nn.Linear(18, 1)

    def forward(self, image: torch.Tensor, table: torch.Tensor) -> dict[str, torch.Tensor]:
        shown = torch.relu(self.picture(image)).flatten(1)
        both = torch.cat([shown, table], 1)
        return {"classes": self.classes(both), "number": self.number(both)[:, 0]}


def test_modules_and_programs_of_several_inputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = TwoInputs().eval()
    network = load(module, {"image": (1, 3, 4), "table": (6,)})
    assert [part.name for part in network.input_parts] == ["image", "table"]
    assert network.output_parts == (NamedTensor("classes", (3,)), NamedTensor("number", ()))
    rows = torch.tensor(inputs_of(network))
    with torch.no_grad():
        found = module(rows[:, :12].reshape(-1, 1, 3, 4), rows[:, 12:])
    want = np.column_stack([found["classes"].numpy(), found["number"].numpy()])
    np.testing.assert_allclose(
        outputs(network, rows.numpy(), dtype=torch.float32), want, 1e-5, 1e-5
    )
    dims = {0: torch.export.Dim("n", min=2)}
    example = (torch.zeros(2, 1, 3, 4), torch.zeros(2, 6))
    program = torch.export.export(module, example, dynamic_shapes={"image": dims, "table": dims})
    torch.export.save(program, tmp_path / "m.pt2")
    again = load(tmp_path / "m.pt2")
    assert again.hash == network.hash == load(program).hash
    assert again.output_parts == network.output_parts
    one = load(tmp_path / "m.pt2", output="number")
    np.testing.assert_allclose(outputs(one, rows.numpy())[:, 0], want[:, 3], 1e-5, 1e-5)


PARTS = (NamedTensor("image", (2, 2)), NamedTensor("age", (1,)))


def test_data_of_several_inputs_by_name(tmp_path: Path) -> None:
    """TableColumns and arrays are put in the network's order, whatever theirs is."""
    rows = np.arange(15.0, dtype=np.float32).reshape(3, 5)
    np.savez(tmp_path / "d.npz", age=rows[:, 4], image=rows[:, :4].reshape(3, 2, 2), y=[0, 1, 0])
    columns = TableColumns(parts=PARTS)
    data = load_dataset(str(tmp_path / "d.npz"), columns=columns)
    np.testing.assert_array_equal(data.inputs, rows)
    assert data.labels is not None and data.labels.tolist() == [0, 1, 0]
    head = "age,image[0],image[1],image[2],image[3],label\n"
    lines = [",".join(map(str, [r[4], *r[:4], 1])) for r in rows.tolist()]
    (tmp_path / "d.csv").write_text(head + "\n".join(lines) + "\n")
    data = load_dataset(str(tmp_path / "d.csv"), columns=columns)
    np.testing.assert_array_equal(data.inputs, rows)
    assert data.features == ("image[0]", "image[1]", "image[2]", "image[3]", "age")
    assert "by their names are the inputs image, age" in data.notes[0]
    (tmp_path / "e.csv").write_text((tmp_path / "d.csv").read_text().replace("age", "years"))
    data = load_dataset(str(tmp_path / "e.csv"), columns=columns)
    np.testing.assert_array_equal(data.inputs[:, 0], rows[:, 4])  # one flat row, as it stands
    assert "in the order of the file" in data.notes[0]
    np.savez(tmp_path / "f.npz", age=rows[:2, 4], image=rows[:, :4])
    with pytest.raises(DataError, match="image, age: expected as many rows of each"):
        load_dataset(str(tmp_path / "f.npz"), columns=columns)
    np.savez(tmp_path / "f.npz", age=rows[:, 4], image=rows[:, :3])
    with pytest.raises(DataError, match="image: expected rows of 4 values"):
        load_dataset(str(tmp_path / "f.npz"), columns=columns)
