"""Who says which leaves close: the checker in machine words, or in numbers of any length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar, Protocol

import numpy as np
from scipy.sparse import csr_array

from precond.checker.cells import Cells
from precond.checker.certificate import Certificate, Statement, Tree
from precond.checker.exact import Checker, CheckResult, check
from precond.checker.fast import check_parts, closes
from precond.checker.fast_bounds import CHUNK, FastBounds
from precond.checker.layer_bounds import Bounds as LayerBounds
from precond.checker.steps import Round
from precond.checker.steps_in_words import stepped
from precond.network.graph import Network
from precond.proof.certificates.growth import BoundStep, Branch, Failing, weights_of
from precond.proof.linear.encode import Bounds

Open = dict[int, dict[int, dict[int, float]]]  # by tree, leaf and conjunct: the bound
BITS = 27  # of numbers in words; 16 to 30 serve


class Judge(Protocol):
    """A checker that looks at parts of a certificate in the making."""

    name: ClassVar[str]
    bits: ClassVar[int]
    statement: Statement

    def __init__(self, network: Network, statement: Statement) -> None: ...

    def failing(
        self, frames: list[Branch], conjuncts: tuple[int, ...], records: csr_array
    ) -> Failing:
        """By frame (its id): the leaves below it that do not close, with their bounds."""
        ...

    def layer_bounds(self, frame: Branch, conjuncts: tuple[int, ...]) -> Bounds:
        """What nonlinear nodes read in a frame with steps, by node: lower and upper bounds, to the
        nearest floats."""
        ...

    def check(self, certificate: Certificate) -> tuple[CheckResult, Open]:
        """Of a whole certificate; and its leaves that do not close, where they are told."""
        ...


def round_of(steps: list[BoundStep]) -> Round:
    """As a checker takes it."""
    return Round(
        np.array([step.bound for step in steps], np.int64),
        np.array([step.record for step in steps], np.int64),
        np.array([step.weights for step in steps]),
    )


def _blank(network: Network, statement: Statement, bits: int) -> Certificate:
    columns = 3 * network.neurons + len(statement.bound)
    return Certificate(statement=statement, bits=bits, trees=(), records=csr_array((0, columns)))


class FastJudge:
    """In batches of leaves."""

    name: ClassVar[str] = "machine words"
    bits: ClassVar[int] = BITS

    def __init__(self, network: Network, statement: Statement) -> None:
        self.network, self.statement = network, statement
        self.rows = {c: len(way) for c, way in enumerate(statement.conjuncts)}
        self.checker = FastBounds(network, _blank(network, statement, BITS))
        self.stepped: dict[Branch, Cells] = {}

    def check(self, certificate: Certificate) -> tuple[CheckResult, Open]:
        result, parts = check_parts(certificate, self.network)
        found: Open = {}
        for t, leaf, c, bound in parts:
            found.setdefault(t, {}).setdefault(leaf, {})[c] = bound
        return result, found

    def failing(
        self, frames: list[Branch], conjuncts: tuple[int, ...], records: csr_array
    ) -> Failing:
        found: Failing = {}
        self.checker.given = replace(self.checker.given, records=records)
        size = max(1, 2 * CHUNK // frames[0].state.size)
        groups: dict[int, list[tuple[Branch, Branch]]] = {}
        for frame in frames:
            key = id(frame if frame.rounds else frame.outer)
            groups.setdefault(key, []).extend((frame, leaf) for leaf in frame.own_leaves())
        for pairs in groups.values():
            for begin in range(0, len(pairs), size):
                some = pairs[begin : begin + size]
                for k, c, bound in self._open(some, conjuncts):
                    frame, leaf = some[k]
                    found.setdefault(id(frame), {}).setdefault(leaf, {})[c] = bound
        return found

    def _open(
        self, some: list[tuple[Branch, Branch]], conjuncts: tuple[int, ...]
    ) -> Iterator[tuple[int, int, float]]:
        """Of pairs of a frame and a leaf in it, the frames all below the same one with steps."""
        own = list({id(frame): frame for frame, _ in some}.values())
        place = {id(frame): k for k, frame in enumerate(own)}
        known = self._known(own, conjuncts).rows(np.array([place[id(f)] for f, _ in some]))
        cells = self.checker.derive(np.stack([leaf.state for _, leaf in some], 1), known)
        cells.empty |= known.empty
        weights = np.array([weights_of(leaf, conjuncts, self.rows) for _, leaf in some])
        record = [[leaf.record.get(c, -1) for c in conjuncts] for _, leaf in some]
        none, index = np.zeros(0), np.zeros(0, np.int64)
        tree = Tree(
            conjuncts,
            index.astype(np.uint8),
            index,
            at=none,
            weights=weights,
            record=np.array(record),
        )
        return closes(self.checker, tree, list(range(len(some))), cells=cells)

    def _known(self, frames: list[Branch], conjuncts: tuple[int, ...]) -> Cells:
        outer = frames[0].outer
        if frames[0].rounds:
            return self.within(frames[0], conjuncts)
        around = None
        if outer is not None:
            around = self.within(outer, conjuncts).rows(np.zeros(len(frames), np.int64))
        states = np.stack([frame.state for frame in frames], 1)
        known = self.checker.derive(states, around, [frame.refine for frame in frames])
        if around is not None:
            known.empty |= around.empty
        return known

    def within(self, frame: Branch, conjuncts: tuple[int, ...]) -> Cells:
        """Bounds of a frame with steps, in one cell."""
        if frame not in self.stepped:
            outer = None if frame.outer is None else self.within(frame.outer, conjuncts)
            state = frame.state[:, None]
            cells = self.checker.derive(state, outer, [frame.refine])
            if outer is not None:
                cells.empty |= outer.empty
            way = self.statement.conjuncts[conjuncts[0]]
            for one in frame.rounds:
                cells = stepped(self.checker, cells, state, given=round_of(one), parts=way)
            self.stepped[frame] = cells
        return self.stepped[frame]

    def layer_bounds(self, frame: Branch, conjuncts: tuple[int, ...]) -> Bounds:
        cells, found = self.within(frame, conjuncts), {}
        for node in self.network.nodes:
            if node.name in cells.lines:
                x = cells.values[node.inputs[0]]
                ends = np.ldexp(x.n[:, 0], x.e)
                found[node.name] = ends[0], -ends[1]
        return found


class ExactJudge:
    """Leaf by leaf; bounds of open leaves are not told (0)."""

    name: ClassVar[str] = "numbers of any length"
    bits: ClassVar[int] = 0

    def __init__(self, network: Network, statement: Statement) -> None:
        self.network, self.statement = network, statement
        self.rows = {c: len(way) for c, way in enumerate(statement.conjuncts)}
        self.checker = Checker(network, _blank(network, statement, 0))
        self.stepped: dict[Branch, LayerBounds] = {}

    def check(self, certificate: Certificate) -> tuple[CheckResult, Open]:
        # Exact bounds do not depend on which leaves stand together.
        return check(certificate, self.network), {}

    def failing(
        self, frames: list[Branch], conjuncts: tuple[int, ...], records: csr_array
    ) -> Failing:
        found: Failing = {}
        self.checker.given = replace(self.checker.given, records=records)
        ways = self.statement.conjuncts
        for frame in frames:
            known = self.within(frame, conjuncts)
            for leaf in frame.own_leaves():
                bounds = self.checker.derive(leaf.state, known)
                if known.empty or bounds.empty:
                    continue
                for c in conjuncts:
                    weights = weights_of(leaf, (c,), self.rows).tolist()
                    record = leaf.record.get(c, -1)
                    if not self.checker.contradicts(bounds, ways[c], weights, record):
                        found.setdefault(id(frame), {}).setdefault(leaf, {})[c] = 0.0
        return found

    def within(self, frame: Branch, conjuncts: tuple[int, ...]) -> LayerBounds:
        """Bounds of a frame."""
        if frame in self.stepped:
            return self.stepped[frame]
        outer = None if frame.outer is None else self.within(frame.outer, conjuncts)
        bounds = self.checker.derive(frame.state, outer, refine=frame.refine)
        bounds.empty |= outer is not None and outer.empty
        for one in frame.rounds:
            if not bounds.empty:
                way = self.statement.conjuncts[conjuncts[0]]
                bounds = self.checker.stepped(bounds, frame.state, round_of(one), way)
        if frame.rounds:
            self.stepped[frame] = bounds
        return bounds

    def layer_bounds(self, frame: Branch, conjuncts: tuple[int, ...]) -> Bounds:
        bounds, found = self.within(frame, conjuncts), {}
        for name in bounds.lines:
            x = bounds.values[self.network.node[name].inputs[0]]
            ends = np.array(
                [[float(Fraction(int(n)) * Fraction(2) ** x.e) for n in side] for side in x.n]
            )
            found[name] = ends[0], -ends[1]
        return found
