"""Certificate files: a line that names the format, a SHA-256 of all that follows, a JSON line,
and a zlib stream of little-endian arrays (``docs/certificates.md``).

A file is data: nothing in it is run.  It has one form: the header is the very text that is made
of its values, with these fields and no others; the arrays are those that the header's sizes ask
for; no size is believed before it is compared with what is there.  Whatever does not fit is one
``DataError``.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.basics.arguments import path_of
from precond.checker.canonical import malformed
from precond.checker.certificate import (
    Certificate,
    Linear,
    PreActivationBound,
    Refinements,
    Statement,
    Tree,
)
from precond.checker.packing import (
    Listed,
    TooLarge,
    header_cost,
    pack,
    require_room,
    unpack,
)
from precond.checker.steps import Steps
from precond.errors import DataError, OutputError

MAGIC = b"precond certificate 1\n"
LIMIT = 1 << 31  # bytes of a file; also above every whole number in it
DIGEST = 64  # hex digits of a SHA-256
FIELDS = ("network", "origin", "vacuous", "literals", "clauses", "bits", "trees", "columns")
Form = dict[str, tuple[tuple[str, ...], int]]
FLOAT, INDEX, BYTE = ("<f8", "<f4"), ("<i4",), ("|u1",)
# The arrays of each part, in order: types and number of axes.
STATEMENT: Form = {
    "lower": (FLOAT, 1),
    "upper": (FLOAT, 1),
    "matrix": (FLOAT, 2),
    "bound": (FLOAT, 1),
}
TREE: Form = {
    "kind": (BYTE, 1),
    "item": (INDEX, 1),
    "at": (FLOAT, 1),
    "weights": (FLOAT, 2),
    "record": (INDEX, 2),
}
RECORDS: Form = {"data": (FLOAT, 1), "indices": (INDEX, 1), "indptr": (INDEX, 1)}
REFINED: Form = dict.fromkeys(("tree", "node", "bound", "record"), (INDEX, 1))
PARTS = (("records", RECORDS), ("refined", REFINED))
# Only where there are any.
STEPS: Form = {
    **dict.fromkeys(("tree", "node", "round", "bound", "record"), (INDEX, 1)),
    "weights": (FLOAT, 2),
}


def write_certificate(certificate: Certificate, path: Path | str) -> int:
    """Write ``certificate``; its size in bytes."""
    s = certificate.statement
    arrays: dict[str, NDArray[Any]] = {name: getattr(s, name) for name in STATEMENT}
    for k, tree in enumerate(certificate.trees):
        arrays |= {f"tree{k}.{name}": getattr(tree, name) for name in TREE}
    arrays |= {f"records.{name}": getattr(certificate.records, name) for name in RECORDS}
    arrays |= {f"refined.{name}": getattr(certificate.refinements, name) for name in REFINED}
    if len(certificate.steps):
        arrays |= {f"steps.{name}": getattr(certificate.steps, name) for name in STEPS}
    narrow = {name: _narrow(array) for name, array in arrays.items()}
    header = {
        "network": s.network,
        "origin": s.origin,
        "vacuous": s.vacuous,
        "literals": [[t.layer, t.index, t.above, t.value] for t in s.literals],
        "clauses": [[[i.outputs, i.inputs, i.bound, i.strict] for i in c] for c in s.clauses],
        "bits": certificate.bits,
        "trees": [tree.conjuncts for tree in certificate.trees],
        "columns": certificate.records.shape[1],
        "arrays": [[name, a.dtype.str, a.shape] for name, a in narrow.items()],
    }
    head = _text_of(header)
    try:
        body = head + b"\n" + pack(narrow, head)
    except TooLarge as error:
        raise OutputError(f"certificate {path}: {error}") from error
    whole = MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    try:
        Path(path).write_bytes(whole)
    except OSError as error:
        raise OutputError(
            f"certificate {path}", expected="a place to write", got=error.strerror or str(error)
        ) from error
    return len(whole)


def read_certificate(path: Path | str) -> Certificate:
    """The certificate in a file; DataError if it is none, or damaged."""
    path = path_of("certificate", path)
    whole = _content(path)
    if not whole.startswith(MAGIC):
        raise _trouble(
            path,
            "a file as 'precond prove --certificate DIR' writes it",
            "one that begins otherwise; give the certificate first, then the model",
        )
    begin = len(MAGIC) + DIGEST + 1
    digest = hashlib.sha256(memoryview(whole)[begin:]).hexdigest().encode() + b"\n"
    if whole[len(MAGIC) : begin] != digest:
        raise _trouble(path, "content of the SHA-256 it states", "another: it is damaged")
    try:
        return _parsed(whole, begin)
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError, zlib.error) as error:
        raise _trouble(path, "the form of docs/certificates.md", str(error)) from error


def _content(path: Path) -> bytes:
    """The bytes of a plain file; nothing that could go on forever is opened."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise _trouble(path, "a file", "a folder or a device")
        if found.st_size >= LIMIT:
            raise _trouble(path, f"less than {LIMIT} bytes", str(found.st_size))
        with path.open("rb") as file:
            return file.read(found.st_size)
    except FileNotFoundError as error:
        raise _trouble(path, "a file", "no such file") from error
    except OSError as error:
        raise _trouble(path, "a readable file", error.strerror or str(error)) from error


