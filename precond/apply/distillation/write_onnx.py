"""A fast path as ONNX files, one for each exit and one for the rest of the network.

``stage-K.onnx`` reads ``value`` (for the first, the network's input) and gives ``label``
(N,) int64, ``early`` (N,) bool, and ``next``, the value from which the others go on.  With
proved rules a ``holding`` (N, R) bool goes in and comes out as well; ``boxes.onnx`` makes the
first one from the inputs.  ``rest.onnx`` is the rest of the network, to its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from precond.apply.distillation.path import FastPath
from precond.apply.distillation.proved_rules import Checkpoint, RuleBoxes
from precond.apply.distillation.votes import VoteExit
from precond.apply.packed import PackedRules
from precond.errors import OutputError, QueryError
from precond.formats.onnx.writer import IR_VERSION, OPSET, onnx_model
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Node
from precond.network.parts import required


def write_stages(path: FastPath, folder: Path) -> list[Path]:
    """Write the ONNX files of a fast path into ``folder``; the files, in order of use."""
    network = path.network
    models: dict[str, onnx.ModelProto] = {}
    if path.boxes is not None:
        models["boxes"] = _boxes(path.boxes, network)
    cuts = [INPUT, *(cast(str, exit.cut) for exit in path.exits)]
    for number, (source, cut) in enumerate(pairwise(cuts), start=1):
        models[f"stage-{number}"] = _stage(path, number - 1, source, cut)
    rest = part(network, cuts[-1], network.output)
    models["rest"] = _value_in(onnx_model(rest))
    files = []
    for name, model in models.items():
        onnx.checker.check_model(model, full_check=True)
        file = folder / f"{name}.onnx"
        try:
            file.write_bytes(model.SerializeToString(deterministic=True))
        except OSError as error:
            raise OutputError(f"{file} cannot be written: {error.strerror or error}") from error
        files.append(file)
    return files


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


class _Graph:
    """Nodes and constants added behind a network's part."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: object) -> str:
        name = output or f"exit/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: ArrayLike | Tensor, dtype: type[np.generic] = np.float32) -> str:
        name = f"exit/constant{len(self.constants)}"
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype=dtype), name))
        return name

    def cast(self, value: str, kind: int) -> str:
        return self.op("Cast", [value], to=kind)


def _stage(path: FastPath, number: int, source: str, cut: str) -> onnx.ModelProto:
    network, exit = path.network, path.exits[number]
    graph = _Graph()
    kind = TensorProto.FLOAT
    value = INPUT
    if source != cut:
        before = onnx_model(part(network, source, cut))
        kind = before.graph.output[0].type.tensor_type.elem_type
        graph.nodes.extend(before.graph.node)
        graph.constants.extend(before.graph.initializer)
        value = before.graph.output[0].name
    inputs = [helper.make_tensor_value_info(INPUT, kind, ["batch", *network.shapes[source]])]
    graph.op("Identity", [value], "next")
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("early", TensorProto.BOOL, ["batch"]),
        helper.make_tensor_value_info("next", kind, ["batch", *network.shapes[cut]]),
    ]
    flat = value if kind == TensorProto.FLOAT else graph.cast(value, TensorProto.FLOAT)
    if isinstance(exit, VoteExit):
        _votes(graph, exit, flat)
    else:
        assert isinstance(exit, Checkpoint)
        rules = len(exit.rules)
        inputs.append(helper.make_tensor_value_info("holding", TensorProto.BOOL, ["batch", rules]))
        outputs.append(helper.make_tensor_value_info("held", TensorProto.BOOL, ["batch", rules]))
        _checkpoint(graph, exit, flat)
    made = helper.make_graph(graph.nodes, "stage", inputs, outputs, initializer=graph.constants)
    return _value_in(_model(made))


def _votes(graph: _Graph, exit: VoteExit, value: str) -> None:
    """Probe, two weighted sums with comparisons, softmax and threshold."""
    probe, vote = exit.probe, exit.vote
    if probe.layer is not None:
        weights = [graph.constant(cast(Tensor, w)) for w in (probe.weight, probe.bias)]
        if isinstance(probe.layer, Conv2d):
            layer = probe.layer
            value = graph.op(
                "Conv",
                [value, *weights],
                kernel_shape=layer.weight.shape[2:],
                strides=[s * probe.step for s in layer.stride],
                pads=layer.padding,
                dilations=layer.dilation,
                group=layer.groups,
            )
        else:
            assert isinstance(probe.layer, Affine)
            value = graph.op("Gemm", [value, *weights], transB=1)
    axis = graph.constant([1], np.int64)
    value = graph.op("Unsqueeze", [graph.op("Flatten", [value], axis=1), axis])
    levels = graph.constant(cast(Tensor, exit.levels))
    fires = graph.op("Flatten", [graph.op("Greater", [value, levels])], axis=1)
    fired = graph.op("Greater", [_sums(graph, vote.rules, fires), graph.constant(0.0)])
    value = _sums(graph, vote.votes, fired)
    shares = graph.op("Softmax", [value], axis=1)
    confidence = graph.op("ReduceMax", [shares], axes=[1], keepdims=0)
    graph.op("ArgMax", [shares], "label", axis=1, keepdims=0)
    threshold = graph.constant(cast(Tensor, exit.threshold))
    graph.op("GreaterOrEqual", [confidence, threshold], "early")


