"""Constants of files, compared with their definition in fractions or to 50 digits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from mpmath import mp, mpf
from onnx import TensorProto, helper, numpy_helper

from precond.errors import ModelError
from precond.formats.load import load
from precond.formats.lowering import arithmetic
from precond.formats.onnx.writer import write_onnx
from precond.network.constants import Range, Real, reals
from precond.network.deviation import ranges
from precond.network.graph import Network
from precond.network.layers import Affine, Scale, Sum

mp.dps = 50
A = np.array([0.1, 0.7, 3.0, 49.0], np.float32)
B = np.array([0.3, 3.0, 7.0, 98.0], np.float32)
EPSILON = float(np.float32(1e-5))


def folded(kind: str, *operands: Any, **attributes: Any) -> Callable[[Path], Network]:
    """Reads x · kind(operands)."""

    def read(folder: Path) -> Network:
        names = [f"c{i}" for i in range(len(operands))]
        nodes = [
            helper.make_node(kind, names, ["c"], **attributes),
            helper.make_node("Mul", ["x", "c"], ["z"]),
            helper.make_node("Relu", ["z"], ["y"]),
        ]
        tensors = [
            numpy_helper.from_array(np.asarray(v), k) for k, v in zip(names, operands, strict=True)
        ]
        return read_graph(folder, nodes, tensors, [1, 4])

    return read


def direct(kind: str, shape: list[int], *operands: Any, **attributes: Any) -> Any:
    """Reads kind(x, operands)."""

    def read(folder: Path) -> Network:
        names = [f"c{i}" for i in range(len(operands))]
        nodes = [
            helper.make_node(kind, ["x", *names], ["z"], **attributes),
            helper.make_node("Relu", ["z"], ["y"]),
        ]
        tensors = [
            numpy_helper.from_array(np.asarray(v), k) for k, v in zip(names, operands, strict=True)
        ]
        return read_graph(folder, nodes, tensors, shape)

    return read


def read_graph(folder: Path, nodes: list[Any], tensors: list[Any], shape: list[int]) -> Network:
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    imports = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), str(folder / "m.onnx"))
    return load(folder / "m.onnx")


def rational(values: Any) -> list[Fraction]:
    return [Fraction(float(v)) for v in np.ravel(values)]


a, b = rational(A), rational(B)
precise = [mpf(x.numerator) / x.denominator for x in a]
FACTORS: dict[str, tuple[Callable[[Path], Network], list[Any]]] = {
    "Div of x": (direct("Div", [1, 4], B), [1 / d for d in b]),
    "Div": (folded("Div", A, B), [p / q for p, q in zip(a, b, strict=True)]),
    "Mul": (folded("Mul", A, B), [p * q for p, q in zip(a, b, strict=True)]),
    "Add": (
        folded("Add", A, B * np.float32(1e-9)),
        None or [p + q for p, q in zip(a, rational(B * np.float32(1e-9)), strict=True)],
    ),
    "Sub": (
        folded("Sub", A, B / np.float32(7)),
        [p - q for p, q in zip(a, rational(B / np.float32(7)), strict=True)],
    ),
    "Sum": (folded("Sum", A, B, A), [2 * p + q for p, q in zip(a, b, strict=True)]),
    "Reciprocal": (folded("Reciprocal", B), [1 / q for q in b]),
    "Pow": (folded("Pow", A, np.float32(3)), [p**3 for p in a]),
    "Pow −1": (folded("Pow", A, np.float32(-1)), [1 / p for p in a]),
    "Pow −½": (folded("Pow", A, np.float32(-0.5)), [1 / mp.sqrt(p) for p in precise]),
    "Pow 0.3": (
        folded("Pow", A, np.float32(0.3)),
        [p ** mpf(float(np.float32(0.3))) for p in precise],
    ),
    "Sqrt": (folded("Sqrt", A), [mp.sqrt(p) for p in precise]),
    "Exp": (folded("Exp", A), [mp.exp(p) for p in precise]),
    "Log": (folded("Log", A), [mp.log(p) for p in precise]),
    "Tanh": (folded("Tanh", A), [mp.tanh(p) for p in precise]),
    "Erf": (folded("Erf", A), [mp.erf(p) for p in precise]),
    "Sin": (folded("Sin", A), [mp.sin(p) for p in precise]),
    "Cos": (folded("Cos", A), [mp.cos(p) for p in precise]),
    "Sigmoid": (folded("Sigmoid", A), [1 / (1 + mp.exp(-p)) for p in precise]),
    "Softmax": (folded("Softmax", A), [mp.exp(p) / sum(map(mp.exp, precise)) for p in precise]),
    "MatMul": (
        folded("MatMul", A[None], np.eye(4, dtype=np.float32) / 3),
        [p * Fraction(float(np.float32(1) / 3)) for p in a],
    ),
    "Gemm": (
        folded("Gemm", A[None], np.eye(4, dtype=np.float32), B, alpha=0.1, beta=0.3),
        [
            p * Fraction(float(np.float32(0.1))) + q * Fraction(float(np.float32(0.3)))
            for p, q in zip(a, b, strict=True)
        ],
    ),
    "CumSum": (folded("CumSum", A, np.int64(0)), [sum(a[: k + 1]) for k in range(4)]),
    "ReduceMean": (folded("ReduceMean", A[:3]), [sum(a[:3]) / 3]),
    "ReduceSum": (folded("ReduceSum", A), [sum(a)]),
    "ReduceL1": (folded("ReduceL1", -A), [sum(a)]),
    "ReduceL2": (folded("ReduceL2", A), [mp.sqrt(sum(p * p for p in precise))]),
    "ReduceProd": (folded("ReduceProd", A), [a[0] * a[1] * a[2] * a[3]]),
    "DequantizeLinear": (
        folded(
            "DequantizeLinear", np.array([1, 3, 5, 255], np.uint8), np.float32(0.1), np.uint8(7)
        ),
        [(k - 7) * a[0] for k in (1, 3, 5, 255)],
    ),
    "BatchNormalization": (
        direct("BatchNormalization", [1, 4], A, B, A, B),
        [
            p / mp.sqrt(mpf(q.numerator) / q.denominator + mpf(EPSILON))
            for p, q in zip(precise, b, strict=True)
        ],
    ),
    "ReduceMean of x": (direct("ReduceMean", [1, 3], axes=[1]), [Fraction(1, 3)]),
    "GlobalAveragePool of x": (direct("GlobalAveragePool", [1, 1, 3, 3]), [Fraction(1, 9)]),
    "AveragePool of x": (
        direct("AveragePool", [1, 1, 3, 3], kernel_shape=[3, 3], pads=[0, 0, 0, 1]),
        [Fraction(1, 9), Fraction(1, 6)],
    ),
    "Gemm of x": (
        direct("Gemm", [1, 4], np.diag(A), alpha=0.1),
        [
            k
            for i in range(4)
            for k in [a[i] * Fraction(float(np.float32(0.1))) if i == j else 0 for j in range(4)]
        ],
    ),
}


def constants(network: Network) -> tuple[np.ndarray, Range | None]:
    """Factors of the last affine layer, and where they lie."""
    layer = next(n.layer for n in reversed(network.nodes) if network.is_affine(n.name))
    match layer:
        case Scale():
            return layer.factor, layer.factor_range
        case Affine():
            return layer.weight, layer.weight_range
        case Sum():
            return np.asarray(layer.scale), layer.scale_range
    raise AssertionError


def close(found: Any, low: Fraction, high: Fraction, truth: Any) -> bool:
    """Whether the truth, to 50 digits, lies in a range as narrow, around the nearest float."""
    precise = truth
    if isinstance(truth, Fraction | int):
        precise = mpf(truth.numerator) / truth.denominator
    ends = [mpf(end.numerator) / end.denominator for end in (low, high)]
    room = abs(precise) * mpf(10) ** -35
    narrow = ends[1] - ends[0] <= room
    inside = ends[0] - room <= precise <= ends[1] + room
    return bool(narrow and inside and float(found) == float(precise))


@pytest.mark.parametrize("name", sorted(FACTORS))
def test_constants_are_what_the_operators_mean(name: str, tmp_path: Path) -> None:
    read, truth = FACTORS[name]
    found, known = constants(read(tmp_path))
    flat = found.reshape(-1)
    values = truth if len(truth) == flat.size else sorted(set(truth))
    if len(truth) != flat.size:
        assert sorted({float(v) for v in flat}) == [float(v) for v in values]
        return
    low, high = (flat, flat) if known is None else (known.low.ravel(), known.high.ravel())
    for stored, least, most, true in zip(flat, low, high, values, strict=True):
        assert close(stored, Fraction(least), Fraction(most), true), name


class Folded(torch.nn.Module):
    """Products of x with constants that the module computes of others as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (torch.nn.Parameter(torch.tensor(v)) for v in (A, B))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(x * (self.a / self.b))
        second = torch.relu(first / self.b * torch.rsqrt(self.a + 0.5))
        third = torch.relu(second * self.a.mean() * (self.b[1:3].sum() * self.a).view(1, -1))
        return torch.relu(third).mean(-1, keepdim=True) / 10


