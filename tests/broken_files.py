"""Good small files of every kind that is read, and ways to break them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from known import affine
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from precond.network.graph import INPUT, Network
from precond.network.layers import Node, ReLU

HUGE = 1 << 40
DEEP = 100_000


@dataclass(frozen=True)
class Broken:
    """A file: its name and content, and whether it must be refused (else it may also be read:
    a bit that is changed may leave a good file)."""

    name: str
    content: bytes
    refused: bool = True
    beside: Mapping[str, bytes] = field(default_factory=dict)


def damaged(name: str, good: bytes, seed: int, cuts: int, flips: int) -> Iterator[Broken]:
    """Truncated anywhere, bits changed, a range written over, a piece twice."""
    stream = random.Random(seed)
    stem, dot, suffix = name.partition(".")
    for k in range(cuts):
        at = len(good) * k // cuts
        yield Broken(f"{stem}-cut{k}{dot}{suffix}", good[:at], refused=False)
    for k in range(flips):
        content = bytearray(good)
        for _ in range(stream.choice((1, 1, 4, 30))):
            content[stream.randrange(len(content))] ^= 1 << stream.randrange(8)
        yield Broken(f"{stem}-flip{k}{dot}{suffix}", bytes(content), refused=False)
    for k in range(flips // 4):
        a, b = sorted(stream.sample(range(len(good)), 2))
        noise = bytes(stream.randrange(256) for _ in range(min(40, b - a)))
        yield Broken(
            f"{stem}-noise{k}{dot}{suffix}", good[:a] + noise + good[a + len(noise) :], False
        )
        yield Broken(f"{stem}-twice{k}{dot}{suffix}", good[:b] + good[a:], False)


# -- ONNX ------------------------------------------------------------------------------

Nodes = Sequence[tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]]
STREAM = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return STREAM.normal(size=shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def onnx_bytes(
    nodes: Nodes,
    constants: Mapping[str, np.ndarray],
    shape: Sequence[int | str | None] = (1, 4),
    kind: int = TensorProto.FLOAT,
    change: Callable[[onnx.ModelProto], object] | None = None,
    opset: int = 17,
) -> bytes:
    graph = helper.make_graph(
        [helper.make_node(op, list(ins), list(outs), **more) for op, ins, outs, more in nodes],
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if change is not None:
        change(model)
    return bytes(model.SerializeToString())


GEMM: Nodes = (
    ("Gemm", ("x", "w", "b"), ("h",), {"transB": 1}),
    ("Relu", ("h",), ("r",), {}),
    ("Gemm", ("r", "v", "c"), ("y",), {"transB": 1}),
)
WEIGHTS = {"w": array(5, 4), "b": array(5), "v": array(3, 5), "c": array(3)}
CONV: Nodes = (
    ("Conv", ("x", "k"), ("h",), {"pads": [1, 1, 1, 1]}),
    ("Relu", ("h",), ("r",), {}),
    ("MaxPool", ("r",), ("m",), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("Flatten", ("m",), ("f",), {}),
    ("MatMul", ("f", "v"), ("y",), {}),
)
KERNELS = {"k": array(2, 1, 3, 3), "v": array(32, 3)}


def onnx_good() -> dict[str, bytes]:
    return {
        "gemm.onnx": onnx_bytes(GEMM, WEIGHTS),
        "conv.onnx": onnx_bytes(CONV, KERNELS, (1, 1, 8, 8)),
    }


def _one(op: str, constants: Mapping[str, np.ndarray], shape: Any = (1, 4), **more: Any) -> bytes:
    """One operator between the input and a ReLU."""
    nodes = ((op, ("x", *constants), ("h",), more), ("Relu", ("h",), ("y",), {}))
    return onnx_bytes(nodes, constants, shape)


def _folded(op: str, constants: Mapping[str, np.ndarray], **more: Any) -> bytes:
    """One operator on constants, added to the input."""
    nodes = ((op, tuple(constants), ("k",), more), ("Add", ("x", "k"), ("y",), {}))
    return onnx_bytes(nodes, constants)


def _tensor(model: onnx.ModelProto, **changes: Any) -> None:
    tensor = model.graph.initializer[0]
    for name, value in changes.items():
        if isinstance(value, list):
            del getattr(tensor, name)[:]
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)


def _external(location: str, **more: str) -> bytes:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=value)

    return onnx_bytes(GEMM, WEIGHTS, change=change)


def _nested(model: onnx.ModelProto, depth: int = 300) -> None:
    """Graphs within attributes of graphs."""
    graph = model.graph
    for _ in range(depth):
        inner = onnx.GraphProto()
        node = inner.node.add(op_type="If", input=["c"], output=["y"])
        attribute = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH)
        attribute.g.CopyFrom(graph)
        graph = inner
    model.graph.CopyFrom(graph)


def _recursive(model: onnx.ModelProto) -> None:
    """A function that calls itself."""
    function = model.functions.add(domain="own", name="f", input=["a"], output=["b"])
    function.node.add(op_type="f", domain="own", input=["a"], output=["b"])
    model.opset_import.add(domain="own", version=1)
    function.opset_import.add(domain="own", version=1)
    model.graph.node[1].op_type, model.graph.node[1].domain = "f", "own"


def onnx_broken() -> Iterator[Broken]:
    for number, (name, good) in enumerate(onnx_good().items()):
        yield from damaged(name, good, number, cuts=14, flips=28)
    cases: dict[str, bytes] = {
        "empty": b"",
        "text": b"hello, this is no model\n" * 40,
        "zip": b"PK\x03\x04" + b"\0" * 100,
        "gzip": gzip.compress(onnx_bytes(GEMM, WEIGHTS)),
        "zeros": b"\0" * 1000,
        "noise": bytes(random.Random(3).randrange(256) for _ in range(2000)),
        "cycle": onnx_bytes(
            (
                ("Add", ("x", "q"), ("p",), {}),
                ("Relu", ("p",), ("q",), {}),
                ("Relu", ("q",), ("y",), {}),
            ),
            {},
        ),
        "self": onnx_bytes((("Add", ("x", "y"), ("y",), {}),), {}),
        "output-is-input": onnx_bytes((("Relu", ("x",), ("x",), {}),), {}),
        "no-source": onnx_bytes((("Add", ("x", "nothing"), ("y",), {}),), {}),
        "no-output": onnx_bytes((("Relu", ("x",), ("z",), {}),), {}),
        "unknown-operator": _one("Explode", {}),
        "sine": _one("Sin", {}),
        "no-nodes": onnx_bytes((), {}),
        "no-input": onnx_bytes(GEMM, WEIGHTS, change=lambda m: m.graph.ClearField("input")),
        "no-outputs": onnx_bytes(GEMM, WEIGHTS, change=lambda m: m.graph.ClearField("output")),
        "two-inputs": onnx_bytes(
            (("Add", ("x", "z"), ("y",), {}),), {}, change=lambda m: m.graph.input.add(name="z")
        ),
        "ghost-output": onnx_bytes(
            GEMM, WEIGHTS, change=lambda m: m.graph.output.add(name="ghost")
        ),
        "integer-input": onnx_bytes(GEMM, WEIGHTS, kind=TensorProto.INT64),
        "string-input": onnx_bytes(GEMM, WEIGHTS, kind=TensorProto.STRING),
        "huge-input": onnx_bytes((("Relu", ("x",), ("y",), {}),), {}, (1, HUGE)),
        "overflowing-input": onnx_bytes(
            (("Flatten", ("x",), ("y",), {}),), {}, (1, 1 << 33, 1 << 33)
        ),
        "huge-flat-input": onnx_bytes(
            (("Flatten", ("x",), ("y",), {}),), {}, (1, 1 << 20, 1 << 20)
        ),
        "open-input": onnx_bytes(GEMM, WEIGHTS, (1, "n")),
        "empty-input": onnx_bytes(GEMM, WEIGHTS, (1, 0)),
        "width": onnx_bytes(GEMM, {**WEIGHTS, "w": array(5, 7)}),
        "rank": onnx_bytes(GEMM, {**WEIGHTS, "w": array(5, 2, 2)}),
        "scalar-weight": onnx_bytes(GEMM, {**WEIGHTS, "w": np.float32(3.0).reshape(())}),
        "no-weights": onnx_bytes(GEMM, {**WEIGHTS, "w": array(0, 4)}),
        "bias": onnx_bytes(GEMM, {**WEIGHTS, "b": array(7)}),
        "nan": onnx_bytes(GEMM, {**WEIGHTS, "w": np.full((5, 4), np.nan, np.float32)}),
        "inf": onnx_bytes(GEMM, {**WEIGHTS, "c": np.array([0, -np.inf, 1], np.float32)}),
        "strings": onnx_bytes(GEMM, {**WEIGHTS, "w": np.full((5, 4), "a", dtype=object)}),
        "huge-weight": onnx_bytes(GEMM, WEIGHTS, change=lambda m: _tensor(m, dims=[HUGE, 4])),
        "overflowing-weight": onnx_bytes(
            GEMM, WEIGHTS, change=lambda m: _tensor(m, dims=[1 << 62, 1 << 62])
        ),
        "negative-weight": onnx_bytes(GEMM, WEIGHTS, change=lambda m: _tensor(m, dims=[-5, -4])),
        "short-weight": onnx_bytes(GEMM, WEIGHTS, change=lambda m: _tensor(m, raw_data=b"1234567")),
        "type-0": onnx_bytes(GEMM, WEIGHTS, change=lambda m: _tensor(m, data_type=0)),
        "type-999": onnx_bytes(GEMM, WEIGHTS, change=lambda m: _tensor(m, data_type=999)),
        "sparse": onnx_bytes(GEMM, WEIGHTS, change=lambda m: m.graph.sparse_initializer.add()),
        "functions": onnx_bytes(GEMM, WEIGHTS, change=_recursive),
        "nested": onnx_bytes(GEMM, WEIGHTS, change=_nested),
        "alpha": onnx_bytes(
            (("Gemm", ("x", "w"), ("y",), {"transB": 1, "alpha": float("nan")}),),
            {"w": WEIGHTS["w"]},
        ),
        "attribute-type": _one("Flatten", {}, axis="first"),
        "flatten-axis": _one("Flatten", {}, axis=99),
        "leaky-nan": _one("LeakyRelu", {}, alpha=float("nan")),
        "permutation": _one("Transpose", {}, perm=[0, 0]),
        "permutation-short": _one("Transpose", {}, perm=[0]),
        "reshape": _one("Reshape", {"s": integers(1, 5)}),
        "reshape-huge": _one("Reshape", {"s": integers(HUGE, HUGE)}),
        "reshape-negative": _one("Reshape", {"s": integers(-1, -1)}),
        "reshape-odd": _one("Reshape", {"s": integers(-7, 4)}),
        "expand": _one("Expand", {"s": integers(HUGE, 4)}),
        "expand-large": _one("Expand", {"s": integers(1, 1 << 31, 4)}),
        "tile": _one("Tile", {"s": integers(1, HUGE)}),
        "upsample": onnx_bytes(
            (("Upsample", ("x", "s"), ("y",), {}),), {"s": np.array([1, 1e18], np.float32)}, opset=9
        ),
        "gather": _one("Gather", {"i": integers(9)}, axis=1),
        "gather-axis": _one("Gather", {"i": integers(0)}, axis=7),
        "gather-wide": _one("Gather", {"i": np.zeros(1 << 16, np.int64).reshape(-1, 1)}, axis=9),
        "slice-step": _one(
            "Slice", {"a": integers(0), "b": integers(4), "c": integers(1), "d": integers(0)}
        ),
        "slice-empty": _one("Slice", {"a": integers(3), "b": integers(3), "c": integers(1)}),
        "slice-axis": _one("Slice", {"a": integers(0), "b": integers(3), "c": integers(8)}),
        "squeeze": _one("Squeeze", {"s": integers(1)}),
        "unsqueeze": _one("Unsqueeze", {"s": integers(44)}),
        "concat": _one("Concat", {"k": array(2, 4)}, axis=1),
        "concat-axis": _one("Concat", {"k": array(1, 4)}, axis=30),
        "pad-huge": _one("Pad", {"p": integers(0, 0, 0, HUGE)}),
        "pad-short": _one("Pad", {"p": integers(0, 0, 1)}),
        "pad-negative": _one("Pad", {"p": integers(0, -9, 0, 0)}),
        "divide": _one("Div", {"k": np.zeros(4, np.float32)}),
        "divided": onnx_bytes((("Div", ("k", "x"), ("y",), {}),), {"k": array(4)}),
        "product": onnx_bytes((("Mul", ("x", "x"), ("y",), {}),), {}),
        "softmax-inside": onnx_bytes(
            (("Softmax", ("x",), ("s",), {}), ("Relu", ("s",), ("y",), {})), {}
        ),
        "softmax-axis": onnx_bytes((("Softmax", ("x",), ("y",), {"axis": 12}),), {}),
        "no-inputs-of-node": onnx_bytes((("Relu", (), ("y",), {}),), {}),
        "many-inputs-of-node": onnx_bytes((("Relu", ("x", "x", "x"), ("y",), {}),), {}),
        "batch-norm": _one(
            "BatchNormalization",
            {"a": array(4), "b": array(4), "c": array(4), "d": np.full(4, -3, np.float32)},
        ),
        "batch-norm-size": _one(
            "BatchNormalization", {"a": array(3), "b": array(4), "c": array(4), "d": array(4) ** 2}
        ),
        "mean-axis": _one("ReduceMean", {}, axes=[5]),
        "range": _folded("Range", {"a": np.array(0), "b": np.array(10**12), "c": np.array(1)}),
        "constant-of-shape": _folded("ConstantOfShape", {"s": integers(HUGE, 4)}),
        "constant-of-shape-negative": _folded("ConstantOfShape", {"s": integers(-3, -4)}),
        "constant-of-shape-overflow": _folded("ConstantOfShape", {"s": integers(1 << 40, 1 << 40)}),
        "constant-expand": _folded("Expand", {"a": array(1), "s": integers(HUGE)}),
        "constant-tile": _folded("Tile", {"a": array(4), "s": integers(HUGE)}),
        "constant-pad": _folded("Pad", {"a": array(4), "s": integers(0, HUGE)}),
        "constant-one-hot": _folded(
            "OneHot", {"a": integers(0, 1), "d": np.array(1 << 38), "v": array(2)}
        ),
        "constant-resize": _folded(
            "Resize",
            {"a": array(1, 1, 4, 4), "r": array(0), "s": np.array([1, 1, 1e6, 1e6], np.float32)},
        ),
        "constant-eye": _folded(
            "EyeLike", {"a": np.broadcast_to(np.float32(1), (3, 4)).copy()}, dtype=99
        ),
        "constant-outer": _folded("MatMul", {"a": array(1 << 16, 1), "b": array(1, 1 << 16)}),
        "constant-add": _folded("Add", {"a": array(1 << 16, 1), "b": array(1, 1 << 16)}),
        "constant-random": _folded("RandomNormal", {}, shape=[4]),
        "constant-loop": _folded("Loop", {"a": np.array(10**9), "b": np.array(True)}),
        "constant-bad": _folded("Reshape", {"a": array(4), "s": integers(9)}),
        "constant-unknown": _folded("Explode", {"a": array(4)}),
    }
    for name, constants, shape, more in (
        ("conv-channels", {"k": array(2, 5, 3, 3)}, (1, 1, 8, 8), {}),
        ("conv-rank", {"k": array(2, 1, 3)}, (1, 1, 8, 8), {}),
        ("conv-flat", {"k": array(2, 1, 3, 3)}, (1, 4), {}),
        ("conv-stride", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"strides": [0, 1]}),
        ("conv-negative-stride", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"strides": [-1, 1]}),
        ("conv-dilation", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"dilations": [0, 0]}),
        ("conv-huge-dilation", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"dilations": [HUGE, 1]}),
        ("conv-pads", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"pads": [HUGE] * 4}),
        ("conv-large-pads", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"pads": [1 << 17] * 4}),
        ("conv-negative-pads", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"pads": [-1] * 4}),
        ("conv-short-pads", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"pads": [1]}),
        ("conv-groups", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"group": 0}),
        ("conv-many-groups", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"group": 7}),
        ("conv-kernel", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"kernel_shape": [5, 5]}),
        ("conv-too-large", {"k": array(2, 1, 30, 30)}, (1, 1, 8, 8), {}),
        ("conv-auto", {"k": array(2, 1, 3, 3)}, (1, 1, 8, 8), {"auto_pad": "SAME_SOMEHOW"}),
    ):
        cases[name] = _one("Conv", constants, shape, **more)
    for name, more in (
        ("pool-kernel", {"kernel_shape": [0, 0]}),
        ("pool-missing", {}),
        ("pool-huge", {"kernel_shape": [HUGE, HUGE]}),
        ("pool-pads", {"kernel_shape": [2, 2], "pads": [9, 9, 9, 9]}),
        ("pool-huge-pads", {"kernel_shape": [2, 2], "pads": [1 << 30] * 4}),
        ("pool-stride", {"kernel_shape": [2, 2], "strides": [0, 0]}),
        ("pool-one", {"kernel_shape": [2]}),
    ):
        cases[name] = _one("MaxPool", {}, (1, 1, 8, 8), **more)
        cases["average-" + name] = _one("AveragePool", {}, (1, 1, 8, 8), **more)
    for name, content in cases.items():
        yield Broken(f"{name}.onnx", content)
    weights = WEIGHTS["w"].tobytes()
    for name, location, more, beside in (
        ("absolute", "/etc/hostname", {}, {}),
        ("parent", "../outside.bin", {}, {}),
        ("device", "/dev/zero", {}, {}),
        ("hidden-parent", "a/../../outside.bin", {}, {}),
        ("missing", "nothing.bin", {}, {}),
        ("none", "", {}, {}),
        ("folder", ".", {}, {}),
        ("nul", "a\0b", {}, {}),
        ("long", "a" * 5000, {}, {}),
        ("short", "w.bin", {}, {"w.bin": weights[:-9]}),
        ("offset", "w.bin", {"offset": str(HUGE)}, {"w.bin": weights}),
        ("negative-offset", "w.bin", {"offset": "-4"}, {"w.bin": weights}),
        ("huge-length", "w.bin", {"length": str(HUGE)}, {"w.bin": weights}),
        ("no-number", "w.bin", {"offset": "much"}, {"w.bin": weights}),
        ("overflow", "w.bin", {"offset": str(1 << 80)}, {"w.bin": weights}),
    ):
        refused = name != "huge-length"
        yield Broken(f"external-{name}.onnx", _external(location, **more), refused, beside)


# -- .nnet -----------------------------------------------------------------------------

NNET = """// two inputs, one hidden layer of two, one output
2,2,1,2,
2,2,1,
0,
-10,-10,
10,10,
1,2,5,
2,4,3,
1,0,
0,-1,
0.5,
0,
1,1,
0,
"""


def nnet_broken() -> Iterator[Broken]:
    yield from damaged("net.nnet", NNET.encode(), 5, cuts=16, flips=24)
    lines = NNET.splitlines()
    changes: dict[str, tuple[int, str]] = {
        "layers": (1, "1000000000,2,1,2,"),
        "huge": (1, "1e400,2,1,2,"),
        "none": (1, "0,2,1,2,"),
        "negative": (1, "-2,2,1,2,"),
        "short": (1, "2,"),
        "fraction": (1, "2.5,2,1,2,"),
        "sizes": (2, "2,1000000000,1,"),
        "wide": (2, "2,1e18,1,"),
        "zero": (2, "2,0,1,"),
        "minus": (2, "2,-2,1,"),
        "other": (2, "3,2,1,"),
        "means": (6, "1,2,"),
        "nan": (6, "nan,2,5,"),
        "inf": (7, "inf,4,3,"),
        "ranges": (7, "0,4,3,"),
        "tiny": (7, "1e-320,4,3,"),
        "words": (8, "one,zero,"),
        "weights": (8, "1,0,3,"),
        "infinite": (8, "1e999,0,"),
        "bias": (10, "0.5,0.5,"),
        "overflow": (8, "1e308,1e308,"),
    }
    for name, (line, text) in changes.items():
        changed = "\n".join([*lines[:line], text, *lines[line + 1 :]]).encode()
        yield Broken(f"{name}.nnet", changed, refused=name not in ("overflow",))
    yield Broken("empty.nnet", b"")
    yield Broken("comments.nnet", b"// nothing\n" * 1000)
    yield Broken("binary.nnet", bytes(range(256)) * 20)
    yield Broken("utf16.nnet", NNET.encode("utf-16"))
    yield Broken("one-line.nnet", b"1," * 300_000)
    yield Broken("nul.nnet", NNET.replace("2,2,1,2", "2,2\0,1,2").encode())


# -- torch -----------------------------------------------------------------------------


class Runs:
    """Unpickling this would make a file named ``ran`` in the working folder."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.open, ("ran", os.O_CREAT | os.O_WRONLY)


