"""Certificates forged by hand: of false statements, of another form, and short ones that cost much.

All are about y = relu(x), one input and one output, on [0, 1000] if nothing else is said.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from certificate_files import Arrays, File, sealed, sealed_body
from numpy.typing import NDArray

from precond.network.graph import Network

Clause = list[list[Any]]
AT_LEAST = [[[[0, 1.0]], [], -1.0, False]]
AT_MOST = [[[[0, -1.0]], [], -1.0, False]]


def comb(
    splits: int, at: Any = 0.5, *, ways: tuple[int, ...] = (0,), frame: bool = False
) -> Arrays:
    """The arrays of a tree whose splits all have a leaf and the next split below."""
    kind = np.array([1, 0] * splits + [0], "|u1") + np.uint8(2 * frame)
    values = np.full(splits, at, "<f4") if np.isscalar(at) else np.asarray(at, "<f8")
    return {
        "kind": kind,
        "item": np.array([0, -1] * splits + [-1], "<i4"),
        "at": values,
        "weights": np.ones((splits + 1, len(ways)), "<f4"),
        "record": np.full((splits + 1, len(ways)), -1, "<i4"),
    }


def forged(
    about: Network,
    clauses: list[Clause],
    trees: list[tuple[list[int], Arrays]],
    record: tuple[Any, Any, Any] = ((), (), (0,)),
    *,
    high: float = 1000.0,
    matrix: NDArray[Any] | None = None,
    bound: NDArray[Any] | None = None,
    refined: NDArray[Any] | None = None,
    more: Arrays | None = None,
    **header: Any,
) -> bytes:
    """A file made by hand; every input lies in [0, high]."""
    n = about.input_size
    matrix = np.zeros((0, n), "<f4") if matrix is None else matrix
    bound = np.zeros(len(matrix), "<f4") if bound is None else bound
    arrays: Arrays = {"lower": np.zeros(n, "<f4"), "upper": np.full(n, high, "<f8")}
    arrays |= {"matrix": matrix, "bound": bound}
    for k, (_, own) in enumerate(trees):
        arrays |= {f"tree{k}.{name}": array for name, array in own.items()}
    for name, kind, values in zip(
        ("data", "indices", "indptr"), ("<f8", "<i4", "<i4"), record, strict=True
    ):
        arrays[f"records.{name}"] = np.asarray(values, kind)
    refined = np.zeros((4, 0), "<i4") if refined is None else np.asarray(refined, "<i4")
    arrays |= dict(
        zip((f"refined.{k}" for k in ("tree", "node", "bound", "record")), refined, strict=True)
    )
    fields = {
        "network": about.hash,
        "origin": "m.onnx",
        "vacuous": False,
        "literals": [],
        "clauses": clauses,
        "bits": 0,
        "trees": [ways for ways, _ in trees],
        "columns": 3 * about.neurons + len(matrix),
    }
    return sealed(File({**fields, **header}, {**arrays, **(more or {})}))


def frauds(network: Network) -> Iterator[tuple[str, bytes]]:
    """Forged files about y = relu(x): all state what is false, or are not of the one form."""
    leaf = ([0], comb(0) | {"record": np.zeros((1, 1), "<i4")})
    plain = ([0], comb(0))
    for place in range(3):
        for values in ([1e308, 1e308], [1e300, 1e308, -1e300], [1e308, -1e308]):
            record = values, [place] * len(values), [0, len(values)]
            yield (
                f"place {place} of a record {len(values)} times",
                forged(network, [AT_MOST], [leaf], record),
            )
    for value in (-1.0, np.nan, np.inf, -np.inf, -5e-324):
        yield f"a multiplier of {value}", forged(network, [AT_MOST], [leaf], ([value], [1], [0, 1]))
        weights = {"weights": np.array([[value]], "<f8")}
        yield f"a weight of {value}", forged(network, [AT_MOST], [([0], comb(0) | weights)])
    for terms in (
        [[0, 1e20], [0, -1.0], [0, -1e20]],
        [[0, -1.0], [0, 1e17], [0, -1e17]],
        [[0, 1], [0, -2]],
    ):
        yield (
            f"an output {len(terms)} times",
            forged(network, [[[terms, [], -1.0, False]]], [plain]),
        )
        yield f"an input {len(terms)} times", forged(network, [[[[], terms, -1.0, False]]], [plain])
    for index in (-1, 1, 2**31 - 1, -(2**31)):
        yield f"output {index}", forged(network, [[[[[index, 1.0]], [], -1.0, False]]], [plain])
    for bound in (1e400, float("nan"), 10**400, "1", None, [], True):
        yield (
            f"a bound of {bound!s:.9}",
            forged(network, [[[[[0, 1.0]], [], bound, False]]], [plain]),
        )
    yield (
        "a clause of nothing",
        forged(network, [[]], [([0], comb(0) | {"weights": np.zeros((1, 0), "<f4")})]),
    )
    yield "a way closed twice", forged(network, [AT_LEAST], [([0, 0], comb(0, ways=(0, 0)))])
    yield "two trees for one way", forged(network, [AT_LEAST], [plain, plain])
    yield "no tree", forged(network, [AT_MOST], [])
    yield (
        "a tree that closes nothing",
        forged(network, [AT_LEAST], [plain, ([], comb(900, ways=()))]),
    )
    yield (
        "a tree of no leaf",
        forged(network, [AT_MOST], [([0], comb(0) | {k: v[:0] for k, v in comb(0).items()})]),
    )
    yield (
        "vacuous, and it is not",
        forged(network, [], [([0], comb(0) | {"weights": np.zeros((1, 0), "<f4")})], vacuous=True),
    )
    yield "an empty box", forged(network, [AT_MOST], [plain], high=-1.0)
    yield "a box that is no number", forged(network, [AT_MOST], [plain], high=float("nan"))
    yield "an infinite box", forged(network, [AT_MOST], [plain], high=float("inf"))
    twice = [[0, 0], [0, 0], [0, 0], [0, 0]]
    framed = ([0], comb(0, frame=True))
    yield (
        "a bound refined twice",
        forged(network, [AT_MOST], [framed], ([1.0], [1], [0, 1]), refined=np.array(twice)),
    )
    yield (
        "a refinement of no frame",
        forged(network, [AT_MOST], [plain], ([1.0], [1], [0, 1]), refined=np.zeros((4, 1))),
    )
    for name, value in (
        ("assuming", "x0 = 0"),
        ("vacuous ", True),
        ("Vacuous", True),
        ("\x1b[2J", 1),
    ):
        yield f"field {name!r}", forged(network, [AT_LEAST], [plain], **{name: value})
    for bits in (-5, 1, 15, 31, 10**9, 10**400, 27.0, "27", None, True):
        yield f"bits {bits!s:.9}", forged(network, [AT_LEAST], [plain], bits=bits)
    for columns in (0, 2, 4, 2**31, 10**30, -1, 3.0):
        yield f"columns {columns}", forged(network, [AT_LEAST], [plain], columns=columns)
    for digest in ("", "0" * 64, network.hash.upper(), f"{network.hash}\nvalid", None, 0):
        yield f"hash {digest!s:.9}", forged(network, [AT_LEAST], [plain], network=digest)
    literal = ["relu", 0, True, 0.0]
    for literals in (
        [literal, literal],
        [["relu", 9, True, 0.0]],
        [["no", 0, True, 0.0]],
        [literal[:3]],
        [["relu", 0, 1, 0.0]],
    ):
        yield f"literals {literals!s:.20}", forged(network, [AT_LEAST], [plain], literals=literals)


def bombs(network: Network) -> Iterator[tuple[str, bytes]]:
    """Short files that ask for much memory or time, and prove nothing."""
    plain = ([0], comb(0))
    zeros = np.zeros(1 << 22, "<f4")
    yield "an array that nothing uses", forged(network, [], [], more={"unused": zeros})
    yield (
        "a tree that is not listed",
        forged(network, [], [], more={"tree7.weights": zeros[:, None]}),
    )
    yield "a long box", forged(network, [AT_LEAST], [plain], more={"lower": zeros, "upper": zeros})
    yield (
        "many half-spaces",
        forged(network, [AT_LEAST], [plain], matrix=zeros[:, None], bound=zeros),
    )
    some = np.tile(np.array([1, 0], "<f4"), 1 << 20)
    yield (
        "many half-spaces, not all one",
        forged(network, [AT_LEAST], [plain], matrix=some[:, None], bound=some),
    )
    for splits in (3_000, 100_000, 500_000):
        yield (
            f"{splits} splits at one place",
            forged(network, [AT_LEAST], [([0], comb(splits))], high=1.0),
        )
        yield (
            f"{splits} frames",
            forged(network, [AT_LEAST], [([0], comb(splits, frame=True))], high=1.0),
        )
    yield "splits for nothing", forged(network, [], [([], comb(100_000, ways=()))])
    yield "deep lists", sealed_body(b"[" * 400_000 + b"\n")
    yield "wide lists", sealed_body(b"[" + b"[]," * 300_000 + b"[]]\n")
    yield "many keys", sealed_body(b"{" + b'"a":{},' * 120_000 + b'"a":{}}\n')
    yield "a long number", sealed_body(b"1" * 900_000 + b"\n")
    yield (
        "many long numbers",
        sealed_body(b"[" + b"9" * 4_000 + (b"," + b"9" * 4_000) * 200 + b"]\n"),
    )
    yield "a large exponent", sealed_body(b"[1e1000000000]\n")
    yield "spaces", sealed_body(b" " * 900_000 + b"{}\n")
    yield "no line break", sealed_body(b"x" * 900_000)
    yield "a long name", forged(network, [], [], origin="a" * 900_000, bits=1)
    yield "many clauses", forged(network, [[[[], [], -1.0, False]]] * 20_000, [])
    yield "one long clause", forged(network, [[[[], [], -1.0, False]] * 20_000], [])
    yield (
        "many literals",
        forged(network, [AT_LEAST], [plain], literals=[["relu", 0, True, 0.0]] * 20_000),
    )
    yield "many trees", forged(network, [AT_LEAST], [([0], comb(0))] * 2_000)
    starts = np.zeros(1 << 22, "<i4")
    yield "many empty records", forged(network, [AT_LEAST], [plain], ((), (), starts))
    many = np.arange(1 << 18) % 3
    yield (
        "a long record",
        forged(network, [AT_LEAST], [plain], (np.ones(len(many)), many, [0, len(many)])),
    )
    refined = np.zeros((4, 1 << 20))
    yield (
        "many refinements",
        forged(network, [AT_LEAST], [([0], comb(0, frame=True))], refined=refined),
    )
    yield "two streams", forged(network, [], []) + zlib.compress(bytes(1 << 24), 9)


def loads(about: Network) -> Iterator[tuple[str, bytes]]:
    """Long files of the one form, as large as their kind may be; what they state is true or not
    shown."""
    rng = np.random.default_rng(0)
    plain = ([0], comb(0))

    def spread(count: int) -> NDArray[np.float64]:
        return np.sort(rng.uniform(size=count))

    yield "splits at one place", forged(about, [AT_LEAST], [([0], comb(950))], high=1.0)
    yield "splits in order", forged(about, [AT_LEAST], [([0], comb(1500, spread(1500)))], high=1.0)
    yield (
        "splits with frames",
        forged(about, [AT_LEAST], [([0], comb(900, spread(900), frame=True))], high=1.0),
    )
    yield "deep", forged(about, [AT_LEAST], [([0], comb(2_500, spread(2_500)))], high=1.0)
    matrix = rng.normal(size=(40_000, 1))
    yield "half-spaces", forged(about, [AT_LEAST], [plain], matrix=matrix, bound=matrix[:, 0])
    ones = np.ones((20_000, 1), "<f4")
    yield "half-spaces, all one", forged(about, [AT_LEAST], [plain], matrix=ones)
    used = ([0], comb(0) | {"record": np.zeros((1, 1), "<i4")})
    record = rng.uniform(size=40_000), 3 + np.arange(40_000), [0, 40_000]
    yield (
        "half-spaces in a record",
        forged(about, [AT_LEAST], [used], record, matrix=matrix, bound=np.full(40_000, 9.0)),
    )
    yield (
        "clauses",
        forged(
            about, [AT_LEAST] * 2_000, [(list(range(2_000)), comb(0, ways=tuple(range(2_000))))]
        ),
    )
    yield (
        "one clause",
        forged(
            about, [AT_LEAST * 2_000], [([0], comb(0) | {"weights": np.ones((1, 2_000), "<f4")})]
        ),
    )
    literals = [["relu0", 0, True, -float(v)] for v in rng.uniform(size=4_000)]
    yield "literals", forged(about, [AT_LEAST], [plain], literals=literals)
    rows = 20_000
    kept = rng.uniform(size=rows), rng.integers(3, size=rows), np.arange(rows + 1)
    yield "records", forged(about, [AT_LEAST], [plain], kept)
    yield "a long name", forged(about, [AT_LEAST], [plain], origin="a\n" * 100_000)
    far = [[[[0, 1e308]], [], -5e-324, False]]
    at = np.array([5e-324, 1e-300, 1.0, 1e200, 1e308] * 60)
    yield "numbers far apart", forged(about, [far], [([0], comb(300, at))], high=1.7e308)
