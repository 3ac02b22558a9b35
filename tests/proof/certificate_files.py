"""Certificate files taken apart, changed, and sealed again: in their bytes, in their header, in
their arrays.

A file here is its header (a dict, or any text) and its arrays, in order; ``sealed`` makes bytes of
them as whoever wants to deceive would, with a digest that fits.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import Certificate
from precond.checker.files import MAGIC

Header = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
Rng = np.random.Generator
ODD = (-1, 0, 1, 2, 27, 31, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, 5e-324, True, None)
WORDS = (
    "",
    "y0",
    "a\nvalid",
    "\x1b[2J",
    "\u202e",
    "0" * 64,
    [],
    {},
    [[]],
    [[], []],
    [0],
    "9" * 300,
)
NUMBERS = (np.nan, np.inf, -np.inf, -1.0, -1e-300, 0.0, 1e308, 5e-324, 2.0**-1074, 1e-8)


@dataclass(frozen=True)
class File:
    header: Header
    arrays: Arrays


def parts(raw: bytes) -> File:
    """A good file, taken apart."""
    head, _, packed = raw[len(MAGIC) + 65 :].partition(b"\n")
    header, stream, at = json.loads(head), zlib.decompress(packed), 0
    arrays: Arrays = {}
    for name, kind, shape in header["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(stream, kind, count, at).reshape(shape).copy()
        at += arrays[name].nbytes
    return File(header, arrays)


def sealed_body(body: bytes) -> bytes:
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def sealed(file: File, head: bytes | None = None, level: int = 9) -> bytes:
    """A file with these parts; the header lists the arrays as they are unless it does already."""
    header = dict(file.header)
    header["arrays"] = [[k, a.dtype.str, list(a.shape)] for k, a in file.arrays.items()]
    text = json.dumps(header).encode() if head is None else head
    raw = b"".join(a.tobytes() for a in file.arrays.values())
    return sealed_body(text + b"\n" + zlib.compress(raw, level))


def changed_bytes(raw: bytes, rng: Rng) -> bytes:
    """One to four changes of bytes anywhere; mostly with a digest that fits again."""
    whole = bytearray(raw[len(MAGIC) + 65 :])
    for _ in range(int(rng.integers(1, 5))):
        at, end = sorted(rng.integers(len(whole) + 1, size=2).tolist())
        end = min(end, at + int(rng.integers(1, 40)))
        match int(rng.integers(6)):
            case 0:
                whole[at:end] = b""
            case 1:
                whole[at:at] = whole[at:end]
            case 2:
                whole[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 3:
                whole = whole[:at] if rng.uniform() < 0.2 else whole + rng.bytes(3)
            case _:
                if at < len(whole):
                    whole[at] ^= 1 << int(rng.integers(8))
        whole = whole or bytearray(b"\n")
    if rng.uniform() < 0.1:
        return raw[: len(MAGIC) + 65] + bytes(whole)
    return sealed_body(bytes(whole))


def changed_stream(file: File, rng: Rng) -> bytes:
    """Bytes of the arrays, before they are packed."""
    name = _some(rng, [k for k, a in file.arrays.items() if a.size])
    array = file.arrays[name].copy()
    flat = array.view(np.uint8).reshape(-1)
    flat[int(rng.integers(flat.size))] ^= np.uint8(1 << int(rng.integers(8)))
    return sealed(File(file.header, {**file.arrays, name: array}))


def changed_number(file: File, rng: Rng) -> bytes:
    """One number of an array is another, or all are."""
    name = _some(rng, [k for k, a in file.arrays.items() if a.size])
    array = file.arrays[name].copy()
    flat = array.reshape(-1)
    where = slice(None) if rng.uniform() < 0.1 else int(rng.integers(flat.size))
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            flat[where] = _some(rng, NUMBERS)
    else:
        flat[where] = _some(rng, (0, 1, 2, 3, 4, 255, 7) if array.dtype == np.uint8 else
                            (-(2**31), -2, -1, 0, 1, 2, 5, 1000, 2**31 - 1))  # fmt: skip
    return sealed(File(file.header, {**file.arrays, name: array}))


def changed_shape(file: File, rng: Rng) -> bytes:
    """An array has more or fewer rows, another type or rank, or is gone, twice, or new."""
    arrays = dict(file.arrays)
    name = _some(rng, list(arrays))
    array = arrays[name]
    match int(rng.integers(8)):
        case 0:
            arrays[name] = array[:-1]
        case 1:
            arrays[name] = np.concatenate([array, array])
        case 2:
            arrays[name] = array[::-1]
        case 3:
            arrays[name] = array[None] if array.ndim == 1 else array.reshape(-1)
        case 4:
            arrays[name] = array.astype(_some(rng, ("<f8", "<f4", "<i4", "|u1", "<i8", ">f8")))
        case 5:
            del arrays[name]
        case 6:
            arrays[f"{name}2"] = array
        case _:
            names = list(arrays)
            rng.shuffle(names)
            arrays = {k: arrays[k] for k in names}
    return sealed(File(file.header, arrays))


def changed_sizes(file: File, rng: Rng) -> bytes:
    """The header says other sizes or types than the arrays have."""
    header = {**file.header}
    listed = [[k, a.dtype.str, list(a.shape)] for k, a in file.arrays.items()]
    entry = _some(rng, listed)
    entry[int(rng.integers(3))] = _some(rng, (*ODD, *WORDS, "<f8", [2**31], [2**62, 4], [0], [3]))
    header["arrays"] = listed
    return sealed(file, head=json.dumps(header).encode())


def changed_header(file: File, rng: Rng) -> bytes:
    """A value somewhere in the header is another, is twice, or is gone."""
    header = json.loads(json.dumps(file.header))
    places = list(_places(header))
    holder, key = places[int(rng.integers(len(places)))]
    value = holder[key]
    match int(rng.integers(6)):
        case 0 if isinstance(value, float):
            holder[key] = float(value + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-12, 3))
        case 1 if isinstance(value, list):
            value.extend(json.loads(json.dumps(value)))
        case 2 if isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(value)))
        case 3:
            del holder[key]
        case 4 if isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = -value
        case _:
            holder[key] = _some(rng, (*ODD, *WORDS))
    return sealed(File(header, file.arrays))


def changed_spelling(file: File, rng: Rng) -> bytes:
    """The header means the same, or names something twice, and is spelled otherwise."""
    header = dict(file.header)
    header["arrays"] = [[k, a.dtype.str, list(a.shape)] for k, a in file.arrays.items()]
    text = json.dumps(header)
    spelled = [
        json.dumps(header, indent=int(rng.integers(2, 5))).replace("\n", " "),
        json.dumps(header, separators=(",", ":")),
        json.dumps(header, sort_keys=True),
        text[:-1] + ', "vacuous": true}',
        text[:-1] + ', "assuming": "x0 = 0"}',
        text.replace('"bits": ', '"bits" : '),
        text.replace('"bits": 2', '"bits": +2').replace('"bits": 0', '"bits": 00'),
        " " * int(rng.integers(1, 99)) + text,
        text.replace("1.0", "1.00").replace("0.", "0.0"),
        text.replace('"clauses"', '"\\u0063lauses"'),
    ]
    return sealed(file, head=_some(rng, spelled).encode())


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield value, key
            yield from _places(value[key])


def _some(rng: Rng, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


CHANGES: tuple[Callable[[File, Rng], bytes], ...] = (
    changed_stream,
    changed_number,
    changed_shape,
    changed_sizes,
    changed_header,
    changed_spelling,
)


def changed(raw: bytes, rng: Rng) -> tuple[str, bytes]:
    """What was changed in a good file, and the file with that change."""
    if rng.uniform() < 0.3:
        return changed_bytes.__name__, changed_bytes(raw, rng)
    how = CHANGES[int(rng.integers(len(CHANGES)))]
    return how.__name__, how(parts(raw), rng)


def same(a: Certificate, b: Certificate) -> bool:
    """Whether two certificates have one content; the model's name and place are none."""
    arrays = [
        (getattr(x, name), getattr(y, name))
        for x, y, names in (
            *(
                (t, u, ("kind", "item", "at", "weights", "record"))
                for t, u in zip(a.trees, b.trees, strict=False)
            ),
            (a.records, b.records, ("data", "indices", "indptr")),
            (a.refinements, b.refinements, ("tree", "node", "bound", "record")),
        )
        for name in names
    ]
    plain = a.bits == b.bits and [t.conjuncts for t in a.trees] == [t.conjuncts for t in b.trees]
    return plain and a.statement.same(b.statement) and all(np.array_equal(*p) for p in arrays)
