"""``torch.export.save`` archive (``.pt2`` format, torch 2.8 and later) → ``TorchProgram``.

The archive is a zip file with the graph as JSON and each weight as raw bytes.  It is read
here without torch's loader, since that unpickles sample inputs and evaluates expressions;
this reader only parses JSON and copies numbers.  Pickled weights are refused.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from precond.errors import ModelError
from precond.formats.torch.program import (
    ProgramCall,
    ProgramInput,
    Ref,
    TorchProgram,
    named_outputs,
)

SCHEMA_MAJOR = 8
COMPRESSED = 1 << 26
MODEL = "models/model.json"
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
PLAIN = ("as_int", "as_ints", "as_float", "as_floats", "as_string", "as_bool", "as_bools")


def read_archive(path: Path) -> TorchProgram:
    """The program in an archive; ``ModelError`` if it is broken or holds pickles."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _program(archive, path)
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path}",
            expected="an archive of torch.export.save",
            got=f"a broken or unknown one ({type(error).__name__}: {error})".splitlines()[0],
            fix="Save the exported program again, or export to ONNX",
        ) from error
    except zipfile.BadZipFile as error:
        raise ModelError(f"{path}", expected="a whole file", got="a truncated archive") from error


def check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    """ModelError for an archive that unpacks to far more than it is.

    torch stores weights as they are; only small entries are ever compressed.
    """
    for entry in archive.infolist():
        if entry.file_size > max(COMPRESSED, entry.compress_size):
            raise ModelError(
                f"{path}: {entry.filename}",
                expected=f"at most {COMPRESSED} bytes in a compressed entry",
                got=str(entry.file_size),
            )


def _program(archive: zipfile.ZipFile, path: Path) -> TorchProgram:
    model_file = next(name for name in archive.namelist() if name.endswith(MODEL))
    root = model_file.removesuffix(MODEL)
    model = json.loads(archive.read(model_file))
    major = model["schema_version"]["major"]
    if major != SCHEMA_MAJOR:
        raise ModelError(
            f"{path}: archive schema", expected=f"version {SCHEMA_MAJOR}", got=str(major)
        )
    graph = model["graph_module"]["graph"]
    signature = model["graph_module"]["signature"]
    tensors = _tensors(archive, root, "weights", path=path)
    tensors |= _tensors(archive, root, "constants", path=path)
    inputs: list[str] = []
    constants: dict[str, torch.Tensor] = {}
    for spec in signature["input_specs"]:
        ((kind, body),) = spec.items()
        if kind == "user_input":
            inputs.append(body["arg"]["as_tensor"]["name"])
        elif kind in ("parameter", "buffer", "tensor_constant"):
            constants[body["arg"]["name"]] = tensors[body[f"{kind}_name"]]
        else:
            raise ModelError(f"{path}: program input", expected="a tensor", got=kind)
    if any("user_output" not in spec for spec in signature["output_specs"]):
        raise ModelError(
            f"{path}",
            expected="inference",
            got="a program that changes buffers",
            fix="Export the module in evaluation mode",
        )
    outputs = [argument["as_tensor"]["name"] for argument in graph["outputs"]]
    metas = [graph["tensor_values"][name] for name in inputs]
    return TorchProgram(
        origin=str(path),
        inputs=tuple(
            ProgramInput(
                name,
                tuple(size.get("as_int") for size in meta["sizes"]),
                DTYPES[meta["dtype"]],
            )
            for name, meta in zip(inputs, metas, strict=True)
        ),
        constants=constants,
        calls=tuple(_call(node) for node in graph["nodes"]),
        outputs=named_outputs(outputs, _keys(model["graph_module"])),
    )


def _keys(module: Mapping[str, Any]) -> object:
    """The keys of the dict that the program gives back; None where it is none."""
    try:
        text = module["module_call_graph"][0]["signature"]["out_spec"]
        return json.loads(json.loads(text)[1]["context"])
    except (LookupError, TypeError, ValueError):
        return None


def _tensors(archive: zipfile.ZipFile, root: str, kind: str, path: Path) -> dict[str, torch.Tensor]:
    """Weights or constants by their names in the module."""
    config = json.loads(archive.read(f"{root}data/{kind}/model_{kind}_config.json"))["config"]
    found: dict[str, torch.Tensor] = {}
    for name, entry in config.items():
        meta = entry["tensor_meta"]
        if entry["use_pickle"] or meta is None:
            raise ModelError(
                f"{path}: {name}",
                expected="numbers",
                got="a pickle, which could run code",
                fix="Export to ONNX",
            )
        raw = bytearray(archive.read(f"{root}data/{kind}/{entry['path_name']}"))
        dtype = DTYPES[meta["dtype"]]
        sizes = [size["as_int"] for size in meta["sizes"]]
        strides = [stride["as_int"] for stride in meta["strides"]]
        if not raw and math.prod(sizes) == 0:
            found[name] = torch.zeros(sizes, dtype=dtype)
            continue
        flat = torch.frombuffer(raw, dtype=dtype)
        found[name] = flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"])
    return found


def _call(node: Mapping[str, Any]) -> ProgramCall:
    target = str(node["target"])
    if target.startswith("torch.ops.aten."):
        operator = target.removeprefix("torch.ops.aten.").rpartition(".")[0]
    elif target.startswith("_operator."):
        operator = "python." + target.removeprefix("_operator.")
    else:
        operator = target
    arguments = {
        item["name"] or f"argument{i}": _value(item["arg"]) for i, item in enumerate(node["inputs"])
    }
    outputs: list[str] = []
    for item in node["outputs"]:
        ((kind, body),) = item.items()
        if kind == "as_tensor":
            outputs.append(body["name"])
        elif kind == "as_tensors":
            outputs += [entry["name"] for entry in body]
        elif kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
            outputs.append(body["as_name"])
    return ProgramCall(operator, arguments, tuple(outputs))


def _value(argument: Mapping[str, Any]) -> object:
    ((kind, body),) = argument.items()
    match kind:
        case "as_tensor":
            return Ref(body["name"])
        case "as_tensors":
            return [Ref(item["name"]) for item in body]
        case "as_sym_int":
            return _size(body)
        case "as_sym_ints":
            return [_size(item) for item in body]
        case "as_optional_tensor":
            return _value(body)
        case "as_none":
            return None
        case "as_scalar_type":
            return DTYPES.get(body, f"type {body}")
        case _ if kind in PLAIN:
            return body
        case _:
            return f"{kind} argument"


def _size(item: Mapping[str, Any]) -> object:
    return item["as_int"] if "as_int" in item else Ref(item["as_name"])