def _saved(value: object) -> bytes:
    target = io.BytesIO()
    torch.save(value, target)
    return target.getvalue()


def _zipped(entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target.getvalue()


def _bomb(name: str, head: bytes) -> bytes:
    """An archive of one entry of 300 MiB, in about 300 KiB."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as entry,
    ):
        entry.write(head)
        for _ in range(300):
            entry.write(bytes(1 << 20))
    return target.getvalue()


def _program() -> bytes:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    target = io.BytesIO()
    torch.export.save(torch.export.export(module, (torch.zeros(2, 4),)), target)
    return target.getvalue()


def _reprogrammed(good: bytes, suffix: str, change: Callable[[Any], Any]) -> bytes:
    """An exported program with one of its JSON files changed."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (n for n in entries if n.endswith(suffix))
    changed = change(json.loads(entries[name]))
    entries[name] = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    return _zipped(entries, zipfile.ZIP_STORED)


def torch_broken() -> Iterator[Broken]:
    linear = {"0.weight": torch.ones(5, 4), "0.bias": torch.ones(5)}
    last = {"2.weight": torch.ones(3, 5), "2.bias": torch.ones(3)}
    state = _saved({**linear, **last})
    program = _program()
    yield from damaged("state.pt", state, 6, cuts=12, flips=20)
    yield from damaged("program.pt2", program, 7, cuts=8, flips=16)
    one = torch.ones(1)
    cases: dict[str, bytes] = {
        "runs.pt": _saved(Runs()),
        "runs-inside.pt": _saved({**linear, "2.weight": Runs()}),
        "plain-pickle.pt": pickle.dumps(Runs()),
        "old-pickle.pth": pickle.dumps({"0.weight": [[1.0]]}),
        "list.pt": _saved([torch.ones(2, 2)]),
        "number.pt": _saved(3),
        "empty-state.pt": _saved({}),
        "names.pt": _saved({"weight": torch.ones(2, 2)}),
        "conv.pt": _saved({"0.weight": torch.ones(2, 1, 3, 3), "0.bias": torch.ones(2)}),
        "gaps.pt": _saved({**linear, "7.weight": torch.ones(3, 5)}),
        "bias-only.pt": _saved({"0.bias": torch.ones(5)}),
        "bias-size.pt": _saved({**linear, "0.bias": torch.ones(6)}),
        "widths.pt": _saved({**linear, "2.weight": torch.ones(3, 9)}),
        "nan.pt": _saved({**linear, "0.bias": torch.full((5,), float("nan"))}),
        "inf.pt": _saved({**linear, "0.bias": torch.full((5,), float("inf"))}),
        "no-values.pt": _saved({"0.weight": torch.ones(0, 4)}),
        "expanded.pt": _saved({"0.weight": one.expand(1 << 20, 1 << 20)}),
        "complex.pt": _saved({"0.weight": torch.ones(2, 2, dtype=torch.complex64)}),
        "text.pt": b"no model\n" * 50,
        "empty.pt": b"",
        "empty.pt2": b"",
        "empty-archive.pt2": _zipped({}),
        "other-archive.pt2": _zipped({"a.txt": b"hello"}),
        "script.pt": _zipped({"m/constants.pkl": b"", "m/data.pkl": b""}),
        "no-json.pt2": _zipped({"a/models/model.json": b"{"}),
        "deep-json.pt2": _zipped({"a/models/model.json": b"[" * DEEP}),
        "number-json.pt2": _zipped({"a/models/model.json": b"3"}),
        "bomb.pt2": _bomb("a/models/model.json", b""),
        "twice.pt2": program + program[:200],
    }
    changes: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "version": ("model.json", lambda m: {**m, "schema_version": {"major": 99, "minor": 0}}),
        "no-graph": ("model.json", lambda m: {**m, "graph_module": None}),
        "deep": ("model.json", lambda m: b'{"a":' * DEEP),
        "weights-list": ("model_weights_config.json", lambda m: []),
        "sizes": ("model_weights_config.json", lambda m: _resized(m, "sizes", HUGE)),
        "strides": ("model_weights_config.json", lambda m: _resized(m, "strides", 0, HUGE)),
        "negative": ("model_weights_config.json", lambda m: _resized(m, "sizes", -4)),
        "pickled": ("model_weights_config.json", _pickled),
        "path": ("model_weights_config.json", _elsewhere),
    }
    for name, (suffix, change) in changes.items():
        cases[f"{name}.pt2"] = _reprogrammed(program, suffix, change)
    for name, content in cases.items():
        yield Broken(name, content, refused=name not in ("twice.pt2", "complex.pt"))