def test_constants_of_modules_are_what_the_operators_mean() -> None:
    network = load(Folded(), (4,))
    found = [r for n in network.nodes for r in ranges(n.layer).values()]
    half = Fraction(1, 2)
    share = sum(a) / 4
    truth: list[list[Any]] = [
        [p / q for p, q in zip(a, b, strict=True)],
        [1 / q for q in b],
        [1 / mp.sqrt(mpf((p + half).numerator) / (p + half).denominator) for p in a],
        [share],
        [(b[1] + b[2]) * p for p in a],
        [Fraction(1, 10)],
    ]
    kept = [t for t in truth if any(not _is_float(v) for v in t)]
    assert len(found) == len(kept)
    for known, values in zip(found, kept, strict=True):
        for stored, low, high, true in zip(
            known.stored.flat, known.low.flat, known.high.flat, values, strict=True
        ):
            assert close(stored, low, high, true)


def _is_float(value: Any) -> bool:
    return isinstance(value, Fraction) and Fraction(float(value)) == value


def test_moved_constants_stay_what_they_are(tmp_path: Path) -> None:
    """A quotient that is reshaped, transposed, padded, sliced and joined."""
    ints = {"two": [2, 2], "pads": [0, 1, 0, 0], "axes": [0], "from": [0], "to": [2], "one": [4]}
    nodes = [
        helper.make_node("Div", ["a", "b"], ["q"]),
        helper.make_node("Reshape", ["q", "two"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"]),
        helper.make_node("Pad", ["t", "pads"], ["p"]),
        helper.make_node("Slice", ["p", "from", "to", "axes"], ["s"]),
        helper.make_node("Concat", ["s", "t"], ["c"], axis=1),
        helper.make_node("Cast", ["c"], ["d"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "d"], ["z"]),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(v, k) for k, v in (("a", A), ("b", B))]
    tensors += [numpy_helper.from_array(np.array(v), k) for k, v in ints.items()]
    known = constants(read_graph(tmp_path, nodes, tensors, [2, 5]))[1]
    q = [p / d for p, d in zip(a, b, strict=True)]
    assert known is not None and known.known
    assert known.low.tolist() == [[0, q[0], q[2], q[0], q[2]], [0, q[1], q[3], q[1], q[3]]]


def test_what_cannot_keep_such_a_constant_refuses_it(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Div", ["a", "b"], ["q"]),
        helper.make_node("PRelu", ["x", "q"], ["y"]),
    ]
    tensors = [
        numpy_helper.from_array(np.array([v], np.float32), k) for k, v in (("a", 1), ("b", 3))
    ]
    with pytest.raises(ModelError, match="a number that a float holds"):
        read_graph(tmp_path, nodes, tensors, [1, 4])


def test_exactly_representable_results_are_plain_floats() -> None:
    for left, right, function in (
        (A, B, arithmetic.multiply),
        (A, A / np.float32(2), arithmetic.add),
        (A, np.float32(8), arithmetic.divide),
    ):
        found = function(left, right)
        assert found.dtype == np.float64
    assert arithmetic.square_root(np.array([4.0, 0.25])).tolist() == [2.0, 0.5]
    assert arithmetic.divide(1.0, 3.0).dtype == np.object_


def test_a_real_becomes_a_float_only_if_it_is_one() -> None:
    third = Real(Fraction(1, 3))
    assert float(Real(Fraction(1, 4))) == 0.25
    with pytest.raises(ModelError, match="a number that a float holds"):
        float(third)
    with pytest.raises(ModelError, match="a number that a float holds"):
        np.asarray(reals([1.0, 2.0]) * third, dtype=np.float64)


def test_divisions_and_means_are_written_as_such(tmp_path: Path) -> None:
    """Read back, they are the same network, hash and all."""
    for name in ("Div of x", "ReduceMean of x"):
        network = FACTORS[name][0](tmp_path)
        write_onnx(network, tmp_path / "again.onnx")
        assert load(tmp_path / "again.onnx").hash == network.hash


def test_normalisation_of_nnet_files_is_a_quotient(tmp_path: Path) -> None:
    """(x − 1) / 3, then 2 · that, times 7 plus 5."""
    lines = ["1, 1, 1, 1,", "1, 1,", "0,", "0,", "9,", "1, 5,", "3, 7,", "2,", "0,"]
    (tmp_path / "m.nnet").write_text("\n".join(lines))
    network = load(tmp_path / "m.nnet")
    known = [r for node in network.nodes for r in ranges(node.layer).values()]
    assert [r.low.tolist() for r in known] == [[Fraction(1, 3)]]
