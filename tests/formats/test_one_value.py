"""Values with no axis but the batch: one number per input, as ONNX Runtime and torch give it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from precond.errors import ModelError
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.evaluate import outputs
from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU, Sum

RNG = np.random.default_rng(0)
WEIGHTS = {
    "w": RNG.normal(size=(4, 3)).astype(np.float32),
    "one": np.array([1]),
    "last": np.array([-1]),
    "flat": np.array([-1]),
    "column": np.array([-1, 1]),
    "index": np.array(1),
    "v": RNG.normal(size=3).astype(np.float32),
    "c": np.array(0.5, np.float32),
}
Step = tuple[str, list[str], dict[str, object]]
SUM: Step = ("ReduceSum", ["h", "one"], {"keepdims": 0})
CASES: dict[str, list[Step]] = {
    "sum": [SUM],
    "mean": [("ReduceMean", ["h"], {"axes": [-1], "keepdims": 0})],
    "gather": [("Gather", ["h", "index"], {"axis": 1})],
    "vector": [("MatMul", ["h", "v"], {})],
    "sum, then relu": [SUM, ("Relu", ["s0"], {})],
    "sum, then arithmetic": [SUM, ("Mul", ["s0", "c"], {}), ("Add", ["s1", "s0"], {})],
    "sum, and back to a column": [SUM, ("Reshape", ["s0", "column"], {})],
    "squeeze": [SUM, ("Unsqueeze", ["s0", "one"], {}), ("Squeeze", ["s1", "last"], {})],
    "reshape": [SUM, ("Unsqueeze", ["s0", "one"], {}), ("Reshape", ["s1", "flat"], {})],
}


def saved(folder: Path, batch: str | int, steps: list[Step]) -> Path:
    """``x`` (batch, 4) → ``h`` = relu(x w) (batch, 3) → the steps, s0, s1, …"""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["h"])]
    nodes += [
        helper.make_node(op, ins, [f"s{i}"], **attributes)
        for i, (op, ins, attributes) in enumerate(steps)
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])],
        [helper.make_tensor_value_info(f"s{len(steps) - 1}", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()],
    )
    opset = helper.make_opsetid("", 13)
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))
    return path


def by_runtime(path: Path, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(inputs))[0])


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("case", CASES)
def test_onnx(case: str, batch: str | int, tmp_path: Path) -> None:
    path = saved(tmp_path, batch, CASES[case])
    network = load(path)
    assert network.output_size == 1
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    wanted = [by_runtime(path, {"x": row[None]}).reshape(-1) for row in x]
    np.testing.assert_allclose(outputs(network, x), np.array(wanted), rtol=1e-5, atol=1e-6)
    exact = exact_values(network, x[0].astype(float))[network.output].fractions()
    np.testing.assert_allclose([float(v) for v in exact], wanted[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "steps",
    [
        [("ReduceSum", ["h"], {"keepdims": 0})],
        [("Reshape", ["h", "flat"], {})],
        [SUM, ("Add", ["s0", "v"], {})],
        [SUM, ("Unsqueeze", ["s0", "one"], {}), ("Add", ["s1", "s0"], {})],
        [("Gather", ["h", "index"], {"axis": 0})],
    ],
    ids=["sum of all", "one row of all", "with a vector", "with its column", "second input"],
)
def test_what_mixes_an_open_batch_is_refused(steps: list[Step], tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        load(saved(tmp_path, "N", steps))


class Ends(nn.Module):
    """relu(x w + b), then ``last``."""

    def __init__(self, last: Callable[[torch.Tensor], torch.Tensor], width: int = 1) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(4, 5), nn.Linear(5, width), last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.b(torch.relu(self.a(x))))


@pytest.mark.parametrize(
    ("last", "width"),
    [
        (lambda y: y.squeeze(-1), 1),
        (lambda y: y.squeeze(1), 1),
        (lambda y: y[:, 0], 3),
        (lambda y: y[..., -1], 3),
        (lambda y: y.view(-1), 1),
        (lambda y: y.flatten(), 1),
        (lambda y: y.sum(1), 3),
        (lambda y: y.mean(-1), 3),
        (lambda y: torch.relu(y.sum(1)) * 2 - 1, 3),
        (lambda y: torch.cat([y[:, 1].unsqueeze(1), y.sum(1)[:, None]], 1), 3),
    ],
    ids=[
        "squeeze(-1)",
        "squeeze(1)",
        "first",
        "last",
        "view",
        "flatten",
        "sum",
        "mean",
        "arithmetic",
        "cat",
    ],
)
def test_module(last: Callable[[torch.Tensor], torch.Tensor], width: int) -> None:
    torch.manual_seed(0)
    module = Ends(last, width).eval()
    x = torch.randn(3, 4)
    wanted = module(x).detach().numpy().reshape(3, -1)
    np.testing.assert_allclose(outputs(load(module, (4,)), x.numpy()), wanted, atol=1e-6)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(0,), (0, 1)])
def test_a_written_sum_is_read_again(axes: tuple[int, ...], keepdims: bool, tmp_path: Path) -> None:
    nodes = (Node("s", Sum(axes, keepdims, 0.25), (INPUT,)), Node("r", ReLU(), ("s",)))
    network = Network(nodes, (2, 3), "sum")
    write_onnx(network, tmp_path / "m.onnx")
    x = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    wanted = outputs(network, x)
    assert by_runtime(tmp_path / "m.onnx", {"input": x}).shape == (4, *network.shapes["r"])
    np.testing.assert_allclose(outputs(load(tmp_path / "m.onnx"), x), wanted, atol=1e-6)