def _resized(config: Any, what: str, value: int, sizes: int | None = None) -> Any:
    for entry in config["config"].values():
        entry["tensor_meta"][what] = [{"as_int": value} for _ in entry["tensor_meta"][what]]
        if sizes is not None:
            entry["tensor_meta"]["sizes"] = [{"as_int": sizes} for _ in entry["tensor_meta"][what]]
    return config


def _pickled(config: Any) -> Any:
    for entry in config["config"].values():
        entry["use_pickle"] = True
    return config


def _elsewhere(config: Any) -> Any:
    for entry in config["config"].values():
        entry["path_name"] = "../../../../etc/passwd"
    return config


# -- VNN-LIB ---------------------------------------------------------------------------

VNNLIB = """; two inputs, two outputs
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (<= X_0 1.0))
(assert (>= X_0 -1.0))
(assert (and (<= X_1 0.5) (>= X_1 -5e-1)))
(assert (or (and (<= Y_0 Y_1)) (and (>= Y_1 3.0) (<= (* 2.0 Y_0) 1.0))))
"""


def vnnlib_broken() -> Iterator[Broken]:
    stream = random.Random(8)
    yield from damaged("query.vnnlib", VNNLIB.encode(), 8, cuts=20, flips=40)
    tokens = VNNLIB.replace("(", " ( ").replace(")", " ) ").split("\n", 1)[1].split()
    for k in range(30):
        changed = list(tokens)
        at = stream.randrange(len(changed))
        if k % 3 == 0:
            del changed[at]
        elif k % 3 == 1:
            changed[at] = stream.choice(tokens)
        else:
            changed.insert(at, stream.choice(("(", ")", "assert", "X_9", "1e5", "Y_0", '"', "|")))
        yield Broken(f"token{k}.vnnlib", " ".join(changed).encode(), refused=False)
    head = VNNLIB[: VNNLIB.index("(assert (or")]
    cases = {
        "empty": "",
        "comment": "; nothing\n" * 100,
        "deep": "(" * DEEP,
        "deep-and": head + "(assert " + "(and " * 5000 + "(<= Y_0 0)" + ")" * 5001,
        "exponent": head + "(assert (<= Y_0 1e999999999))",
        "negative-exponent": head + "(assert (<= Y_0 1e-999999999))",
        "digits": head + f"(assert (<= Y_0 {'9' * 200_000}))",
        "hexadecimal": head + "(assert (<= Y_0 0x1p3))",
        "nan": head + "(assert (<= Y_0 nan))",
        "infinite": head + "(assert (<= Y_0 inf))",
        "index": head + "(declare-const X_999999999 Real)",
        "output": head + "(declare-const Y_7 Real)(assert (<= Y_7 0))",
        "type": head + "(declare-const X_2 Int)",
        "undeclared": head + "(assert (<= Z 0))",
        "twice": head + "(declare-const X_0 Real)",
        "product": head + "(assert (<= (* X_0 Y_0) 0))",
        "division": head + "(assert (<= (/ Y_0 0) 0))",
        "by-variable": head + "(assert (<= (/ 1 Y_0) 0))",
        "unbounded": VNNLIB.replace("(assert (<= X_0 1.0))", ""),
        "not": head + "(assert (not (<= Y_0 0)))",
        "let": head + "(assert (let ((a Y_0)) (<= a 0)))",
        "arity": head + "(assert (<= Y_0))",
        "empty-group": head + "()",
        "word": head + "assert",
        "close": head + ")",
        "open": head + "(assert (<= Y_0 0)",
        "version": "(vnnlib-version <9.9>)\n" + VNNLIB,
        "version-2": "(vnnlib-version <2.0>)\n(declare-network N (declare-input",
        "version-2-assert": "(vnnlib-version <2.0>)\n(assert (<= X 0))",
        "explosion": head + "".join("(assert (or (<= Y_0 0) (<= Y_1 0)))" for _ in range(60)),
        "wide": head + "(assert (or " + "(<= Y_0 0)" * 101_000 + "))",
        "long-word": head + "(assert (<= " + "a" * 1_000_000 + " 0))",
    }
    for name, text in cases.items():
        yield Broken(f"{name}.vnnlib", text.encode(), refused=name != "wide")
    yield Broken("binary.vnnlib", bytes(range(256)) * 30)
    yield Broken("utf16.vnnlib", VNNLIB.encode("utf-16"))
    yield Broken("nul.vnnlib", VNNLIB.replace("Y_1", "Y\0_1").encode())
    packed = gzip.compress(VNNLIB.encode())
    yield from damaged("query.vnnlib.gz", packed, 9, cuts=6, flips=12)
    yield Broken("plain.vnnlib.gz", VNNLIB.encode())
    target = io.BytesIO()
    with gzip.open(target, "wb", 1) as file:
        for _ in range(300):
            file.write(b" " * (1 << 20))
    yield Broken("bomb.vnnlib.gz", target.getvalue())


