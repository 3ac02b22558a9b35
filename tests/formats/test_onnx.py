"""The ONNX reader and writer against ONNX Runtime, operator by operator."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from precond.errors import ModelError, OutputError, UnsupportedOperator
from precond.formats.load import load
from precond.formats.onnx.operators import OPERATORS as READ
from precond.formats.onnx.schema import VERSIONS
from precond.formats.onnx.writer import onnx_model, write_onnx
from precond.network.activation import OutputActivation
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RNG = np.random.default_rng(0)
SAMPLES = 1000
NEWEST = 23  # of ONNX Runtime's stable operators


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@dataclass(frozen=True)
class Graph:
    """A small ONNX graph: nodes as (operator, inputs, outputs, attributes)."""

    shape: Sequence[int | str | None]
    nodes: Sequence[tuple[str, Sequence[str], Sequence[str], Mapping[str, object]]]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    opset: int = 17
    named: bool = False

    def model(self, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
        made = [
            helper.make_node(op, list(ins), list(outs), f"n{i}" if self.named else "", **attrs)
            for i, (op, ins, outs, attrs) in enumerate(self.nodes)
        ]
        graph = helper.make_graph(
            made,
            "test",
            [helper.make_tensor_value_info("x", kind, self.shape)],
            [helper.make_tensor_value_info("y", kind, None)],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def save(self, folder: Path) -> Path:
        path = folder / "model.onnx"
        onnx.save(self.model(), path)
        return path


def one(
    op: str,
    shape: Sequence[int | str | None],
    constants: Sequence[np.ndarray | None] = (),
    opset: int = 17,
    **attributes: object,
) -> Graph:
    """One operator reading ``x`` first and constants after it."""
    names = [f"c{i}" if value is not None else "" for i, value in enumerate(constants)]
    given = {n: v for n, v in zip(names, constants, strict=True) if v is not None}
    return Graph(shape, [(op, ["x", *names], ["y"], attributes)], given, opset)


def after(op: str, shape: Sequence[int | str | None], constant: np.ndarray) -> Graph:
    """One operator with the constant before ``x``."""
    return Graph(shape, [(op, ["c", "x"], ["y"], {})], {"c": constant})


def runtime(path: Path, shape: Sequence[int], inputs: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes, one input at a time in the file's full shape."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = [session.run(None, {name: row.reshape(shape)})[0].ravel() for row in inputs]
    return np.stack(rows)


def assert_equal_outputs(path: Path, full: Sequence[int], network: Network) -> None:
    size = math.prod(full)
    inputs = np.random.default_rng(1).normal(size=(SAMPLES, size)).astype(np.float32)
    want = runtime(path, full, inputs)
    got = outputs(network, inputs, dtype=torch.float32)
    assert got.shape == want.shape
    scale = max(float(np.abs(want).max()), 1e-3)
    assert float(np.abs(got - want).max()) <= 1e-5 * scale


IMAGE = ("N", 2, 7, 6)
WEIGHT = numbers(4, 2, 3, 2)
OPERATORS: dict[str, Graph] = {
    "gemm": one("Gemm", ("N", 5), [numbers(5, 3), numbers(3)]),
    "gemm alpha beta transB": one(
        "Gemm", ("N", 5), [numbers(3, 5), numbers(1, 3)], alpha=0.5, beta=2.0, transB=1
    ),
    "gemm no bias": one("Gemm", (1, 5), [numbers(5, 3)]),
    "gemm transA": one("Gemm", (5, 4), [numbers(5, 3), numbers(4, 1)], transA=1),
    "gemm constant first": Graph(
        (5, 2), [("Gemm", ["c", "x", "d"], ["y"], {})], {"c": numbers(3, 5), "d": numbers(3, 1)}
    ),
    "matmul": one("MatMul", ("N", 5), [numbers(5, 3)]),
    "matmul leading axes": one("MatMul", ("N", 2, 4, 5), [numbers(5, 3)]),
    "matmul vector": one("MatMul", ("N", 4, 5), [numbers(5)]),
    "matmul constant left": after("MatMul", (5, 1), numbers(3, 5)),
    "matmul constant left wide": after("MatMul", ("N", 5, 2), numbers(3, 5)),
    "matmul vector left": after("MatMul", ("N", 5, 2), numbers(5)),
    "matmul no batch": after("MatMul", (5,), numbers(3, 5)),
    "matmul stacked once": one("MatMul", (1, 5), [numbers(1, 5, 3)]),
    "add": one("Add", ("N", 2, 3), [numbers(2, 3)]),
    "add channel": one("Add", ("N", 2, 3, 3), [numbers(2, 1, 1)]),
    "add widens": one("Add", ("N", 2, 1), [numbers(2, 3)]),
    "add rank up": one("Add", (1, 3), [numbers(2, 1, 3)]),
    "sub": one("Sub", (1, 1, 1, 5), [numbers(1, 1, 1, 5)]),
    "sub from": after("Sub", ("N", 5), numbers(5)),
    "mul": one("Mul", ("N", 5), [numbers(5)]),
    "mul left": after("Mul", ("N", 5), numbers(1)),
    "div": one("Div", ("N", 5), [np.array([1, 2, -4, 3, 0.7], np.float32)]),
    "neg": one("Neg", ("N", 5)),
    "relu": one("Relu", ("N", 5)),
    "leaky": one("LeakyRelu", ("N", 5)),
    "leaky alpha": one("LeakyRelu", ("N", 5), alpha=0.3),
    "prelu": one("PRelu", ("N", 5), [np.array([0.2], np.float32)]),
    "clip": one("Clip", ("N", 5), [np.float32(0), np.float32(0.7)]),
    "clip open": one("Clip", ("N", 5), [np.float32(0), None]),
    "clip attributes": one("Clip", ("N", 5), opset=10, min=0.0, max=0.5),
    "conv": one("Conv", IMAGE, [WEIGHT, numbers(4)]),
    "conv stride pads": one("Conv", IMAGE, [WEIGHT, numbers(4)], strides=[2, 1], pads=[0, 1, 2, 1]),
    "conv dilation": one("Conv", IMAGE, [WEIGHT], dilations=[2, 3]),
    "conv groups": one("Conv", IMAGE, [numbers(4, 1, 3, 2), numbers(4)], group=2),
    "conv same upper": one("Conv", IMAGE, [WEIGHT], auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": one("Conv", IMAGE, [WEIGHT], auto_pad="SAME_LOWER"),
    "conv valid": one("Conv", IMAGE, [WEIGHT], auto_pad="VALID", strides=[2, 2]),
    "maxpool": one("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    "maxpool overlap": one("MaxPool", IMAGE, kernel_shape=[3, 2]),
    "maxpool pads": one("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 2, 1]),
    "maxpool ceil": one("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "maxpool ceil pads": one(
        "MaxPool", IMAGE, kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1
    ),
    "maxpool dilation": one("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[3, 2]),
    "maxpool same": one("MaxPool", IMAGE, kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "averagepool": one("AveragePool", IMAGE, kernel_shape=[2, 3], strides=[2, 1]),
    "averagepool pads": one("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 0, 1, 2]),
    "averagepool pads counted": one(
        "AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 0, 1, 2], count_include_pad=1
    ),
    "averagepool ceil": one(
        "AveragePool", IMAGE, opset=19, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1
    ),
    "averagepool ceil counted": one(
        "AveragePool",
        IMAGE,
        opset=19,
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        ceil_mode=1,
        count_include_pad=1,
    ),
    "averagepool same": one("AveragePool", IMAGE, kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
    "globalaveragepool": one("GlobalAveragePool", IMAGE),
    "batchnorm": one(
        "BatchNormalization", IMAGE, [numbers(2), numbers(2), numbers(2), numbers(2) ** 2]
    ),
    "batchnorm vector": one(
        "BatchNormalization", ("N", 5), [numbers(5), numbers(5), numbers(5), numbers(5) ** 2]
    ),
    "flatten": one("Flatten", IMAGE),
    "flatten 0": one("Flatten", (1, 2, 3), axis=0),
    "flatten 2": one("Flatten", (1, 2, 3), axis=2),
    "flatten -1": one("Flatten", (1, 2, 3), axis=-1),
    "reshape": one("Reshape", IMAGE, [integers(0, -1, 3)]),
    "reshape open": one("Reshape", IMAGE, [integers(-1, 84)]),
    "reshape loses batch": one("Reshape", (1, 6), [integers(2, 3)]),
    "transpose": one("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "transpose all": one("Transpose", (1, 2, 3)),
    "squeeze": one("Squeeze", ("N", 1, 3, 1), [integers(1)]),
    "squeeze old": one("Squeeze", ("N", 1, 3, 1), opset=11, axes=[-1]),
    "squeeze batch": one("Squeeze", (1, 3), [integers(0)]),
    "unsqueeze": one("Unsqueeze", ("N", 3), [integers(1, -1)]),
    "unsqueeze batch": one("Unsqueeze", (1, 3), [integers(0)], opset=13),
    "concat": Graph(("N", 2, 3), [("Concat", ["x", "x"], ["y"], {"axis": -1})]),
    "concat constant": Graph(
        (1, 2, 3), [("Concat", ["c", "x"], ["y"], {"axis": 1})], {"c": numbers(1, 1, 3)}
    ),
    "slice": one("Slice", IMAGE, [integers(1, -4), integers(2, 100), integers(1, 3)]),
    "slice steps": one(
        "Slice", IMAGE, [integers(-1, 5), integers(-100, 0), integers(2, 3), integers(-2, -1)]
    ),
    "slice old": one("Slice", ("N", 5), opset=9, starts=[1], ends=[4], axes=[1]),
    "slice whole batch": one("Slice", ("N", 5), [integers(0), integers(2**62), integers(0)]),
    "gather": one("Gather", ("N", 5), [integers(4, 0, -2)], axis=1),
    "gather scalar": one("Gather", ("N", 5, 2), [np.array(3)], axis=1),
    "gather batch": one("Gather", (1, 5), [np.array(0)], axis=0),
    "gather square": one("Gather", ("N", 5), [np.array([[0, 1], [2, 2]])], axis=1),
    "pad": one("Pad", IMAGE, [integers(0, 0, 1, 2, 0, 1, 0, 0), np.float32(1.5)]),
    "pad old": one("Pad", ("N", 3), opset=10, pads=[0, 1, 0, 2], value=2.0),
    "pad crop": one("Pad", ("N", 5), [integers(0, -1, 0, 2)]),
    "pad reflect": one("Pad", ("N", 5), [integers(0, 2, 0, 1)], mode="reflect"),
    "reducemean": one("ReduceMean", IMAGE, axes=[2, 3]),
    "reducemean flat": one("ReduceMean", IMAGE, axes=[-1], keepdims=0),
    "reducemean all": one("ReduceMean", (1, 3, 2), keepdims=0),
    "reducesum": one("ReduceSum", IMAGE, [integers(1)], keepdims=0),
    "reducesum old": one("ReduceSum", IMAGE, opset=11, axes=[1, 2]),
    "dropout": one("Dropout", ("N", 5), [np.float32(0.5)]),
    "cast": one("Cast", ("N", 5), to=TensorProto.FLOAT),
    "relu of square": Graph((4, 4), [("Relu", ["x"], ["y"], {})]),
    "split": Graph(
        ("N", 5),
        [
            ("Split", ["x", "s"], ["a", "b", "c"], {"axis": 1}),
            ("Concat", ["c", "a"], ["y"], {"axis": 1}),
        ],
        {"s": integers(1, 2, 2)},
    ),
    "split even": Graph(
        ("N", 4),
        [("Split", ["x"], ["a", "b"], {"axis": -1}), ("Sub", ["a", "b"], ["y"], {})],
    ),
    "add branches": Graph(("N", 4), [("Relu", ["x"], ["r"], {}), ("Add", ["x", "r"], ["y"], {})]),
    "sub branches broadcast": Graph(
        ("N", 2, 3),
        [
            ("ReduceMean", ["x"], ["m"], {"axes": [2], "keepdims": 1}),
            ("Sub", ["x", "m"], ["y"], {}),
        ],
    ),
    "add itself": Graph(("N", 4), [("Add", ["x", "x"], ["y"], {})]),
    "folded constants": Graph(
        ("N", 4),
        [
            ("ConstantOfShape", ["n"], ["ones"], {"value": helper.make_tensor("", 1, [1], [1.0])}),
            ("Constant", [], ["k"], {"value": helper.make_tensor("", 1, [4], [1, 2, 3, 4])}),
            ("Mul", ["ones", "k"], ["c"], {}),
            ("Add", ["x", "c"], ["y"], {}),
        ],
        {"n": integers(4)},
    ),
    "shape of input": Graph(
        ("N", 2, 3),
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
            ("Unsqueeze", ["n", "zeros"], ["u"], {}),
            ("Concat", ["u", "rest"], ["t"], {"axis": 0}),
            ("Reshape", ["x", "t"], ["f"], {}),
            ("Relu", ["f"], ["y"], {}),
        ],
        {"zero": np.array(0), "zeros": integers(0), "rest": integers(-1)},
    ),
    "abs": one("Abs", ("N", 5)),
    "prelu slopes": one("PRelu", ("N", 5), [np.array([0.2, -0.5, 1.5, 0, 1], np.float32)]),
    "prelu channels": one("PRelu", IMAGE, [np.array([0.2, -1], np.float32).reshape(2, 1, 1)]),
    "leaky negative": one("LeakyRelu", ("N", 5), alpha=-0.5),
    "leaky steep": one("LeakyRelu", ("N", 5), alpha=2.0),
    "max branches": Graph(("N", 4), [("Neg", ["x"], ["n"], {}), ("Max", ["x", "n"], ["y"], {})]),
    "max three": Graph(
        ("N", 4),
        [("Neg", ["x"], ["n"], {}), ("Max", ["c", "x", "n", "d"], ["y"], {})],
        {"c": numbers(4), "d": numbers(1)},
    ),
    "max broadcast": one("Max", ("N", 1, 4), [numbers(3, 1)]),
    "max one": one("Max", ("N", 4)),
    "min branches": Graph(("N", 4), [("Neg", ["x"], ["n"], {}), ("Min", ["x", "n"], ["y"], {})]),
    "min constant": after("Min", ("N", 4), numbers(4)),
    "clip general": one("Clip", ("N", 5), [np.float32(-0.3), np.float32(0.7)]),
    "clip positive": one("Clip", ("N", 5), [np.float32(0.1), np.float32(0.7)]),
    "clip far apart": one("Clip", ("N", 5), [np.float32(-1e-30), np.float32(0.7)]),
    "clip from above": one("Clip", ("N", 5), [None, np.float32(0.5)]),
    "clip from below": one("Clip", ("N", 5), [np.float32(-0.5)]),
    "clip crossed": one("Clip", ("N", 5), [np.float32(0.5), np.float32(-0.5)]),
    "clip of all floats": Graph(
        ("N", 5),
        [("Relu", ["x"], ["r"], {}), ("Clip", ["r", "l", "h"], ["y"], {})],
        {"l": np.float32(np.finfo(np.float32).min), "h": np.float32(np.finfo(np.float32).max)},
    ),
    "hardsigmoid": one("HardSigmoid", ("N", 5)),
    "hardsigmoid steep": one("HardSigmoid", ("N", 5), alpha=0.9, beta=0.25),
    "thresholdedrelu": one("ThresholdedRelu", ("N", 5), alpha=0.0),
    "shrink": one("Shrink", ("N", 5), lambd=0.5, bias=0.5),
    "reducemax": one("ReduceMax", IMAGE, axes=[2, 3]),
    "reducemax flat": one("ReduceMax", IMAGE, axes=[1], keepdims=0),
    "reducemax all": one("ReduceMax", (1, 3, 2), keepdims=0),
    "reducemax new": one("ReduceMax", IMAGE, [integers(-1, 1)], 20),
    "reducemin": one("ReduceMin", IMAGE, axes=[-1], keepdims=0),
    "reducel1": one("ReduceL1", IMAGE, axes=[1, 2]),
    "globalmaxpool": one("GlobalMaxPool", IMAGE),
    "globalmaxpool line": one("GlobalMaxPool", ("N", 2, 7)),
    "globalaveragepool line": one("GlobalAveragePool", ("N", 2, 7)),
    "conv line": one("Conv", ("N", 2, 9), [numbers(3, 2, 3), numbers(3)], pads=[1, 2], strides=[2]),
    "conv line same": one("Conv", ("N", 2, 9), [numbers(3, 2, 4)], auto_pad="SAME_UPPER"),
    "maxpool line": one("MaxPool", ("N", 2, 9), kernel_shape=[3], strides=[2], pads=[1, 0]),
    "averagepool line": one("AveragePool", ("N", 2, 9), kernel_shape=[2], pads=[1, 1]),
    "convtranspose": one("ConvTranspose", IMAGE, [numbers(2, 3, 3, 2), numbers(3)]),
    "convtranspose all": one(
        "ConvTranspose",
        IMAGE,
        [numbers(2, 3, 3, 2)],
        strides=[2, 3],
        pads=[1, 0, 2, 1],
        dilations=[1, 2],
        output_padding=[1, 0],
    ),
    "convtranspose groups": one(
        "ConvTranspose", IMAGE, [numbers(2, 2, 2, 2), numbers(4)], group=2, strides=[2, 2]
    ),
    "convtranspose crops": one("ConvTranspose", IMAGE, [numbers(2, 1, 2, 2)], pads=[2, 1, 2, 3]),
    "convtranspose line": one(
        "ConvTranspose", ("N", 2, 5), [numbers(2, 3, 3)], strides=[2], output_padding=[1]
    ),
    "depthtospace": one("DepthToSpace", ("N", 8, 2, 3), blocksize=2),
    "depthtospace crd": one("DepthToSpace", ("N", 8, 2, 3), blocksize=2, mode="CRD"),
    "spacetodepth": one("SpaceToDepth", ("N", 2, 4, 6), blocksize=2),
    "upsample 7": one("Upsample", (1, 2, 3, 2), opset=7, scales=[1.0, 1.0, 2.0, 3.0]),
    "upsample 9": one(
        "Upsample", (1, 2, 3, 2), [np.array([1, 1, 2, 2], np.float32)], 9, mode="linear"
    ),
    "resize 10": one("Resize", (1, 2, 3, 2), [np.array([1, 1, 2, 2], np.float32)], 10),
    "resize 10 linear": one(
        "Resize", (1, 2, 3, 2), [np.array([1, 1, 2, 4], np.float32)], 10, mode="linear"
    ),
    "einsum product": one("Einsum", ("N", 3, 4), [numbers(4, 5)], equation="bij,jk->bik"),
    "einsum first": one("Einsum", ("N", 3, 4), [numbers(3, 5)], equation="bij,ik->bkj"),
    "einsum both": one("Einsum", ("N", 3, 4), [numbers(3, 4)], equation="bij,ij->bi"),
    "einsum scaled": one("Einsum", ("N", 3, 4), [numbers(3)], equation="bij,i->bji"),
    "einsum batched": one("Einsum", ("N", 3, 4), [numbers(3, 4, 2)], equation="bij,ijk->bik"),
    "einsum sums": one("Einsum", ("N", 3, 4), equation="bij->bj"),
    "einsum outer": one("Einsum", ("N", 3), [numbers(2)], equation="bi,k->bik"),
    "einsum implicit": one("Einsum", (2, 3), [numbers(3, 4)], equation="ij,jk"),
    "where": Graph(
        ("N", 4),
        [("Relu", ["x"], ["r"], {}), ("Where", ["m", "x", "r"], ["y"], {})],
        {"m": np.array([True, False, True, False])},
    ),
    "where constants": Graph(
        ("N", 4),
        [("Where", ["m", "c", "x"], ["y"], {})],
        {
            "m": np.array([True, False, True, False]),
            "c": np.array([1, -np.inf, 2, np.inf], np.float32),
        },
    ),
    "expand": one("Expand", ("N", 1, 3), [integers(1, 2, 1)]),
    "tile": one("Tile", ("N", 2, 3), [integers(1, 2, 3)]),
    "sum": Graph(
        ("N", 3),
        [("Neg", ["x"], ["n"], {}), ("Sum", ["c", "c", "x", "n", "x"], ["y"], {})],
        {"c": numbers(3)},
    ),
    "mean of three": Graph(
        ("N", 3),
        [("Relu", ["x"], ["r"], {}), ("Mean", ["x", "c", "r"], ["y"], {})],
        {"c": numbers(3)},
    ),
    "pow 1": one("Pow", ("N", 1), [np.ones(3, np.float32)]),
    "castlike": Graph(
        ("N", 3),
        [("Relu", ["x"], ["r"], {}), ("CastLike", ["r", "c"], ["y"], {})],
        {"c": numbers(1)},
    ),
    "size of input": Graph(
        (1, 2, 3),
        [
            ("Size", ["x"], ["s"], {}),
            ("Cast", ["s"], ["n"], {"to": TensorProto.FLOAT}),
            ("Mul", ["x", "n"], ["y"], {}),
        ],
    ),
    "gemm of constants": Graph(
        (1, 3),
        [("Gemm", ["a", "b", "x"], ["y"], {"alpha": 2.0, "beta": 0.5})],
        {"a": numbers(1, 4), "b": numbers(4, 3)},
    ),
    "squeeze all": Graph(
        (1, 3, 1),
        [("Squeeze", ["x"], ["s"], {}), ("Mul", ["s", "c"], ["y"], {})],
        {"c": numbers(3)},
    ),
    "flattened by old torch": Graph(
        ("N", 2, 3),
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
            ("Unsqueeze", ["n"], ["u"], {"axes": [0]}),
            ("Concat", ["u", "rest"], ["t"], {"axis": 0}),
            ("Reshape", ["x", "t"], ["f"], {}),
            ("Relu", ["f"], ["y"], {}),
        ],
        {"zero": np.array(0), "rest": integers(-1)},
        opset=9,
    ),
    "identity": Graph(("N", 4), [("Identity", ["x"], ["a"], {}), ("Relu", ["a"], ["y"], {})]),
}
VOLUME = ("N", 2, 5, 4, 6)
OPERATORS |= {
    "conv volume": one("Conv", VOLUME, [numbers(3, 2, 3, 2, 3), numbers(3)]),
    "conv volume stride pads": one(
        "Conv",
        VOLUME,
        [numbers(3, 2, 3, 2, 3), numbers(3)],
        strides=[2, 1, 2],
        pads=[1, 0, 2, 2, 1, 0],
    ),
    "conv volume dilation groups": one(
        "Conv", VOLUME, [numbers(4, 1, 2, 2, 2), numbers(4)], dilations=[3, 1, 2], group=2
    ),
    "conv volume same": one(
        "Conv", VOLUME, [numbers(3, 2, 2, 3, 2)], auto_pad="SAME_LOWER", strides=[2, 2, 1]
    ),
    "conv transpose volume": one(
        "ConvTranspose",
        ("N", 2, 3, 2, 3),
        [numbers(2, 2, 2, 3, 2), numbers(4)],
        group=2,
        strides=[2, 1, 2],
        pads=[0, 1, 1, 1, 0, 0],
        output_padding=[1, 0, 0],
    ),
    "conv transpose same": one(
        "ConvTranspose", IMAGE, [numbers(2, 3, 3, 4)], auto_pad="SAME_UPPER", strides=[1, 2]
    ),
    "conv transpose output shape": one(
        "ConvTranspose", IMAGE, [numbers(2, 3, 3, 3)], output_shape=[13, 11], strides=[2, 2]
    ),
    "maxpool volume": one("MaxPool", VOLUME, kernel_shape=[2, 3, 2], strides=[2, 1, 3]),
    "maxpool volume ceil": one(
        "MaxPool",
        VOLUME,
        kernel_shape=[2, 3, 2],
        strides=[2, 2, 2],
        pads=[1, 0, 1] * 2,
        ceil_mode=1,
    ),
    "maxpool volume dilation": one("MaxPool", VOLUME, kernel_shape=[2, 2, 2], dilations=[3, 2, 1]),
    "averagepool volume": one("AveragePool", VOLUME, kernel_shape=[2, 3, 2], strides=[2, 1, 1]),
    "averagepool volume pads": one(
        "AveragePool", VOLUME, kernel_shape=[3, 2, 2], pads=[1, 0, 1, 1, 1, 0]
    ),
    "averagepool volume counted": one(
        "AveragePool",
        VOLUME,
        kernel_shape=[3, 2, 2],
        pads=[1, 0, 1, 1, 1, 0],
        count_include_pad=1,
    ),
    "averagepool dilation": one(
        "AveragePool", IMAGE, opset=19, kernel_shape=[2, 2], dilations=[2, 3]
    ),
    "globalaveragepool volume": one("GlobalAveragePool", VOLUME),
    "globalmaxpool volume": one("GlobalMaxPool", VOLUME),
    "lppool": one("LpPool", IMAGE, kernel_shape=[2, 3], p=1, strides=[2, 1]),
    "batchnorm volume": one(
        "BatchNormalization", VOLUME, [numbers(2), numbers(2), numbers(2), numbers(2) ** 2]
    ),
    "pow constant": one("Pow", ("N", 4), [np.array([0, 1, 1, 0], np.float32)]),
    "cumsum": one("CumSum", ("N", 2, 4), [np.array(2)]),
    "cumsum back": one("CumSum", ("N", 2, 4), [np.array(1)], exclusive=1, reverse=1),
    "gather elements": one("GatherElements", (1, 3, 4), [np.array([[[0, -1], [2, 2]]])], axis=2),
    "gather places": one("GatherND", (1, 3, 4), [np.array([[0, 1], [0, -1]])]),
    "gather places batch": one("GatherND", (1, 3, 4), [np.array([[[1, 2], [0, 0]]])], batch_dims=1),
    "upper triangle": one("Trilu", ("N", 3, 4), [np.array(1)]),
    "lower triangle": one("Trilu", ("N", 3, 4), [np.array(-1)], upper=0),
    "where of computed sizes": Graph(
        ("N", 4),
        [
            ("Shape", ["x"], ["s"], {}),
            ("ConstantOfShape", ["s"], ["zeros"], {}),
            ("Equal", ["zeros", "m"], ["holds"], {}),
            ("Where", ["holds", "x", "zeros"], ["y"], {}),
        ],
        {"m": np.array([0, 1, 0, 2], np.float32)},
    ),
    "expand to computed shape": Graph(
        ("N", 1, 4),
        [
            ("Shape", ["x"], ["s"], {}),
            ("Mul", ["s", "factors"], ["t"], {}),
            ("Cast", ["t"], ["u"], {"to": TensorProto.INT64}),
            ("Expand", ["x", "u"], ["y"], {}),
        ],
        {"factors": integers(1, 3, 1)},
    ),
}
for _mode in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
    for _outside in (0, 1):
        OPERATORS[f"resize cubic {_mode} {_outside}"] = one(
            "Resize",
            (1, 2, 3, 4),
            [None, np.array([1, 1, 2, 1.5], np.float32)],
            mode="cubic",
            cubic_coeff_a=-0.5 if _outside else -0.75,
            exclude_outside=_outside,
            coordinate_transformation_mode=_mode,
        )
for _mode in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
    for _form, _last in (("scales", np.array([1, 1, 2, 0.5], np.float32)), ("sizes", None)):
        _sizes = None if _last is not None else integers(1, 2, 5, 6)
        OPERATORS[f"resize linear {_mode} {_form}"] = one(
            "Resize",
            (1, 2, 3, 4),
            [None, _last] if _sizes is None else [None, None, _sizes],
            mode="linear",
            coordinate_transformation_mode=_mode,
        )
for _rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
    for _mode in ("half_pixel", "asymmetric"):
        OPERATORS[f"resize nearest {_rounding} {_mode}"] = one(
            "Resize",
            (1, 2, 3, 4),
            [None, np.array([1, 1, 2, 0.5], np.float32)],
            nearest_mode=_rounding,
            coordinate_transformation_mode=_mode,
        )
NOTHING_LEFT = {  # x itself, moved at most to another shape
    "cast",
    "dropout",
    "flatten -1",
    "flatten 2",
    "gather batch",
    "max one",
    "slice whole batch",
    "squeeze batch",
}


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_operator_computes_what_onnxruntime_computes(name: str, tmp_path: Path) -> None:
    graph = OPERATORS[name]
    full = [1 if size == "N" else size for size in graph.shape]
    path = graph.save(tmp_path)
    network = load(path)
    assert_equal_outputs(path, full, network)


def first_version(op: str) -> int:
    every = onnx.defs.get_all_schemas_with_history()
    return min(schema.since_version for schema in every if (schema.name, schema.domain) == (op, ""))


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_opset_is_read_as_onnxruntime_reads_it(name: str, tmp_path: Path) -> None:
    """At each version of the operators: equal outputs, or both refuse the file."""
    graph = OPERATORS[name]
    full = [1 if size == "N" else size for size in graph.shape]
    used = {op for op, _, _, _ in graph.nodes}
    changes = {
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name in used and schema.domain == ""
    }
    inputs = np.random.default_rng(1).normal(size=(20, math.prod(full))).astype(np.float32)
    oldest = max(first_version(op) for op in used)
    read = 0
    for opset in sorted({o for o in {*changes, 7, NEWEST} if max(oldest, 7) <= o <= NEWEST}):
        path = dataclasses.replace(graph, opset=opset).save(tmp_path)
        try:
            want = runtime(path, full, inputs)
        except Exception:  # as many kinds as ONNX Runtime has reasons
            with pytest.raises(ModelError):
                load(path)
            continue
        got = outputs(load(path), inputs, dtype=torch.float32)
        np.testing.assert_allclose(got, want, 1e-5, 1e-5, err_msg=f"opset {opset}")
        read += 1
    assert read


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_written_network_reads_back_as_the_same_network(name: str, tmp_path: Path) -> None:
    network = load(OPERATORS[name].save(tmp_path))
    again = tmp_path / "again.onnx"
    write_onnx(network, again)
    assert_same(load(again), network)


def assert_same(left: Network, right: Network) -> None:
    """Equal real functions: float64 outputs equal but for the order of summation."""
    inputs = np.random.default_rng(2).normal(size=(50, right.input_size))
    np.testing.assert_allclose(outputs(left, inputs), outputs(right, inputs), 1e-12, 1e-13)


@pytest.mark.parametrize("name", sorted(NOTHING_LEFT))
def test_operators_without_effect_leave_only_their_neighbours(name: str, tmp_path: Path) -> None:
    graph = OPERATORS[name]
    op, ins, _, attributes = graph.nodes[0]
    nodes = [(op, ins, ["a"], attributes), ("Relu", ["a"], ["y"], {})]
    network = load(Graph(graph.shape, nodes, graph.constants).save(tmp_path))
    assert [type(node.layer) for node in network.nodes] == [ReLU]
    assert [type(node.layer) for node in load(graph.save(tmp_path)).nodes] == [Reshape]


def residual() -> Graph:
    nodes = [
        ("Conv", ["x", "w1", "b1"], ["c1"], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["c1", "g", "h", "m", "v"], ["n1"], {}),
        ("Relu", ["n1"], ["r1"], {}),
        ("Conv", ["r1", "w2"], ["c2"], {"pads": [1, 1, 1, 1]}),
        ("Add", ["c2", "r1"], ["a"], {}),
        ("Relu", ["a"], ["r2"], {}),
        ("MaxPool", ["r2"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Flatten", ["p"], ["f"], {}),
        ("Gemm", ["f", "w3", "b3"], ["z"], {}),
        ("Softmax", ["z"], ["y"], {"axis": 1}),
    ]
    constants = {
        "w1": numbers(3, 1, 3, 3),
        "b1": numbers(3),
        "g": numbers(3),
        "h": numbers(3),
        "m": numbers(3),
        "v": numbers(3) ** 2,
        "w2": numbers(3, 3, 3, 3),
        "w3": numbers(48, 10),
        "b3": numbers(10),
    }
    return Graph(("N", 1, 8, 8), nodes, constants)


def test_residual_network_keeps_softmax_aside(tmp_path: Path) -> None:
    graph = residual()
    network = load(graph.save(tmp_path))
    assert network.output_activation is OutputActivation.SOFTMAX
    assert network.decision_layers == ("relu1", "relu2")
    assert network.tensor_names["x"] == "input"
    assert network.tensor_names["r2"] == "relu2"
    assert "y" not in network.tensor_names
    logits = Graph(
        graph.shape, [*graph.nodes[:-2], ("Gemm", ["f", "w3", "b3"], ["y"], {})], graph.constants
    )
    path = logits.save(tmp_path)
    assert_equal_outputs(path, (1, 1, 8, 8), network)
    # The written file ends in softmax again and keeps names.  It has the nearest floats to the
    # roots of the normalisation, so it is another network; written again it is the same one.
    write_onnx(network, tmp_path / "again.onnx")
    again = load(tmp_path / "again.onnx")
    write_onnx(again, tmp_path / "once more.onnx")
    assert again.output_activation is OutputActivation.SOFTMAX
    assert network.inexact and not again.inexact
    assert again.hash == load(tmp_path / "once more.onnx").hash != network.hash
    assert [node.name for node in again.nodes] == [node.name for node in network.nodes]


@pytest.mark.skipif(not DATA.is_dir(), reason="shared data absent")
@pytest.mark.parametrize(
    ("file", "full", "shape", "layers"),
    [
        ("acasxu/ACASXU_run2a_1_1_batch_2000.onnx", (1, 1, 1, 5), (1, 1, 5), 6),
        ("acasxu/ACASXU_run2a_5_9_batch_2000.onnx", (1, 1, 1, 5), (1, 1, 5), 6),
        ("mnistfc/mnist-net_256x2.onnx", (1, 784, 1), (784, 1), 2),
        ("mnistfc/mnist-net_256x4.onnx", (1, 784, 1), (784, 1), 4),
    ],
)
def test_shared_networks(
    file: str, full: tuple[int, ...], shape: tuple[int, ...], layers: int, tmp_path: Path
) -> None:
    network = load(DATA / file)
    assert network.input_shape == shape
    assert len(network.decision_layers) == layers
    # Flatten, then Affine and ReLU in turn: every bias and identity found its place.
    assert len(network.nodes) == 1 + 2 * layers + 1
    assert_equal_outputs(DATA / file, full, network)
    write_onnx(network, tmp_path / "again.onnx")
    assert load(tmp_path / "again.onnx").hash == network.hash
    model = onnx.load(tmp_path / "again.onnx")
    assert {tensor.data_type for tensor in model.graph.initializer} <= {
        TensorProto.FLOAT,
        TensorProto.INT64,
    }


def test_names_come_from_the_file_when_it_has_them(tmp_path: Path) -> None:
    nodes = [
        ("MatMul", ["x", "w"], ["a"], {}),
        ("Add", ["a", "b"], ["h"], {}),
        ("Clip", ["h", "zero", "six"], ["y"], {}),
    ]
    constants = {"w": numbers(3, 2), "b": numbers(2), "zero": np.float32(0), "six": np.float32(6)}
    named = load(Graph(("N", 3), nodes, constants, named=True).save(tmp_path))
    assert [node.name for node in named.nodes] == [
        "n1",
        "n2.relu1",
        "n2.scale1",
        "n2.relu2",
        "n2",
    ]
    assert dict(named.tensor_names) == {"x": "input", "h": "n1", "y": "n2"}
    plain = load(Graph(("N", 3), nodes, constants).save(tmp_path))
    assert [n.name for n in plain.nodes] == ["affine1", "relu1", "scale1", "relu2", "scale2"]


def test_final_softmax_of_old_opset_and_log_softmax(tmp_path: Path) -> None:
    shape = ("N", 3)
    nodes = [
        ("Relu", ["x"], ["r"], {}),
        ("LogSoftmax", ["r"], ["s"], {}),
        ("Identity", ["s"], ["y"], {}),
    ]
    found = load(Graph(shape, nodes, opset=11).save(tmp_path))
    assert found.output_activation is OutputActivation.LOG_SOFTMAX


def test_double_model(tmp_path: Path) -> None:
    weight = np.array([[0.1], [0.2]])
    graph = Graph(("N", 2), [("MatMul", ["x", "w"], ["y"], {})], {"w": weight})
    onnx.save(graph.model(TensorProto.DOUBLE), tmp_path / "double.onnx")
    network = load(tmp_path / "double.onnx")
    affine = network.nodes[0].layer
    assert isinstance(affine, Affine) and affine.weight.tolist() == [[0.1, 0.2]]
    # 0.1 is no float32, so the file is written in float64 and nothing is lost.
    model = onnx_model(network)
    assert model.graph.initializer[0].data_type == TensorProto.DOUBLE
    write_onnx(network, tmp_path / "again.onnx")
    assert load(tmp_path / "again.onnx").hash == network.hash


def test_every_layer_kind_is_written_exactly(tmp_path: Path) -> None:
    third = 1.0 / 3.0
    nodes = (
        Node("conv", Conv2d(numbers(2, 1, 2, 2), numbers(2), (1, 2), (0, 1, 1, 0)), ("input",)),
        Node("scale", Scale(np.full((2, 1, 1), third), numbers(2, 1, 1)), ("conv",)),
        Node("leaky", LeakyReLU(0.25), ("scale",)),
        Node("pool", MaxPool2d((2, 2), (1, 1), (0, 1, 1, 0), (1, 1), True), ("leaky",)),
        Node("sum", Sum((1,), False, 0.5), ("pool",)),
        Node("mean", Sum((1,), False, third), ("pool",)),
        Node("both", Concat(1), ("sum", "mean")),
        Node("mix", Add((2.0, -1.0, 1.0)), ("both", "both", "both")),
        Node("flat", Reshape((12,)), ("mix",)),
        Node("pick", Select(np.array([3, -1, 0, 5]), (2, 2), 1.5), ("flat",)),
        Node("wide", Affine(numbers(3, 2), numbers(3)), ("pick",)),
        Node("relu", ReLU(), ("wide",)),
    )
    network = Network(nodes, (1, 4, 5))
    path = tmp_path / "all.onnx"
    write_onnx(network, path)
    assert_same(load(path), network)


def test_written_names_do_not_clash(tmp_path: Path) -> None:
    nodes = (
        Node("a", Affine(numbers(2, 3), numbers(2)), ("input",)),
        Node("a/weight", ReLU(), ("a",)),
        Node("a/bias", Affine(numbers(2, 2), numbers(2)), ("a/weight",)),
    )
    network = Network(nodes, (3,))
    write_onnx(network, tmp_path / "clash.onnx")
    assert load(tmp_path / "clash.onnx").hash == network.hash


def test_unwritable_place(tmp_path: Path) -> None:
    network = Network((Node("r", ReLU(), ("input",)),), (3,))
    with pytest.raises(OutputError, match="cannot be written"):
        write_onnx(network, tmp_path / "absent" / "model.onnx")


# Errors: one line each, naming the file and the node.


def refused(graph: Graph, folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        load(graph.save(folder))
    assert "\n" not in str(caught.value)
    assert "model.onnx" in str(caught.value)


REFUSED: dict[str, tuple[Graph, str]] = {
    "unknown operator": (one("Explode", ("N", 3)), "expected one of .*Add.*got Explode"),
    "smooth": (one("Tanh", ("N", 3)), "Tanh of a computed value is not piecewise linear.*distil"),
    "square": (one("Pow", ("N", 3), [np.float32(2)]), "Pow of a computed value is not piecewise"),
    "jump": (one("Sign", ("N", 3)), "Sign of a computed value jumps"),
    "threshold": (one("ThresholdedRelu", ("N", 3)), "ThresholdedRelu with alpha 1 jumps"),
    "hard shrink": (one("Shrink", ("N", 3)), "Shrink with lambd 0.5 and bias 0 jumps"),
    "quantised": (
        one("QuantizeLinear", ("N", 3), [np.float32(0.1), np.uint8(3)]),
        "QuantizeLinear rounds computed values",
    ),
    "condition": (
        Graph(("N", 3), [("Where", ["x", "x", "x"], ["y"], {})]),
        "expected a constant, got a tensor computed",
    ),
    "gemm of a cube": (one("Gemm", ("N", 2, 3), [numbers(3, 2)]), "expected a matrix, got 3 axes"),
    "gemm grows": (one("Gemm", (1, 3), [numbers(3, 2), numbers(4, 2)]), "Gemm: C: expected"),
    "split unequally": (
        Graph(("N", 5), [("Split", ["x"], ["y", "z"], {"axis": 1})]),
        "expected equal parts",
    ),
    "antialias": (
        one(
            "Resize",
            (1, 1, 4, 4),
            [None, np.array([1, 1, 0.5, 0.5], np.float32)],
            18,
            mode="linear",
            antialias=1,
        ),
        "Resize: antialias: expected 0, got 1",
    ),
    "square pool": (one("LpPool", IMAGE, kernel_shape=[2, 2]), "p = 1, which is piecewise"),
    "conv transpose odd": (
        one("ConvTranspose", IMAGE, [numbers(2, 3, 2, 4)], auto_pad="SAME_UPPER"),
        r"even numbers of 0 or more, got \[1, 3\]",
    ),
    "einsum of branches": (
        Graph(("N", 3), [("Einsum", ["x", "x"], ["y"], {"equation": "bi,bi->b"})]),
        "one computed operand",
    ),
    "spatial batchnorm": (
        one(
            "BatchNormalization",
            ("N", 2),
            [numbers(2), numbers(2), numbers(2), numbers(2) ** 2],
            opset=7,
            spatial=0,
        ),
        "spatial = 0",
    ),
    "pads beside auto_pad": (
        one("Conv", IMAGE, [WEIGHT], auto_pad="SAME_UPPER", pads=[1, 1, 1, 1]),
        "none beside auto_pad",
    ),
    "cast to integer": (one("Cast", ("N", 3), to=TensorProto.INT64), "got INT64"),
    "product of branches": (Graph(("N", 3), [("Mul", ["x", "x"], ["y"], {})]), "computed values"),
    "batch mean": (one("ReduceMean", ("N", 3), axes=[0]), "mixes the batch axis"),
    "batch transpose": (one("Transpose", ("N", 3), perm=[1, 0]), "mixes the batch axis"),
    "batch reshape": (one("Reshape", ("N", 6), [integers(-1, 3)]), "mixes the batch axis"),
    "softmax inside": (
        Graph(("N", 3), [("Softmax", ["x"], ["s"], {}), ("Relu", ["s"], ["y"], {})]),
        "last operator.*for proofs train with ReLU",
    ),
    "sigmoid inside": (
        Graph(("N", 3), [("Sigmoid", ["x"], ["s"], {}), ("Relu", ["s"], ["y"], {})]),
        "last operator.*for proofs train with ReLU",
    ),
    "softmax of a softmax": (
        Graph(("N", 3), [("Softmax", ["x"], ["s"], {}), ("Softmax", ["s"], ["y"], {})]),
        "last operator",
    ),
    "softmax then log": (
        Graph(("N", 3), [("Softmax", ["x"], ["s"], {}), ("Log", ["s"], ["y"], {})]),
        "last operator",
    ),
    "sigmoid then scale": (
        Graph(
            ("N", 3),
            [("Sigmoid", ["x"], ["s"], {}), ("Mul", ["s", "c"], ["y"], {})],
            {"c": numbers(3)},
        ),
        "last operator",
    ),
    "softmax of one output": (one("Softmax", ("N", 1)), "two outputs or more.*Sigmoid"),
    "softmax over part": (one("Softmax", ("N", 2, 3), axis=1), "over all outputs"),
    "conv 4-D": (
        one("Conv", ("N", 2, 3, 3, 3, 3), [numbers(3, 2, 1, 1, 1, 1)]),
        "three to five axes",
    ),
    "open image": (one("Relu", ("N", 1, "H", "W")), "fixed sizes.*input_shape"),
    "nan weight": (one("Gemm", ("N", 1), [np.array([[np.nan]], np.float32)]), "finite numbers"),
    "division by zero": (one("Div", ("N", 1), [np.zeros(1, np.float32)]), "other than 0"),
    "training batchnorm": (
        one(
            "BatchNormalization",
            ("N", 2),
            [numbers(2), numbers(2), numbers(2), numbers(2) ** 2],
            training_mode=1,
        ),
        "training_mode",
    ),
    "wrong widths": (one("MatMul", ("N", 5), [numbers(4, 3)]), "last axis of 4"),
    "missing tensor": (Graph(("N", 3), [("Relu", ["ghost"], ["y"], {})]), "ghost"),
    "huge constant": (
        Graph(
            ("N", 3),
            [("ConstantOfShape", ["n"], ["c"], {}), ("Add", ["x", "c"], ["y"], {})],
            {"n": integers(1 << 20, 1 << 20)},
        ),
        "at most",
    ),
    "random constant": (
        Graph(
            ("N", 3),
            [("RandomNormal", [], ["c"], {"shape": [3]}), ("Add", ["x", "c"], ["y"], {})],
        ),
        "deterministic",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str, tmp_path: Path) -> None:
    graph, match = REFUSED[name]
    refused(graph, tmp_path, match)


def test_unsupported_operator_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperator, match="node y"):
        load(one("Tanh", ("N", 3)).save(tmp_path))


@pytest.mark.parametrize("mode", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "floor", "ceil"])
def test_nearest_points_are_the_runtimes_or_refused(
    mode: str, rounding: str, tmp_path: Path
) -> None:
    """Where exact points and float32 disagree on the nearest old point, nothing is guessed."""
    refusals = 0
    for before, after in ((6, 8), (9, 12), (6, 10), (14, 10), (3, 9), (7, 5), (10, 28), (5, 5)):
        graph = one(
            "Resize",
            (1, 1, 1, before),
            [None, None, integers(1, 1, 1, after)],
            mode="nearest",
            coordinate_transformation_mode=mode,
            nearest_mode=rounding,
        )
        path = graph.save(tmp_path)
        inputs = np.arange(before, dtype=np.float32)[None]
        try:
            network = load(path)
        except ModelError as error:
            if before == after:
                continue  # nothing is left of it
            assert "no rounding of a runtime can move" in str(error)
            refusals += 1
            continue
        want = runtime(path, (1, 1, 1, before), inputs)
        np.testing.assert_array_equal(outputs(network, inputs), want, f"{before} to {after}")
    assert refusals < 5


def test_what_the_output_does_not_need_may_be_anything(tmp_path: Path) -> None:
    model = Graph(
        ("N", 3),
        [("Sin", ["z"], ["unused"], {}), ("Gemm", ["x", "w"], ["y"], {})],
        {"w": numbers(3, 2)},
    ).model()
    model.graph.input.append(helper.make_tensor_value_info("z", 1, ("N", 3)))
    broken = numpy_helper.from_array(numbers(4), "broken")
    broken.raw_data = b"123"
    model.graph.initializer.append(broken)
    onnx.save(model, tmp_path / "unused.onnx")
    assert [type(node.layer) for node in load(tmp_path / "unused.onnx").nodes] == [Affine]


def test_nodes_in_any_order_are_one_network(tmp_path: Path) -> None:
    graph = residual()
    network = load(graph.save(tmp_path))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(graph.nodes))
        shuffled = dataclasses.replace(graph, nodes=[graph.nodes[i] for i in order])
        assert_same(load(shuffled.save(tmp_path)), network)


def test_a_cycle_and_a_tensor_made_twice_are_refused(tmp_path: Path) -> None:
    cycle = [("Add", ["x", "b"], ["a"], {}), ("Relu", ["a"], ["b"], {})]
    refused(Graph(("N", 3), [*cycle, ("Relu", ["b"], ["y"], {})]), tmp_path, "a cycle through a")
    twice = [("Relu", ["x"], ["y"], {}), ("Neg", ["x"], ["y"], {})]
    refused(Graph(("N", 3), twice), tmp_path, "'y': expected one node that makes it")
    refused(Graph(("N", 3), [("Relu", ["y"], ["x"], {})]), tmp_path, "'x': expected one node")


def save_at(opsets: Sequence[tuple[str, int]], folder: Path) -> Path:
    model = one("Relu", ("N", 3)).model()
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*item) for item in opsets)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_opsets_that_are_unclear_or_unknown_are_refused(tmp_path: Path) -> None:
    assert load(save_at([("ai.onnx", 13)], tmp_path)).neurons == 3
    assert load(save_at([("ai.onnx", 13), ("", 13), ("mine", 99)], tmp_path)).neurons == 3
    newest = onnx.defs.onnx_opset_version()
    assert load(save_at([("", newest)], tmp_path)).neurons == 3
    for opsets, match in (
        ([("", newest + 1)], f"opset {newest + 1}: expected 1 to {newest}, the newest known"),
        ([("", 13), ("ai.onnx", 9)], r"opset: expected one, got \[9, 13\]"),
        ([("", 5)], "Relu of opset 5: expected its version 6 or"),
        ([], "Relu of opset 1: expected its version 6 or"),
    ):
        with pytest.raises(ModelError, match=match):
            load(save_at(opsets, tmp_path))


def test_attributes_of_another_opset_are_refused(tmp_path: Path) -> None:
    old = {"broadcast": 1, "axis": 1}
    refused(one("Add", ("N", 3, 3, 3), [numbers(3)], **old), tmp_path, "attributes of Add")
    refused(one("Squeeze", ("N", 1, 3), axes=[1]), tmp_path, "attributes of Squeeze")
    refused(one("Concat", ("N", 3)), tmp_path, "attributes of Concat: expected axis")
    two = [("Add", ["x", "c"], ["y"], {**old, "axis": axis}) for axis in (1, 2)]
    for node in two:  # of a (N, 2, 2, 2) input and two numbers: per channel, or per row
        graph = Graph(("N", 2, 2, 2), [node], {"c": numbers(2)}, opset=6)
        refused(graph, tmp_path, "Add of opset 6")


def test_every_operator_has_known_versions() -> None:
    assert set(VERSIONS) == set(READ)
    for name, versions in VERSIONS.items():
        domain, _, own = name.rpartition("::")
        released = {
            schema.since_version
            for schema in onnx.defs.get_all_schemas_with_history()
            if (schema.name, schema.domain) == (own, domain)
        }
        assert set(versions) <= released


def test_input_shape_fills_open_axes(tmp_path: Path) -> None:
    path = one("Relu", ("N", 1, "H", "W")).save(tmp_path)
    assert load(path, (1, 3, 4)).input_shape == (1, 3, 4)
    with pytest.raises(ModelError, match=r"fits.*'\?', 1, '\?', '\?'.*batch axis out"):
        load(path, (2, 3, 4))
    with pytest.raises(ModelError, match="positive sizes"):
        load(path, (0, 3))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "without any node"),
        (b"\x80\x04not a model at all", "broken|without any node"),
    ],
)
def test_broken_files(content: bytes, match: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=match):
        load(path)


def test_truncated_at_any_place_is_one_clear_error(tmp_path: Path) -> None:
    content = residual().model().SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(1, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"cut\.onnx"):
            load(path)


def test_missing_file_folder_and_suffix(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match=r"ending in \.onnx.*got \.txt"):
        load(tmp_path / "model.txt")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match="got a folder"):
        load(tmp_path / "folder.onnx")


def test_external_data_only_from_the_models_folder(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    weight = numbers(5, 3)
    model = one("MatMul", ("N", 5), [weight]).model()
    path = folder / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    affine = load(path).nodes[0].layer
    assert isinstance(affine, Affine) and np.array_equal(affine.weight, weight.T)
    (folder / "w.bin").rename(tmp_path / "w.bin")
    with pytest.raises(ModelError, match=r"data file w\.bin.*no such file"):
        load(path)
    for location in ("../w.bin", str(tmp_path / "w.bin")):
        moved = onnx.load(path, load_external_data=False)
        for item in moved.graph.initializer[0].external_data:
            if item.key == "location":
                item.value = location
        path.write_bytes(moved.SerializeToString())
        with pytest.raises(ModelError, match="inside the model's folder"):
            load(path)
    (folder / "w.bin").symlink_to(tmp_path / "w.bin")
    moved.graph.initializer[0].external_data[0].value = "w.bin"
    path.write_bytes(moved.SerializeToString())
    with pytest.raises(ModelError, match="inside the model's folder"):
        load(path)


@pytest.mark.parametrize("after", ["Identity", "Reshape", "Flatten", "Squeeze"])
def test_a_last_sigmoid_is_the_networks_last_activation(after: str, tmp_path: Path) -> None:
    """Through operators that change no number, too; and it is written back."""
    nodes: list[tuple[str, list[str], list[str], dict[str, object]]] = [
        ("Relu", ["x"], ["r"], {}),
        ("Sigmoid", ["r"], ["s"], {}),
    ]
    constants = {"shape": integers(1, 3), "axes": integers(0)}
    more = {"Reshape": ["shape"], "Squeeze": ["axes"]}.get(after, [])
    nodes.append((after, ["s", *more], ["y"], {}))
    path = Graph((1, 3), nodes, constants).save(tmp_path)
    network = load(path)
    assert network.output_activation is OutputActivation.SIGMOID
    x = np.array([[-1.0, 0.0, 2.0]], np.float32)
    y = network.output_activation.of(outputs(network, x))
    np.testing.assert_allclose(y.ravel(), runtime(path, (1, 3), x).ravel(), atol=1e-6)
    write_onnx(network, tmp_path / "again.onnx")
    again = load(tmp_path / "again.onnx")
    assert (again.output_activation, again.output_size) == (network.output_activation, 3)
    assert len({network.hash, network.logits.hash}) == 2
