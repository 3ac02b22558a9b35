"""The solver interface of the VNN-LIB standard, chapter 5: what is printed, nothing more.

``verify`` prints one word (``sat``, ``unsat``, ``unknown``, ``timed-out``) and, for ``sat``,
the value of every declared variable::

    X float32 [2,2]
    0.5
    ...

row by row, one value a line; or, with ``--serialise-assignments DIR``, writes each variable
as an ONNX ``TensorProto`` to ``DIR/<variable>.pb``.  ``supports CAPABILITY`` prints what can
be decided.  Errors go to stderr.  Everything here returns text or raises; printing, exit
codes and proofs are the command line's.

The standard asks a solver that is not sound for a query's element types to refuse it.  Sound
answers are given for ``real`` throughout, and for one of ``float32`` and ``float64`` throughout:
then ``unsat`` holds for the program that runs, in any order of sums (``proof.arithmetic``), and
``sat`` has an input of that type whose run shows it.  Other types are refused
(``vnnlib.floats``), unless the user agrees to read them as real numbers.

Source: https://github.com/VNNLIB/VNNLIB-Standard, document/chapters/verifier_interface.tex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.errors import ModelError, OutputError, QueryError
from precond.proof.verdict import Status
from precond.vnnlib.formula import Declaration, VariableKind

NAME = "precond"
Values = Mapping[str, NDArray[np.floating]]


class Result(Enum):
    """The first line of ``verify``."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"
    TIMED_OUT = "timed-out"


class Capability(Enum):
    """What ``supports`` can be asked; section 5.4."""

    ONNX_OPSET_VERSIONS = "--onnx-opset-versions"
    ONNX_ELEMENT_TYPES = "--onnx-element-types"
    ONNX_OPERATORS = "--onnx-operators"
    VNNLIB_VERSIONS = "--vnnlib-versions"
    HIDDEN_NODE_THEORIES = "--hidden-node-theories"
    MULTIPLE_INPUT_OUTPUT_THEORIES = "--multiple-input-output-theories"
    MULTIPLE_NETWORK_THEORIES = "--multiple-network-theories"
    MULTIPLE_NODE_COMPARISON_THEORIES = "--multiple-node-comparison-theories"
    ARITHMETIC_COMPLEXITY_THEORIES = "--arithmetic-complexity-theories"
    OPTIMISED_DISJUNCTIVE_REASONING = "--optimised-disjunctive-reasoning"
    SERIALISE_ASSIGNMENTS = "--serialise-assignments"

    @classmethod
    def named(cls, flag: str) -> Capability:
        """The capability a flag asks for; QueryError on another flag."""
        # The standard's own example spells this one with one more "s".
        wanted = flag.replace("--multiple-inputs-output-", "--multiple-input-output-")
        for capability in cls:
            if capability.value == wanted:
                return capability
        raise QueryError(
            "capability",
            expected=f"one of {', '.join(c.value for c in cls)}",
            got=repr(flag),
        )


@dataclass(frozen=True)
class Reader:
    """What the model reader takes: first and last ONNX opset, and operator names."""

    opsets: tuple[int, int]
    operators: Sequence[str]


_FIXED: dict[Capability, tuple[str, ...]] = {
    Capability.ONNX_ELEMENT_TYPES: ("real", "float64", "float32"),
    Capability.VNNLIB_VERSIONS: ("1.0", "2.0"),
    Capability.HIDDEN_NODE_THEORIES: ("NH", "H"),
    Capability.MULTIPLE_INPUT_OUTPUT_THEORIES: ("SIO", "MIO"),
    Capability.MULTIPLE_NETWORK_THEORIES: ("SNET", "MENET", "MINET", "MNET"),
    Capability.MULTIPLE_NODE_COMPARISON_THEORIES: ("SNC", "MNC"),
    Capability.ARITHMETIC_COMPLEXITY_THEORIES: ("BND", "OUTC", "LIN"),
    Capability.OPTIMISED_DISJUNCTIVE_REASONING: ("false",),
    Capability.SERIALISE_ASSIGNMENTS: ("true",),
}


def version() -> str:
    """What ``--version`` prints."""
    return metadata.version("precond")


def supports(capability: Capability, reader: Reader) -> str:
    """What ``supports CAPABILITY`` prints: lines, each ended by a newline."""
    match capability:
        case Capability.ONNX_OPSET_VERSIONS:
            lines: Sequence[str] = [str(opset) for opset in reader.opsets]
        case Capability.ONNX_OPERATORS:
            lines = sorted(reader.operators)
        case _:
            lines = _FIXED[capability]
    return "".join(f"{line}\n" for line in lines)


