"""``Inequality``: one linear inequality over outputs, and rarely inputs.

Sign convention: ``Σ c_k y_k + Σ e_i x_i ≥ bound`` (``>`` if strict), with y the outputs and x the
inputs (input terms are rare: VNN-LIB queries that compare both).
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import described, number
from precond.errors import ArgumentError, QueryError

Terms = tuple[tuple[int, float], ...]


def _terms(values: Mapping[int, float] | Iterable[tuple[int, float]]) -> Terms:
    given: dict[int, list[float]] = {}
    try:
        for place, value in values.items() if isinstance(values, Mapping) else values:
            given.setdefault(operator.index(place), []).append(float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(
            "terms of an inequality",
            expected="a dict {index: factor}, or pairs of them",
            got=f"{described(values)}: {error}",
        ) from error
    total = {i: some[0] if len(some) == 1 else _sum(some) for i, some in given.items()}
    return tuple(sorted((i, v) for i, v in total.items() if v != 0.0))


def _sum(values: list[float]) -> float:
    """The exact sum of coefficients of one variable; QueryError where no float holds it."""
    if not np.isfinite(values).all():
        return float("nan")
    exact = sum(map(Fraction, values), Fraction(0))
    rounded = float(exact) if abs(exact) <= Fraction(sys.float_info.max) else float("inf")
    if rounded != exact:
        raise QueryError(
            "inequality",
            expected="a float as the sum of one variable's coefficients",
            got=" + ".join(f"{v!r}" for v in values),
            fix="Name the variable once",
        )
    return rounded


@dataclass(frozen=True)
class Inequality:
    """``Σ outputs·y + Σ inputs·x ≥ bound``, or ``>`` when ``strict``."""

    outputs: Terms
    bound: float
    strict: bool = False
    inputs: Terms = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", _terms(self.outputs))
        object.__setattr__(self, "inputs", _terms(self.inputs))
        object.__setattr__(self, "bound", number("bound of an inequality", self.bound))
        numbers = [self.bound, *(v for _, v in self.outputs), *(v for _, v in self.inputs)]
        if not np.isfinite(numbers).all():
            raise QueryError("inequality", expected="finite numbers", got=str(self))

    def negated(self) -> Inequality:
        """``Σ c·y < bound`` written with ≥ again: ``Σ −c·y > −bound``."""
        return Inequality(
            tuple((i, -v) for i, v in self.outputs),
            -self.bound if self.bound else 0.0,
            not self.strict,
            inputs=tuple((i, -v) for i, v in self.inputs),
        )

    @property
    def is_false(self) -> bool:
        """Whether it is between numbers alone, and never holds."""
        varies = self.outputs or self.inputs
        return not varies and (self.bound > 0 or (self.bound == 0 and self.strict))

    def relaxed(self, margin: float) -> Inequality:
        """One that may fail by ``margin``, in units of the bound where that is above 1; where
        nothing varies there is nothing to relax."""
        if not self.outputs and not self.inputs:
            return self
        return replace(self, bound=self.bound - margin * max(1.0, abs(self.bound)))

    def margin(
        self, outputs: NDArray[np.float64], inputs: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """``Σ − bound`` for outputs (N, K) and inputs (N, n): positive where it holds."""
        total = np.full(len(outputs), -self.bound)
        for index, value in self.outputs:
            total += value * outputs[:, index]
        if self.inputs:
            if inputs is None:
                raise QueryError("inequality over inputs", expected="the inputs", got="none")
            for index, value in self.inputs:
                total += value * inputs[:, index]
        return total

    def __str__(self) -> str:
        words = [_term(v, f"y{i}") for i, v in self.outputs]
        words += [_term(v, f"x{i}") for i, v in self.inputs]
        text = " ".join(words).removeprefix("+ ") or "0"
        return f"{text} {'>' if self.strict else '≥'} {self.bound:g}"


def _term(value: float, name: str) -> str:
    sign = "-" if value < 0 else "+"
    size = "" if abs(value) == 1 else f"{abs(value):g} "
    return f"{sign} {size}{name}"
