"""Who says which leaves close: the checker in machine words, or in numbers of any length."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Protocol

import numpy as np
from scipy.sparse import csr_array

from precond.checker.certificate import Certificate, Statement, Tree
from precond.checker.exact import Checker, CheckResult, check
from precond.checker.fast import check_fast, closes, failures
from precond.checker.fast_bounds import CHUNK, FastBounds
from precond.network.graph import Network
from precond.proof.certificates.growth import Branch, Failing, weights_of

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

    def open_leaves(self, certificate: Certificate) -> Open:
        """The leaves of a whole certificate that do not close."""
        ...

    def check(self, certificate: Certificate) -> CheckResult: ...


def _blank(network: Network, statement: Statement, bits: int) -> Certificate:
    columns = 3 * network.neurons + len(statement.bound)
    return Certificate(statement, bits, (), records=csr_array((0, columns)))


class FastJudge:
    """In batches of leaves."""

    name: ClassVar[str] = "machine words"
    bits: ClassVar[int] = BITS

    def __init__(self, network: Network, statement: Statement) -> None:
        self.network, self.statement = network, statement
        self.rows = {c: len(way) for c, way in enumerate(statement.conjuncts)}
        self.checker = FastBounds(network, _blank(network, statement, BITS))

    def check(self, certificate: Certificate) -> CheckResult:
        return check_fast(certificate, self.network)

    def open_leaves(self, certificate: Certificate) -> Open:
        found: Open = {}
        self.checker.given = certificate
        for t, tree in enumerate(certificate.trees):
            for leaf, c, bound in failures(self.checker, t, tree):
                found.setdefault(t, {}).setdefault(leaf, {})[c] = bound
        return found

    def failing(
        self, frames: list[Branch], conjuncts: tuple[int, ...], records: csr_array
    ) -> Failing:
        found: Failing = {}
        self.checker.given = replace(self.checker.given, records=records)
        size = max(1, 2 * CHUNK // frames[0].state.size)
        pairs = [(frame, leaf) for frame in frames for leaf in frame.leaves()]
        for begin in range(0, len(pairs), size):
            some = pairs[begin : begin + size]
            own = list({id(frame): frame for frame, _ in some}.values())
            place = {id(frame): k for k, frame in enumerate(own)}
            states = np.stack([frame.state for frame in own], 1)
            known = self.checker.derive(states, refine=[frame.refine for frame in own])
            known = known.rows(np.array([place[id(frame)] for frame, _ in some]))
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
            for k, c, bound in closes(self.checker, tree, list(range(len(some))), cells=cells):
                frame, leaf = some[k]
                found.setdefault(id(frame), {}).setdefault(leaf, {})[c] = bound
        return found


class ExactJudge:
    """Leaf by leaf; bounds of open leaves are not told (0)."""

    name: ClassVar[str] = "numbers of any length"
    bits: ClassVar[int] = 0

    def __init__(self, network: Network, statement: Statement) -> None:
        self.network, self.statement = network, statement
        self.rows = {c: len(way) for c, way in enumerate(statement.conjuncts)}
        self.checker = Checker(network, _blank(network, statement, 0))

    def check(self, certificate: Certificate) -> CheckResult:
        return check(certificate, self.network)

    def open_leaves(self, _: Certificate) -> Open:
        return {}  # exact bounds do not depend on which leaves stand together

    def failing(
        self, frames: list[Branch], conjuncts: tuple[int, ...], records: csr_array
    ) -> Failing:
        found: Failing = {}
        self.checker.given = replace(self.checker.given, records=records)
        ways = self.statement.conjuncts
        for frame in frames:
            known = self.checker.derive(frame.state, refine=frame.refine)
            for leaf in frame.leaves():
                bounds = self.checker.derive(leaf.state, known)
                if known.empty or bounds.empty:
                    continue
                for c in conjuncts:
                    weights = weights_of(leaf, (c,), self.rows).tolist()
                    record = leaf.record.get(c, -1)
                    if not self.checker.contradicts(bounds, ways[c], weights, record):
                        found.setdefault(id(frame), {}).setdefault(leaf, {})[c] = 0.0
        return found
