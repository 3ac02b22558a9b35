"""torch module, exported program or file → ``Network``.

A module is exported on a zero input in evaluation mode; the graph of aten operators is then
read one by one (``operators.py``).  Files: an archive of ``torch.export.save``, or a state dict
of a plain multilayer perceptron (``state_dict.py``).  Nothing is ever unpickled beyond what
``torch.load(weights_only=True)`` allows.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from precond.errors import ModelError, UnsupportedOperator
from precond.formats.lowering.builder import NetworkBuilder, Value
from precond.formats.lowering.foreign import (
    TORCHSCRIPT,
    WHOLE_MODULE,
    export_line,
)
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
from precond.formats.lowering.refusals import refused
from precond.formats.lowering.stated import Activation, superfluous
from precond.formats.torch.archive import MODEL, check_entries, read_archive
from precond.formats.torch.arguments import Arguments
from precond.formats.torch.arithmetic import folded
from precond.formats.torch.export import exported
from precond.formats.torch.operators import OPERATORS, SIZES
from precond.formats.torch.program import (
    ProgramCall,
    ProgramInput,
    Ref,
    TorchProgram,
    check_mutation,
    program_of,
    refs,
)
from precond.formats.torch.state_dict import ADVICE, perceptron
from precond.formats.torch.weights import Weights, state_of, with_weights
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.network.layers import Shape

ADVICE_OPERATOR = "Write it with operators that are known"
OTHER_ARCHIVES = {
    "serialized_exported_program.json": "an exported program of torch before 2.8",
    "constants.pkl": "a TorchScript archive",
}
FOLDED = frozenset(
    (
        *OPERATORS,
        *("sqrt", "rsqrt", "reciprocal", "pow", "exp", "full", "zeros", "ones", "arange"),
        *("gt", "ge", "lt", "le", "eq", "ne", "logical_and", "logical_or", "logical_not"),
        *("bitwise_and", "bitwise_or", "bitwise_not", "scalar_tensor", "lift_fresh_copy"),
    )
)
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
    NotImplementedError,
)


def read_module(
    source: torch.nn.Module | torch.export.ExportedProgram,
    input_shape: InputShape | None,
    output: str | None = None,
    weights: Weights | None = None,
) -> Network:
    """The network that a module (in evaluation mode) or an exported program computes.

    ``input_shape`` has no batch axis; a module needs it, by the names of its arguments where it
    has several.  The module itself is not changed; ``weights`` are read instead of its own.
    """
    if isinstance(source, torch.export.ExportedProgram):
        if weights is not None:
            raise ModelError("weights", expected="a module to put them into", got="a program")
        return _convert(program_of(source, "exported program"), input_shape, output)
    if not isinstance(source, torch.nn.Module):
        raise ModelError(
            "model",
            expected="a path, a torch module or an exported program",
            got=type(source).__name__,
        )
    origin = type(source).__name__
    if weights is not None:
        source = with_weights(source, weights)
        given = "" if isinstance(weights, Mapping) else f" of {weights}"
        origin = f"{origin} with weights{given}"
    if input_shape is None:
        raise ModelError(
            f"module {origin}", expected="input_shape (without the batch axis)", got="none"
        )
    program = program_of(exported(source, input_shape), origin)
    return _convert(program, input_shape, output)


def read_torch(
    path: Path,
    input_shape: InputShape | None = None,
    activation: Activation | None = None,
    output: str | None = None,
) -> Network:
    """The network in an exported program or a state dict of a plain perceptron.

    A state dict needs ``activation``, an exported program must not have it.
    """
    names = _entries(path)
    if any(name.endswith(MODEL) for name in names):
        if activation is not None:
            raise superfluous(str(path))
        return _convert(read_archive(path), input_shape, output)
    for name in names:
        kind = OTHER_ARCHIVES.get(name.rpartition("/")[2])
        if kind is not None:
            raise ModelError(
                f"{path}",
                expected="an exported program or a state dict",
                got=kind,
                fix=_advice(kind, path),
            )
    try:
        state = state_of(path)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}",
            expected="an exported program or a state dict of tensors",
            got="a pickle of other objects, which could run code, or a broken file",
            fix=f"{export_line(WHOLE_MODULE, path)}. Or: {ADVICE}",
        ) from error
    except (*_BROKEN, EOFError) as error:
        raise ModelError(
            f"{path}",
            expected="an exported program or a state dict",
            got="a broken or truncated file",
            fix=ADVICE,
        ) from error
    output_names(["output"], output, str(path))
    (shape,) = shapes_by_name(input_shape, ["input"], str(path)).values()
    return perceptron(state, path, shape, activation=activation)


def _advice(kind: str, path: Path) -> str:
    script = kind == OTHER_ARCHIVES["constants.pkl"]
    return f"{export_line(TORCHSCRIPT, path)}. Or: {ADVICE}" if script else ADVICE


def _entries(path: Path) -> list[str]:
    """Names of the files in a zip archive; none if it is no archive."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return []
    try:
        with zipfile.ZipFile(path) as archive:
            check_entries(archive, path)
            return archive.namelist()
    except (zipfile.BadZipFile, *_BROKEN) as error:
        raise ModelError(
            f"{path}", expected="a whole zip archive", got="a broken or truncated one", fix=ADVICE
        ) from error


