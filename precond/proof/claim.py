"""``Claim``: for all x in a region, the property holds of the network's output.

The region is a box, cut by a decision pattern (its closure: on is z ≥ 0, off is z ≤ 0)
and, where given, by linear constraints ``A x ≤ b`` on the input.  A claim is refuted by
one x of the region whose output violates the property.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import numbers, require_kind
from precond.errors import QueryError
from precond.logit_property import require_kept
from precond.network.graph import Network
from precond.proof.arithmetic import Arithmetic
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Conjunct = tuple[Inequality, ...]


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """``{x : matrix x ≤ bound}``, matrix (k, n), bound (k,)."""

    matrix: Array
    bound: Array

    def __post_init__(self) -> None:
        matrix = numbers("matrix of half-spaces", self.matrix)
        bound = numbers("bound of half-spaces", self.bound).reshape(-1)
        if matrix.ndim != 2 or matrix.shape[0] != bound.size:
            raise QueryError(
                "half-spaces",
                expected="matrix (k, n), bound (k,)",
                got=f"{matrix.shape}, {bound.shape}",
            )
        if not (np.isfinite(matrix).all() and np.isfinite(bound).all()):
            raise QueryError("half-spaces", expected="finite numbers", got="NaN or infinity")
        for name, array in (("matrix", matrix), ("bound", bound)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)


@dataclass(frozen=True, eq=False)
class Claim:
    """For all x in ``box`` with ``pattern`` (and ``halfspaces``): ``property`` holds of f(x)."""

    network: Network
    box: Box
    pattern: DecisionPattern
    property: Property
    halfspaces: HalfSpaces | None = None

    def __post_init__(self) -> None:
        require_kind("network of a claim", self.network, Network, fix="load(model) gives one")
        require_kind("box of a claim", self.box, Box, fix="Box(lower, upper) makes one")
        require_kind(
            "pattern of a claim", self.pattern, DecisionPattern, fix="None: DecisionPattern()"
        )
        require_kind("property of a claim", self.property, Property, fix="Property.argmax(0, 10)")
        if self.halfspaces is not None:
            require_kind("half-spaces of a claim", self.halfspaces, HalfSpaces)
        if self.box.size != self.network.input_size:
            raise QueryError(
                f"box for {self.network.origin}",
                expected=f"{self.network.input_size} inputs",
                got=str(self.box.size),
            )
        if self.halfspaces is not None and self.halfspaces.matrix.shape[1] != self.box.size:
            raise QueryError(
                "half-spaces",
                expected=f"{self.box.size} columns",
                got=str(self.halfspaces.matrix.shape[1]),
            )
        self.pattern.check(self.network)
        self.property.check(self.network.output_size, self.network.input_size)

    @cached_property
    def problem(self) -> Problem:
        """The same claim as engines see it; they read logits, so QueryError for a property that
        the network's last activation changes."""
        require_kept(self.network, self.property)
        return Problem(
            self.network,
            self.box,
            self.pattern.intervals(self.network),
            conjuncts=self.property.negation(),
            halfspaces=self.halfspaces,
        )

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of the claim's content; names of properties take no part."""
        digest = hashlib.sha256(self.network.hash.encode())
        for array in (self.box.lower, self.box.upper):
            digest.update(array.tobytes())
        digest.update(repr(sorted(self.pattern.on)).encode())
        digest.update(repr(sorted(self.pattern.off)).encode())
        digest.update(repr((sorted(self.pattern.above), sorted(self.pattern.below))).encode())
        digest.update(repr(self.property.clauses).encode())
        if self.halfspaces is not None:
            digest.update(self.halfspaces.matrix.tobytes())
            digest.update(self.halfspaces.bound.tobytes())
        if self.network.other_arithmetic:  # what is said of runs in floats differs
            digest.update(repr(self.network.other_arithmetic).encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Problem:
    """A region and the ways the property can fail in it.

    ``intervals[layer]`` = (low, high), (m,) each, ±inf where free: the closed interval the
    pattern leaves each pre-activation.  Each of ``conjuncts`` is one way to violate the
    property: a tuple of inequalities that all hold.  The claim is proved when no conjunct
    has a solution in the region.  ``bounds``: rigorous bounds of what each nonlinear node
    reads, (m,) each, where an earlier engine has found them.  ``points`` (k, n): inputs known
    to lie in the region.  ``starts`` (k, n): inputs of the box worth starting a search from,
    such as corners where an engine's bound was lowest.  ``keep_trace``: engines that can say
    how they closed a conjunct do (``Answer.trace``).  ``execution``: the arithmetic that runs the
    network; layer bounds, literals and conjuncts are then about the values it computes, and
    INFEASIBLE must hold for them.
    """

    network: Network
    box: Box
    intervals: Mapping[str, tuple[Array, Array]]
    conjuncts: tuple[Conjunct, ...]
    halfspaces: HalfSpaces | None = None
    bounds: Mapping[str, tuple[Array, Array]] | None = None
    points: Array | None = None
    starts: Array | None = None
    keep_trace: bool = False
    execution: Arithmetic = Arithmetic.REAL

    @property
    def free(self) -> int:
        """Neurons whose sign ``bounds`` leave open; 0 where no bounds are known."""
        known = self.bounds or {}
        sides = [known[layer] for layer in self.network.decision_layers if layer in known]
        return sum(int(((low < 0) & (high > 0)).sum()) for low, high in sides)

    def only(self, conjuncts: tuple[Conjunct, ...]) -> Problem:
        """The same region with other conjuncts."""
        return replace(self, conjuncts=conjuncts)

    def rows(self, conjunct: Conjunct) -> tuple[Array, Array, Array]:
        """(C, E, d) with one row per inequality: it holds iff ``C y + E x − d ≥ 0`` (or > 0)."""
        outputs = np.zeros((len(conjunct), self.network.output_size))
        inputs = np.zeros((len(conjunct), self.network.input_size))
        bound = np.zeros(len(conjunct))
        for row, inequality in enumerate(conjunct):
            for index, value in inequality.outputs:
                outputs[row, index] = value
            for index, value in inequality.inputs:
                inputs[row, index] = value
            bound[row] = inequality.bound
        return outputs, inputs, bound