# -- preconditions.json ----------------------------------------------------------------


# y = (relu(x₀ + x₁), relu(x₀ − x₁)).
PLAIN = Network(
    (
        affine("z", [[1.0, 1.0], [1.0, -1.0]], [0.0, 0.0], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], "a"),
    ),
    (2,),
)


def preconditions_text() -> str:
    entry = {
        "id": "layer-a-1",
        "kind": "layer",
        "label": "0",
        "property": {
            "name": "y0 ≥ 0",
            "all_of": [
                {
                    "any_of": [
                        {"outputs": [[0, 1.0]], "inputs": [], "at_least": 0.0, "strict": False}
                    ]
                }
            ],
        },
        "pattern": {"on": [["a", 0]], "off": [["a", 1]]},
        "support": {
            "train": 5,
            "held_out": 2,
            "precision": 1.0,
            "recall": 0.5,
            "precision_interval": [0.3, 1.0],
            "recall_interval": [0.1, 0.9],
            "train_precision": 1.0,
        },
        "verdict": {
            "status": "refuted",
            "engine": "data",
            "exact": True,
            "confirmed": True,
            "seconds": 0.1,
            "witness": [0.5, -0.5],
            "bound": None,
            "reason": "",
            "attempts": [["data", 0.1, "found"]],
        },
        "box": {"lower": [0.0, 0.0], "upper": [1.0, 1.0]},
        "domain": None,
        "source": 3,
        "proofs": 4,
        "note": "",
    }
    return json.dumps(
        {
            "format": 1,
            "network": {"path": "m.onnx", "hash": PLAIN.hash, "inputs": 2, "outputs": 2},
            "domain": {"lower": [-1.0, -1.0], "upper": [1.0, 1.0]},
            "preconditions": [entry],
        }
    )


