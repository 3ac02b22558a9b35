"""A VNN-LIB query about model files → the standard's answer.

The query is ``sat`` when one claim is refuted by an input that the query admits, ``unsat``
when every claim is proved (or its region is empty), rigorously or by two engines that agree.
A query about floats is about the program that runs: ``unsat`` needs a proof that covers every
run (``Verdict.holds_in``), ``sat`` an input whose reference run shows it (``vnnlib.runs``).
What rests on one float solver alone, or on a point that the file's decimals exclude, is
``unknown``, with the reason in the notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from precond.errors import QueryError
from precond.formats.load import load
from precond.formats.lowering.interface import InputShape
from precond.formats.lowering.stated import Activation, stated_origin
from precond.network.device import require_device
from precond.network.graph import Network
from precond.proof.certificates.folder import keep
from precond.proof.deadline import Deadline
from precond.vnnlib.query import Query
from precond.vnnlib.read import read_vnnlib
from precond.vnnlib.solution import Solution, solve
from precond.vnnlib.standard import (
    answer,
    check_element_types,
    model_element_types,
    parse_networks,
    serialise_assignment,
)

Loader = Callable[[Path, "InputShape | None", "str | None", "str | None"], Network]


@dataclass(frozen=True, kw_only=True)
class Request:
    """``precond verify`` as asked.  ``networks``: ``NAME=MODEL``, or one ``MODEL`` alone;
    ``assignments``: the folder for a serialised assignment; ``as_real``: read floating-point
    element types as real numbers; ``exact``: a claim counts as proved only with a certificate
    that was checked in exact arithmetic; ``certificates``: the folder they are written to."""

    query: Path
    networks: tuple[str, ...]
    assignments: Path | None = None
    device: str = "cpu"
    seed: int = 0
    as_real: bool = False
    outputs: str = "file"
    exact: bool = False
    certificates: Path | None = None
    input_shape: InputShape | None = None
    activation: str | None = None
    output: str | None = None


def load_network(
    path: Path, shape: InputShape | None, activation: str | None, output: str | None
) -> Network:
    return load(path, shape, activation=activation, output=output)


def read(request: Request, loaded: Loader = load_network) -> Query:
    """The query, with its networks loaded (by ``loaded``) and its element types checked.

    ModelError for a model that cannot be read; QueryError for text that is malformed or does
    not fit; UnsupportedQuery for what is not decided here.
    """
    paths = _paths(request.networks)
    networks = {
        name: loaded(path, request.input_shape, request.activation, request.output)
        for name, path in paths.items()
    }
    if request.outputs == "logits":
        networks = {name: network.logits for name, network in networks.items()}
    query = read_vnnlib(request.query, networks.get("", networks), floats=not request.as_real)
    only = query.declarations[0].network
    types = {
        name or only: model_element_types(path)
        for name, path in paths.items()
        if path.suffix.lower() == ".onnx"
    }
    check_element_types(query.declarations, types)
    return query


def keep_certificates(folder: Path | None, query: Query, solution: Solution) -> dict[int, Path]:
    """The files that the certificates were written to, by number of claim; none without one."""
    return {
        k: keep(folder, query.claims[k], verdict.certificate)
        for k, verdict in sorted(solution.verdicts.items())
        if folder is not None and verdict.certificate is not None
    }


def reply(request: Request, deadline: Deadline, say: Callable[[str], None]) -> str:
    """Everything ``precond verify`` prints on stdout; ``say`` gets what goes to stderr."""
    require_device(request.device)
    query = read(request)
    if request.activation is not None:
        say(stated_origin(", ".join(request.networks), Activation(request.activation)))
    for note in query.notes:
        say(note)
    solution = solve(query, deadline, device=request.device, seed=request.seed, exact=request.exact)
    for note in solution.notes:
        say(note)
    for k, path in keep_certificates(request.certificates, query, solution).items():
        say(f"claim {k + 1} of {len(query.claims)}: certificate {path}")
    if solution.witness is None:
        return answer(solution.result)
    values = query.assignment(solution.witness)
    if request.assignments is None:
        return answer(solution.result, query.declarations, values)
    serialise_assignment(query.declarations, values, request.assignments)
    return answer(solution.result)


def _paths(texts: tuple[str, ...]) -> dict[str, Path]:
    """Model files by name; a single one may have no name, and is then called ''.  What names a
    file is a file, though ``=`` is in its name."""
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).is_file()):
        if not texts[0]:
            raise QueryError("--network", expected="NAME=MODEL or MODEL", got="an empty text")
        return {"": Path(texts[0])}
    return parse_networks(texts)
