"""VNN-LIB 2.0, read by the ``vnnlib`` package, turned into an exact formula.

Several networks become one with the inputs side by side (``networks``), so that a
comparison between networks is a comparison between outputs of one network.  A hidden
variable stands for the node that computes the named tensor of the model file.

Source: https://github.com/VNNLIB/VNNLIB-Standard, chapters 3 and 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from precond.errors import MissingDependency, QueryError
from precond.logit_property import REMEDY
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.vnnlib.formula import (
    DEEPEST,
    LINE_END,
    And,
    Declaration,
    Formula,
    LinearSum,
    Or,
    Place,
    UnsupportedQuery,
    VariableKind,
    comparison,
    difference,
    fits,
    number,
    product_of,
    sum_of,
)
from precond.vnnlib.networks import NetworkPart, Slot, models_of, side_by_side

_ELEMENT_TYPES = {
    "Real": "real",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}
_OPERATORS = {
    "LessEqual": "<=",
    "LessThan": "<",
    "GreaterEqual": ">=",
    "GreaterThan": ">",
    "Equal": "==",
    "NotEqual": "!=",
}


def parse(
    text: str, source: str, networks: Mapping[str, Network] | Network
) -> tuple[Formula, tuple[Declaration, ...], Network]:
    """The conjunction of all assertions, the declared variables in order, and the network
    the formula is about (the given one, or all of them side by side)."""
    _check_depth(text, source)
    query = _parsed(text, source)
    models = models_of(query, source, networks)
    for name, model in models.items():
        if len(models) > 1 and model.output_activation is not OutputActivation.NONE:
            raise UnsupportedQuery(
                f"{source}: network {name} among several",
                expected="one without a last activation",
                got=f"one that ends in {model.output_activation.value}",
                fix=REMEDY,
            )
    network, parts = side_by_side(models)
    reader = _ReaderV2(source, network)
    for declared, part in zip(query.networks, parts, strict=True):
        reader.declare(declared, part)
    assertions = tuple(reader.formula(item.expr) for item in query.assertions)
    return And(assertions), tuple(reader.variables.values()), network


def _check_depth(text: str, source: str) -> None:
    """The parser behind ``vnnlib`` recurses in C++; refuse what could exhaust its stack."""
    depth = 0
    for line, content in enumerate(LINE_END.split(text), start=1):
        for sign in re.findall(r"[()]", content.partition(";")[0]):
            depth = depth + 1 if sign == "(" else max(depth - 1, 0)
            if depth > DEEPEST:
                Place(source, line).error(
                    "nesting", expected=f"at most {DEEPEST} levels", got="more"
                )


def _parsed(text: str, source: str) -> Any:
    try:
        import vnnlib
    except ImportError as error:
        raise MissingDependency(
            f"{source} is VNN-LIB 2.0",
            expected="the package vnnlib",
            got="none",
            fix="pip install vnnlib",
        ) from error
    try:
        return vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise _explained(str(error), source) from None
    except UnicodeDecodeError:  # from its message, which cuts a character in two
        lines = enumerate(LINE_END.split(text), start=1)
        found = ((n, c) for n, line in lines for c in line.partition(";")[0] if not c.isascii())
        number_of, character = next(found, (1, "another character"))
        raise QueryError(
            f"{source}, line {number_of}", expected="VNN-LIB 2.0 in ASCII", got=repr(character)
        ) from None
    except (LookupError, ValueError, OverflowError, RuntimeError) as error:  # of its C++ parts
        raise QueryError(
            source, expected="VNN-LIB 2.0", got=f"what its parser cannot read ({error})"
        ) from None


def _flat(indices: tuple[int, ...], declared: Declaration, place: Place) -> int:
    """Where an element stands among those of its variable."""
    shape = declared.shape
    inside = all(0 <= i < size for i, size in zip(indices, shape, strict=False))
    if len(indices) != len(shape) or not inside:
        place.error(
            f"element of {declared.name}",
            expected=f"{len(shape)} indices from 0, below {list(shape)}",
            got=str(list(indices)),
        )
    return int(np.ravel_multi_index(indices, shape)) if shape else 0


def _explained(report: str, source: str) -> QueryError:
    """The parser's plain or JSON report as one line."""
    match = re.search(r"line (\d+), column (\d+): '(.*)'", report, re.DOTALL)
    if match is not None:
        return QueryError(
            f"{source}, line {match[1]}: column {match[2]}",
            expected="VNN-LIB 2.0",
            got=repr(match[3][:40]) if match[3] else "the end of the file",
        )
    try:
        first = json.loads(report)["errors"][0]
        words = f"{first['message']}: {first['hint']}".rstrip(". ")
        where, symbol = f", line {first['line']}", repr(first["offendingSymbol"])
    except (ValueError, KeyError, IndexError, TypeError):
        words, where, symbol = " ".join(report.split())[:200], "", None
    return QueryError(f"{source}{where}: {words}", got=symbol)


