"""Constants of an ONNX file, computed by the rules of the file's own opset.

Each operator is folded at every opset where its version changes, and compared with what ONNX
Runtime computes for the same file: y = x + f(constants).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from precond.errors import ModelError
from precond.formats.load import load
from precond.formats.onnx.folding import FOLDED
from precond.network.evaluate import outputs

NEWEST = 23  # of ONNX Runtime's stable operators
RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 3)).astype(np.float32)
B = RNG.normal(size=(2, 3)).astype(np.float32)
CUBE = RNG.normal(size=(2, 3, 2)).astype(np.float32)
P = np.abs(A) + np.float32(0.1)
WHOLE = np.array([[1, -2, 3], [4, 5, -6]], np.int64)
TRUE = np.array([[True, False, True], [False, False, True]])


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@dataclass(frozen=True)
class Case:
    """Inputs and attributes of an operator at opsets ``least`` to ``most``."""

    inputs: Sequence[np.ndarray | None]
    attributes: Mapping[str, object] = field(default_factory=dict)
    least: int = 7
    most: int = NEWEST
    made: int = 1


def reduced(**attributes: object) -> list[Case]:
    """A reduction whose axes moved from an attribute to an input at opset 18."""
    old = [Case([CUBE], {"axes": [1], "keepdims": 0}, most=17), Case([CUBE], most=17)]
    return [*old, Case([CUBE, ints(-1)], {"keepdims": 0}, 18), Case([CUBE], {}, 18)]


def value(array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array)


SHAPE = ints(2, 2)
CASES: dict[str, list[Case]] = {
    "Abs": [Case([A])],
    "Add": [Case([A, B[0]])],
    "And": [Case([TRUE, ~TRUE])],
    "ArgMax": [Case([A], {"axis": 1}), Case([A], {"axis": 0, "keepdims": 0})],
    "ArgMin": [Case([A], {"axis": 1})],
    "Cast": [Case([A * 3], {"to": TensorProto.INT64}), Case([WHOLE], {"to": TensorProto.FLOAT})],
    "CastLike": [Case([WHOLE, A], least=15)],
    "Ceil": [Case([A])],
    "Clip": [
        Case([A], {"min": -0.5, "max": 0.25}, most=10),
        Case([A], {"max": 0.25}, most=10),
        Case([A, np.float32(-0.5), np.float32(0.25)], least=11),
        Case([A, None, np.float32(0.25)], least=11),
    ],
    "Concat": [Case([A, B], {"axis": 1}), Case([A, B], {"axis": -2}, 11)],
    "Constant": [Case([], {"value": value(A)}), Case([], {"value_float": 1.5}, 12)],
    "ConstantOfShape": [Case([SHAPE], least=9), Case([SHAPE], {"value": value(ints(3))}, 9)],
    "Cos": [Case([A])],
    "CumSum": [Case([A, np.array(1)], {"exclusive": 1, "reverse": 1}, 11)],
    "DequantizeLinear": [Case([np.array([1, 200], np.uint8), np.float32(0.5)], least=10)],
    "Div": [Case([A, P]), Case([WHOLE, np.abs(WHOLE)[:1]])],
    "Dropout": [Case([A])],
    "Equal": [Case([WHOLE, WHOLE[:1]]), Case([A, A], least=11)],
    "Erf": [Case([A], least=9)],
    "Exp": [Case([A])],
    "Expand": [Case([A[:1], ints(2, 1)], least=8)],
    "EyeLike": [Case([A], {"k": 1}, 9)],
    "Flatten": [Case([CUBE]), Case([CUBE], {"axis": 2}), Case([CUBE], {"axis": -1}, 11)],
    "Floor": [Case([A])],
    "Gather": [Case([A, ints(1, 0)]), Case([A, np.array(-1)], {"axis": 1}, 11)],
    "GatherElements": [Case([A, ints(1, 0, 1, 1).reshape(2, 2)], {"axis": 1}, 11)],
    "GatherND": [Case([A, ints(1, 2)[None]], least=11)],
    "Gemm": [
        Case([A, B, np.ones((2, 2), np.float32)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        Case([A, B], {"transA": 1}, 11),
    ],
    "Greater": [Case([A, B])],
    "GreaterOrEqual": [Case([A, B], least=12)],
    "Identity": [Case([A])],
    "Less": [Case([A, B])],
    "LessOrEqual": [Case([A, B], least=12)],
    "Log": [Case([P])],
    "MatMul": [Case([A, B.T])],
    "Max": [Case([A, B]), Case([A, B[0], P], least=8)],
    "Min": [Case([A, B]), Case([A, B[0]], least=8)],
    "Mod": [Case([WHOLE, ints(2, 3, 4)], least=10), Case([A, P], {"fmod": 1}, 10)],
    "Mul": [Case([A, B])],
    "Neg": [Case([A])],
    "Not": [Case([TRUE])],
    "OneHot": [Case([ints(0, 2), np.array(3), np.array([0, 5], np.float32)], {}, 9)],
    "Or": [Case([TRUE, ~TRUE])],
    "Pad": [
        Case([A], {"pads": [0, 1, 1, 0], "value": 2.0}, most=10),
        Case([A, ints(0, 1, 1, 0), np.float32(2)], {}, 11),
        Case([A, ints(0, 1, 0, 1)], {"mode": "reflect"}, 11),
        Case([A, ints(1, 1), np.float32(3), ints(1)], {}, 18),
    ],
    "Pow": [Case([P, A]), Case([A, ints(2)], least=12)],
    "QuantizeLinear": [Case([P * 4, np.float32(0.5)], least=10)],
    "Range": [Case([np.array(1), np.array(7), np.array(2)], least=11)],
    "Reciprocal": [Case([P])],
    "ReduceL1": reduced(),
    "ReduceL2": reduced(),
    "ReduceMax": reduced(),
    "ReduceMean": reduced(),
    "ReduceMin": reduced(),
    "ReduceProd": reduced(),
    "ReduceSum": [
        Case([CUBE], {"axes": [1], "keepdims": 0}, most=12),
        Case([CUBE], most=12),
        Case([CUBE, ints(-1)], {"keepdims": 0}, 13),
        Case([CUBE], {"noop_with_empty_axes": 1}, 13),
        Case([CUBE], {}, 13),
    ],
    "Relu": [Case([A])],
    "Reshape": [Case([A, ints(0, -1, 1)]), Case([A, ints(3, -1)])],
    "Round": [Case([A * 5], least=11)],
    "ScatterElements": [Case([A, ints(1, 0)[None], B[:1, :2]], {"axis": 1}, 11)],
    "ScatterND": [Case([A, ints(1)[:, None], B[:1]], {}, 11)],
    "Shape": [Case([CUBE]), Case([CUBE], {"start": 1, "end": -1}, 15)],
    "Sigmoid": [Case([A])],
    "Sign": [Case([A], least=9)],
    "Sin": [Case([A])],
    "Size": [Case([CUBE])],
    "Slice": [
        Case([A], {"starts": [0, 1], "ends": [1, 3]}, most=9),
        Case([A], {"starts": [-2], "ends": [99], "axes": [1]}, most=9),
        Case([A, ints(-1), ints(-99), ints(1), ints(-2)], {}, 10),
    ],
    "Softmax": [Case([CUBE], {}, 13), Case([CUBE], {"axis": 0}, 13), Case([CUBE], {"axis": 1}, 13)],
    "Split": [
        Case([A], {"axis": 1, "split": [1, 2]}, most=12, made=2),
        Case([A], {}, most=17, made=2),
        Case([A, ints(1, 2)], {"axis": 1}, 13, made=2),
        Case([A], {"axis": 1, "num_outputs": 2}, 18, made=2),
    ],
    "Sqrt": [Case([P])],
    "Squeeze": [
        Case([A[None, :, None]], {"axes": [0, 2]}, most=12),
        Case([A[None]], most=12),
        Case([A[None, :, None], ints(0, -2)], {}, 13),
        Case([A[None]], {}, 13),
    ],
    "Sub": [Case([A, B])],
    "Sum": [Case([A, B]), Case([A, B[0], P], least=8)],
    "Tanh": [Case([A])],
    "Tile": [Case([A, ints(2, 1)])],
    "Transpose": [Case([CUBE]), Case([CUBE], {"perm": [1, 2, 0]})],
    "Trilu": [Case([A], {"upper": 0}, 14)],
    "Unsqueeze": [
        Case([A], {"axes": [0, 2]}, most=12),
        Case([A], {"axes": [-1]}, 11, 12),
        Case([A, ints(0, -1)], {}, 13),
    ],
    "Where": [Case([TRUE, A, B], least=9)],
    "Xor": [Case([TRUE, ~TRUE])],
}


def opsets(name: str, case: Case) -> list[int]:
    """The first opset of every version of the operator, and the ends of the case's range."""
    changes = {
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == name and schema.domain == ""
    }
    return sorted({o for o in changes if case.least <= o <= case.most} | {case.least, case.most})


