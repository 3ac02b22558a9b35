"""ONNX model file → ``Network``.

Subgraphs of constants are folded by ONNX's reference implementation in the file's own
number types; everything that depends on the input becomes layers (``onnx_operators.py``).
External data is read only from the model's own folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from precond.errors import ModelError
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import NetworkBuilder, Value
from precond.formats.lowering.interface import (
    InputShape,
    Source,
    closed,
    one_alone,
    opened,
    output_names,
    shapes_by_name,
    source_of,
)
from precond.formats.lowering.last_activation import two_probabilities
from precond.formats.lowering.refusals import refused
from precond.formats.onnx.call import Call
from precond.formats.onnx.file import BROKEN, array_of, one_line, parse
from precond.formats.onnx.folding import SAME_EVERYWHERE, Folder
from precond.formats.onnx.graph import ordered
from precond.formats.onnx.operators import OPERATORS
from precond.formats.onnx.schema import DOMAINS, check_node, name_of, opset_of
from precond.formats.onnx.two_classes import pair_of
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.network.layers import Shape

FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
PASSED_THROUGH = ("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


def read_onnx(
    path: Path, input_shape: InputShape | None = None, output: str | None = None
) -> Network:
    """The network in an ONNX file; of several outputs all, or the one named ``output``.

    ``input_shape`` (no batch axis) is needed where the file leaves other axes than the
    first open.  Raises ``ModelError`` for a broken file, ``UnsupportedOperator`` for an
    operator that has no exact meaning as layers.
    """
    try:
        return _read(parse(path), path, input_shape, wanted=output)
    except (onnx.checker.ValidationError, *BROKEN) as error:
        raise ModelError(f"{path}", expected="an ONNX model", got=one_line(error)) from error


def _read(
    model: onnx.ModelProto, path: Path, input_shape: InputShape | None, wanted: str | None
) -> Network:
    graph = model.graph
    opset = opset_of(model, str(path))
    chosen = output_names([item.name for item in graph.output], wanted, str(path))
    weights = {tensor.name: tensor for tensor in graph.initializer}
    if len(weights) < len(graph.initializer):
        raise ModelError(f"{path}: weights", expected="a name for each", got="a name twice")
    inputs = {item.name: item for item in graph.input if item.name not in weights}
    nodes = ordered(graph, chosen, {**weights, **inputs}, origin=str(path))
    read = {*chosen, *(name for node in nodes for name in node.input)}
    constants: dict[str, Operand | None] = {
        name: array_of(tensor, path) for name, tensor in weights.items() if name in read
    }
    used = [item for name, item in inputs.items() if name in read] or list(inputs.values())
    names = [item.name for item in used]
    given = shapes_by_name(input_shape, names, str(path))
    sources = [_source(item, given[item.name], str(path)) for item in used]
    try:
        builder, own = opened(str(path), sources)
    except ModelError as error:
        raise ModelError(f"{path}: inputs {', '.join(names)}: {error}") from error
    builder.other_arithmetic += _number_types(graph, names)
    values: dict[str, Operand | None] = {**constants, **own}
    finals = _finals(graph, chosen[0]) if len(chosen) == 1 else set()
    labels = Counter(node.name for node in nodes)
    folder = Folder(opset)
    pair = pair_of(nodes, finals, constants)
    for node in nodes:
        if pair is not None and node.output[0] in pair.within:
            continue
        where = f"{path}: node {node.name or ', '.join(node.output)!s} ({node.op_type})"
        builder.label = node.name if labels[node.name] == 1 else ""
        try:
            logit = values.get(pair.logit) if pair and node.output[0] == pair.result else None
            results: Sequence[Operand] = (
                [two_probabilities(builder, logit)]
                if isinstance(logit, Value)
                else _convert(node, builder, values, folder=folder, finals=finals)
            )
        except ModelError as error:
            raise type(error)(f"{where}: {error}{one_alone(chosen)}") from error
        except BROKEN as error:
            raise ModelError(f"{where} is malformed: {one_line(error)}") from error
        for tensor, result in zip(node.output, results, strict=False):
            values[tensor] = result
            activated = builder.output_activation is not OutputActivation.NONE and tensor in finals
            if isinstance(result, Value) and not activated:
                builder.tensors[tensor] = result.name
    return closed(builder, [(name, _output(name, values, path)) for name in chosen])


def _output(name: str, values: Mapping[str, Operand | None], path: Path) -> Operand:
    result = values.get(name)
    if result is None:
        raise ModelError(
            f"{path}: output {name!r}", expected="a tensor of the file", got="no node that makes it"
        )
    return result


def _convert(
    node: onnx.NodeProto,
    builder: NetworkBuilder,
    values: Mapping[str, Operand | None],
    folder: Folder,
    finals: set[str],
) -> Sequence[Operand]:
    operands: list[Operand | None] = []
    for name in node.input:
        if name and name not in values:
            raise ModelError(f"input {name!r}", expected="a tensor of the file", got="none")
        operands.append(values[name] if name else None)
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    known = node.domain in DOMAINS
    if known and not any(isinstance(operand, Value) for operand in operands):
        whole = all(np.asarray(operand).dtype.kind in "biu" for operand in operands)
        if node.op_type not in SAME_EVERYWHERE and not whole:
            builder.other_arithmetic.append(f"a constant made by {node.op_type}")
        return folder.fold(node, operands)
    name = name_of(node)
    if name not in OPERATORS:
        raise refused(
            name,
            ", ".join(sorted(OPERATORS)),
            "Other operators may only read constants",
        )
    check_node(node, folder.opset)
    last = node.output[0] in finals
    call = Call(
        builder=builder,
        opset=folder.opset,
        operands=operands,
        attributes=attributes,
        outputs=len(node.output),
        last=last,
    )
    return OPERATORS[name](call)


def _source(item: onnx.ValueInfoProto, given: Shape | None, origin: str) -> Source:
    """An input as the file declares it; ModelError for what holds no floating-point numbers."""
    kind = item.type.tensor_type
    if kind.elem_type not in FLOATS:
        raise ModelError(
            f"{origin}: input {item.name!r}",
            expected="floating-point numbers",
            got=onnx.TensorProto.DataType.Name(kind.elem_type),
        )
    dims: list[int | None] | None = None
    if kind.HasField("shape"):
        dims = [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]
    return source_of(item.name, dims, given, origin=origin)


def _number_types(graph: onnx.GraphProto, names: Sequence[str]) -> list[str]:
    """What makes the file's own run one of several number types, or of a short one."""
    kinds = {item.type.tensor_type.elem_type for item in graph.input if item.name in names}
    short = kinds & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    if short:
        return [f"inputs of type {onnx.TensorProto.DataType.Name(kind)}" for kind in sorted(short)]
    casts = any(node.op_type == "Cast" for node in graph.node)
    single = kinds == {onnx.TensorProto.FLOAT}
    return [] if single or not (casts or len(kinds) > 1) else ["a Cast from another number type"]


def _finals(graph: onnx.GraphProto, output: str) -> set[str]:
    """Tensors that only nodes without effect stand between and the graph's output."""
    makers = {name: node for node in graph.node for name in node.output}
    finals = {output}
    name = output
    while name in makers and makers[name].op_type in PASSED_THROUGH and makers[name].input:
        name = makers[name].input[0]
        if name in finals:  # a cycle
            break
        finals.add(name)
    reads = Counter(source for node in graph.node for source in node.input)
    return {tensor for tensor in finals if reads[tensor] <= 1}
