"""``Property``: what the outputs must satisfy, linear inequalities with and/or.

Kept in conjunctive form: every clause must hold, a clause holds when one of its
inequalities does.  The negation, a disjunction of conjunctions, is made in one place
(``negation``); each of its conjuncts is one query for an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.basics.arguments import items, number, require_kind, whole
from precond.basics.notebook import NotebookLine
from precond.basics.plain import FOREIGN, plain_number, plain_truth, plain_whole
from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.printable import printable
from precond.region.inequality import Inequality


@dataclass(frozen=True)
class Property(NotebookLine):
    """Every clause holds; a clause is a disjunction of inequalities.  ``name`` is for people."""

    clauses: tuple[tuple[Inequality, ...], ...]
    name: str = ""

    def __post_init__(self) -> None:
        clauses = items("clauses of a property", self.clauses, "clauses")
        inner = [items("clause of a property", c, "Inequality") for c in clauses]
        object.__setattr__(self, "clauses", tuple(inner))
        for inequality in (i for clause in inner for i in clause):
            require_kind("clause of a property", inequality, Inequality)
        if not all(inner):
            raise QueryError("property", expected="an inequality in every clause", got="none")

    @classmethod
    def argmax(cls, label: int, outputs: int) -> Property:
        """Output ``label`` is larger than every other (strictly, so no tie rule matters)."""
        _check_label(label, outputs)
        return cls(
            tuple(
                (Inequality(((label, 1.0), (j, -1.0)), 0.0, strict=True),)
                for j in range(outputs)
                if j != label
            ),
            f"argmax = {label}",
        )

    @classmethod
    def of_class(cls, label: int, network: Network) -> Property:
        """``network`` says the class ``label``, strictly: the largest of several outputs, or the
        side of the threshold that its one logit is on."""
        classes = network.classes
        if classes.binary and network.output_activation is not OutputActivation.NONE:
            raise QueryError(
                f"a class of {network.origin}",
                expected="its logit, which the threshold is one of",
                got=f"one output of a last {network.output_activation.value}",
                fix="Give network.logits, which says the same classes",
            )
        if not classes.binary:
            return cls.argmax(label, classes.outputs)
        if label not in (0, 1):
            raise QueryError("label", expected="a class in 0..1", got=str(label))
        if label:
            return cls(((Inequality(((0, 1.0),), classes.high, strict=True),),), "class = 1")
        return cls(((Inequality(((0, -1.0),), -classes.low, strict=True),),), "class = 0")

    @classmethod
    def argmin(cls, label: int, outputs: int) -> Property:
        """Output ``label`` is smaller than every other (strictly)."""
        _check_label(label, outputs)
        return cls(
            tuple(
                (Inequality(((j, 1.0), (label, -1.0)), 0.0, strict=True),)
                for j in range(outputs)
                if j != label
            ),
            f"argmin = {label}",
        )

    @classmethod
    def between(cls, output: int, low: float, high: float) -> Property:
        """``low ≤ y_output ≤ high``."""
        low, high = number("low", low), number("high", high)
        if not low <= high:
            raise QueryError("range property", expected="low ≤ high", got=f"[{low:g}, {high:g}]")
        return cls(
            ((Inequality(((output, 1.0),), low),), (Inequality(((output, -1.0),), -high),)),
            f"{low:g} ≤ y{output} ≤ {high:g}",
        )

    def __and__(self, other: Property) -> Property:
        return Property(self.clauses + other.clauses, _joined(self, other, "and"))

    def __or__(self, other: Property) -> Property:
        return Property(
            tuple(a + b for a in self.clauses for b in other.clauses), _joined(self, other, "or")
        )

    def check(self, outputs: int, inputs: int) -> None:
        """QueryError unless every index fits a network of that size."""
        for clause in self.clauses:
            for inequality in clause:
                for kind, terms, size in (
                    ("output", inequality.outputs, outputs),
                    ("input", inequality.inputs, inputs),
                ):
                    for index, _ in terms:
                        if not 0 <= index < size:
                            raise QueryError(
                                f"property on {kind} {index}",
                                expected=f"an index in 0..{size - 1}",
                                got=str(index),
                            )

    def negation(self) -> tuple[tuple[Inequality, ...], ...]:
        """Disjunction of conjunctions: the property fails where all of one tuple hold."""
        return tuple(tuple(i.negated() for i in clause) for clause in self.clauses)

    def holds(self, outputs: ArrayLike, inputs: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Which rows of outputs (N, K) (and inputs (N, n)) satisfy the property, (N,)."""
        y = np.asarray(outputs, dtype=np.float64)
        x = None if inputs is None else np.asarray(inputs, dtype=np.float64)
        if x is not None:
            x = x.reshape(len(x), int(np.prod(x.shape[1:])))
        result = np.ones(len(y), dtype=np.bool_)
        for clause in self.clauses:
            some = np.zeros(len(y), dtype=np.bool_)
            for inequality in clause:
                margin = inequality.margin(y, x)
                some |= (margin > 0) if inequality.strict else (margin >= 0)
            result &= some
        return result

    def margin(self, outputs: ArrayLike, inputs: ArrayLike) -> NDArray[np.float64]:
        """How far each row is from a violation, (N,): ≤ 0 where one is found or touched, +inf
        where the property says nothing."""
        y = np.asarray(outputs, dtype=np.float64)
        x = np.asarray(inputs, dtype=np.float64).reshape(len(y), -1)
        result = np.full(len(y), np.inf)
        for clause in self.clauses:
            result = np.minimum(result, np.max([i.margin(y, x) for i in clause], axis=0))
        return result

    def relaxed(self, margin: float) -> Property:
        """A property easier to have: every inequality is relaxed by ``margin``."""
        clauses = (tuple(i.relaxed(margin) for i in clause) for clause in self.clauses)
        return Property(tuple(clauses), self.name)

    def to_json(self) -> dict[str, Any]:
        """Name and clauses; ``from_json`` reads it back."""
        return {
            "name": str(self),
            "all_of": [
                {
                    "any_of": [
                        {
                            "outputs": [list(t) for t in i.outputs],
                            "inputs": [list(t) for t in i.inputs],
                            "at_least": i.bound,
                            "strict": i.strict,
                        }
                        for i in clause
                    ]
                }
                for clause in self.clauses
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Property:
        try:
            clauses = tuple(
                tuple(
                    Inequality(
                        tuple((plain_whole(k), plain_number(v)) for k, v in i["outputs"]),
                        plain_number(i["at_least"]),
                        plain_truth(i["strict"]),
                        inputs=tuple(
                            (plain_whole(k), plain_number(v)) for k, v in i.get("inputs", ())
                        ),
                    )
                    for i in clause["any_of"]
                )
                for clause in data["all_of"]
            )
            return cls(clauses, printable(str(data.get("name", ""))))
        except FOREIGN as error:
            raise QueryError(
                "property", expected='{"name", "all_of": [{"any_of": […]}]}', got=repr(error)
            ) from error

    @property
    def clauses_text(self) -> str:
        """The clauses in words, whatever the name."""
        return " ∧ ".join(
            str(c[0]) if len(c) == 1 else f"({' ∨ '.join(map(str, c))})" for c in self.clauses
        )

    def __repr__(self) -> str:
        words = str(self)
        return f"Property({words if len(words) <= 120 else words[:119] + '…'})"

    def __str__(self) -> str:
        return self.name or self.clauses_text


def _joined(a: Property, b: Property, word: str) -> str:
    return f"({a}) {word} ({b})" if a.name and b.name else ""


def _check_label(label: int, outputs: int) -> None:
    if not 0 <= whole("label", label) < whole("outputs", outputs):
        raise QueryError("label", expected=f"an output in 0..{outputs - 1}", got=str(label))
    if outputs < 2:
        raise QueryError(
            "label",
            expected="a network with two outputs or more",
            got=str(outputs),
            fix="Property.of_class(label, network) takes one output as two classes",
        )
