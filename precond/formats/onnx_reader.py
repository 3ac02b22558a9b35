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
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from precond.errors import ModelError, UnsupportedOperator
from precond.formats.builder import Builder, Value
from precond.formats.lowering import Operand
from precond.formats.onnx_call import Call
from precond.formats.onnx_folding import Folder
from precond.formats.onnx_operators import OPERATORS
from precond.network.graph import INPUT, Network
from precond.network.layers import Shape

FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
PASSED_THROUGH = ("Identity", "Dropout", "Cast")
SHAPE_FIX = "Give the sizes: --input-shape 1,28,28 (in Python input_shape=(1, 28, 28))"
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)


def read_onnx(path: Path, input_shape: Sequence[int] | None = None) -> Network:
    """The network in an ONNX file with one input and one output.

    ``input_shape`` (no batch axis) is needed where the file leaves other axes than the
    first open.  Raises ``ModelError`` for a broken file, ``UnsupportedOperator`` for an
    operator that has no exact meaning as layers.
    """
    try:
        return _read(_parse(path), path, input_shape)
    except (onnx.checker.ValidationError, *_BROKEN) as error:
        raise ModelError(f"{path}", expected="an ONNX model", got=_line(error)) from error


def _read(model: onnx.ModelProto, path: Path, input_shape: Sequence[int] | None) -> Network:
    graph = model.graph
    constants: dict[str, Operand | None] = {
        tensor.name: _array(tensor, path) for tensor in graph.initializer
    }
    name, shape, batched, open_batch = _input(graph, path, constants, input_shape)
    output = _single([item.name for item in graph.output], path, "output")
    try:
        builder = Builder(str(path), shape, batched, open_batch)
    except ModelError as error:
        raise ModelError(f"{path}: input {name!r}: {error}") from error
    values: dict[str, Operand | None] = {**constants, name: builder.input}
    builder.tensors[name] = INPUT
    opset = max((item.version for item in model.opset_import if not item.domain), default=1)
    finals = _finals(graph, output)
    labels = Counter(node.name for node in graph.node)
    folder = Folder(opset)
    for node in graph.node:
        where = f"{path}: node {node.name or ', '.join(node.output)!s} ({node.op_type})"
        builder.label = node.name if labels[node.name] == 1 else ""
        try:
            results = _convert(node, builder, values, folder, finals, where)
        except UnsupportedOperator:
            raise
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from error
        except _BROKEN as error:
            raise ModelError(f"{where} is malformed: {_line(error)}") from error
        for tensor, result in zip(node.output, results, strict=False):
            values[tensor] = result
            if isinstance(result, Value) and node.op_type not in ("Softmax", "LogSoftmax"):
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
    builder: Builder,
    values: Mapping[str, Operand | None],
    folder: Folder,
    finals: set[str],
    where: str,
) -> Sequence[Operand]:
    operands: list[Operand | None] = []
    for name in node.input:
        if name and name not in values:
            raise ModelError(f"input {name!r}", expected="an earlier tensor", got="none")
        operands.append(values[name] if name else None)
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    known = node.domain in ("", "ai.onnx")
    if known and not any(isinstance(operand, Value) for operand in operands):
        return folder.fold(node, operands, where)
    if not known or node.op_type not in OPERATORS:
        raise UnsupportedOperator(
            where,
            expected=f"one of {', '.join(OPERATORS)}",
            got=node.op_type if known else f"{node.domain}::{node.op_type}",
            fix="Other operators may only read constants",
        )
    _check_arity(node, folder.opset)
    last = node.output[0] in finals
    call = Call(builder, folder.opset, operands, attributes, len(node.output), last)
    return OPERATORS[node.op_type](call)


def _check_arity(node: onnx.NodeProto, opset: int) -> None:
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise ModelError(
            node.op_type, expected=f"an operator of opset {opset}", got="none"
        ) from error
    for kind, count, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not least <= count <= most:
            raise ModelError(kind, expected=f"{least} to {most}", got=str(count))


def _parse(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{path}", expected="an ONNX model", got="a broken or truncated file"
        ) from error
    if not model.graph.node:
        raise ModelError(f"{path}", expected="an ONNX model", got="a file without any node")
    tensors = [*model.graph.initializer]
    tensors += [
        item.t for node in model.graph.node for item in node.attribute if item.HasField("t")
    ]
    for tensor in tensors:
        if external_data_helper.uses_external_data(tensor):
            _load_external(tensor, path)
    if model.graph.sparse_initializer:
        raise ModelError(f"{path}", expected="dense weights", got="sparse initialisers")
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    return model


def _load_external(tensor: onnx.TensorProto, path: Path) -> None:
    """Reads a tensor's bytes from a file that must lie in the model's folder."""
    folder = path.resolve().parent
    info = {item.key: item.value for item in tensor.external_data}
    location = info.get("location", "")
    try:
        target = (folder / location).resolve()
    except (ValueError, OSError) as error:
        raise ModelError(
            f"{path}: weights {tensor.name!r}: location", expected="a file name", got=_line(error)
        ) from error
    if not location or Path(location).is_absolute() or not target.is_relative_to(folder):
        raise ModelError(
            f"{path}: weights {tensor.name!r}",
            expected="external data inside the model's folder",
            got=location or "no location",
        )
    if not target.is_file():
        raise ModelError(
            f"{path}: weights {tensor.name!r}",
            expected=f"the data file {location} next to the model",
            got="no such file",
        )
    try:
        offset = int(info.get("offset", 0))
        room = target.stat().st_size - offset
        length = int(info.get("length", room))
        if offset < 0 or not 0 <= length <= room:
            raise ModelError(
                f"{path}: weights {tensor.name!r}",
                expected=f"{length} bytes at {offset} of {location}",
                got=f"{max(room, 0)} bytes",
            )
        with target.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
    except (ValueError, OSError) as error:
        raise ModelError(f"{path}: weights {tensor.name!r}: {_line(error)}") from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _array(tensor: onnx.TensorProto, path: Path) -> np.ndarray:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except _BROKEN as error:
        raise ModelError(
            f"{path}: weights {tensor.name!r}",
            expected=f"{list(tensor.dims)} values",
            got=f"broken data ({_line(error)})",
        ) from error


def _input(
    graph: onnx.GraphProto,
    path: Path,
    constants: Mapping[str, Operand | None],
    input_shape: Sequence[int] | None,
) -> tuple[str, Shape, bool, bool]:
    """Name of the one input, its shape without a batch axis, batched, batch left open."""
    inputs = [item for item in graph.input if item.name not in constants]
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


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
