"""z3 as an exact second opinion for small claims: rational arithmetic, no rounding anywhere.

Every number of the claim is a float, so a fraction; each affine layer's matrix is read off
its operator, whose entries are single weights.  Fixed neurons (by the pattern or by rigorous
bounds) are substituted, free ones become a variable with two cases.  "No solution" is then
exact.  A solution is rational; its nearest float is a candidate, which has to replay.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from precond.network.graph import INPUT
from precond.network.layers import LeakyReLU, MaxPool2d, ReLU
from precond.network.operators import operators
from precond.proof.claim import Conjunct, Problem
from precond.proof.engines.base import Answer, Deadline, Outcome

Linear = dict[int, Fraction]  # variable → factor; −1 is the constant
CONSTANT = -1


@dataclass(frozen=True)
class Z3Engine:
    """For networks of at most ``products`` weights and ``free`` undecided neurons."""

    products: int = 20_000
    free: int = 48
    name: str = "z3"

    def unsupported(self, problem: Problem) -> str | None:
        if importlib.util.find_spec("z3") is None:
            return "the package z3-solver is not installed"
        network = problem.network
        count = sum(
            network.width(n.name) * sum(network.width(s) for s in n.inputs)
            for n in network.nodes
            if network.is_affine(n.name)
        )
        if count > self.products:
            return f"{count} weights, more than {self.products}"
        free = 0
        for name, (low, high) in (problem.bounds or {}).items():
            if not isinstance(network.node[name].layer, MaxPool2d):
                free += int(((low < 0) & (high > 0)).sum())
        if free > self.free:
            return f"{free} free neurons, more than {self.free}"
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """Exact answers, one per conjunct."""
        system = _System(problem)
        answers = []
        for position, conjunct in enumerate(problem.conjuncts):
            share = deadline.left / (len(problem.conjuncts) - position)
            answers.append(system.solve(conjunct, share))
        return answers


class _System:
    """The region as z3 assertions over inputs and free neurons."""

    def __init__(self, problem: Problem) -> None:
        import z3

        self.z3 = z3
        self.problem = problem
        self.network = problem.network
        self.solver = z3.SolverFor("QF_LRA")
        self.variables: list[Any] = []
        self.values: dict[str, list[Linear]] = {}
        self.asked = 0
        self._inputs()
        for node in self.network.nodes:
            self._node(node.name)

    def _variable(self) -> int:
        self.variables.append(self.z3.Real(f"v{len(self.variables)}"))
        return len(self.variables) - 1

    def _inputs(self) -> None:
        box, z3 = self.problem.box, self.z3
        inputs: list[Linear] = []
        for low, high in zip(box.lower, box.upper, strict=True):
            if low == high:
                inputs.append({CONSTANT: Fraction(float(low))})
                continue
            index = self._variable()
            inputs.append({index: Fraction(1)})
            x = self.variables[index]
            self.solver.add(x >= _number(z3, low), x <= _number(z3, high))
        self.values[INPUT] = inputs
        half = self.problem.halfspaces
        if half is not None:
            for row, bound in zip(half.matrix, half.bound, strict=True):
                total = _sum(inputs, row)
                self.solver.add(self._term(total) <= _number(z3, bound))

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
                total = _sum(joined, row)
                total[CONSTANT] = total.get(CONSTANT, Fraction(0)) + Fraction(float(constant))
                result.append(total)
            self.values[name] = result

    def _rectified(self, name: str, source: list[Linear], slope: Fraction) -> list[Linear]:
        z3 = self.z3
        size = len(source)
        endless = (np.full(size, -np.inf), np.full(size, np.inf))
        low, high = self.problem.intervals.get(name, endless)
        least, most = (self.problem.bounds or {}).get(name, endless)
        result: list[Linear] = []
        for index, z in enumerate(source):
            term = self._term(z)
            if np.isfinite(low[index]):
                self.solver.add(term >= _number(z3, low[index]))
            if np.isfinite(high[index]):
                self.solver.add(term <= _number(z3, high[index]))
            if max(low[index], least[index]) >= 0:
                result.append(z)
            elif min(high[index], most[index]) <= 0:
                result.append({v: slope * f for v, f in z.items()} if slope else {})
            else:
                new = self._variable()
                a = self.variables[new]
                off = term * z3.RealVal(str(slope)) if slope else z3.RealVal(0)
                self.solver.add(z3.Or(z3.And(term >= 0, a == term), z3.And(term <= 0, a == off)))
                result.append({new: Fraction(1)})
        return result

    def _largest(self, options: list[Linear]) -> Linear:
        if len(options) == 1:
            return options[0]
        new = self._variable()
        y = self.variables[new]
        terms = [self._term(option) for option in options]
        self.solver.add(*(y >= term for term in terms))
        self.solver.add(self.z3.Or(*(y == term for term in terms)))
        return {new: Fraction(1)}

    def _term(self, linear: Linear) -> Any:
        z3 = self.z3
        parts = [
            z3.RealVal(str(factor)) * self.variables[v]
            for v, factor in linear.items()
            if v != CONSTANT and factor
        ]
        constant = z3.RealVal(str(linear.get(CONSTANT, Fraction(0))))
        return z3.Sum(*parts, constant) if parts else constant

    def solve(self, conjunct: Conjunct, seconds: float) -> Answer:
        """One conjunct, behind a switch that is on for this check alone: a ``push`` would take in
        all constraints at once, in a time that z3's limit does not cover."""
        z3, solver = self.z3, self.solver
        self.asked += 1
        switch = z3.Bool(f"conjunct {self.asked}")
        for inequality in conjunct:
            total: Linear = {}
            for terms, values in (
                (inequality.outputs, self.values[self.network.output]),
                (inequality.inputs, self.values[INPUT]),
            ):
                for index, factor in terms:
                    _add(total, values[index], Fraction(factor))
            bound = _number(z3, inequality.bound)
            term = self._term(total)
            solver.add(z3.Implies(switch, term > bound if inequality.strict else term >= bound))
        solver.set("timeout", max(1, int(1000 * seconds)))
        found = solver.check(switch)
        if found == z3.unsat:
            return Answer(Outcome.INFEASIBLE, True, note="exact")
        if found == z3.sat:
            return Answer(Outcome.WITNESS, witness=self._point(solver.model()))
        return Answer(Outcome.UNDECIDED, note=f"z3: {solver.reason_unknown()}")

    def _point(self, model: Any) -> np.ndarray:
        point = []
        for value in self.values[INPUT]:
            total = value.get(CONSTANT, Fraction(0))
            for v, factor in value.items():
                if v != CONSTANT:
                    found = model.eval(self.variables[v], model_completion=True)
                    total += factor * Fraction(
                        found.numerator_as_long(), found.denominator_as_long()
                    )
            point.append(float(total))
        return np.array(point)


def _matrix(problem: Problem, name: str) -> tuple[np.ndarray, np.ndarray]:
    """An affine node's matrix (m, all inputs) and bias (m,); every entry is exact."""
    operator = operators(problem.network, "cpu", torch.float64).affine[name]
    size = problem.network.width(name)
    identity = torch.eye(size, dtype=torch.float64).reshape(size, *operator.output)
    parts = [part.reshape(size, -1) for part in operator.transpose(identity)]
    zeros = [torch.zeros(1, *shape, dtype=torch.float64) for shape in operator.inputs]
    return torch.cat(parts, 1).numpy(), operator.apply(zeros).reshape(-1).numpy()


def _sum(values: list[Linear], row: np.ndarray) -> Linear:
    total: Linear = {}
    for index in np.flatnonzero(row):
        _add(total, values[index], Fraction(float(row[index])))
    return total


def _add(total: Linear, value: Linear, factor: Fraction) -> None:
    for v, own in value.items():
        total[v] = total.get(v, Fraction(0)) + factor * own


def _number(z3: Any, value: float) -> Any:
    return z3.RealVal(str(Fraction(float(value))))
