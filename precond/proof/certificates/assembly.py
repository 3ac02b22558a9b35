"""Split trees that close, put together to one certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array

from precond.checker.certificate import FRAME, SPLIT, Certificate, Refinements, Statement, Tree
from precond.checker.steps import Steps
from precond.proof.certificates.floats import Records
from precond.proof.certificates.growth import Branch, weights_of

Closed = tuple[Branch, tuple[int, ...]]  # a tree, and the conjuncts that it closes


def assembled(
    statement: Statement,
    bits: int,
    trees: Sequence[Closed],
    rows: Mapping[int, int],
    records: Records,
) -> Certificate:
    """With those of the records that are used; ``rows``: inequalities of each conjunct."""
    used: dict[int, int] = {}
    refined = []
    for t, (root, _) in enumerate(trees):
        for k, node in enumerate(root.preorder()):
            for number, r in node.refine.items() if node.frame else ():
                refined.append((t, k, number, used.setdefault(r, len(used))))
            for r in node.record.values() if node.split is None else ():
                if r >= 0:
                    used.setdefault(r, len(used))
    columns = np.array(refined, dtype=np.int64).reshape(-1, 4).T
    steps = steps_of([root for root, _ in trees], used)
    return Certificate(
        statement=statement,
        bits=bits,
        trees=tuple(tree_of(root, conjuncts, rows, records=used) for root, conjuncts in trees),
        records=csr_array(records.matrix()[np.array(list(used), dtype=np.int64)]),
        refinements=Refinements(*columns),
        steps=steps,
    )


def tree_of(
    root: Branch,
    conjuncts: tuple[int, ...],
    rows: Mapping[int, int],
    records: Mapping[int, int],
) -> Tree:
    """The certificate's tree; ``rows``: inequalities of each conjunct; ``records``: their
    numbers in the certificate."""
    nodes = list(root.preorder())
    leaves = [node for node in nodes if node.split is None]
    splits = [node.split for node in nodes if node.split is not None]
    kind = [SPLIT * (n.split is not None) + FRAME * (n.frame or bool(n.rounds)) for n in nodes]
    total = sum(rows[c] for c in conjuncts)
    weights = np.array([weights_of(leaf, conjuncts, rows) for leaf in leaves])
    return Tree(
        conjuncts,
        np.array(kind, dtype=np.uint8),
        np.array([-1 if n.split is None else n.split[0] for n in nodes], dtype=np.int64),
        at=np.array([at for _, at in splits], dtype=np.float64),
        weights=weights.reshape(len(leaves), total),
        record=np.array(
            [[records.get(leaf.record.get(c, -1), -1) for c in conjuncts] for leaf in leaves],
            dtype=np.int64,
        ),
    )


def steps_of(roots: Sequence[Branch], records: dict[int, int]) -> Steps:
    """The steps of all trees; ``records``: their numbers in the certificate, added to."""
    rows = [
        ((t, k, r, step.bound, records.setdefault(step.record, len(records))), step.weights)
        for t, root in enumerate(roots)
        for k, node in enumerate(root.preorder())
        for r, steps in enumerate(node.rounds)
        for step in steps
    ]
    if not rows:
        return Steps.none()
    weights = np.zeros((len(rows), max(len(own) for _, own in rows)))
    for k, (_, own) in enumerate(rows):
        weights[k, : len(own)] = own
    tree, node, number, bound, record = np.array([keys for keys, _ in rows], dtype=np.int64).T
    return Steps(tree=tree, node=node, round=number, bound=bound, record=record, weights=weights)
