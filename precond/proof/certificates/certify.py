"""``certify``: a certificate for a proved claim, checked before it is given out.

The tree and the multipliers come from the verdict's traces; what no trace tells is searched
for anew.  Multipliers are rounded to few digits, layer bounds are shared by as many leaves as
they hold good for, and the checker's own arithmetic says which leaves close.  A leaf that does
not, closes with bounds of its own, with its recorded multipliers, with better ones, or is split
again; numbers get more bits only where a short form cannot show the claim at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array

from precond.checker import CHUNK, Checker, check
from precond.proof.certificates.data import (
    Certificate,
    Linear,
    Literal,
    Refinements,
    Statement,
    Tree,
)
from precond.proof.certificates.floats import (
    FEW_INPUTS,
    Records,
    cuts,
    improved,
    layer_records,
    problem_in,
)
from precond.proof.certificates.growth import (
    Branch,
    Split,
    count,
    grow,
    has_beta,
    tree_of,
    weights_of,
)
from precond.proof.certificates.numbers import Invalid
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.trace import Leaf, Trace
from precond.proof.verdict import Status, Verdict

SHORT, LONG = 27, (96, 1024)  # bits of precision, tried in this order
MENDED = 400  # splits that may be added to a search's own, and as many again as it had
STEPS = 60  # of ascent for a leaf that does not close
SMALL = 40_000  # weights of networks for which long numbers are worth a try


Failing: TypeAlias = "dict[int, dict[Branch, dict[int, float]]]"


class NotCertified(Exception):
    """Why no certificate was found."""


def certify(claim: Claim, verdict: Verdict, seconds: float = 60.0) -> Certificate:
    """A checked certificate of a PROVED or VACUOUS verdict; NotCertified if none is found.

    ``verdict.traces`` is used as far as it goes, so ``prove(..., keep_trace=True)`` makes this
    fast.  ``seconds``: to spend at most, roughly.
    """
    if verdict.status not in (Status.PROVED, Status.VACUOUS):
        raise NotCertified(f"a verdict of {verdict.status.value} is nothing to certify")
    deadline = Deadline.after(seconds)
    network = claim.network
    weights = sum(getattr(node.layer, "weight", np.zeros(0)).size for node in network.nodes)
    reasons = []
    for bits in (SHORT, *(LONG if weights <= SMALL else ())):
        part = deadline if bits == LONG[-1] else deadline.earlier(0.6 * deadline.left)
        maker = _Maker(claim, verdict.status is Status.VACUOUS, bits, part)
        try:
            certificate = maker.run(verdict.traces)
        except (Invalid, NotCertified) as error:
            reasons.append(f"{bits} bits: {error}")
            continue
        result = check(certificate, network)
        if result.valid:
            return certificate
        reasons.append(f"{bits} bits: {result.where}")
    raise NotCertified("; ".join(reasons))


def exact_verdict(
    claim: Claim, verdict: Verdict, seconds: float = 60.0
) -> tuple[Verdict, Certificate | None]:
    """The verdict as it stands in exact arithmetic, with its certificate.

    PROVED and VACUOUS stay, as ``exact``, only with a checked certificate, else they are
    UNKNOWN; other verdicts are returned as they are (REFUTED is exact by its replay).
    """
    if verdict.status not in (Status.PROVED, Status.VACUOUS):
        return verdict, None
    begun = time.monotonic()
    try:
        certificate = certify(claim, verdict, seconds)
    except NotCertified as error:
        spent = verdict.seconds + time.monotonic() - begun
        reason = f"{verdict.status.value} by {verdict.engine}, but without a certificate: {error}"
        unknown = replace(verdict, status=Status.UNKNOWN, seconds=spent, reason=reason)
        return unknown, None
    spent = verdict.seconds + time.monotonic() - begun
    return replace(verdict, exact=True, confirmed=True, seconds=spent), certificate


def statement_of(claim: Claim, vacuous: bool = False) -> Statement:
    """What a certificate of ``claim`` states."""
    pattern, half = claim.pattern, claim.halfspaces
    literals = [Literal(layer, index, True, 0.0) for layer, index in pattern.on]
    literals += [Literal(layer, index, False, 0.0) for layer, index in pattern.off]
    literals += [Literal(layer, index, True, value) for layer, index, value in pattern.above]
    literals += [Literal(layer, index, False, value) for layer, index, value in pattern.below]
    clauses = tuple(
        tuple(Linear(i.outputs, i.inputs, i.bound, i.strict) for i in clause)
        for clause in claim.property.clauses
    )
    return Statement(
        claim.network.hash,
        claim.network.origin,
        claim.box.lower,
        claim.box.upper,
        tuple(sorted(literals, key=lambda t: (t.layer, t.index, t.above, t.value))),
        clauses,
        np.zeros((0, claim.box.size)) if half is None else half.matrix,
        np.zeros(0) if half is None else half.bound,
        vacuous,
    )


class _Maker:
    """One certificate at one precision."""

    def __init__(self, claim: Claim, vacuous: bool, bits: int, deadline: Deadline) -> None:
        self.claim, self.deadline, self.bits = claim, deadline, bits
        self.network = claim.network
        statement = statement_of(claim, vacuous)
        columns = 3 * self.network.neurons + len(statement.bound)
        self.empty = Certificate(statement, bits, (), csr_array((0, columns)))
        self.checker = Checker(self.network, self.empty, False)
        self.records = Records(self.checker.offset, self.network.neurons, len(statement.bound))
        self.rows = {c: len(way) for c, way in enumerate(statement.conjuncts)}
        self.problem = claim.problem.only(((),)) if vacuous else claim.problem
        self.vacuous = vacuous
        self.few = int((claim.box.width > 0).sum()) <= FEW_INPUTS
        self.splits = self.leaves = 0

    def run(self, traces: Mapping[int, Trace]) -> Certificate:
        nothing: Trace = Leaf()
        given = {c: nothing if self.vacuous else traces.get(c, nothing) for c in self.rows}
        closed = {c: t for c, t in given.items() if isinstance(t, Leaf)}
        split = {c: t for c, t in given.items() if c not in closed}
        groups = (
            [closed, split]
            if grow(self.network, self.root(), split)
            else [
                closed,
                *({c: t} for c, t in split.items()),
            ]
        )
        trees, roots = [], []
        for group in groups:
            if not group:
                continue
            root = grow(self.network, self.root(), group)
            assert root is not None  # of one conjunct, or tried before
            self.leaves += root.size
            self.settle(root, tuple(group))
            roots.append(root)
            trees.append(tuple(group))
        return self.certificate(roots, trees)

    def root(self) -> np.ndarray:
        """The whole region."""
        return self.checker.root()

    def settle(self, root: Branch, conjuncts: tuple[int, ...]) -> None:
        """Choose frames and records so that every leaf closes; split where that needs it."""
        by_input = any(self.is_input(n) for n in root.preorder())
        pending = root.leaves() if by_input else [root]
        for leaf in root.leaves():
            self.recall(leaf, conjuncts, only_beta=True)
        while pending:
            if self.deadline.passed:
                raise NotCertified("the time is over")
            failing = self.evaluate(pending, conjuncts)
            changed = [
                node
                for node in pending
                for leaf, ways in failing.get(id(node), {}).items()
                if self.recall(leaf, ways)
            ]
            again = self.evaluate(list({id(n): n for n in changed}.values()), conjuncts)
            for node in changed:
                failing.pop(id(node), None)
            failing.update(again)
            if not by_input and pending == [root] and id(root) in failing:
                failing = self.refined(root, conjuncts, failing)
            following: list[Branch] = []
            alone: list[Branch] = []
            for node in pending:
                node.frame = id(node) not in failing
                if not node.frame and node.split is not None:
                    node.refine = {}
                    following.extend(node.children)
                elif not node.frame:
                    alone.append(node)
            pending = following + self.mended(alone, failing, conjuncts)
        count(root)

    def is_input(self, node: Branch) -> bool:
        return node.split is not None and node.split[0] < self.network.input_size

    def mended(
        self, alone: list[Branch], failing: Failing, conjuncts: tuple[int, ...]
    ) -> list[Branch]:
        """Leaves that do not close with bounds of their own: halves of their boxes where inputs
        are few, else better multipliers, and halves of what these do not close."""
        ways = {id(node): failing[id(node)][node] for node in alone}
        if not alone:
            return []
        self.bounded(alone, ways)
        where: dict[int, Split | None] = {}
        first = [n for n in alone if n.patience > 0 and self.few]
        for c in conjuncts:
            some = [n for n in first if min(ways[id(n)], key=lambda k: ways[id(n)][k]) == c]
            if some and self.rows[c]:
                size = self.network.input_size
                weights = np.array([weights_of(n, (c,), self.rows) for n in some])
                boxes = tuple(
                    np.array([s * n.state[k, :size] for n in some]) for k, s in ((0, 1), (1, -1))
                )
                found = cuts(self.problem, (boxes[0], boxes[1]), self.problem.conjuncts[c], weights)
                where.update({id(n): split for n, split in zip(some, found, strict=True)})
        rest = [n for n in alone if where.get(id(n)) is None]
        for node in rest:
            where[id(node)] = self.better(node, ways[id(node)])
        last = self.evaluate(rest, conjuncts)
        halves: list[Branch] = []
        for node in alone:
            if node in rest and id(node) not in last:
                node.frame = True
                continue
            split = where[id(node)]
            if split is None:
                raise NotCertified("a leaf does not close, and nothing is left to split in it")
            node.refine = {}
            halves.extend(node.cut(split))
        self.splits += len(halves) // 2
        if self.splits > MENDED + self.leaves:
            raise NotCertified(f"{self.splits} more splits were not enough")
        return halves

    def bounded(self, alone: list[Branch], ways: Mapping[int, Mapping[int, float]]) -> None:
        """Give up where short numbers are the trouble: regions so small that nothing else is."""
        if self.bits != SHORT:
            return
        size = self.network.input_size
        whole = self.claim.box.width.max()
        for node in alone:
            if (-node.state[1, :size] - node.state[0, :size]).max() < 1e-6 * whole:
                least = min(ways[id(node)].values())
                raise NotCertified(f"bounds stay at {least:.3g} in ever smaller regions")

    def recall(self, leaf: Branch, ways: Iterable[int], only_beta: bool = False) -> bool:
        """Use recorded multipliers that are not in use; whether there were any."""
        found = False
        for c in ways:
            given = leaf.leaf.get(c)
            if given is None or leaf.record.get(c, -1) >= 0:
                continue
            if has_beta(given) or (given.alpha and not only_beta):
                leaf.record[c], found = self.records.put(given), True
        return found

    def better(self, node: Branch, ways: Mapping[int, float]) -> tuple[int, float] | None:
        """Ascend from scratch in a leaf's own region; where to split it if that fails."""
        problem = problem_in(self.problem, node.state)
        where = None
        if problem is None:
            return None
        for c in sorted(ways, key=lambda c: ways[c], reverse=True):
            old = node.leaf.get(c)
            weights = None if old is None else old.weights
            tried = improved(problem, problem.conjuncts[c], weights, STEPS, self.deadline)
            where = tried.split or where
            if not tried.leaf.empty:
                node.leaf[c] = tried.leaf
                node.record[c] = self.records.put(tried.leaf)
        return where

    def refined(
        self,
        root: Branch,
        conjuncts: tuple[int, ...],
        failing: Failing,
    ) -> Failing:
        """Optimised layer bounds at the root, if they close leaves that default ones do not."""
        if len(failing[id(root)]) * 10 < root.size:
            return failing
        for bound, leaf in layer_records(self.problem, 20, self.deadline.earlier(20.0)):
            root.refine[bound] = self.records.put(leaf)
        again = self.evaluate([root], conjuncts)
        if not again or len(again[id(root)]) < len(failing[id(root)]):
            return again
        root.refine = {}
        return failing

    def evaluate(self, frames: list[Branch], conjuncts: tuple[int, ...]) -> Failing:
        """By frame (its id): the leaves below it that do not close, with their bounds."""
        failing: Failing = {}
        if not frames:
            return failing
        self.checker.given = replace(self.empty, records=self.records.matrix())
        size = max(1, 2 * CHUNK // frames[0].state.size)
        pairs = [(frame, leaf) for frame in frames for leaf in frame.leaves()]
        for begin in range(0, len(pairs), size):
            some = pairs[begin : begin + size]
            places: dict[int, int] = {}
            owner = [places.setdefault(id(frame), len(places)) for frame, _ in some]
            own = list({id(frame): frame for frame, _ in some}.values())
            states = np.stack([frame.state for frame in own], 1)
            known = self.checker.derive(states, refine=[frame.refine for frame in own])
            known = known.rows(np.array(owner))
            cells = self.checker.derive(np.stack([leaf.state for _, leaf in some], 1), known)
            cells.empty |= known.empty
            weights = np.array([weights_of(leaf, conjuncts, self.rows) for _, leaf in some])
            record = [[leaf.record.get(c, -1) for c in conjuncts] for _, leaf in some]
            none = np.zeros(0)
            tree = Tree(
                conjuncts,
                none.astype(np.uint8),
                none.astype(np.int64),
                none,
                weights,
                np.array(record),
            )
            for _, k, c, bound in self.checker.closes(0, tree, list(range(len(some))), cells):
                frame, leaf = some[k]
                failing.setdefault(id(frame), {}).setdefault(leaf, {})[c] = bound
        return failing

    def certificate(self, roots: list[Branch], trees: list[tuple[int, ...]]) -> Certificate:
        """All trees, with the records that are used."""
        used: dict[int, int] = {}
        refined = []
        for t, root in enumerate(roots):
            for k, node in enumerate(root.preorder()):
                numbers = node.refine if node.frame else {}
                node.refine = {b: used.setdefault(r, len(used)) for b, r in numbers.items()}
                refined += [(t, k, b, r) for b, r in node.refine.items()]
                if node.split is None:
                    node.record = {
                        c: used.setdefault(r, len(used)) for c, r in node.record.items() if r >= 0
                    }
        columns = np.array(refined, dtype=np.int64).reshape(-1, 4).T
        records = self.records.matrix()[list(used)] if used else self.empty.records
        made = tuple(tree_of(r, c, self.rows) for r, c in zip(roots, trees, strict=True))
        return replace(
            self.empty, trees=made, records=csr_array(records), refinements=Refinements(*columns)
        )