def json_broken(good: str) -> Iterator[Broken]:
    """From a good file about a network of two inputs."""
    yield from damaged("file.json", good.encode(), 10, cuts=12, flips=24)
    data = json.loads(good)
    values: tuple[Any, ...] = (None, "text", -1, 1e300, [], {}, [[]], True, 10**30)
    stream = random.Random(11)
    places = list(_places(data))
    for k in range(60):
        path = stream.choice(places)
        changed = json.loads(good)
        _set(changed, path, stream.choice(values))
        yield Broken(f"field{k}.json", json.dumps(changed).encode(), refused=False)
    for name, path in (("nan", ("domain", "lower")), ("infinite", ("domain", "upper"))):
        changed = json.loads(good)
        _set(changed, path, [float("nan" if name == "nan" else "inf")] * 2)
        yield Broken(f"{name}.json", json.dumps(changed).encode())
    for name, text in {
        "empty": "",
        "list": "[]",
        "null": "null",
        "number": "3",
        "deep": "[" * DEEP,
        "deep-object": '{"a":' * DEEP,
        "format": json.dumps({**data, "format": 99}),
        "digits": json.dumps(data).replace('"format": 1', f'"format": {"1" * 100_000}'),
        "no-entries": json.dumps({k: v for k, v in data.items() if k != "preconditions"}),
        "entries": json.dumps({**data, "preconditions": 3}),
        "entry": json.dumps({**data, "preconditions": [None]}),
        "hash": json.dumps({**data, "network": {**data["network"], "hash": "0" * 64}}),
        "sides": json.dumps({**data, "domain": {**data["domain"], "lower": [0.0] * 7}}),
        "about": json.dumps({**data, "data": []}),
        "names": json.dumps({**data, "data": {"classes": [1, 2]}}),
        "name": json.dumps({**data, "data": {"columns": "ab"}}),
        "crossed": json.dumps({**data, "domain": {**data["domain"], "lower": [9.0] * 2}}),
    }.items():
        yield Broken(f"{name}.json", text.encode())
    yield Broken("utf16.json", good.encode("utf-16"))
    yield Broken("binary.json", bytes(range(256)) * 10)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from _places(part, (*path, key))


