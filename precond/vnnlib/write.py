"""A claim as a VNN-LIB query: unsat where the claim is proved, sat where it is refuted.

Without a pattern it is VNN-LIB 1.0, which most solvers read; with one it is VNN-LIB 2.0, in which
a literal is a bound of a hidden tensor, the one that the layer reads.  As in a proof, on is z ≥ 0
and off is z ≤ 0.  Every float is written as the decimal that it is, so that a reader of exact
decimals gets the same claim back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from precond.errors import QueryError
from precond.proof.claim import Claim
from precond.region.inequality import Inequality


@dataclass(frozen=True)
class _Names:
    """What the inputs and the outputs are called."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def claim_text(claim: Claim, title: str = "") -> str:
    """The text of a file; QueryError where no version of VNN-LIB can say what the claim says."""
    names, head = _second(claim) if len(claim.pattern) else _first(claim)
    remarks = [f"; {line}" for line in title.encode("ascii", "replace").decode().splitlines()]
    lines = [*remarks, *head]
    for name, low, high in zip(names.inputs, claim.box.lower, claim.box.upper, strict=True):
        lines.append(f"(assert (>= {name} {decimal(low)}))")
        lines.append(f"(assert (<= {name} {decimal(high)}))")
    if claim.halfspaces is not None:
        for row, bound in zip(claim.halfspaces.matrix, claim.halfspaces.bound, strict=True):
            terms = [(float(v), names.inputs[i]) for i, v in enumerate(row) if v]
            lines.append(f"(assert (<= {_sum(terms)} {decimal(bound)}))")
    lines += [f"(assert {literal})" for literal in _literals(claim)]
    ways = [[_atom(one, names) for one in conjunct] for conjunct in claim.property.negation()]
    cases = [f"(and {' '.join(way)})" if len(way) > 1 else way[0] for way in ways]
    negation = cases[0] if len(cases) == 1 else "(or\n  " + "\n  ".join(cases) + "\n)"
    lines.append(f"(assert {negation})")
    return "\n".join(lines) + "\n"


def _first(claim: Claim) -> tuple[_Names, list[str]]:
    """Declarations of VNN-LIB 1.0."""
    names = _Names(
        tuple(f"X_{i}" for i in range(claim.network.input_size)),
        tuple(f"Y_{i}" for i in range(claim.network.output_size)),
    )
    return names, [f"(declare-const {name} Real)" for name in (*names.inputs, *names.outputs)]


def _second(claim: Claim) -> tuple[_Names, list[str]]:
    """Declarations of VNN-LIB 2.0, with a hidden tensor for each layer of the pattern."""
    network = claim.network
    shapes = [("X", network.input_shape), ("Y", network.shapes[network.output])]
    names = _Names(*(_cells(name, shape) for name, shape in shapes))
    lines = ["(vnnlib-version <2.0>)", "(declare-network f"]
    lines.append(f"  (declare-input X real {_shape(network.input_shape)})")
    for number, layer in enumerate(claim.pattern.layers):
        node = network.pre_activation(layer)
        tensor = _escaped(_tensor(claim, node))
        shape = _shape(network.shapes[node])
        lines.append(f'  (declare-hidden H{number} real {shape} "{tensor}")')
    lines.append(f"  (declare-output Y real {_shape(network.shapes[network.output])}))")
    return names, lines


def _tensor(claim: Claim, node: str) -> str:
    """The name, in the model's file, of what a node computes."""
    for tensor, name in claim.network.tensor_names.items():
        if name == node:
            return tensor
    raise QueryError(
        f"the pattern over what {node} computes",
        expected="a tensor of the model's file, which VNN-LIB 2.0 names",
        got="one that the file does not have by itself",
        fix="'precond prove' proves it again, with certificates that 'precond check' checks",
    )


def _literals(claim: Claim) -> Iterator[str]:
    """Each literal as a bound, closed as in a proof."""
    pattern, network = claim.pattern, claim.network
    cells = {
        layer: _cells(f"H{number}", network.shapes[network.pre_activation(layer)])
        for number, layer in enumerate(pattern.layers)
    }
    for sign, literals in (
        (">=", [*((layer, i, 0.0) for layer, i in pattern.on), *pattern.above]),
        ("<=", [*((layer, i, 0.0) for layer, i in pattern.off), *pattern.below]),
    ):
        for layer, i, limit in sorted(literals):
            yield f"({sign} {cells[layer][i]} {decimal(limit)})"


def _cells(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """``X[0,0]``, ``X[0,1]``, …: the elements of a tensor of one row, in order."""
    return tuple(f"{name}[{','.join(map(str, (0, *place)))}]" for place in np.ndindex(*shape))


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, (1, *shape)))}]"


def _escaped(name: str) -> str:
    if not name.isascii():
        raise QueryError(f"tensor {name}", expected="a name in ASCII", got="another")
    return name.replace("\\", "\\\\").replace('"', '\\"')


def decimal(value: float) -> str:
    """The float as the decimal number that it is."""
    text = format(Decimal(float(value)), "f")
    return text if "." in text else f"{text}.0"


def _atom(inequality: Inequality, names: _Names) -> str:
    sign = ">" if inequality.strict else ">="
    terms = [(v, names.outputs[i]) for i, v in inequality.outputs]
    terms += [(v, names.inputs[i]) for i, v in inequality.inputs]
    if not inequality.bound and sorted(v for v, _ in terms) == [-1.0, 1.0]:
        (low,), (high,) = ([n for v, n in terms if v == sign_] for sign_ in (-1.0, 1.0))
        return f"({sign} {high} {low})"
    return f"({sign} {_sum(terms)} {decimal(inequality.bound)})"


def _sum(terms: list[tuple[float, str]]) -> str:
    words = [n if v == 1.0 else f"(* {decimal(v)} {n})" for v, n in terms]
    return words[0] if len(words) == 1 else f"(+ {' '.join(words or ['0.0'])})"