@dataclass
class _ReaderV2:
    """Resolves declarations and translates expressions."""

    source: str
    network: Network

    def __post_init__(self) -> None:
        self.variables: dict[str, Declaration] = {}

    def declare(self, declared: Any, part: NetworkPart) -> None:
        inputs = self.slots(declared, declared.inputs, part.inputs, role="input")
        outputs = self.slots(declared, declared.outputs, part.outputs, role="output")
        for item, slot in zip(declared.inputs, inputs, strict=True):
            self.add(item, VariableKind.INPUT, INPUT, slot=slot)
        for item in declared.hidden:
            node = self.hidden_node(item, part)
            self.add(item, VariableKind.HIDDEN, node, slot=Slot("", 0, self.network.shapes[node]))
        for item, slot in zip(declared.outputs, outputs, strict=True):
            self.add(item, VariableKind.OUTPUT, self.network.output, slot=slot)

    def slots(
        self, declared: Any, items: Sequence[Any], slots: Sequence[Slot], role: str
    ) -> list[Slot]:
        """The model's inputs or outputs in the order in which the query declares them: that of
        the model, or by the tensor's name where a declaration has one."""
        if len(items) != len(slots):
            names = [slot.name for slot in slots if slot.name]
            raise QueryError(
                f"{self.source}: network {declared.name}",
                expected=f"{len(slots)} {role}{'s' * (len(slots) > 1)} as in the model"
                + (f": {', '.join(names)}" if names else ""),
                got=f"{len(items)}: {', '.join(item.name for item in items) or 'none'}",
            )
        by_name = {slot.name: slot for slot in slots}
        told = [_tensor_name(item) for item in items]
        if all(name in by_name for name in told) and len(set(told)) == len(told):
            return [by_name[name] for name in told if name is not None]
        return list(slots)

    def hidden_node(self, item: Any, part: NetworkPart) -> str:
        name = _tensor_name(item)
        node = None if name is None else part.tensor_names.get(name)
        if node is None:
            known = ", ".join(list(part.tensor_names)[:12]) or "none is known by name"
            raise UnsupportedQuery(
                f"{self.source}: hidden variable {item.name} of network {item.network_name}",
                expected=f"a tensor that the network keeps ({known})",
                got=repr(name),
            )
        return node

    def add(self, item: Any, kind: VariableKind, node: str, slot: Slot) -> None:
        element_type = _ELEMENT_TYPES.get(item.dtype.name)
        if element_type is None:
            raise UnsupportedQuery(
                f"{self.source}: element type of {item.name}",
                expected=f"one of {', '.join(_ELEMENT_TYPES.values())}",
                got="another, or no such type" if item.dtype.name == "Unknown" else item.dtype.name,
            )
        shape = tuple(int(n) for n in item.shape)
        if not fits(shape, slot.shape):
            raise QueryError(
                f"{self.source}: shape of {kind.value} {item.name} of network {item.network_name}",
                expected=f"{list(slot.shape)} as in the model (axes of one aside)",
                got=str(list(shape)),
            )
        self.variables[item.name] = Declaration(
            name=item.name,
            element_type=element_type,
            shape=shape,
            kind=kind,
            network=item.network_name,
            node=node,
            offset=slot.offset,
        )

    def formula(self, item: Any) -> Formula:
        name = type(item).__name__
        if name in ("And", "Or"):
            parts = tuple(self.formula(part) for part in item.args)
            return And(parts) if name == "And" else Or(parts)
        place = Place(self.source, _line(item))
        if name not in _OPERATORS:
            place.unsupported(
                "formula", expected="and, or or a comparison", got=str(item).strip()[:60]
            )
        sides = [self.linear(side, place) for side in (item.lhs, item.rhs)]
        return comparison(_OPERATORS[name], sides, place.line)

    def linear(self, item: Any, place: Place) -> LinearSum:
        match type(item).__name__:
            case "Var":
                declared = self.variables[item.name]
                flat = _flat(tuple(item.indices), declared, place)
                return LinearSum(
                    {(declared.node, declared.offset + flat): Fraction(1)}, Fraction(0)
                )
            case "Plus":
                return sum_of([self.linear(part, place) for part in item.args])
            case "Minus":
                return difference([self.linear(p, place) for p in (item.head, *item.rest)])
            case "Negate":
                return difference([self.linear(item.expr, place)])
            case "Multiply":
                factors = [self.linear(part, place) for part in item.args]
                return product_of(factors, place, str(item).strip()[:60])
            case _:
                value = number(str(getattr(item, "lexeme", item)), place)
                if value is None:
                    place.error(
                        "term", expected="a variable or a number", got=str(item).strip()[:60]
                    )
                return LinearSum({}, value)


def _tensor_name(item: Any) -> str | None:
    """The name that a declaration has for its tensor in the model file, without its quotes."""
    return None if item.onnx_name is None else re.sub(r"\\(.)", r"\1", str(item.onnx_name)[1:-1])


def _line(item: Any) -> int:
    """The line of the first token below ``item``."""
    stack = [item]
    while stack:
        node = stack.pop()
        line = getattr(node, "line", None)
        if line is not None:
            return int(line)
        stack.extend(reversed(node.children()))
    return 0
