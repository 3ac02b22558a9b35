"""From a formula of violations to claims: one claim per input region.

In disjunctive normal form each conjunction speaks of inputs (a box, half-spaces), of
hidden values (pattern literals) and of outputs.  Conjunctions with one region make one
claim, whose property is the negation of what they say of the outputs: a clause per
conjunction, a negated inequality per atom.  The negation happens here, once.

Violations are closed where the file says ``<=``, so clauses are strict there.  A region is
the closure of the file's: strict bounds of inputs and hidden values lose their strictness,
which can only enlarge what a proof covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.proof.claim import Claim, HalfSpaces
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.vnnlib.formula import Atom, Conjunction
from precond.vnnlib.implied import imply_bounds
from precond.vnnlib.rounding import down, half_space, up, weakened
from precond.vnnlib.sort import Parts, TightestBounds, sort


@dataclass(frozen=True)
class ExactBox:
    """The exact box of one claim's inputs, as the file's decimals state it."""

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]


class ClaimBuilder:
    """Groups conjunctions by region and makes the claims.

    ``output_index`` maps an output or exposed hidden variable to an output of ``exposed``;
    ``label`` names an input for messages.
    """

    def __init__(
        self,
        network: Network,
        exposed: Network,
        output_index: Callable[[tuple[str, int]], int],
        label: Callable[[int], str],
        source: str,
        cap: int,
    ) -> None:
        self.network = network
        self.exposed = exposed
        self.output_index = output_index
        self.label = label
        self.source = source
        self.cap = cap

    def build(
        self, common: Conjunction, alternatives: Sequence[Conjunction]
    ) -> tuple[list[Claim], list[ExactBox], int]:
        """Claims, their exact boxes, and how many regions were empty."""
        base = sort(common, self.network)
        groups: dict[object, tuple[Parts, dict[Conjunction, None]]] = {}
        for atoms in alternatives:
            parts = sort(atoms, self.network)
            if base.false or parts.false:
                continue
            key = (parts.intervals.beyond(TightestBounds()), _contents(parts.linear))
            _, conjunctions = groups.setdefault(key, (parts, {}))
            conjunctions[(*base.rest, *parts.rest)] = None
        claims: dict[object, tuple[TightestBounds, list[Atom], dict[Conjunction, None]]] = {}
        empty = 0
        for parts, conjunctions in groups.values():
            intervals = parts.intervals.within(base.intervals)
            linear_atoms = list(dict.fromkeys((*base.linear, *parts.linear)))
            if intervals.is_empty():
                empty += 1
                continue
            key = (intervals.beyond(base.intervals), _contents(linear_atoms))
            claims.setdefault(key, (intervals, linear_atoms, {}))[2].update(conjunctions)
        found, regions = [], []
        for intervals, linear_atoms, conjunctions in claims.values():
            made = self._claim(intervals, linear_atoms, list(conjunctions))
            if made is None:
                empty += 1
                continue
            found.append(made[0])
            regions.append(made[1])
        return found, regions, empty

    def _claim(
        self, intervals: TightestBounds, linear: list[Atom], conjunctions: list[Conjunction]
    ) -> tuple[Claim, ExactBox] | None:
        imply_bounds(intervals, linear, self.network.input_size)
        if intervals.is_empty():
            return None
        region = self._region(intervals)
        box = Box(
            np.array([down(v) for v in region.lower]), np.array([up(v) for v in region.upper])
        )
        reach = [max(abs(a), abs(b)) for a, b in zip(region.lower, region.upper, strict=True)]
        claim = Claim(
            self.exposed,
            box,
            _pattern(intervals),
            property=self._property(conjunctions, reach),
            halfspaces=_half_spaces(linear, reach),
        )
        return claim, region

    def _region(self, intervals: TightestBounds) -> ExactBox:
        sides = []
        for side, word in ((intervals.lower, "lower"), (intervals.upper, "upper")):
            missing = [i for i in range(self.network.input_size) if (INPUT, i) not in side]
            if missing:
                names = ", ".join(self.label(i) for i in missing[:5])
                more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
                raise QueryError(
                    f"{self.source}: region of inputs",
                    expected="both bounds of every input",
                    got=f"no {word} bound of {names}{more}",
                    fix="Assert bounds of every input in every disjunct, or constraints that they "
                    "follow from",
                )
            sides.append(tuple(side[INPUT, i][0] for i in range(self.network.input_size)))
        return ExactBox(*sides)

    def _property(self, conjunctions: list[Conjunction], reach: list[Fraction]) -> Property:
        clauses: list[tuple[Inequality, ...]] = []
        for conjunction in conjunctions:
            choices = [self._weakened(atom, reach) for atom in conjunction]
            if len(clauses) + math.prod(len(choice) for choice in choices) > self.cap:
                raise QueryError(
                    f"{self.source}: factors of outputs with more digits than float64 has",
                    expected=f"at most {self.cap} conjunctions once they are rounded safely",
                    got="more",
                    fix="Write factors with at most 15 digits",
                )
            for violation in product(*choices):
                # Nothing said of outputs: any input of the region is a violation (0 ≥ 0).
                every = violation or (Inequality((), 0.0),)
                clauses.append(tuple(inequality.negated() for inequality in every))
        return Property(tuple(clauses), f"unsat of {self.source}")

    def _weakened(self, atom: Atom, reach: list[Fraction]) -> tuple[Inequality, ...]:
        """``Σ c·v + k ≤ 0`` as ``Σ −c·v ≥ k``."""
        outputs = [(self.output_index(v), -c) for v, c in atom.terms if v[0] != INPUT]
        inputs = [(v[1], -c) for v, c in atom.terms if v[0] == INPUT]
        return weakened(outputs, inputs, atom.constant, strict=atom.strict, reach=reach)


def _contents(atoms: Sequence[Atom]) -> frozenset[object]:
    """What the atoms say, wherever in the file."""
    return frozenset((atom.terms, atom.constant, atom.strict) for atom in atoms)


def _half_spaces(linear: Sequence[Atom], reach: list[Fraction]) -> HalfSpaces | None:
    if not linear:
        return None
    matrix, bounds = np.zeros((len(linear), len(reach))), np.zeros(len(linear))
    for row, atom in enumerate(linear):
        factors, bounds[row] = half_space(
            [(index, c) for (_, index), c in atom.terms], -atom.constant, reach
        )
        for index, factor in factors:
            matrix[row, index] = factor
    return HalfSpaces(matrix, bounds)


def _pattern(intervals: TightestBounds) -> DecisionPattern:
    """Pre-activation bounds as literals, rounded outward.

    A pattern calls z > t with z ≤ t contradictory (as it is on data), so equal bounds are
    moved one float apart.
    """
    cells = [c for c in dict.fromkeys((*intervals.lower, *intervals.upper)) if c[0] != INPUT]
    on, off, above, below = [], [], [], []
    for layer, index in cells:
        low = intervals.lower.get((layer, index))
        high = intervals.upper.get((layer, index))
        t = None if low is None else down(low[0])
        u = None if high is None else up(high[0])
        if t is not None and u is not None and t >= u:
            t = math.nextafter(u, -math.inf)
        if t == 0:
            on.append((layer, index))
        elif t is not None:
            above.append((layer, index, t))
        if u == 0:
            off.append((layer, index))
        elif u is not None:
            below.append((layer, index, u))
    return DecisionPattern(frozenset(on), frozenset(off), frozenset(above), below=frozenset(below))
