"""A claim's region as SMT-LIB text, in rational arithmetic.

Every number of the claim is a float, so a fraction, or a rational constant of the network; each
affine layer's matrix is read off its operator, whose entries are single weights.  Fixed neurons
(by the pattern or by rigorous bounds) are substituted, free ones become a variable with two cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import torch

from precond.network.graph import INPUT
from precond.network.layers import LeakyReLU, MaxPool2d, ReLU
from precond.network.operators import operators
from precond.network.sparse import rational_matrix
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.gate import is_off, is_on

Linear = dict[int, Fraction]  # variable → factor; −1 is the constant
CONSTANT = -1


class System:
    """The region as assertions over inputs and free neurons.

    Variables are ``v0``, ``v1``, … (``count`` of them); ``values[node]`` says each entry of a
    node's value as a linear term over them.  ``OutOfTime`` past the deadline.
    """

    def __init__(self, problem: Problem, deadline: Deadline = FOREVER) -> None:
        self.deadline = deadline
        self.problem = problem
        self.network = problem.network
        self.count = 0
        self.assertions: list[str] = []
        self.values: dict[str, list[Linear]] = {}
        self._inputs()
        for node in self.network.nodes:
            self._node(node.name)

    def _variable(self) -> int:
        self.count += 1
        return self.count - 1

    def _inputs(self) -> None:
        box = self.problem.box
        inputs: list[Linear] = []
        for low, high in zip(box.lower, box.upper, strict=True):
            if low == high:
                inputs.append({CONSTANT: Fraction(float(low))})
                continue
            index = self._variable()
            inputs.append({index: Fraction(1)})
            self.assertions += [
                f"(>= v{index} {number(low)})",
                f"(<= v{index} {number(high)})",
            ]
        self.values[INPUT] = inputs
        half = self.problem.halfspaces
        if half is not None:
            for row, bound in zip(half.matrix, half.bound, strict=True):
                self.deadline.check()
                total = linear_sum(inputs, row)
                self.assertions.append(f"(<= {term(total)} {number(bound)})")

    def _node(self, name: str) -> None:
        node = self.network.node[name]
        layer = node.layer
        if isinstance(layer, ReLU | LeakyReLU):
            slope = Fraction(layer.slope) if isinstance(layer, LeakyReLU) else Fraction(0)
            self.values[name] = self._rectified(name, self.values[node.inputs[0]], slope)
        elif isinstance(layer, MaxPool2d):
            source = self.values[node.inputs[0]]
            windows = layer.windows(self.network.shapes[node.inputs[0]])
            self.values[name] = [
                self._largest([source[w] for w in window if w >= 0]) for window in windows
            ]
        else:
            matrix, bias = _matrix(self.problem, name)
            joined = [value for s in node.inputs for value in self.values[s]]
            result = []
            for row, constant in zip(matrix, bias, strict=True):
                self.deadline.check()
                total = linear_sum(joined, row)
                total[CONSTANT] = total.get(CONSTANT, Fraction(0)) + Fraction(constant)
                result.append(total)
            self.values[name] = result

    def _rectified(self, name: str, source: list[Linear], slope: Fraction) -> list[Linear]:
        size = len(source)
        endless = (np.full(size, -np.inf), np.full(size, np.inf))
        low, high = self.problem.intervals.get(name, endless)
        least, most = (self.problem.bounds or {}).get(name, endless)
        result: list[Linear] = []
        for index, z in enumerate(source):
            self.deadline.check()
            text = term(z)
            if np.isfinite(low[index]):
                self.assertions.append(f"(>= {text} {number(low[index])})")
            if np.isfinite(high[index]):
                self.assertions.append(f"(<= {text} {number(high[index])})")
            if is_on(low[index]) or is_on(least[index]):
                result.append(z)
            elif is_off(high[index]) or is_off(most[index]):
                result.append({v: slope * f for v, f in z.items()} if slope else {})
            else:
                new = self._variable()
                self.assertions.append(
                    f"(let ((z {text})) (or (and (>= z 0.0) (= v{new} z)) "
                    f"(and (<= z 0.0) (= v{new} (* {number(slope)} z)))))"
                )
                result.append({new: Fraction(1)})
        return result

    def _largest(self, options: list[Linear]) -> Linear:
        if len(options) == 1:
            return options[0]
        new = self._variable()
        terms = [term(option) for option in options]
        self.assertions += [f"(>= v{new} {text})" for text in terms]
        self.assertions.append(any_of(f"(= v{new} {text})" for text in terms))
        return {new: Fraction(1)}


def _matrix(problem: Problem, name: str) -> tuple[np.ndarray, np.ndarray]:
    """An affine node's matrix (m, all inputs) and bias (m,); every entry is exact."""
    if name in problem.network.inexact:
        return rational_matrix(problem.network, name)
    operator = operators(problem.network, "cpu", torch.float64).affine[name]
    size = problem.network.width(name)
    identity = torch.eye(size, dtype=torch.float64).reshape(size, *operator.output)
    parts = [part.reshape(size, -1) for part in operator.transpose(identity)]
    zeros = [torch.zeros(1, *shape, dtype=torch.float64) for shape in operator.inputs]
    return torch.cat(parts, 1).numpy(), operator.apply(zeros).reshape(-1).numpy()


def linear_sum(values: list[Linear], row: np.ndarray) -> Linear:
    total: Linear = {}
    for index in np.flatnonzero(row):
        add(total, values[index], Fraction(row[index]))
    return total


def add(total: Linear, value: Linear, factor: Fraction) -> None:
    for v, own in value.items():
        total[v] = total.get(v, Fraction(0)) + factor * own


def number(value: float | Fraction) -> str:
    """A number as SMT-LIB has it."""
    exact = Fraction(value) if isinstance(value, Fraction) else Fraction(float(value))
    text = f"{abs(exact.numerator)}.0"
    if exact.denominator != 1:
        text = f"(/ {text} {exact.denominator}.0)"
    return f"(- {text})" if exact < 0 else text


def term(linear: Linear) -> str:
    """A linear term as SMT-LIB has it."""
    parts = [f"(* {number(f)} v{v})" for v, f in linear.items() if v != CONSTANT and f]
    constant = number(linear.get(CONSTANT, Fraction(0)))
    return f"(+ {' '.join(parts)} {constant})" if parts else constant


def value_of(linear: Linear, values: Sequence[Fraction]) -> Fraction:
    """A linear term's value where the variables have ``values``."""
    total = linear.get(CONSTANT, Fraction(0))
    return total + sum((f * values[v] for v, f in linear.items() if v != CONSTANT), Fraction(0))


def all_of(parts: Iterable[str]) -> str:
    return f"(and true {' '.join(parts)})"


def any_of(parts: Iterable[str]) -> str:
    return f"(or false {' '.join(parts)})"