def _parsed(whole: bytes, begin: int) -> Certificate:
    end = whole.find(b"\n", begin)
    _require(end >= 0, "a header")
    head, size = whole[begin:end], len(whole) - begin
    room = require_room(header_cost(head), size)
    header = json.loads(head, parse_constant=_no_constant)
    _require(type(header) is dict and tuple(header) == (*FIELDS, "arrays"), "the header's fields")
    _require(_text_of(header) == head, "the header's spelling")
    trees = [tuple(_whole(c) for c in _list(tree)) for tree in _list(header["trees"])]
    listed = _listed(header["arrays"], len(trees))
    columns = _whole(header["columns"])
    arrays = unpack(memoryview(whole)[end + 1 :], listed, size, room=room)
    data, indices, starts = (np.ascontiguousarray(arrays[f"records.{k}"]) for k in RECORDS)
    fits = len(starts) > 0 and starts[0] == 0 and starts[-1] == len(data) == len(indices)
    _require(bool(fits), "records")
    _require(not indices.size or 0 <= indices.min() <= indices.max() < columns, "records")
    records = csr_array((data, indices, starts), shape=(len(starts) - 1, columns))
    certificate = Certificate(
        statement=_statement(header, arrays),
        bits=_whole(header["bits"]),
        trees=tuple(
            Tree(ways, *(arrays[f"tree{k}.{name}"] for name in TREE))
            for k, ways in enumerate(trees)
        ),
        records=records,
        refinements=Refinements(*(arrays[f"refined.{name}"] for name in REFINED)),
        steps=_steps(arrays),
    )
    if problem := malformed(certificate):
        raise ValueError(problem)
    return certificate


def _steps(arrays: dict[str, NDArray[Any]]) -> Steps:
    if "steps.tree" not in arrays:
        return Steps.none()
    _require(arrays["steps.tree"].size > 0, "steps")
    return Steps(**{name: arrays[f"steps.{name}"] for name in STEPS})


def _statement(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Statement:
    lower, upper, matrix, bound = (_wide(arrays[name]) for name in STATEMENT)
    return Statement(
        network=_text(header["network"]),
        origin=_text(header["origin"]),
        lower=lower,
        upper=upper,
        literals=tuple(
            PreActivationBound(_text(layer), _whole(index), _truth(above), value=_number(value))
            for layer, index, above, value in _list(header["literals"])
        ),
        clauses=tuple(tuple(map(_linear, _list(clause))) for clause in _list(header["clauses"])),
        matrix=matrix,
        bound=bound,
        vacuous=_truth(header["vacuous"]),
    )


def _listed(given: Any, trees: int) -> Listed:
    """Names, types and shapes of the arrays; ValueError unless they are those of so many trees."""
    form = dict(STATEMENT)
    parts = [(f"tree{k}", TREE) for k in range(trees)]
    entries = [_list(entry) for entry in _list(given)]
    more = (("steps", STEPS),) if len(entries) > len(STATEMENT) + _many(parts, PARTS) else ()
    for part, own in (*parts, *PARTS, *more):
        form |= {f"{part}.{name}": described for name, described in own.items()}
    _require([name for name, _, _ in entries] == list(form), "the names of arrays")
    found = []
    for (name, kind, shape), (kinds, axes) in zip(entries, form.values(), strict=True):
        _require(kind in kinds and len(_list(shape)) == axes, f"the type or shape of {name}")
        found.append((name, kind, tuple(_whole(n) for n in shape)))
    return found


def _many(*parts: Sequence[tuple[str, Form]]) -> int:
    return sum(len(form) for group in parts for _, form in group)


def _text_of(header: dict[str, Any]) -> bytes:
    """The one spelling of a header."""
    return json.dumps(header, allow_nan=False).encode()


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """The smallest type of a file that holds every value."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            half = array.astype("<f4")
        return half if np.array_equal(half, array) else array.astype("<f8")
    return array.astype("|u1" if array.dtype == np.uint8 else "<i4")


def _wide(array: NDArray[Any]) -> NDArray[np.float64]:
    """In double precision; where all numbers are one in memory, they stay so."""
    if array.size and not any(array.strides):
        one = array[(slice(0, 1),) * array.ndim]
        return np.broadcast_to(one.astype(np.float64), array.shape)
    return array.astype(np.float64, copy=False)


def _linear(parts: Any) -> Linear:
    outputs, inputs, bound, strict = parts
    terms = [tuple((_whole(k), _number(v)) for k, v in pairs) for pairs in (outputs, inputs)]
    return Linear(terms[0], terms[1], _number(bound), strict=_truth(strict))


def _checked(kind: type) -> Callable[[Any], Any]:
    def accept(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r:.40} is no {kind.__name__}")
        return value

    return accept


_text, _truth, _list, _integer = map(_checked, (str, bool, list, int))


def _whole(value: Any) -> int:
    number: int = _integer(value)
    _require(abs(number) < LIMIT, "a whole number")
    return number


def _number(value: Any) -> float:
    number = float(value) if type(value) in (int, float) else math.nan
    _require(math.isfinite(number) and number == value, "a number")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} do not fit")


def _trouble(path: Path, expected: str, got: str) -> DataError:
    return DataError(f"certificate {path}", expected=expected, got=got[:200])