def _set(value: Any, path: Sequence[Any], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


# -- data ------------------------------------------------------------------------------


def npy_bytes(value: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, value, allow_pickle=True)
    return target.getvalue()


def npy_header(text: str, version: tuple[int, int] = (1, 0), body: bytes = b"\0" * 80) -> bytes:
    """An ``.npy`` file with any header."""
    header = text.encode("latin-1")
    size = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + size + header + body


def parquet_broken() -> Iterator[Broken]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return

    def made(**columns: Any) -> bytes:
        target = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), target)
        return target.getvalue()

    good = made(a=np.arange(50.0), b=np.arange(50.0), label=np.arange(50) % 3)
    yield from damaged("rows.parquet", good, 16, cuts=8, flips=24)
    yield Broken("empty.parquet", b"")
    yield Broken("text.parquet", b"PAR1" + b"hello " * 50 + b"PAR1")
    yield Broken("words.parquet", made(a=["x", "y"]))
    yield Broken("nulls.parquet", made(a=[1.0, None]))
    yield Broken("nan.parquet", made(a=[1.0, float("nan")]))
    yield Broken("lists.parquet", made(a=[[1.0], [1.0, 2.0]]))
    yield Broken("labels.parquet", made(label=[1, 2]))
    yield Broken("rows.parquet", made(a=np.arange(0.0)))