def result_of(statuses: Sequence[Status], *, out_of_time: bool) -> Result:
    """The answer to a query from the status of its claims.

    REFUTED must mean a witness that the query admits; a caller that has none passes UNKNOWN.
    """
    if Status.REFUTED in statuses:
        return Result.SAT
    if all(status.holds for status in statuses):
        return Result.UNSAT
    return Result.TIMED_OUT if out_of_time else Result.UNKNOWN


def answer(
    result: Result,
    declarations: Sequence[Declaration] = (),
    values: Values | None = None,
) -> str:
    """What ``verify`` prints.  ``values`` are printed with ``sat``, and must be given there
    unless they were serialised; with any other result they are an error of the caller."""
    if values is None:
        return f"{result.value}\n"
    if result is not Result.SAT:
        raise QueryError("assignment", expected="the result sat", got=result.value)
    return f"{result.value}\n{format_assignment(declarations, values)}"


def format_assignment(declarations: Sequence[Declaration], values: Values) -> str:
    """Every variable in the order declared: a line with name, type and dimensions, then its
    values in row-major order, one a line."""
    lines = []
    for declared in declarations:
        array = _values_of(declared, values)
        shape = ",".join(str(n) for n in declared.shape)
        lines.append(f"{declared.name} {declared.element_type} [{shape}]")
        lines += [_decimal(value) for value in array.reshape(-1)]
    return "".join(f"{line}\n" for line in lines)


def serialise_assignment(
    declarations: Sequence[Declaration], values: Values, folder: str | Path
) -> list[Path]:
    """Write ``folder/<variable>.pb`` for every variable; makes the folder, returns the files."""
    from onnx import numpy_helper

    target = Path(folder)
    written = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for declared in declarations:
            tensor = numpy_helper.from_array(
                np.array(_values_of(declared, values), order="C"), declared.name
            )
            file = target / f"{declared.name}.pb"
            file.write_bytes(tensor.SerializeToString())
            written.append(file)
    except OSError as error:
        raise OutputError(
            f"--serialise-assignments {folder}",
            expected="a folder that can be written",
            got=str(error),
        ) from error
    return written


def parse_networks(pairs: Sequence[str]) -> dict[str, Path]:
    """``NAME=MODEL`` options by name, in the order given."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not (separator and name and path):
            raise QueryError("--network", expected="NAME=MODEL", got=repr(pair))
        if name in found:
            raise QueryError("--network", expected="each name once", got=f"{name} twice")
        found[name] = Path(path)
    return found


def model_element_types(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Element types of an ONNX file's inputs and outputs, in the standard's words.

    Inputs that only hold a weight (an initializer of the same name) do not count.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (OSError, DecodeError) as error:
        raise ModelError(f"model {path}", expected="an ONNX file", got=str(error)) from error
    weights = {tensor.name for tensor in graph.initializer}

    def word(value: onnx.ValueInfoProto) -> str:
        name: str = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        return {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())

    inputs = tuple(word(value) for value in graph.input if value.name not in weights)
    return inputs, tuple(word(value) for value in graph.output)


def check_element_types(
    declarations: Sequence[Declaration],
    models: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]],
) -> None:
    """QueryError where a declared type differs from the model's; ``real`` queries are exempt.

    ``models``: ``model_element_types`` by the name the query gives the network.
    """
    if all(declared.element_type == "real" for declared in declarations):
        return
    for name, (inputs, outputs) in models.items():
        for kind, actual in ((VariableKind.INPUT, inputs), (VariableKind.OUTPUT, outputs)):
            mine = [d for d in declarations if d.network == name and d.kind is kind]
            for declared, found in zip(mine, actual, strict=False):
                if declared.element_type != found:
                    raise QueryError(
                        f"element type of {declared.name} of network {name}",
                        expected=f"{found} as in the model, or real throughout the query",
                        got=declared.element_type,
                    )


def _values_of(declared: Declaration, values: Values) -> NDArray[np.floating]:
    array = values.get(declared.name)
    if array is None or array.shape != declared.shape:
        raise QueryError(
            f"assignment of {declared.name}",
            expected=f"values of shape {list(declared.shape)}",
            got="none" if array is None else str(list(array.shape)),
        )
    return array


def _decimal(value: np.floating) -> str:
    """The shortest decimal, without exponent, that reads back as ``value`` of its type."""
    return np.format_float_positional(value, unique=True, trim="0")
