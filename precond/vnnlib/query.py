"""VNN-LIB files as claims.

A VNN-LIB file states the set of *violations*: ``sat`` means that some input shows one.
``read.read_vnnlib`` turns it into claims that say the opposite, one per input region, so the
query is ``unsat`` when all claims are proved and ``sat`` when one is refuted by an input
that ``Query.admits``.  Numbers are exact decimals until the last step; regions and
violations are then rounded outward to float64, so that a proof covers the decimals, while
``admits`` and ``accepts`` judge a witness by the decimals themselves.

Sources: VNN-LIB 1.0 (https://www.vnnlib.org); VNN-LIB 2.0
(https://github.com/VNNLIB/VNNLIB-Standard).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.enclosed import enclosed_values
from precond.network.evaluate import values_at
from precond.network.graph import INPUT, Network
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim
from precond.vnnlib.floats import run_values
from precond.vnnlib.formula import (
    Declaration,
    Formula,
    Variable,
    VariableKind,
    holds,
    surely_holds,
)
from precond.vnnlib.regions import ExactBox
from precond.vnnlib.rounding import into

_FLOATS: dict[str, type[np.floating]] = {
    "real": np.float64,
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    """A VNN-LIB file read for a network.

    ``claims[k]`` is about the exact box ``regions[k]``.  ``unsat``: all claims are proved
    (there may be none: every region was empty); ``sat``: some input is admitted.
    ``network`` is the claims' network: the logits of the one given, or one made of several or
    with hidden values among its outputs.  ``formula`` holds of the violations, of which it may
    leave out some within 1e-50 of a logit that no rational is; claims leave out none.
    ``activation`` turns the logits into the file's outputs.
    ``execution``: what the query is about; runs in floats only where ``floats`` asked for them.
    """

    claims: tuple[Claim, ...]
    regions: tuple[ExactBox, ...]
    formula: Formula
    declarations: tuple[Declaration, ...]
    network: Network
    version: str
    notes: tuple[str, ...] = ()
    activation: OutputActivation = OutputActivation.NONE
    execution: Arithmetic = Arithmetic.REAL

    def accepts(
        self,
        inputs: Sequence[float | Fraction],
        outputs: Sequence[float | Fraction],
        hidden: Mapping[str, Sequence[float | Fraction]] | None = None,
    ) -> bool:
        """Whether the file's assertions hold, in exact arithmetic, of flat inputs and logits
        (and of hidden nodes' values by node name)."""
        output = next(d.node for d in self.declarations if d.kind is VariableKind.OUTPUT)
        known = {INPUT: inputs, output: outputs, **(hidden or {})}

        def value(variable: Variable) -> Fraction:
            node, index = variable
            if node not in known:
                raise QueryError("hidden values", expected=f"those of {node}", got="none")
            return Fraction(known[node][index])

        return holds(self.formula, value)

    def admits(self, point: ArrayLike) -> bool:
        """Whether input ``point`` (n,) is a counterexample of the real-valued network, exactly;
        in a query about runs in floats, of its reference run, whose values are judged exactly.

        An input whose bounds leave no number of its element type (``X_0 = 0.1``) stands for the
        decimal where ``point`` has the nearest one; the network is evaluated at the latter.
        """
        x = np.asarray(point, dtype=np.float64).reshape(-1)
        if x.size != self.network.input_size or not np.isfinite(x).all():
            return False
        if self.execution is not Arithmetic.REAL:
            run = run_values(self.network, self._nodes, x, execution=self.execution)
            return run is not None and holds(
                self.formula, lambda place: Fraction(float(run[place[0]][place[1]]))
            )
        every = enclosed_values(self.network, x)
        values = {name: every[name].ends() for name in self._nodes}

        decimals: dict[Variable, Fraction] = {}

        def value(variable: Variable) -> tuple[Fraction, Fraction]:
            if variable in decimals:
                return decimals[variable], decimals[variable]
            return values[variable[0]][variable[1]]

        if surely_holds(self.formula, value):
            return True
        for region in self.regions:
            decimals = self._unreachable(region, x)
            if decimals and surely_holds(self.formula, value):
                return True
        return False

    @property
    def _nodes(self) -> set[str]:
        """Whose values the declared variables stand for."""
        return {declared.node for declared in self.declarations}

    def _unreachable(self, region: ExactBox, x: NDArray[np.float64]) -> dict[Variable, Fraction]:
        """Inputs with no number of their type between their bounds, where x has the nearest."""
        found = {}
        for i, kind in self._input_types().items():
            low, high = region.lower[i], region.upper[i]
            closest = into(low, high, float(x[i]), kind=kind)
            if x[i] == closest and not low <= Fraction(closest) <= high:
                found[INPUT, i] = low
        return found

    def _input_types(self) -> dict[int, type[np.floating]]:
        return {
            declared.offset + i: _FLOATS[declared.element_type]
            for declared in self.declarations
            if declared.kind is VariableKind.INPUT
            for i in range(declared.size)
        }

    def snap(self, claim: int, point: ArrayLike) -> NDArray[np.float64]:
        """``point`` (n,) moved into the exact box of claim number ``claim``, to numbers of the
        declared element types; a box too narrow to hold one gets its nearest."""
        x = np.asarray(point, dtype=np.float64).reshape(-1)
        region = self.regions[claim]
        moved = np.empty(x.size)
        for i, kind in self._input_types().items():
            moved[i] = into(region.lower[i], region.upper[i], float(x[i]), kind=kind)
        return moved

    def assignment(self, point: ArrayLike) -> dict[str, NDArray[np.floating]]:
        """Values of every declared variable at ``point`` (n,), in declaration order, in their
        declared shapes and element types (``real`` is float64); of the reference run, where the
        query is about one."""
        x = np.asarray(point, dtype=np.float64).reshape(1, -1)
        found = {INPUT: x[0]}
        if self.execution is not Arithmetic.REAL:
            found = run_values(self.network, self._nodes, x[0], execution=self.execution) or found
        result = {}
        for declared in self.declarations:
            if declared.node not in found:
                values = values_at(self.network, x, declared.node)[0]
                if declared.kind is VariableKind.OUTPUT:
                    values = self.activation.of(values[None])[0]
                found[declared.node] = values
            part = found[declared.node][declared.offset : declared.offset + declared.size]
            result[declared.name] = part.reshape(declared.shape).astype(
                _FLOATS[declared.element_type]
            )
        return result
