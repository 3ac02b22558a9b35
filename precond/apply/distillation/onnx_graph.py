"""ONNX nodes and constants of one graph, which may stand in a branch of another.

Values of the graph around a branch may be read in it; names are therefore unique in the file.
Constants stand in the graph that uses them, so that a runtime can prepare them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from precond.errors import QueryError
from precond.formats.onnx.writer import IR_VERSION, OPSET, onnx_model
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.layers import Node
from precond.network.parts import required

Outputs: TypeAlias = "Sequence[tuple[str, int, Sequence[object]]]"
"""Name, kind and shape of each output."""
Build: TypeAlias = "Callable[[OnnxGraph], str]"


class OnnxGraph:
    """Nodes in order.  ``inside``: the graph that this one is a branch of."""

    def __init__(self, inside: OnnxGraph | None = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._numbers: Iterator[int] = count() if inside is None else inside._numbers

    def op(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: object) -> str:
        name = output or f"{kind}/{next(self._numbers)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: ArrayLike | Tensor, dtype: type[np.generic] = np.float32) -> str:
        name = f"constant/{next(self._numbers)}"
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype=dtype), name))
        return name

    def cast(self, value: str, kind: int) -> str:
        return self.op("Cast", [value], to=kind)

    def top_two(self, scores: str) -> tuple[str, str]:
        """The two largest of each row, and where they stand, (N, 2) each."""
        values, places = (f"TopK/{next(self._numbers)}" for _ in range(2))
        two = self.constant([2], np.int64)
        self.nodes.append(helper.make_node("TopK", [scores, two], [values, places], values))
        return values, places

    def branch(self, condition: str, then: Build, other: Build, *, kind: int) -> str:
        """A value (N,) that one of two graphs gives, by a condition (a single bool)."""
        name = f"If/{next(self._numbers)}"
        node = helper.make_node("If", [condition], [name], name)
        for key, build in (("then_branch", then), ("else_branch", other)):
            inner = OnnxGraph(inside=self)
            result = build(inner)
            graph = inner.proto("branch", [], [(result, kind, ["batch"])])
            node.attribute.append(helper.make_attribute(key, graph))
        self.nodes.append(node)
        return name

    def segment(self, network: Network, source: str, target: str, value: str) -> str:
        """The network's nodes from ``source``, which is ``value`` here, to ``target``."""
        model = onnx_model(part(network, source, target), short=True)
        prefix = f"part/{next(self._numbers)}/"
        names = {INPUT: value}

        def renamed(name: str) -> str:
            return names.get(name, f"{prefix}{name}" if name else "")

        for constant in model.graph.initializer:
            constant.name = renamed(constant.name)
            self.constants.append(constant)
        for node in model.graph.node:
            node.name = prefix + node.name
            node.input[:] = [renamed(name) for name in node.input]
            node.output[:] = [renamed(name) for name in node.output]
            self.nodes.append(node)
        return renamed(model.graph.output[0].name)

    def proto(self, name: str, inputs: Outputs, outputs: Outputs) -> onnx.GraphProto:
        given, results = (
            [helper.make_tensor_value_info(*one) for one in some] for some in (inputs, outputs)
        )
        return helper.make_graph(self.nodes, name, given, results, initializer=self.constants)

    def model(self, inputs: Outputs, outputs: Outputs) -> onnx.ModelProto:
        return helper.make_model(
            self.proto("fast path", inputs, outputs),
            producer_name="precond",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )


def part(network: Network, source: str, target: str) -> Network:
    """The network from the value ``source`` (its input) to ``target`` (its output)."""
    needed = required(network, source, [target])
    if not needed:
        raise QueryError(f"part from {source} to {target}", expected="layers between", got="none")
    nodes = tuple(
        Node(n.name, n.layer, tuple(INPUT if s == source else s for s in n.inputs))
        for n in network.nodes
        if n.name in needed
    )
    none = OutputActivation.NONE
    last = network.output_activation if target == network.output else none
    return replace(
        network,
        nodes=nodes,
        input_shape=network.shapes[source],
        output_activation=last,
        tensor_names={},
    )


def number_kind(network: Network) -> int:
    """The kind of numbers that the whole network is written in."""
    return int(onnx_model(network, short=True).graph.input[0].type.tensor_type.elem_type)


FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
