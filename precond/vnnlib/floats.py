"""Queries about runs in one type of floats: what they are about, and how their numbers are read.

In the standard's semantics a number of the file is one of the declared type, so ``0.1`` means
the nearest float32 in a float32 query.  Some readers compare with the decimal itself.  A proof
has to cover both readings, so claims are made of the ``weak`` formula, in which every bound is
the looser of the two; a witness is judged by the standard's own, with ``rounded`` numbers.

Comparisons of one variable with a number, and of two variables, round nothing else.  Sums and
products would be computed in floats as well; they are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from precond.network.evaluate import values_at
from precond.network.graph import INPUT, Network
from precond.proof.arithmetic import Arithmetic
from precond.vnnlib.formula import (
    Atom,
    Declaration,
    Formula,
    Place,
    UnsupportedQuery,
    mapped,
)

TYPES: dict[Arithmetic, type[np.floating]] = {
    Arithmetic.FLOAT32: np.float32,
    Arithmetic.FLOAT64: np.float64,
}


def arithmetic_of(declarations: Sequence[Declaration]) -> Arithmetic:
    """What a query is about: real numbers, or runs in one type of floats."""
    types = sorted({declared.element_type for declared in declarations})
    known = {arithmetic.value: arithmetic for arithmetic in Arithmetic}
    if len(types) != 1 or types[0] not in known:
        raise UnsupportedQuery(
            "element type",
            expected=f"one of {', '.join(known)} throughout",
            got=", ".join(types),
            fix="Declare variables as real, or pass --as-real",
        )
    return known[types[0]]


def readings(formula: Formula, execution: Arithmetic, source: str) -> tuple[Formula, Formula]:
    """(weak, rounded), for a query about runs."""
    kind = TYPES[execution]

    def weak(atom: Atom) -> Atom:
        _check(atom, source)
        constant = min(atom.constant, nearest(atom.constant, kind)) if atom.terms else atom.constant
        return replace(atom, constant=constant)

    def rounded(atom: Atom) -> Atom:
        return replace(atom, constant=nearest(atom.constant, kind))

    return mapped(formula, weak), mapped(formula, rounded)


def nearest(value: Fraction, kind: type[np.floating]) -> Fraction:
    """The number of the type nearest to ``value``, ties to even; ``value`` itself beyond them."""
    try:
        guess = kind(float(value))
    except OverflowError:
        return value
    if not np.isfinite(guess):
        return value
    near = [guess, np.nextafter(guess, kind(-np.inf)), np.nextafter(guess, kind(np.inf))]
    exact = [Fraction(float(number)) for number in near if np.isfinite(number)]
    least = min(abs(number - value) for number in exact)
    closest = [number for number in exact if abs(number - value) == least]
    return closest[0] if len(closest) == 1 else min(closest, key=lambda n: _last_bit(n, kind))


def _last_bit(number: Fraction, kind: type[np.floating]) -> int:
    raw = kind(float(number)).tobytes()
    return int.from_bytes(raw, "little") & 1


def run_values(
    network: Network, names: Iterable[str], x: NDArray[np.float64], execution: Arithmetic
) -> dict[str, NDArray[np.float64]] | None:
    """Values of the nodes ``names`` in the reference run: as torch computes them in the type of
    the run, for that input (n,) alone.  None where x is not of that type, or a value not finite."""
    with np.errstate(over="ignore"):
        if (x.astype(TYPES[execution]) != x).any():
            return None
    dtype = torch.float32 if execution is Arithmetic.FLOAT32 else torch.float64
    found = {INPUT: x}
    for name in set(names) - {INPUT}:
        found[name] = values_at(network, x[None], name, dtype=dtype)[0]
    return found if all(np.isfinite(value).all() for value in found.values()) else None


def _check(atom: Atom, source: str) -> None:
    factors = [factor for _, factor in atom.terms]
    one = len(factors) <= 1 and all(abs(factor) == 1 for factor in factors)
    two = sorted(factors) == [-1, 1] and atom.constant == 0
    if not (one or two):
        Place(source, atom.line).unsupported(
            "arithmetic of floats",
            expected="comparisons of one variable with a number, or of two variables "
            "(--as-real reads sums and products as those of real numbers)",
            got="a sum or a product",
        )
