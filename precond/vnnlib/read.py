"""VNN-LIB files read: text of either version → a ``Query`` about a network."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from precond.basics.arguments import path_of
from precond.basics.collector import collector_paused
from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.proof.arithmetic import Arithmetic
from precond.vnnlib import v1, v2
from precond.vnnlib.floats import arithmetic_of, readings
from precond.vnnlib.formula import (
    Declaration,
    UnsupportedQuery,
    Variable,
    VariableKind,
    conjunctions,
)
from precond.vnnlib.logits import formula_on_logits
from precond.vnnlib.networks import exposing
from precond.vnnlib.query import Query
from precond.vnnlib.regions import ClaimBuilder
from precond.vnnlib.sort import hidden_nodes

LARGEST = 1 << 26  # bytes of a query's text
CAP = 100_000  # conjunctions of the disjunctive normal form
_VERSION = re.compile(r"\s*(?:;[^\n]*\n\s*)*\(\s*vnnlib-version\s*<\s*(\d{1,9})\.(\d{1,9})\s*>")


def read_vnnlib(
    path: str | Path,
    networks: Mapping[str, Network] | Network,
    *,
    cap: int = CAP,
    floats: bool = False,
) -> Query:
    """The query in a ``.vnnlib`` (or ``.vnnlib.gz``) file about a network, or about networks
    by the names the file declares.  ``floats``: element types are meant, so that a query that
    declares float32 is about runs in float32; else all numbers are read as real ones.

    QueryError, with line and token, on text that is not VNN-LIB or does not fit the network;
    UnsupportedQuery on what it can state but is not decided here.
    """
    text = _text(path_of("query", path))
    return parse_vnnlib(text, networks, source=str(path), cap=cap, floats=floats)


@collector_paused()
def parse_vnnlib(
    text: str,
    networks: Mapping[str, Network] | Network,
    *,
    source: str = "query",
    cap: int = CAP,
    floats: bool = False,
) -> Query:
    """As ``read_vnnlib``, from text; ``source`` names it in messages."""
    match = _VERSION.match(text)
    major, minor = (1, 0) if match is None else (int(match[1]), int(match[2]))
    if major == 2:
        formula, declarations, network = v2.parse(text, source, networks)
    elif major == 1:
        name, network = _only(networks, source)
        formula, declarations = v1.parse(text, source, network, name=name)
    else:
        raise UnsupportedQuery(
            f"{source}: VNN-LIB version", expected="1.0 or 2.0", got=f"{major}.{minor}"
        )
    activation = network.output_activation
    execution = arithmetic_of(declarations) if floats else Arithmetic.REAL
    surely, formula = formula_on_logits(formula, network, source)
    if execution is not Arithmetic.REAL:
        if activation is not OutputActivation.NONE:
            raise UnsupportedQuery(
                f"{source}: runs in {execution.value}",
                expected="a network whose last layer is its output",
                got=f"one that ends in {activation.value}",
                fix="Pass --as-real",
            )
        formula, surely = readings(formula, execution, source)
    network = network.logits
    common, alternatives = conjunctions(formula, cap, source)
    names = hidden_nodes((atom for atoms in (common, *alternatives) for atom in atoms), network)
    exposed, offsets = exposing(network, names) if names else (network, {})

    def output_index(variable: Variable) -> int:
        node, index = variable
        return index if node == network.output else offsets[node] + index

    inputs = {
        d.offset + i: _element(d, i)
        for d in declarations
        if d.kind is VariableKind.INPUT
        for i in range(d.size)
    }
    builder = ClaimBuilder(
        network, exposed, output_index, label=inputs.__getitem__, source=source, cap=cap
    )
    claims, regions, empty = builder.build(common, alternatives)
    notes = [f"{empty} empty input regions were dropped"] if empty else []
    if network.output_words:
        notes.append(f"claims are about the {network.output_words}")
    if names:
        notes.append(f"hidden values among the outputs: {', '.join(names)}")
    return Query(
        claims=tuple(claims),
        regions=tuple(regions),
        formula=surely,
        declarations=declarations,
        network=exposed,
        version=f"{major}.{minor}",
        notes=tuple(notes),
        activation=activation,
        execution=execution,
    )


def _text(path: Path) -> str:
    opened = gzip.open if path.suffix == ".gz" else Path.open
    try:
        with opened(path, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise QueryError(f"query {path}", expected=f"at most {LARGEST} bytes", got="more")
        return data.decode("utf-8-sig")  # a byte-order mark says nothing
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise QueryError(
            f"query {path}", expected="a readable text file", got=str(error)
        ) from error


def _only(networks: Mapping[str, Network] | Network, source: str) -> tuple[str, Network]:
    """The name and network of a VNN-LIB 1.0 query, which is about one."""
    if isinstance(networks, Network):
        return "network", networks
    if len(networks) != 1:
        raise QueryError(
            f"networks of {source}",
            expected="one, as the query is VNN-LIB 1.0",
            got=", ".join(networks) or "none",
            fix="Give --network NAME=MODEL once",
        )
    ((name, network),) = networks.items()
    return name, network


def _element(declared: Declaration, flat: int) -> str:
    """``X_3``, or ``X[0,3]``."""
    if not declared.shape:
        return declared.name
    indices = np.unravel_index(flat, declared.shape)
    return f"{declared.name}[{','.join(str(int(i)) for i in indices)}]"