def _sums(graph: _Graph, layer: nn.Linear, bits: str) -> str:
    weights = [graph.constant(layer.weight), graph.constant(layer.bias)]
    return graph.op("Gemm", [graph.cast(bits, TensorProto.FLOAT), *weights], transB=1)


def _checkpoint(graph: _Graph, exit: Checkpoint, value: str) -> None:
    """Which rules still hold, and the label of one that is complete."""
    rules: PackedRules = exit.rules
    index = graph.constant([d.index for d in rules.decisions], np.int64)
    limits = graph.constant([d.threshold for d in rules.decisions], np.float64)
    z = graph.op("Gather", [graph.op("Flatten", [value], axis=1), index], axis=1)
    bits = graph.op("Greater", [graph.cast(z, TensorProto.DOUBLE), limits])
    weights = [graph.constant(cast(Tensor, w)) for w in (rules.weight, rules.plain)]
    violated = graph.op("Gemm", [graph.cast(bits, TensorProto.FLOAT), *weights])
    holds = graph.op("Less", [violated, graph.constant(0.5)])
    held = graph.op("And", ["holding", holds], "held")
    if not exit.completes:
        nothing = graph.op("ReduceMax", [violated], axes=[1], keepdims=0)
        none = graph.op("Mul", [nothing, graph.constant(0.0)])
        graph.op("Cast", [none], "label", to=TensorProto.INT64)
        graph.op("Cast", [none], "early", to=TensorProto.BOOL)
        return
    complete = graph.constant(cast(Tensor, exit.complete), np.int64)
    done = graph.cast(graph.op("Gather", [held, complete], axis=1), TensorProto.FLOAT)
    which = graph.op("ArgMax", [done], axis=1, keepdims=0)
    graph.op("Gather", [graph.constant(cast(Tensor, exit.labels), np.int64), which], "label")
    some = graph.op("ReduceMax", [done], axes=[1], keepdims=0)
    graph.op("Greater", [some, graph.constant(0.5)], "early")


def _boxes(boxes: RuleBoxes, network: Network) -> onnx.ModelProto:
    graph = _Graph()
    x = graph.cast(graph.op("Flatten", [INPUT], axis=1), TensorProto.DOUBLE)
    inside = []
    axis = graph.constant([1], np.int64)
    for low, high in zip(cast(Tensor, boxes.lower), cast(Tensor, boxes.upper), strict=True):
        above = graph.op("GreaterOrEqual", [x, graph.constant(low, np.float64)])
        below = graph.op("LessOrEqual", [x, graph.constant(high, np.float64)])
        each = graph.cast(graph.op("And", [above, below]), TensorProto.FLOAT)
        every = graph.op("ReduceMin", [each], axes=[1], keepdims=0)
        inside.append(graph.op("Unsqueeze", [every, axis]))
    joined = inside[0] if len(inside) == 1 else graph.op("Concat", inside, axis=1)
    of_rule = graph.constant(cast(Tensor, boxes.of_rule), np.int64)
    chosen = graph.op("Gather", [joined, of_rule], axis=1)
    graph.op("Cast", [chosen], "holding", to=TensorProto.BOOL)
    rules = len(cast(Tensor, boxes.of_rule))
    source = helper.make_tensor_value_info(
        INPUT, TensorProto.FLOAT, ["batch", *network.input_shape]
    )
    result = helper.make_tensor_value_info("holding", TensorProto.BOOL, ["batch", rules])
    made = helper.make_graph(graph.nodes, "boxes", [source], [result], initializer=graph.constants)
    return _value_in(_model(made))


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(
        graph,
        producer_name="precond",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )


def _value_in(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with its input named ``value``."""
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            if name == INPUT:
                node.input[k] = "value"
    model.graph.input[0].name = "value"
    return model
