"""``Network`` → ONNX file.

The file computes the network's real function exactly as ``layers.py`` states it, with node
and tensor names taken from the network.  Numbers are float32 when every one of them is a
float32 already, else float64.  A factor that stands for the reciprocal of a float (a mean, an
average pool, a division) is written as that division or mean.  Other constants that no float
holds (a batch normalisation's roots) are written as the nearest ones: such a file holds another
network, with a hash of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from precond.errors import ModelError, OutputError
from precond.network.activation import OutputActivation
from precond.network.constants import Range, Real, apply, plain, true
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Array,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Shape,
    Sum,
)

OPSET = 13
IR_VERSION = 8
FINAL = {
    OutputActivation.SOFTMAX: "Softmax",
    OutputActivation.LOG_SOFTMAX: "LogSoftmax",
    OutputActivation.SIGMOID: "Sigmoid",
}


def write_onnx(network: Network, path: str | Path) -> None:
    """Writes ``network`` (batch axis open) to ``path``; ``OutputError`` if it cannot be written."""
    model = onnx_model(network)
    try:
        Path(path).write_bytes(model.SerializeToString())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def onnx_model(network: Network, *, short: bool = False) -> onnx.ModelProto:
    """The ONNX model of ``network``, in float32 if that is exact, else in float64.

    ``short``: constants that stand for others which no float holds do not ask for float64; for
    runtimes that have no convolutions in it.
    """
    writer = _Writer(network, np.float32, short=short)
    if not writer.exact:
        writer = _Writer(network, np.float64)
    kind = TensorProto.FLOAT if writer.dtype == np.float32 else TensorProto.DOUBLE
    batch = "batch"
    result = helper.make_tensor_value_info(
        writer.result, kind, [batch, *network.shapes[network.output]]
    )
    source = helper.make_tensor_value_info(INPUT, kind, [batch, *network.input_shape])
    graph = helper.make_graph(
        writer.nodes, "network", [source], [result], initializer=writer.initializers
    )
    return helper.make_model(
        graph,
        producer_name="precond",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )


class _Writer:
    """ONNX nodes and initialisers of a network in one number type."""

    def __init__(self, network: Network, dtype: type[np.floating], *, short: bool = False) -> None:
        self.network = network
        self.short = short
        self.dtype = dtype
        self.exact = True
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.result = network.output
        for node in network.nodes:
            self._write(node, [network.shapes[source] for source in node.inputs])
        if network.output_activation is not OutputActivation.NONE:
            self._final(network.output_activation)

    def _write(self, node: Node, shapes: Sequence[Shape]) -> None:
        name, inputs = node.name, node.inputs
        match node.layer:
            case Affine(weight, bias):
                self._affine(name, inputs[0], weight, bias=bias, rank=len(shapes[0]))
            case Conv2d():
                layer = node.layer
                self._node(
                    "Conv",
                    [inputs[0], self._numbers(name, "weight", layer.weight)]
                    + [self._numbers(name, "bias", layer.bias)] * bool(layer.bias.any()),
                    name,
                    kernel_shape=layer.weight.shape[2:],
                    strides=layer.stride,
                    pads=layer.padding,
                    dilations=layer.dilation,
                    group=layer.groups,
                )
            case Scale():
                self._scale(name, inputs[0], node.layer)
            case Reshape(shape):
                target = self._integers(name, "shape", (0, *shape))
                self._node("Reshape", [inputs[0], target], name)
            case Select():
                self._select(name, inputs[0], node.layer, size=math.prod(shapes[0]))
            case Sum():
                self._sum(name, inputs[0], node.layer, shape=shapes[0])
            case Add(coefficients):
                self._add(name, inputs, coefficients)
            case Concat(axis):
                self._node("Concat", inputs, name, axis=axis + 1)
            case ReLU():
                self._node("Relu", inputs, name)
            case LeakyReLU(slope):
                self._leaky(name, inputs[0], slope)
            case MaxPool2d():
                pool = node.layer
                self._node(
                    "MaxPool",
                    inputs,
                    name,
                    kernel_shape=pool.kernel,
                    strides=pool.stride,
                    pads=pool.padding,
                    dilations=pool.dilation,
                    ceil_mode=int(pool.ceil_mode),
                )

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def _part(self, name: str, part: str) -> str:
        """A tensor name for a part of a node, unlike every node's name."""
        result = f"{name}/{part}"
        while result in self.network.shapes:
            result += "_"
        return result

    def _numbers(self, name: str, part: str, values: ArrayLike) -> str:
        exact = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore"):
            written = exact.astype(self.dtype)
        if not (self.short and self._is_near(name, part)):
            self.exact &= bool((written.astype(np.float64) == exact).all())
        return self._initializer(self._part(name, part), written)

    def _is_near(self, name: str, part: str) -> bool:
        """Whether these constants stand for others that no float holds."""
        node = self.network.node.get(name)
        return node is not None and getattr(node.layer, f"{part}_range", None) is not None

    def _integers(self, name: str, part: str, values: ArrayLike) -> str:
        return self._initializer(self._part(name, part), np.asarray(values, dtype=np.int64))

    def _initializer(self, tensor: str, values: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(values, tensor))
        return tensor

    def _affine(self, name: str, source: str, weight: Array, bias: Array, rank: int) -> None:
        if rank == 1:
            factors = [source, self._numbers(name, "weight", weight)]
            factors += [self._numbers(name, "bias", bias)] * bool(bias.any())
            self._node("Gemm", factors, name, transB=1)
            return
        product = self._part(name, "product") if bias.any() else name
        self._node("MatMul", [source, self._numbers(name, "weight", weight.T)], product)
        if bias.any():
            self._node("Add", [product, self._numbers(name, "bias", bias)], name)

    def _scale(self, name: str, source: str, layer: Scale) -> None:
        factor, shift = layer.factor, layer.shift
        product = self._part(name, "product") if shift.any() else name
        divisor = _divisor(layer.factor_range)
        if divisor is not None:
            self._node("Div", [source, self._numbers(name, "divisor", divisor)], product)
        elif (factor != 1.0).any() or not shift.any():
            self._node("Mul", [source, self._numbers(name, "factor", factor)], product)
        else:
            product = source
        if shift.any():
            self._node("Add", [product, self._numbers(name, "shift", shift)], name)

    def _select(self, name: str, source: str, layer: Select, size: int) -> None:
        flat = self._node("Flatten", [source], self._part(name, "flat"), axis=1)
        index = layer.index
        if (index < 0).any():
            pads = self._integers(name, "pads", (0, 0, 0, 1))
            fill = self._numbers(name, "fill", layer.fill)
            flat = self._node("Pad", [flat, pads, fill], self._part(name, "padded"))
            index = np.where(index < 0, size, index)
        chosen = self._integers(name, "index", index)
        if len(layer.shape) == 1:
            self._node("Gather", [flat, chosen], name, axis=1)
            return
        picked = self._node("Gather", [flat, chosen], self._part(name, "picked"), axis=1)
        shape = self._integers(name, "shape", (0, *layer.shape))
        self._node("Reshape", [picked, shape], name)

    def _sum(self, name: str, source: str, layer: Sum, shape: Shape) -> None:
        axes = [axis + 1 for axis in layer.axes]
        if len(axes) == len(shape) and not layer.keepdims:  # one number: its axis stays
            self._sum(self._part(name, "all"), source, replace(layer, keepdims=True), shape=shape)
            target = self._integers(name, "shape", (0, 1))
            self._node("Reshape", [self._part(name, "all"), target], name)
            return
        keep = int(layer.keepdims)
        count = math.prod(shape[axis] for axis in layer.axes)
        share = true(layer.scale, layer.scale_range).item()
        if count > 1 and Real.of(share) == Fraction(1, count):
            self._node("ReduceMean", [source], name, axes=axes, keepdims=keep)
            return
        total = name if layer.scale == 1.0 else self._part(name, "sum")
        places = self._integers(name, "axes", axes)
        self._node("ReduceSum", [source, places], total, keepdims=keep)
        if layer.scale != 1.0:
            self._node("Mul", [total, self._numbers(name, "scale", layer.scale)], name)

    def _add(self, name: str, inputs: Sequence[str], coefficients: Sequence[float]) -> None:
        terms = [
            source
            if coefficient == 1.0 or (coefficient == -1.0 and i > 0)
            else self._node(
                "Mul",
                [source, self._numbers(name, f"coefficient{i}", coefficient)],
                self._part(name, f"term{i}"),
            )
            for i, (source, coefficient) in enumerate(zip(inputs, coefficients, strict=True))
        ]
        if len(terms) == 1:
            self._node("Identity", terms, name)
        total = terms[0]
        for i, term in enumerate(terms[1:], start=1):
            output = name if i == len(terms) - 1 else self._part(name, f"sum{i}")
            kind = "Sub" if coefficients[i] == -1.0 else "Add"
            total = self._node(kind, [total, term], output)

    def _leaky(self, name: str, source: str, slope: float) -> None:
        if slope == float(np.float32(slope)):
            self._node("LeakyRelu", [source], name, alpha=slope)
        else:
            self._node("PRelu", [source, self._numbers(name, "slope", slope)], name)

    def _final(self, activation: OutputActivation) -> None:
        shape = self.network.shapes[self.network.output]
        result = self._part(self.result, activation.value)
        if activation is OutputActivation.SIGMOID:
            self.result = self._node("Sigmoid", [self.result], result)
            return
        wide = [axis for axis, size in enumerate(shape) if size > 1] or [0]
        if len(wide) > 1:
            raise ModelError(
                f"last {activation.value} of shape {shape}",
                expected="one over one axis",
                got=f"{len(wide)} axes",
            )
        self.result = self._node(FINAL[activation], [self.result], result, axis=wide[0] + 1)


def _divisor(known: Range | None) -> Array | None:
    """The floats that the constants are the reciprocals of, if they are."""
    if known is None or not known.known or not known.stored.all():
        return None
    found = plain(apply(lambda low: Real(1 / low), known.low))
    return None if found.dtype == np.object_ else found
