"""Certificates of small networks by splits of phases alone, down to leaves in fractions.

A node closes by the checker's own bounds, else it is split at an open neuron of the earliest layer
that has one; where none is open the region is a polytope on which the network is affine, and its
multipliers are exact (``rational``).  So this also certifies claims that are true by equality.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from precond.checker.certificate import Certificate, region
from precond.checker.layer_bounds import Bounds
from precond.proof.certificates.assembly import assembled
from precond.proof.certificates.floats import Records
from precond.proof.certificates.growth import Branch, Split, count, varying, weights_of
from precond.proof.certificates.judges import ExactJudge
from precond.proof.certificates.mending import NotCertified
from precond.proof.certificates.rational import WORD, is_piecewise_linear, rational_leaf
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.trace import Leaf

NEURONS = 64  # at most


class PhaseTrees:
    """One certificate in numbers of any length."""

    def __init__(self, claim: Claim, judge: ExactJudge, deadline: Deadline) -> None:
        self.network, self.judge, self.deadline = claim.network, judge, deadline
        self.statement = judge.statement
        first: dict[str, int] = {}
        for layer in self.network.decision_layers:
            first[layer] = sum(self.network.width(k) for k in first)
        self.first = first
        self.records = Records(first, self.network.neurons, len(self.statement.bound))
        self.rows = {c: len(way) for c, way in enumerate(self.statement.conjuncts)}

    def run(self) -> Certificate:
        """Checked by the judge."""
        if self.network.neurons > NEURONS or not is_piecewise_linear(self.network):
            raise NotCertified("phases do not make it affine, or are too many")
        trees = [(self._tree(c), (c,)) for c in self.rows]
        made = assembled(self.statement, 0, trees, rows=self.rows, records=self.records)
        result, _ = self.judge.check(made)
        if not result.valid:
            raise NotCertified(result.where)
        return made

    def _tree(self, conjunct: int) -> Branch:
        way = self.statement.conjuncts[conjunct]
        root = Branch(region(self.statement, self.network), {conjunct: Leaf(varying(way))})
        waiting = [root]
        while waiting:
            if self.deadline.passed:
                raise NotCertified("the time is over")
            node = waiting.pop()
            bounds = self.judge.checker.derive(node.state, None, {})
            node.frame = True
            if self._closes(node, conjunct, bounds):
                continue
            split = self._open(bounds)
            if split is not None:
                node.frame = False
                waiting.extend(node.cut(split))
            elif not self._exactly(node, conjunct, bounds):
                raise NotCertified("a way to fail is not excluded in a part where all is affine")
        count(root)
        return root

    def _closes(self, node: Branch, conjunct: int, bounds: Bounds) -> bool:
        checker, way = self.judge.checker, self.statement.conjuncts[conjunct]
        checker.given = replace(checker.given, records=self.records.matrix())
        weights = weights_of(node, (conjunct,), self.rows).tolist()
        record = node.record.get(conjunct, -1)
        return bounds.empty or checker.contradicts(bounds, way, weights, record)

    def _open(self, bounds: Bounds) -> Split | None:
        """The open neuron of the earliest layer whose relaxation is loosest."""
        for layer, first in self.first.items():
            _, _, gap, free = bounds.lines[layer]
            if free.any():
                loose = np.where(free, gap.n, -1).argmax()
                return self.network.input_size + first + int(loose), 0.0
        return None

    def _exactly(self, node: Branch, conjunct: int, bounds: Bounds) -> bool:
        """Whether multipliers in fractions close a node where no neuron is open."""
        way, one = self.statement.conjuncts[conjunct], 1 << self.judge.checker.p
        on = {layer: bounds.lines[layer][0] == one for layer in self.first}
        leaf = rational_leaf(
            self.network, self.statement, way, state=node.state, on=on, deadline=self.deadline
        )
        if leaf is None:
            return False
        node.leaf[conjunct], node.whole = leaf, True
        node.record[conjunct] = self.records.put(leaf, (WORD, WORD))
        return self._closes(node, conjunct, bounds)
