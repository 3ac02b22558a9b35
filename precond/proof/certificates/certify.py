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
    Records,
    has_beta,
    improved,
    layer_records,
    problem_in,
)
from precond.proof.certificates.growth import Branch, count, grow, tree_of, weights_of
from precond.proof.certificates.numbers import Invalid
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.trace import Leaf, Trace
from precond.proof.verdict import Status, Verdict

SHORT, LONG = 27, (96, 1024)  # bits of precision, tried in this order
SHARED = 1  # leaves that share layer bounds, at most, where inputs are split
STEPS = 60  # of ascent for a leaf that does not close
SMALL = 40_000  # weights of networks for which long numbers are worth a try


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
        maker = _Maker(claim, verdict.status is Status.VACUOUS, bits, deadline)
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
            self.settle(root, tuple(group))
            roots.append(root)
            trees.append(tuple(group))
        return self.certificate(roots, trees)

    def root(self) -> np.ndarray:
        """The whole region."""
        return self.checker.root()

    def settle(self, root: Branch, conjuncts: tuple[int, ...]) -> None:
        """Choose frames and records so that every leaf closes; split where that needs it."""
        inputs = self.network.input_size
        by_input = any(n.split is not None and n.split[0] < inputs for n in root.preorder())
        pending = _cut_at(root, SHARED) if by_input else [root]
        for leaf in root.leaves():
            self.recall(leaf, (c for c in conjuncts if c in leaf.leaf and has_beta(leaf.leaf[c])))
        while pending:
            if self.deadline.passed:
                raise NotCertified("the time is over")
            failing = self.evaluate(pending, conjuncts)
            for leaves in failing.values():
                for leaf, ways in leaves.items():
                    self.recall(leaf, ways)
            again = self.evaluate([n for n in pending if id(n) in failing], conjuncts)
            if not by_input and pending == [root] and id(root) in again:
                again = self.refined(root, conjuncts, again)
            following: list[Branch] = []
            alone: list[Branch] = []
            for node in pending:
                if id(node) not in again:
                    node.frame = True
                elif node.split is not None:
                    node.refine = {}
                    following.extend(node.children)
                else:
                    alone.append(node)
            splits = {id(n): self.better(n, again[id(n)][n]) for n in alone}
            last = self.evaluate(alone, conjuncts)
            for node in alone:
                if id(node) not in last:
                    node.frame = True
                    continue
                where = splits[id(node)]
                if where is None:
                    worst = min(last[id(node)][node].values())
                    raise NotCertified(
                        f"a leaf's bound is {worst:.3g}, and nothing is left to split"
                    )
                self.bounded(node, last[id(node)][node])
                node.refine = {}
                following.extend(node.cut(where))
            pending = following
        count(root)

    def bounded(self, node: Branch, ways: Mapping[int, float]) -> None:
        """Give up where short numbers are the trouble: a bound that is zero but for rounding."""
        problem = problem_in(self.problem, node.state)
        if problem is None or self.bits != SHORT:
            return
        width = float(problem.box.width.max())
        if width < 1e-9 * float(self.claim.box.width.max()):
            raise NotCertified(f"bounds stay at {min(ways.values()):.3g} in ever smaller regions")

    def recall(self, leaf: Branch, ways: Iterable[int]) -> None:
        """Use recorded multipliers."""
        for c in ways:
            given = leaf.leaf.get(c)
            if (
                given is not None
                and leaf.record.get(c, -1) < 0
                and (given.alpha or has_beta(given))
            ):
                leaf.record[c] = self.records.put(given)

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
        failing: dict[int, dict[Branch, dict[int, float]]],
    ) -> dict[int, dict[Branch, dict[int, float]]]:
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

    def evaluate(
        self, frames: list[Branch], conjuncts: tuple[int, ...]
    ) -> dict[int, dict[Branch, dict[int, float]]]:
        """By frame (its id): the leaves below it that do not close, with their bounds."""
        failing: dict[int, dict[Branch, dict[int, float]]] = {}
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


def _cut_at(root: Branch, size: int) -> list[Branch]:
    """The highest nodes with at most ``size`` leaves below."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.size <= size:
            found.append(node)
        else:
            stack.extend(node.children)
    return found
