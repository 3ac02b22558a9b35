"""Exits of a fast path as ONNX nodes: from the value at the cut to a label and how sure it is."""

from __future__ import annotations

from typing import cast

import numpy as np
from onnx import TensorProto
from torch import Tensor

from precond.apply.distillation.linear_exit import LinearExit
from precond.apply.distillation.onnx_graph import FLOAT, OnnxGraph
from precond.apply.distillation.proved_rules import Checkpoint, RuleBoxes
from precond.apply.distillation.reading import Probe
from precond.apply.distillation.votes import VoteExit
from precond.apply.packed import PackedRules
from precond.network.layers import Affine


def judged(graph: OnnxGraph, exit: VoteExit | LinearExit, value: str) -> tuple[str, str]:
    """Label (N,) int64 and confidence (N,) float32."""
    scores = (
        _votes(graph, exit, value) if isinstance(exit, VoteExit) else _linear(graph, exit, value)
    )
    two, places = graph.top_two(scores)
    confidence = graph.op("MatMul", [two, graph.constant([1.0, -1.0])])
    return graph.op("Gather", [places, graph.constant(0, np.int64)], axis=1), confidence


def _votes(graph: OnnxGraph, exit: VoteExit, value: str) -> str:
    """Decisions, one product of whole numbers for all rules, and the votes of those that fire."""
    z = _probed(graph, exit.probe, value)
    levels = exit.levels
    if len(levels) > 1:
        z = graph.op("Unsqueeze", [z, graph.constant([1], np.int64)])
    bits = graph.op("Greater", [z, graph.constant(levels)])
    if len(levels) > 1:
        bits = graph.op("Flatten", [bits], axis=1)
    vote = exit.vote
    weight = graph.constant(vote.weight.T, np.int8)
    sums = graph.op("MatMulInteger", [graph.cast(bits, TensorProto.UINT8), weight])
    fired = graph.op("Greater", [sums, graph.constant(vote.limit, np.int32)])
    votes = [graph.constant(vote.votes.T), graph.constant(vote.start)]
    return graph.op("Gemm", [graph.cast(fired, FLOAT), *votes])


def _linear(graph: OnnxGraph, exit: LinearExit, value: str) -> str:
    if exit.probe is None:
        flat = graph.op("Flatten", [value], axis=1)
    else:
        flat = graph.op("Relu", [_probed(graph, exit.probe, value)])
    weights = [graph.constant(exit.linear.weight), graph.constant(exit.linear.bias)]
    return graph.op("Gemm", [flat, *weights], transB=1)


def _probed(graph: OnnxGraph, probe: Probe, value: str) -> str:
    """The pre-activations that are read, (N, m)."""
    layer = probe.layer
    if layer is not None:
        weights = [graph.constant(cast(Tensor, w)) for w in (probe.weight, probe.bias)]
        if isinstance(layer, Affine):
            return graph.op("Gemm", [value, *weights], transB=1)
        value = graph.op(
            "Conv",
            [value, *weights],
            kernel_shape=layer.weight.shape[2:],
            strides=[s * probe.step for s in layer.stride],
            pads=layer.padding,
            dilations=layer.dilation,
            group=layer.groups,
        )
    return graph.op("Flatten", [value], axis=1)


def checked(graph: OnnxGraph, exit: Checkpoint, value: str, holding: str) -> tuple[str, str, str]:
    """Label (N,), whether it is proved (N,), and the rules that still hold (N, R) bool."""
    rules: PackedRules = exit.rules
    index = graph.constant([d.index for d in rules.decisions], np.int64)
    limits = graph.constant([d.threshold for d in rules.decisions], np.float64)
    z = graph.op("Gather", [graph.op("Flatten", [value], axis=1), index], axis=1)
    bits = graph.op("Greater", [graph.cast(z, TensorProto.DOUBLE), limits])
    weights = [graph.constant(cast(Tensor, w)) for w in (rules.weight, rules.plain)]
    violated = graph.op("Gemm", [graph.cast(bits, FLOAT), *weights])
    held = graph.op("And", [holding, graph.op("Less", [violated, graph.constant(0.5)])])
    if not exit.completes:
        return "", "", held
    complete = graph.constant(cast(Tensor, exit.complete), np.int64)
    done = graph.cast(graph.op("Gather", [held, complete], axis=1), FLOAT)
    which = graph.op("ArgMax", [done], axis=1, keepdims=0)
    label = graph.op("Gather", [graph.constant(cast(Tensor, exit.labels), np.int64), which])
    some = graph.op("ReduceMax", [done], axes=[1], keepdims=0)
    return label, graph.op("Greater", [some, graph.constant(0.5)]), held


def allowed(graph: OnnxGraph, boxes: RuleBoxes, value: str) -> str:
    """The rules whose boxes hold the input, (N, R) bool."""
    x = graph.cast(graph.op("Flatten", [value], axis=1), TensorProto.DOUBLE)
    inside = []
    axis = graph.constant([1], np.int64)
    for low, high in zip(cast(Tensor, boxes.lower), cast(Tensor, boxes.upper), strict=True):
        above = graph.op("GreaterOrEqual", [x, graph.constant(low, np.float64)])
        below = graph.op("LessOrEqual", [x, graph.constant(high, np.float64)])
        each = graph.cast(graph.op("And", [above, below]), FLOAT)
        every = graph.op("ReduceMin", [each], axes=[1], keepdims=0)
        inside.append(graph.op("Unsqueeze", [every, axis]))
    joined = inside[0] if len(inside) == 1 else graph.op("Concat", inside, axis=1)
    of_rule = graph.constant(cast(Tensor, boxes.of_rule), np.int64)
    chosen = graph.op("Gather", [joined, of_rule], axis=1)
    return graph.cast(chosen, TensorProto.BOOL)
