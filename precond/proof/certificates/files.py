"""Certificate files: a line that names the format, a SHA-256 of all that follows, a JSON line,
and a zlib stream of little-endian arrays (``docs/certificates.md``).

A file is data: nothing in it is run, no size is believed before it is compared with what is
there, and whatever does not fit is one ``DataError``.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.arguments import path_of
from precond.errors import DataError, OutputError
from precond.proof.certificates.data import (
    Certificate,
    Linear,
    Literal,
    Refinements,
    Statement,
    Tree,
    malformed,
)

MAGIC = b"precond certificate 1\n"
LIMIT = 1 << 31  # bytes of a file, and of its arrays
TREE = ("kind", "item", "at", "weights", "record")
RECORDS = ("data", "indices", "indptr")
REFINED = ("tree", "node", "bound", "record")
TYPES = ("<f8", "<f4", "<i4", "|u1")


def write_certificate(certificate: Certificate, path: Path | str) -> int:
    """Write ``certificate``; its size in bytes."""
    s = certificate.statement
    arrays: dict[str, NDArray[Any]] = {"lower": s.lower, "upper": s.upper}
    arrays |= {"matrix": s.matrix, "bound": s.bound}
    for k, tree in enumerate(certificate.trees):
        arrays |= {f"tree{k}.{name}": getattr(tree, name) for name in TREE}
    arrays |= {f"records.{name}": getattr(certificate.records, name) for name in RECORDS}
    arrays |= {f"refined.{name}": getattr(certificate.refinements, name) for name in REFINED}
    packed = {name: _narrow(array) for name, array in arrays.items()}
    header = {
        "network": s.network,
        "origin": s.origin,
        "vacuous": s.vacuous,
        "literals": [[t.layer, t.index, t.above, t.value] for t in s.literals],
        "clauses": [[[i.outputs, i.inputs, i.bound, i.strict] for i in c] for c in s.clauses],
        "bits": certificate.bits,
        "trees": [tree.conjuncts for tree in certificate.trees],
        "columns": certificate.records.shape[1],
        "arrays": [[name, a.dtype.str, a.shape] for name, a in packed.items()],
    }
    raw = b"".join(array.tobytes() for array in packed.values())
    body = json.dumps(header, allow_nan=False).encode() + b"\n" + zlib.compress(raw, 6)
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
    try:
        if path.stat().st_size > LIMIT:
            raise _trouble(path, f"at most {LIMIT} bytes", str(path.stat().st_size))
        whole = path.read_bytes()
    except OSError as error:
        raise _trouble(path, "a file", error.strerror or str(error)) from error
    if not whole.startswith(MAGIC):
        raise _trouble(path, "a file that 'precond certificate 1' begins", "another beginning")
    digest, _, body = whole[len(MAGIC) :].partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise _trouble(path, "content of the SHA-256 it states", "another: it is damaged")
    try:
        return _parsed(body)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, zlib.error) as error:
        raise _trouble(path, "fields as docs/certificates.md describes", repr(error)) from error


def _parsed(body: bytes) -> Certificate:
    head, _, packed = body.partition(b"\n")
    header = json.loads(head, parse_constant=_no_constant)
    arrays = _arrays(header["arrays"], packed)
    conjuncts = [tuple(_whole(c) for c in tree) for tree in header["trees"]]
    statement = Statement(
        _text(header["network"]),
        _text(header["origin"]),
        arrays["lower"],
        arrays["upper"],
        tuple(
            Literal(_text(layer), _whole(index), _truth(above), _number(value))
            for layer, index, above, value in header["literals"]
        ),
        tuple(tuple(map(_linear, clause)) for clause in header["clauses"]),
        arrays["matrix"],
        arrays["bound"],
        _truth(header["vacuous"]),
    )
    _require(arrays["lower"].ndim == arrays["upper"].ndim == arrays["bound"].ndim == 1, "box")
    trees = [
        Tree(which, *(arrays[f"tree{k}.{name}"] for name in TREE))
        for k, which in enumerate(conjuncts)
    ]
    data, indices, indptr = (arrays[f"records.{name}"] for name in RECORDS)
    columns = _whole(header["columns"])
    _require(data.ndim == indices.ndim == indptr.ndim == 1 and len(indptr) > 0, "records")
    steps = bool((np.diff(indptr) >= 0).all()) and indptr[0] == 0 and indptr[-1] == len(data)
    inside = bool((indices >= 0).all() and (indices < columns).all())
    _require(steps and inside and len(indices) == len(data), "records")
    refined = [arrays[f"refined.{name}"] for name in REFINED]
    records = csr_array((data, indices, indptr), shape=(len(indptr) - 1, columns))
    certificate = Certificate(
        statement, _whole(header["bits"]), tuple(trees), records, Refinements(*refined)
    )
    if problem := malformed(certificate):
        raise ValueError(problem)
    if not (statement.lower <= statement.upper).all():
        raise ValueError("a lower bound is above the upper one")
    return certificate


def _arrays(listed: Any, packed: bytes) -> dict[str, NDArray[Any]]:
    sizes = []
    for name, kind, shape in listed:
        _require(kind in TYPES and 0 < len(shape) <= 2, f"array {name}")
        _require(all(_whole(n) >= 0 for n in shape), f"array {name}")
        sizes.append(math.prod(shape) * np.dtype(kind).itemsize)
    total = sum(sizes)
    _require(total <= min(LIMIT, 1100 * len(packed)), "sizes of arrays")
    raw = zlib.decompressobj().decompress(packed, total + 1)
    _require(len(raw) == total, "bytes of arrays")
    found, begin = {}, 0
    for (name, kind, shape), size in zip(listed, sizes, strict=True):
        array = np.frombuffer(raw, kind, size // np.dtype(kind).itemsize, begin).reshape(shape)
        wide = {"f": np.float64, "i": np.int64, "u": np.uint8}[np.dtype(kind).kind]
        found[_text(name)] = array.astype(wide)
        begin += size
    return found


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """The smallest type of ``TYPES`` that holds every value."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            half = array.astype("<f4")
        return half if np.array_equal(half, array) else array.astype("<f8")
    return array.astype("|u1" if array.dtype == np.uint8 else "<i4")


def _linear(parts: Any) -> Linear:
    outputs, inputs, bound, strict = parts
    terms = [tuple((_whole(k), _number(v)) for k, v in pairs) for pairs in (outputs, inputs)]
    return Linear(terms[0], terms[1], _number(bound), _truth(strict))


def _checked(kind: type) -> Callable[[Any], Any]:
    def accept(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r:.40} is no {kind.__name__}")
        return value

    return accept


_text, _whole, _truth = _checked(str), _checked(int), _checked(bool)


def _number(value: Any) -> float:
    number = float(value) if type(value) in (int, float) else math.nan
    _require(math.isfinite(number), "a number")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} do not fit")


def _trouble(path: Path, expected: str, got: str) -> DataError:
    return DataError(f"certificate {path}", expected=expected, got=got[:200])
