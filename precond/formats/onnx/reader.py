"""ONNX model file → ``Network``.

Subgraphs of constants are folded by ONNX's reference implementation in the file's own
number types; everything that depends on the input becomes layers (``onnx_operators.py``).
Without an ``input_shape``, a first axis that is open or of size 1 is the batch.
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
from precond.formats.lowering.refusals import refused
from precond.formats.onnx.call import Call
from precond.formats.onnx.file import BROKEN, array_of, one_line, parse
from precond.formats.onnx.folding import SAME_EVERYWHERE, Folder
from precond.formats.onnx.graph import ordered
from precond.formats.onnx.operators import OPERATORS
from precond.formats.onnx.schema import DOMAINS, check_node, opset_of
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.layers import Shape

FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
PASSED_THROUGH = ("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
SHAPE_FIX = "Give the sizes: --input-shape 1,28,28 (in Python input_shape=(1, 28, 28))"


def read_onnx(path: Path, input_shape: Sequence[int] | None = None) -> Network:
    """The network in an ONNX file with one input and one output.

    ``input_shape`` (no batch axis) is needed where the file leaves other axes than the
    first open.  Raises ``ModelError`` for a broken file, ``UnsupportedOperator`` for an
    operator that has no exact meaning as layers.
    """
    try:
        return _read(parse(path), path, input_shape)
    except (onnx.checker.ValidationError, *BROKEN) as error:
        raise ModelError(f"{path}", expected="an ONNX model", got=one_line(error)) from error


def _read(model: onnx.ModelProto, path: Path, input_shape: Sequence[int] | None) -> Network:
    graph = model.graph
    opset = opset_of(model, str(path))
    output = _single([item.name for item in graph.output], path, "output")
    weights = {tensor.name: tensor for tensor in graph.initializer}
    if len(weights) < len(graph.initializer):
        raise ModelError(f"{path}: weights", expected="a name for each", got="a name twice")
    inputs = {item.name: item for item in graph.input if item.name not in weights}
    nodes = ordered(graph, output, {**weights, **inputs}, str(path))
    read = {output, *(name for node in nodes for name in node.input)}
    constants: dict[str, Operand | None] = {
        name: array_of(tensor, path) for name, tensor in weights.items() if name in read
    }
    used = [item for name, item in inputs.items() if name in read] or list(inputs.values())
    name, shape, batched, open_batch = _input(used, path, input_shape)
    try:
        builder = NetworkBuilder(str(path), shape, batched, open_batch)
    except ModelError as error:
        raise ModelError(f"{path}: input {name!r}: {error}") from error
    builder.other_arithmetic += _number_types(graph, name)
    values: dict[str, Operand | None] = {**constants, name: builder.input}
    builder.tensors[name] = INPUT
    finals = _finals(graph, output)
    labels = Counter(node.name for node in nodes)
    folder = Folder(opset)
    for node in nodes:
        where = f"{path}: node {node.name or ', '.join(node.output)!s} ({node.op_type})"
        builder.label = node.name if labels[node.name] == 1 else ""
        try:
            results = _convert(node, builder, values, folder, finals)
        except ModelError as error:
            raise type(error)(f"{where}: {error}") from error
        except BROKEN as error:
            raise ModelError(f"{where} is malformed: {one_line(error)}") from error
        for tensor, result in zip(node.output, results, strict=False):
            values[tensor] = result
            activated = builder.output_activation is not OutputActivation.NONE and tensor in finals
            if isinstance(result, Value) and not activated:
                builder.tensors[tensor] = result.name
    found = values.get(output)
    if not isinstance(found, Value):
        raise ModelError(
            f"{path}: output {output!r}",
            expected="a tensor computed from the input",
            got="a constant" if output in values else "no node that makes it",
        )
    return builder.finish(found)


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
    if not known or node.op_type not in OPERATORS:
        raise refused(
            node.op_type if known else f"{node.domain}::{node.op_type}",
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
    return OPERATORS[node.op_type](call)


def _input(
    inputs: Sequence[onnx.ValueInfoProto],
    path: Path,
    input_shape: Sequence[int] | None,
) -> tuple[str, Shape, bool, bool]:
    """Name of the one input, its shape without a batch axis, batched, batch left open."""
    name = _single([item.name for item in inputs], path, "input")
    kind = inputs[0].type.tensor_type
    if kind.elem_type not in FLOATS:
        raise ModelError(
            f"{path}: input {name!r}",
            expected="floating-point numbers",
            got=onnx.TensorProto.DataType.Name(kind.elem_type),
        )
    dims: list[int | None] | None = None
    if kind.HasField("shape"):
        dims = [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]
    given = None if input_shape is None else tuple(int(size) for size in input_shape)
    if dims is None:
        if given is None:
            raise ModelError(f"{path}: input {name!r} has no shape", fix=SHAPE_FIX)
        return name, given, True, True
    shown = str(["?" if d is None else d for d in dims])
    if given is not None:
        batched = len(dims) == len(given) + 1 and dims[0] in (1, None)
        inner = dims[1:] if batched else dims
        fits = len(inner) == len(given) and all(
            d in (None, n) for d, n in zip(inner, given, strict=True)
        )
        if not fits:
            raise ModelError(
                f"{path}: input_shape",
                expected=f"one that fits {shown} in the file",
                got=str(given),
                fix="Leave the batch axis out",
            )
        return name, given, batched, batched and dims[0] is None
    batched = len(dims) > 1 and dims[0] in (1, None)
    inner = dims[1:] if batched else dims
    shape = tuple(d for d in inner if d is not None)
    if len(shape) != len(inner) or not shape:
        raise ModelError(
            f"{path}: input {name!r}",
            expected="fixed sizes after the batch axis",
            got=shown,
            fix=SHAPE_FIX,
        )
    return name, shape, batched, batched and dims[0] is None


def _number_types(graph: onnx.GraphProto, name: str) -> list[str]:
    """What makes the file's own run one of several number types, or of a short one."""
    (kind,) = (item.type.tensor_type.elem_type for item in graph.input if item.name == name)
    if kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
        return [f"inputs of type {onnx.TensorProto.DataType.Name(kind)}"]
    casts = any(node.op_type == "Cast" for node in graph.node)
    return ["a Cast from another number type"] if casts and kind != onnx.TensorProto.FLOAT else []


def _single(names: Sequence[str], path: Path, role: str) -> str:
    if len(names) != 1:
        raise ModelError(
            f"{path}",
            expected=f"one {role}",
            got=f"{len(names)}: {', '.join(names)}",
            fix=f"Export the model with a single {role}",
        )
    return names[0]


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