def data_broken() -> Iterator[Broken]:
    good = npy_bytes(np.arange(20.0).reshape(5, 4))
    yield from damaged("rows.npy", good, 12, cuts=10, flips=20)
    header = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}\n"
    objects = np.array([[Runs(), 1]], dtype=object)
    headers = {
        "huge": ("'<f8'", f"({HUGE}, {HUGE})"),
        "large": ("'<f8'", "(1000000000, 4)"),
        "negative": ("'<f8'", "(-5, 4)"),
        "text-shape": ("'<f8'", "('a', 4)"),
        "float-shape": ("'<f8'", "(2.5, 4)"),
        "type": ("'<q77'", "(5, 4)"),
        "object": ("'|O'", "(5, 4)"),
        "void": ("'|V8'", "(5, 2)"),
        "strings": ("'<U5'", "(2, 2)"),
        "dates": ("'<M8[D]'", "(5, 2)"),
        "complex": ("'<c16'", "(5, 1)"),
        "records": ("[('a', '<f8'), ('b', '<f8')]", "(5, 1)"),
        "call": ("__import__('os').open('ran', 65)", "(5, 2)"),
        "flat": ("'<f8'", "(10,)"),
        "scalar": ("'<f8'", "()"),
        "no-rows": ("'<f8'", "(0, 4)"),
    }
    for name, (kind, shape) in headers.items():
        yield Broken(f"{name}.npy", npy_header(header.format(kind, shape)))
    yield Broken("version.npy", npy_header("{}", (9, 9)))
    yield Broken("deep.npy", npy_header("(" * 9_000, (2, 0)))
    yield Broken("long.npy", npy_header(" " * 200_000, (2, 0)))
    yield Broken("size.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{")
    yield Broken("pickle.npy", npy_bytes(objects))
    yield Broken("bare-pickle.npy", pickle.dumps(Runs()))
    yield Broken("nan.npy", npy_bytes(np.array([[1.0, np.nan]])))
    yield Broken("inf.npy", npy_bytes(np.array([[1.0, np.inf]])))
    yield Broken("empty.npy", b"")
    archive = _zipped({"inputs.npy": good, "labels.npy": npy_bytes(np.arange(5))})
    yield from damaged("rows.npz", archive, 13, cuts=8, flips=16)
    huge = npy_header(header.format("'<f8'", "(1000000000, 400)"))
    for name, entries in {
        "two-names": {"a.npy": good, "b.npy": good},
        "empty": {},
        "pickle": {"inputs.npy": npy_bytes(objects)},
        "text": {"inputs.npy": b"hello"},
        "bare": {"inputs": b"hello"},
        "outside": {"../../inputs.npy": good},
        "huge": {"inputs.npy": huge},
        "two": {"inputs.npy": good, "x.npy": good},
        "labels": {"labels.npy": npy_bytes(np.arange(5))},
        "label-count": {"x.npy": good, "y.npy": npy_bytes(np.arange(3))},
        "label-kind": {"x.npy": good, "y.npy": npy_bytes(np.array(["a"] * 5))},
        "label-sign": {"x.npy": good, "y.npy": npy_bytes(-np.arange(5))},
        "label-fraction": {"x.npy": good, "y.npy": npy_bytes(np.arange(5) / 2)},
    }.items():
        yield Broken(f"{name}.npz", _zipped(entries))
    yield Broken("bomb.npz", _bomb("inputs.npy", npy_header("{}", body=b"")))
    promised = npy_header(header.format("'<f8'", "(6000000000, 1)"), body=b"")
    yield Broken("promise.npz", _bomb("inputs.npy", promised))
    yield from parquet_broken()
    table = "a,b,label\n1,2,0\n3,4.5,1\n-1e-3,2,0\n"
    yield from damaged("table.csv", table.encode(), 14, cuts=6, flips=16)
    for name, text in {
        "empty": "",
        "header": "a,b,label\n",
        "ragged": "1,2\n3\n",
        "word": "a,b\n1,two\n",
        "blank": "1,\n,2\n",
        "nan": "1,nan\n",
        "infinite": "1,1e999\n",
        "too-large": "1,1e200\n",
        "decimal-commas": "1;2,5\n3;4,5\n",
        "quotes": '"1,2\n3,4\n',
        "nul": "1,2\0\n3,4\n",
        "labels": "a,label,y\n1,0,0\n",
        "label": "a,label\n1,-3\n",
        "wide": "1," * 200_000,
        "cell": "1" * 300_000 + ",1\n",
        "only-labels": "label\n1\n",
        "formula": "=cmd(),1\n",
    }.items():
        yield Broken(f"{name}.csv", text.encode())
    yield Broken("utf16.csv", table.encode("utf-16"))
    idx = b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + bytes(8)
    yield from damaged("rows.idx", idx, 15, cuts=5, flips=10)
    yield Broken("huge.idx", b"\0\0\x08\x03" + struct.pack(">3I", 1 << 31, 1 << 31, 4) + bytes(8))
    yield Broken("axes.idx", b"\0\0\x08\xff" + bytes(2000))
    yield Broken("gz.idx.gz", gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 1 << 20, 60, 60)))
    yield Broken("suffix.xyz", good)
    yield Broken("suffix", good)


