"""A fast path as one ONNX file: exits are branches (``If``) of one graph.

The input is ``input`` (N, …).  The outputs are ``label`` (N,) int64, and ``exit`` (N,) int64, the
number of the exit that answered (the number of exits: the whole network).  Where an exit answers
all rows, which is how one row alone leaves early, nothing after it is computed.  Otherwise the
rows that it leaves are gathered, go on together, and their answers are put back.

Inside, both outputs are one number, label + classes · exit: every operation on a single row costs
about as much as a small layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor

from precond.apply.distillation.linear_exit import LinearExit
from precond.apply.distillation.onnx_exits import allowed, checked, judged
from precond.apply.distillation.onnx_graph import FLOAT, OnnxGraph, Outputs, number_kind
from precond.apply.distillation.path import Exit, FastPath
from precond.apply.distillation.proved_rules import Checkpoint
from precond.apply.distillation.votes import VoteExit
from precond.errors import OutputError
from precond.network.graph import INPUT, Network

INT, BOOL = TensorProto.INT64, TensorProto.BOOL


def write_fast_path_onnx(path: FastPath, file: Path) -> None:
    """Write the fast path to ``file``; OutputError where it cannot be written."""
    model = fast_path_model(path)
    onnx.checker.check_model(model, full_check=True)
    try:
        file.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror or error}") from error


def fast_path_model(path: FastPath) -> onnx.ModelProto:
    """One graph of all exits and of the rest of the network."""
    network, graph = path.network, OnnxGraph()
    exits = cast(Sequence[Exit], list(path.exits))
    holding = "" if path.boxes is None else allowed(graph, path.boxes, INPUT)
    here = _Place(network, exits, number_kind(network))
    both = here.go_on(graph, _Value(INPUT, INPUT, holding), 0)
    classes = graph.constant(network.classes.count, np.int64)
    graph.op("Mod", [both, classes], "label")
    graph.op("Div", [both, classes], "exit")
    outputs = [("label", INT, ["batch"]), ("exit", INT, ["batch"])]
    return graph.model(_inputs(network, here.kind), outputs)


def plain_model(network: Network) -> onnx.ModelProto:
    """The whole network, inputs to ``label``."""
    graph = OnnxGraph()
    graph.op("Identity", [_whole(graph, network, INPUT, value=INPUT)], "label")
    return graph.model(_inputs(network, number_kind(network)), [("label", INT, ["batch"])])


def part_model(network: Network, source: str, target: str) -> onnx.ModelProto:
    """The network from ``source`` to ``target``: what a stage costs."""
    graph = OnnxGraph()
    kind = number_kind(network)
    graph.op("Identity", [graph.segment(network, source, target, value=INPUT)], "value")
    given = [(INPUT, kind, ["batch", *network.shapes[source]])]
    return graph.model(given, [("value", kind, ["batch", *network.shapes[target]])])


def exit_model(network: Network, exit: VoteExit | LinearExit) -> onnx.ModelProto:
    """An exit alone, from the value at its cut: what it costs."""
    graph = OnnxGraph()
    kind = number_kind(network)
    label, confidence = judged(graph, exit, _single(graph, INPUT, kind))
    graph.op("Identity", [label], "label")
    graph.op("Identity", [confidence], "confidence")
    given = [(INPUT, kind, ["batch", *network.shapes[exit.cut]])]
    return graph.model(given, [("label", INT, ["batch"]), ("confidence", FLOAT, ["batch"])])


def _inputs(network: Network, kind: int) -> Outputs:
    return [(INPUT, kind, ["batch", *network.input_shape])]


def _single(graph: OnnxGraph, value: str, kind: int) -> str:
    return value if kind == FLOAT else graph.cast(value, FLOAT)


def _whole(graph: OnnxGraph, network: Network, source: str, value: str) -> str:
    """The class that the rest of the network gives."""
    logits = graph.op(
        "Flatten", [graph.segment(network.logits, source, network.output, value=value)]
    )
    if not network.classes.binary:
        return graph.op("ArgMax", [logits], axis=1, keepdims=0)
    limit = graph.cast(graph.constant(network.classes.low, np.float64), number_kind(network))
    above = graph.cast(graph.op("Greater", [logits, limit]), INT)
    return graph.op("Squeeze", [above, graph.constant([1], np.int64)])


@dataclass(frozen=True)
class _Value:
    """A value under way: its name in the graph, its node of the network, the rules that hold."""

    name: str
    node: str
    holding: str


@dataclass(frozen=True)
class _Place:
    """What the graph is made of."""

    network: Network
    exits: Sequence[Exit]
    kind: int

    def go_on(self, graph: OnnxGraph, value: _Value, number: int) -> str:
        """Label and exit, as one number, of all rows of ``value``, from exit ``number`` on."""
        if number == len(self.exits):
            label = _whole(graph, self.network, value.node, value=value.name)
            return self._both(graph, label, number)
        exit = self.exits[number]
        name = value.name
        if exit.cut != value.node:
            name = graph.segment(self.network, value.node, exit.cut, value=name)
        if isinstance(exit, Checkpoint):
            label, early, held = checked(graph, exit, name, holding=value.holding)
            value = _Value(name, exit.cut, held)
            if not exit.completes:
                return self.go_on(graph, value, number + 1)
            sure, limit = graph.cast(early, FLOAT), 0.5
        else:
            assert isinstance(exit, VoteExit | LinearExit)
            label, sure = judged(graph, exit, _single(graph, name, self.kind))
            value = _Value(name, exit.cut, value.holding)
            limit = float(cast(Tensor, exit.threshold))
        label = self._both(graph, label, number)
        least = graph.op("ReduceMin", [sure], keepdims=0)
        every = graph.op("GreaterOrEqual", [least, graph.constant(limit)])

        def all_early(inner: OnnxGraph) -> str:
            return inner.op("Identity", [label])

        def some_go_on(inner: OnnxGraph) -> str:
            on = inner.op("NonZero", [inner.op("Less", [sure, inner.constant(limit)])])
            rows = inner.op("Squeeze", [on, inner.constant([0], np.int64)])
            left = _Value(
                inner.op("Gather", [value.name, rows], axis=0),
                value.node,
                value.holding and inner.op("Gather", [value.holding, rows], axis=0),
            )
            late = self.go_on(inner, left, number + 1)
            return inner.op("ScatterElements", [label, rows, late], axis=0)

        return graph.branch(every, all_early, some_go_on, kind=INT)

    def _both(self, graph: OnnxGraph, label: str, number: int) -> str:
        if not number:
            return label
        return graph.op(
            "Add", [label, graph.constant(number * self.network.classes.count, np.int64)]
        )
