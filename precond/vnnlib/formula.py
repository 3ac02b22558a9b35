"""The formula of a VNN-LIB query, in exact rational arithmetic, whatever file it came from.

A formula is made of atoms ``Σ c·v + k ≤ 0`` (``< 0`` if strict) joined by and/or; c and k
are the decimals of the file as fractions.  A variable is ``(node, flat index)``: node is
``input``, the network's output node, or a hidden node.  The formula states the set of
*violations*: the query is satisfiable where it holds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product
from typing import NoReturn

from precond.errors import QueryError

Variable = tuple[str, int]
LARGEST = 400  # digits in a number, and size of its exponent
DEEPEST = 200  # nested parentheses

LINE_END = re.compile(r"\r\n|\r|\n")  # in both versions; what else Unicode breaks lines at is none

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?(?:/(\d+))?", re.ASCII)


class UnsupportedQuery(QueryError):
    """A query with a meaning that is outside what can be decided here."""


class VariableKind(Enum):
    """What a declared variable stands for."""

    INPUT = "input"
    HIDDEN = "hidden"
    OUTPUT = "output"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A declared variable: ``shape`` of it stands for ``node``'s values from ``offset`` on.

    ``element_type`` is the standard's word (``real``, ``float32``); ``network`` the name the
    query gives the network.
    """

    name: str
    element_type: str
    shape: tuple[int, ...]
    kind: VariableKind
    network: str
    node: str
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Place:
    """Where in a file something was read; makes the errors."""

    source: str
    line: int

    def error(self, problem: str, *, expected: str, got: str) -> NoReturn:
        raise QueryError(f"{self.source}, line {self.line}: {problem}", expected=expected, got=got)

    def unsupported(self, problem: str, *, expected: str, got: str) -> NoReturn:
        raise UnsupportedQuery(
            f"{self.source}, line {self.line}: {problem}", expected=expected, got=got
        )


@dataclass(frozen=True)
class LinearSum:
    """``Σ c·v + constant``."""

    terms: Mapping[Variable, Fraction]
    constant: Fraction

    def minus(self, other: LinearSum) -> LinearSum:
        terms = dict(self.terms)
        for variable, value in other.terms.items():
            terms[variable] = terms[variable] - value if variable in terms else -value
        return LinearSum(terms, self.constant - other.constant)

    def times(self, factor: Fraction) -> LinearSum:
        return LinearSum({v: factor * c for v, c in self.terms.items()}, factor * self.constant)


@dataclass(frozen=True)
class Atom:
    """``Σ c·v + constant ≤ 0``, or ``< 0`` when strict."""

    terms: tuple[tuple[Variable, Fraction], ...]
    constant: Fraction
    strict: bool
    line: int

    def holds(self, value: Callable[[Variable], Fraction]) -> bool:
        total = self.constant
        for variable, factor in self.terms:
            total += factor * value(variable)
        return total < 0 if self.strict else total <= 0

    def surely_holds(self, ends: Callable[[Variable], tuple[Fraction, Fraction]]) -> bool:
        total = self.constant
        for variable, factor in self.terms:
            total += factor * ends(variable)[factor > 0]
        return total < 0 if self.strict else total <= 0


@dataclass(frozen=True)
class And:
    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Formula, ...]


Formula = Atom | And | Or
Conjunction = tuple[Atom, ...]


