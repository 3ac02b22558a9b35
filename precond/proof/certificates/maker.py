"""From traces to a certificate: which layer bounds and which multipliers every leaf uses.

Multipliers are rounded to few digits, layer bounds are shared by as many leaves as they hold
good for, and a judge (the checker's own arithmetic) says which leaves close.  Another one closes
with bounds of its own, with its recorded multipliers, with better ones, or is split again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from precond.checker.certificate import Certificate, region
from precond.proof.certificates.assembly import assembled
from precond.proof.certificates.floats import layer_records
from precond.proof.certificates.growth import Branch, Failing, count, few_digits, groups, grow
from precond.proof.certificates.mending import STEP_DIGITS, Array, Mender, NotCertified
from precond.proof.trace import Leaf, Trace

AGAIN = 4  # times that leaves of the whole are mended which do not close


class Maker(Mender):
    """One certificate, by one judge."""

    def run(self, traces: Mapping[int, Trace]) -> Certificate:
        """Checked by the judge."""
        roots: list[Branch] = []
        trees: list[tuple[int, ...]] = []
        for group in groups(self.network, self.statement, traces):
            root = grow(self.network, self.root(), group, put=self.put_step)
            assert root is not None  # of one conjunct, or tried before
            self.leaves += root.size
            if self.judge.bits and self.by_input(root):
                self.assume(root, tuple(group))
            else:
                self.settle(root, tuple(group))
            roots.append(root)
            trees.append(tuple(group))
        for _ in range(AGAIN):
            made = self.certificate(roots, trees)
            result, left = self.judge.check(made)
            if result.valid:
                return made
            # What was assumed may be wrong, and rounding depends a little on which leaves stand
            # together.
            if not left:
                raise NotCertified(result.where)
            for t, conjuncts in enumerate(trees):
                leaves = roots[t].leaves()
                nodes = [leaves[k] for k in left.get(t, {})]
                failing = {
                    id(n): {n: w} for n, w in zip(nodes, left.get(t, {}).values(), strict=True)
                }
                for node in nodes:
                    node.frame, node.patience = False, 2
                self.settle(roots[t], conjuncts, nodes, failing)
        raise NotCertified("leaves that close alone do not close together")

    def by_input(self, root: Branch) -> bool:
        """Whether each leaf is its own frame: a box that was cut, without steps."""
        nodes = list(root.preorder())
        return any(self.is_input(n) for n in nodes) and not any(n.rounds for n in nodes)

    def assume(self, root: Branch, conjuncts: tuple[int, ...]) -> None:
        """That every leaf closes with default multipliers, as most do: the check will tell."""
        for leaf in root.leaves():
            leaf.frame = True
            self.recall(leaf, conjuncts, only_beta=True)
        count(root)

    def root(self) -> Array:
        """The whole region."""
        return region(self.statement, self.network)

    def settle(
        self,
        root: Branch,
        conjuncts: tuple[int, ...],
        pending: list[Branch] | None = None,
        known: Failing | None = None,
    ) -> None:
        """Choose frames and records so that every leaf (below ``pending``) closes; split where
        that needs it.  ``known``: those of the pending that do not close as they are."""
        by_input = any(self.is_input(n) for n in root.preorder())
        if pending is None:
            pending = root.leaves() if by_input else [root]
            if any(n.rounds for n in root.preorder()):
                pending = self.stepped(root, conjuncts)
        for leaf in root.leaves():
            self.recall(leaf, conjuncts, only_beta=True)
        while pending:
            if self.deadline.passed:
                raise NotCertified("the time is over")
            failing = self.evaluate(pending, conjuncts) if known is None else known
            known = None
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
            whole = not by_input and pending == [root] and not root.rounds
            if whole and id(root) in failing:
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

    def stepped(self, root: Branch, conjuncts: tuple[int, ...]) -> list[Branch]:
        """The leaves of a tree with steps that do not close with the bounds of their frames."""
        root.frame = True
        for leaf in root.leaves():
            self.recall(leaf, conjuncts)
        frames = [node for node in root.preorder() if node.rounds or node is root]
        failing = self.evaluate(frames, conjuncts)
        return [leaf for below in failing.values() for leaf in below]

    def put_step(self, leaf: Leaf) -> tuple[int, Array]:
        """A step's record, and weights of inequalities, of which "there is no input" has none and
        a bound of the whole region needs none."""
        given = None if self.statement.vacuous else leaf.weights
        weights = np.zeros(max(self.rows.values()))
        if given is not None:
            weights[: len(given)] = few_digits(given, scaled=False)
        if id(leaf) not in self.steps:  # several ways to fail may share them
            self.steps[id(leaf)] = self.records.put(leaf, STEP_DIGITS)
        return self.steps[id(leaf)], weights

    def refined(self, root: Branch, conjuncts: tuple[int, ...], failing: Failing) -> Failing:
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

    def certificate(self, roots: list[Branch], trees: list[tuple[int, ...]]) -> Certificate:
        """All trees, with the records that are used."""
        pairs = list(zip(roots, trees, strict=True))
        return assembled(
            self.statement, self.judge.bits, pairs, rows=self.rows, records=self.records
        )
