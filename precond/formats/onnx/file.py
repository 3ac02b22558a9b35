"""The bytes of an ONNX file: parsed, with external data from the model's own folder only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from precond.errors import ModelError

BROKEN = (
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


def parse(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{path}", expected="an ONNX model", got="a broken or truncated file"
        ) from error
    if not model.graph.node and not model.graph.output:
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
        if model.functions:
            raise ModelError(
                f"{path}",
                expected="functions of the model's own opset",
                got=f"function {model.functions[0].name} of another",
            )
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
            f"{path}: weights {tensor.name!r}: location",
            expected="a file name",
            got=one_line(error),
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
        raise ModelError(f"{path}: weights {tensor.name!r}: {one_line(error)}") from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def array_of(tensor: onnx.TensorProto, path: Path) -> np.ndarray:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except BROKEN as error:
        raise ModelError(
            f"{path}: weights {tensor.name!r}",
            expected=f"{list(tensor.dims)} values",
            got=f"broken data ({one_line(error)})",
        ) from error


def one_line(error: BaseException) -> str:
    """The first line of what an error says."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