# -- certificates ----------------------------------------------------------------------


def sealed(magic: bytes, header: Any, arrays: bytes) -> bytes:
    """A certificate file whose digest fits whatever is in it."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = head + b"\n" + zlib.compress(arrays)
    return magic + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def certificate_broken(good: bytes) -> Iterator[Broken]:
    """From a good file: damaged, and changed with a digest that fits the change."""
    yield from damaged("proof.cert", good, 17, cuts=10, flips=16)
    first, _, rest = good.partition(b"\n")
    magic = first + b"\n"
    head, _, packed = rest.partition(b"\n")[2].partition(b"\n")
    header, arrays = json.loads(head), zlib.decompress(packed)
    stream = random.Random(18)
    values: tuple[Any, ...] = (None, "text", -1, 1e300, [], {}, True, 10**30, HUGE)
    places = list(_places(header))
    for k in range(80):
        changed = json.loads(head)
        _set(changed, stream.choice(places), stream.choice(values))
        yield Broken(f"field{k}.cert", sealed(magic, changed, arrays), refused=False)
    for k in range(30):
        content = bytearray(arrays)
        content[stream.randrange(len(content))] ^= 1 << stream.randrange(8)
        yield Broken(f"number{k}.cert", sealed(magic, header, bytes(content)), refused=False)
    target = zlib.compressobj(1)
    zeros = b"".join(target.compress(bytes(1 << 20)) for _ in range(300)) + target.flush()
    body = head + b"\n" + zeros
    bomb = magic + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    for name, content in {
        "empty": b"",
        "magic": magic,
        "short": sealed(magic, header, arrays[:-9]),
        "long": sealed(magic, header, arrays + bytes(9)),
        "deep": sealed(magic, b"[" * DEEP, arrays),
        "bomb": bomb,
        "no-header": sealed(magic, b"", arrays),
        "other": b"precond certificate 99\n" + rest,
    }.items():
        yield Broken(f"{name}.cert", content)