def number(text: str, place: Place) -> Fraction | None:
    """The exact value of a decimal, scientific or rational literal; None for other words."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    exponent, denominator = match.groups()
    if len(text) > LARGEST or (exponent is not None and abs(int(exponent)) > LARGEST):
        place.error("number", expected=f"at most {LARGEST} digits", got=text[:40])
    if denominator is not None and int(denominator) == 0:
        place.error("number", expected="a denominator that is not zero", got=text)
    return _value(text)


@lru_cache(maxsize=1 << 12)
def _value(text: str) -> Fraction:
    """Of a literal that was found well formed; files name the same few numbers often."""
    top, _, bottom = text.partition("/")
    return Fraction(top) / Fraction(bottom) if bottom else Fraction(top)


def sum_of(parts: Sequence[LinearSum]) -> LinearSum:
    terms: dict[Variable, Fraction] = {}
    constant = Fraction(0)
    for part in parts:
        constant += part.constant
        for variable, value in part.terms.items():
            terms[variable] = terms[variable] + value if variable in terms else value
    return LinearSum(terms, constant)


def difference(parts: Sequence[LinearSum]) -> LinearSum:
    """``a`` negated when alone, else ``a − b − c …``."""
    first, rest = parts[0], parts[1:]
    return first.minus(sum_of(rest)) if rest else first.times(Fraction(-1))


def product_of(parts: Sequence[LinearSum], place: Place, text: str) -> LinearSum:
    total = parts[0]
    for part in parts[1:]:
        if total.terms and part.terms:
            place.unsupported("product", expected="at most one factor with variables", got=text)
        total = part.times(total.constant) if not total.terms else total.times(part.constant)
    return total


def comparison(operator: str, sides: Sequence[LinearSum], line: int) -> Formula:
    """``a op b`` (and ``b op c`` …) for ``<= >= < > = == !=``."""
    parts: list[Formula] = []
    for left, right in pairwise(sides):
        match operator:
            case "<=" | "<":
                parts.append(_atom(left, right, operator == "<", line=line))
            case ">=" | ">":
                parts.append(_atom(right, left, operator == ">", line=line))
            case "=" | "==":
                parts.append(_atom(left, right, strict=False, line=line))
                parts.append(_atom(right, left, strict=False, line=line))
            case _:
                parts.append(
                    Or(
                        (
                            _atom(left, right, strict=True, line=line),
                            _atom(right, left, strict=True, line=line),
                        )
                    )
                )
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _atom(small: LinearSum, large: LinearSum, strict: bool, line: int) -> Atom:
    gap = small.minus(large)
    return Atom(tuple([(v, c) for v, c in gap.terms.items() if c]), gap.constant, strict, line=line)


def holds(formula: Formula, value: Callable[[Variable], Fraction]) -> bool:
    """Whether the formula holds, exactly, of the values given."""
    match formula:
        case Atom():
            return formula.holds(value)
        case And(parts):
            return all(holds(part, value) for part in parts)
        case Or(parts):
            return any(holds(part, value) for part in parts)


def surely_holds(formula: Formula, ends: Callable[[Variable], tuple[Fraction, Fraction]]) -> bool:
    """Whether the formula holds of all values between the ends given, by bounds of each atom."""
    match formula:
        case Atom():
            return formula.surely_holds(ends)
        case And(parts):
            return all(surely_holds(part, ends) for part in parts)
        case Or(parts):
            return any(surely_holds(part, ends) for part in parts)


def conjunctions(formula: Formula, cap: int, source: str) -> tuple[Conjunction, list[Conjunction]]:
    """``(common, alternatives)``: the formula is ``common ∧ (alternative ∨ alternative …)``.

    Disjunctive normal form with the atoms that every conjunct shares kept apart.
    QueryError where there would be more than ``cap`` alternatives.
    """
    common: list[Atom] = []
    rest: list[Formula] = []
    stack = [formula]
    while stack:
        part = stack.pop()
        if isinstance(part, And):
            stack.extend(reversed(part.parts))
        elif isinstance(part, Atom):
            common.append(part)
        else:
            rest.append(part)
    wanted = And(tuple(rest))
    size = _count(wanted)
    if size > cap:
        raise QueryError(
            f"{source} in disjunctive normal form",
            expected=f"at most {cap} conjunctions",
            got=str(size) if size < 10**9 else f"about 10^{len(str(size)) - 1}",
            fix="Split the query",
        )
    return tuple(common), _expand(wanted)


def _count(formula: Formula) -> int:
    match formula:
        case Atom():
            return 1
        case And(parts):
            return math.prod(_count(part) for part in parts)
        case Or(parts):
            return sum(_count(part) for part in parts)


def _expand(formula: Formula) -> list[Conjunction]:
    match formula:
        case Atom():
            return [(formula,)]
        case And(parts):
            return [_joined(choice) for choice in product(*(_expand(part) for part in parts))]
        case Or(parts):
            return [conjunction for part in parts for conjunction in _expand(part)]


def _joined(parts: Iterable[Conjunction]) -> Conjunction:
    return tuple(atom for part in parts for atom in part)


def fits(declared: Sequence[int], actual: Sequence[int]) -> bool:
    """Whether two shapes are the same but for axes of length one (a batch axis, say)."""
    return [n for n in declared if n != 1] == [n for n in actual if n != 1]


def mapped(formula: Formula, change: Callable[[Atom], Formula]) -> Formula:
    """The formula with every atom changed."""
    match formula:
        case Atom():
            return change(formula)
        case And(parts):
            return And(tuple(mapped(part, change) for part in parts))
        case Or(parts):
            return Or(tuple(mapped(part, change) for part in parts))