def _convert(program: TorchProgram, input_shape: InputShape | None, wanted: str | None) -> Network:
    chosen = output_names([*program.outputs], wanted, program.origin)
    program = replace(program, outputs={name: program.outputs[name] for name in chosen})
    check_mutation(program)
    calls = program.needed()
    read = {*program.outputs.values(), *refs([call.arguments for call in calls])}
    used = [item for item in program.inputs if item.name in read] or list(program.inputs)
    given = shapes_by_name(input_shape, [item.name for item in used], program.origin)
    sources = [_source(item, given[item.name], program.origin) for item in used]
    builder, own = opened(program.origin, sources)
    values: dict[str, object] = {**program.constants, **own}
    finals = program.finals()
    for call in calls:
        where = f"{program.origin}: node {', '.join(call.outputs)} ({call.operator})"
        try:
            result = _result(call, builder, values, program=program, last=call.outputs[0] in finals)
        except ModelError as error:
            raise type(error)(f"{where}: {error}{one_alone(chosen)}") from error
        except _BROKEN as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{where} is malformed: {reason}") from error
        many = result if isinstance(result, list | tuple) and len(call.outputs) > 1 else [result]
        for name, value in zip(call.outputs, many, strict=False):
            values[name] = value
            activated = builder.output_activation is not OutputActivation.NONE and name in finals
            if isinstance(value, Value) and not activated:
                builder.tensors[name] = value.name
    return closed(
        builder, [(key, _output(values.get(name))) for key, name in program.outputs.items()]
    )


def _output(value: object) -> Value | np.ndarray:
    if isinstance(value, Value | np.ndarray):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().to(torch.float64).numpy()
    raise ModelError("output", expected="a tensor", got=type(value).__name__)


def _result(
    call: ProgramCall,
    builder: NetworkBuilder,
    values: Mapping[str, object],
    program: TorchProgram,
    last: bool,
) -> object:
    named: dict[str, Any] = {
        name: _known(argument, values) for name, argument in call.arguments.items()
    }
    items = list(named.values())
    if call.operator == "python.getitem":
        parts, position = items
        return parts[position]
    if call.operator == "sym_size":
        value, axis = items
        sizes = value.full if isinstance(value, Value) else value.shape
        return int(sizes[axis])
    if call.operator in SIZES and all(isinstance(item, int) for item in items):
        return SIZES[call.operator](*items)
    name = call.operator.removesuffix("_")
    if not _computed(items) and name in FOLDED:
        return folded(name, named, program.dtype)
    if not _computed(items):
        raise UnsupportedOperator(
            "constants", expected="arithmetic, comparisons or shapes", got=call.operator
        )
    if name not in OPERATORS:
        raise refused(call.operator, ", ".join(sorted(OPERATORS)), ADVICE_OPERATOR)
    single = program.dtype == torch.float32
    return OPERATORS[name](Arguments(builder, named, single, last=last))


def _known(argument: object, values: Mapping[str, object]) -> object:
    if isinstance(argument, Ref):
        if argument.name not in values:
            raise ModelError(f"argument {argument.name}", expected="an earlier value", got="none")
        return values[argument.name]
    if isinstance(argument, list):
        return [_known(item, values) for item in argument]
    return argument


def _computed(items: Sequence[object]) -> bool:
    return any(
        isinstance(item, Value) or (isinstance(item, list) and _computed(item)) for item in items
    )


def _source(item: ProgramInput, given: Shape | None, origin: str) -> Source:
    if not item.dtype.is_floating_point:
        raise ModelError(
            f"{origin}: input {item.name}",
            expected="floating-point numbers",
            got=str(item.dtype),
        )
    return source_of(item.name, item.dims, given, origin=origin)