def save(name: str, case: Case, opset: int, path: Path) -> Path:
    names = [f"c{i}" if c is not None else "" for i, c in enumerate(case.inputs)]
    made = [f"f{i}" for i in range(case.made)]
    nodes = [
        helper.make_node(name, names, made, **case.attributes),
        helper.make_node("Cast", [made[-1]], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "number"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(c, n) for n, c in zip(names, case.inputs, strict=True) if n],
    )
    imports = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


@pytest.mark.parametrize("name", sorted(FOLDED))
def test_folded_constants_are_those_of_the_files_opset(name: str, tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    point = np.array([0.25], np.float32)
    for number, case in enumerate(CASES[name]):
        for opset in opsets(name, case):
            path = save(name, case, opset, tmp_path / f"{number}-{opset}.onnx")
            session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
            want = np.asarray(session.run(None, {"x": point})[0]).ravel()
            got = outputs(load(path), point[None]).ravel()
            np.testing.assert_allclose(got, want, 1e-5, 1e-6, err_msg=f"{case} at {opset}")


@pytest.mark.parametrize(
    ("name", "case", "opset"),
    [
        ("Softmax", Case([CUBE], {"axis": 1}), 11),  # flattened from the axis on, before 13
        ("Add", Case([CUBE, A[0]], {"broadcast": 1, "axis": 1}), 6),
        ("Reshape", Case([A], {"shape": [3, 2]}), 4),
        ("Gemm", Case([A, B.T, A], {"broadcast": 1}), 6),
    ],
)
def test_versions_that_are_not_known_are_refused(
    name: str, case: Case, opset: int, tmp_path: Path
) -> None:
    path = save(name, case, opset, tmp_path / "old.onnx")
    with pytest.raises(ModelError, match=f"{name} of opset {opset}: expected version"):
        load(path)
